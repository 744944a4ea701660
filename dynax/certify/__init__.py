"""Certificates: from "it fell on this run" to "it falls".

The same claim, V̇ ≤ −D or V₊ ≤ V − D, with stronger evidence than one trajectory. A
*box* certificate is about every state of a region, a *local* one about every state near
an equilibrium, a *class* certificate about every f of a function class, a
*sequential* one about the expected change while noisy training runs.
"""

from dynax.certify.assumptions import (
    Asymptotic,
    Bounded,
    Clipped,
    Evidence,
    Symmetric,
    Variance,
)
from dynax.certify.box import Map, on_box
from dynax.certify.class_ import ClassCertificate, Potential, over_class
from dynax.certify.learn import Basin, learn
from dynax.certify.local import Local, locally
from dynax.certify.region import Ball
from dynax.certify.sequential import Sequential
from dynax.certify.switch import Switch, lands


__all__ = [
    "Asymptotic",
    "Ball",
    "Basin",
    "Bounded",
    "ClassCertificate",
    "Clipped",
    "Evidence",
    "Local",
    "Map",
    "Potential",
    "Sequential",
    "Switch",
    "Symmetric",
    "Variance",
    "lands",
    "learn",
    "locally",
    "on_box",
    "over_class",
]
