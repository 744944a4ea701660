"""Convex potentials κ: value, subgradient, conjugate κ*, distance to its domain."""

from ._base import (
    AbstractArrayKappa as AbstractArrayKappa,
    AbstractBoxed as AbstractBoxed,
    AbstractCoercive as AbstractCoercive,
    AbstractKappa as AbstractKappa,
    AbstractNorm as AbstractNorm,
    AbstractSeparable as AbstractSeparable,
)
from .coercive import (
    HalfSquared as HalfSquared,
    HalfSquaredLp as HalfSquaredLp,
    Power as Power,
    Quartic as Quartic,
)
from .kinetic import FourThirds as FourThirds, Relativistic as Relativistic
from .norms import (
    GroupL2 as GroupL2,
    LInf as LInf,
    LogSumExp as LogSumExp,
    Lp as Lp,
    TopK as TopK,
)
from .separable import (
    L1 as L1,
    Huber as Huber,
    LogCosh as LogCosh,
    SoftAbs as SoftAbs,
    SparseL1 as SparseL1,
)
from .spectral import (
    OrthogonallyInvariant as OrthogonallyInvariant,
    ky_fan as ky_fan,
    nuclear as nuclear,
    spectral as spectral,
)
from .support import Support as Support
