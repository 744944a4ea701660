"""Certificates: from "it fell on this run" to "it falls".

The same claim, V̇ ≤ −D or V₊ ≤ V − D, with stronger evidence than one trajectory: a
*box* certificate is about every state of a region.
"""

from dynax.certify.box import Map, on_box
from dynax.certify.region import Ball


__all__ = ["Ball", "Map", "on_box"]
