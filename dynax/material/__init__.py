"""Constitutive laws, one a file, and the linear algebra they rest on."""

from dynax.material import kinematics as kinematics
from dynax.material._base import (
    AbstractClassical as AbstractClassical,
    AbstractHyperelastic as AbstractHyperelastic,
    AbstractLaw as AbstractLaw,
    AbstractPlastic as AbstractPlastic,
    AbstractReturn as AbstractReturn,
    Elastoplastic as Elastoplastic,
    StressAndReturn as StressAndReturn,
    lame as lame,
)
from dynax.material._convex import Convex as Convex
from dynax.material.drucker_prager import DruckerPrager as DruckerPrager
from dynax.material.fixed_corotated import (
    FixedCorotated as FixedCorotated,
    jelly as jelly,
)
from dynax.material.gsm import GSM as GSM
from dynax.material.hencky import Hencky as Hencky, HenckyReturn as HenckyReturn
from dynax.material.icnn import ICNN as ICNN
from dynax.material.maxwell import Maxwell as Maxwell
from dynax.material.mohr_coulomb import MohrCoulomb as MohrCoulomb, sand as sand
from dynax.material.nclaw import NCElastic as NCElastic, NCPlastic as NCPlastic
from dynax.material.neo_hookean import NeoHookean as NeoHookean
from dynax.material.polynomial import Polynomial as Polynomial
from dynax.material.st_venant_kirchhoff import StVenantKirchhoff as StVenantKirchhoff
from dynax.material.von_mises import VonMises as VonMises, plasticine as plasticine
from dynax.material.weakly_compressible import (
    WeaklyCompressible as WeaklyCompressible,
    water as water,
)
