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
from dynax.material.bingham import Bingham as Bingham
from dynax.material.convex_energy import ConvexEnergy as ConvexEnergy, Units as Units
from dynax.material.drucker_prager import DruckerPrager as DruckerPrager
from dynax.material.fixed_corotated import (
    FixedCorotated as FixedCorotated,
    jelly as jelly,
)
from dynax.material.flow import AbstractFlow as AbstractFlow
from dynax.material.gsm import GSM as GSM
from dynax.material.hencky import Hencky as Hencky
from dynax.material.herschel_bulkley import HerschelBulkley as HerschelBulkley
from dynax.material.icnn import ICNN as ICNN
from dynax.material.maxwell import Maxwell as Maxwell
from dynax.material.mohr_coulomb import MohrCoulomb as MohrCoulomb, sand as sand
from dynax.material.nclaw import NCElastic as NCElastic, NCPlastic as NCPlastic
from dynax.material.neo_hookean import NeoHookean as NeoHookean
from dynax.material.norton import Norton as Norton
from dynax.material.perzyna import Perzyna as Perzyna
from dynax.material.polynomial import Polynomial as Polynomial
from dynax.material.principal import (
    AbstractIsotropic as AbstractIsotropic,
    AbstractRadial as AbstractRadial,
)
from dynax.material.st_venant_kirchhoff import StVenantKirchhoff as StVenantKirchhoff
from dynax.material.tension_cutoff import TensionCutoff as TensionCutoff
from dynax.material.von_mises import VonMises as VonMises, plasticine as plasticine
from dynax.material.weakly_compressible import (
    WeaklyCompressible as WeaklyCompressible,
    water as water,
)
from dynax.material.yield_curve import YieldCurve as YieldCurve
