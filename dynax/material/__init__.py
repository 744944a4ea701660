"""Constitutive laws, one a file, and the linear algebra they rest on."""

from dynax.material._base import (
    AbstractClassical as AbstractClassical,
    AbstractHyperelastic as AbstractHyperelastic,
    AbstractLaw as AbstractLaw,
    AbstractReturn as AbstractReturn,
    Elastoplastic as Elastoplastic,
    StressAndReturn as StressAndReturn,
    lame as lame,
)
from dynax.material.fixed_corotated import (
    FixedCorotated as FixedCorotated,
    jelly as jelly,
)
