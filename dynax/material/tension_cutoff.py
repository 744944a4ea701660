"""A fluid that does not pull: its volume grows freely."""

from typing import ClassVar

import jax.numpy as jnp

from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.material._base import AbstractReturn, number
from dynax.material.hencky import Hencky
from dynax.material.kinematics import log_volume
from dynax.material.weakly_compressible import WeaklyCompressible


class TensionCutoff(AbstractReturn):
    """Let go of any tension: log J ← min(log J, T).

    So water leaves a lid, and does not hang from it. ψ of these laws rises with J > 1
    whatever the shape, hence it falls. What a volume grew is forgotten.

    Args:
        limit: T ≥ 0, the largest log J that still pulls.
    """

    accepts: ClassVar = (WeaklyCompressible, Hencky)
    limit: ScalarLike = 0.0

    def __check_init__(self):
        check_nonnegative(limit=self.limit)

    def project(self, F, alpha, dt, elastic):
        del dt, elastic
        excess = jnp.maximum(log_volume(F) - number(self, "limit", F.dtype), 0)
        return F + jnp.expm1(-excess / len(F)) * F, alpha
