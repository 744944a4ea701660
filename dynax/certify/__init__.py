"""Certificates: from "it fell on this run" to "it falls".

The same claim, V̇ ≤ −D or V₊ ≤ V − D, with stronger evidence than one trajectory. A
*box* certificate is about every state of a region, a *local* one about every state near
an equilibrium, a *class* certificate about every f of a function class, a
*sequential* one about the expected change while noisy training runs.
"""

from dynax.certify.box import Map, on_box
from dynax.certify.class_ import ClassCertificate, Potential, over_class
from dynax.certify.local import Local, locally
from dynax.certify.region import Ball
from dynax.certify.sequential import (
    Bounded,
    Evidence,
    Sequential,
    Symmetric,
    Variance,
    merge,
    watch,
)


__all__ = [
    "Ball",
    "Bounded",
    "ClassCertificate",
    "Evidence",
    "Local",
    "Map",
    "Potential",
    "Sequential",
    "Symmetric",
    "Variance",
    "locally",
    "merge",
    "on_box",
    "over_class",
    "watch",
]
