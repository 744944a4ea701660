"""The time step by the fastest wave and the fastest point."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import Scalar, ScalarLike
from dynax.mechanics.mpm.body import Body, Materials, wave_speed


class CFL(diffrax.AbstractStepSizeController):
    """Choose the time step from the wave speed and the fastest point.

    dt = fraction·dx/(c + |v|), c = √(M/ρ₀) by each law's `stiffness`, at each step.

    No step is rejected, nothing is estimated: an error estimate would spoil what a
    symplectic step keeps. Gradients take the steps as given.

    Args:
        dx: of the grid, m.
        fraction: 0 < fraction < 1.
        longest: no step is longer, s.
    """

    dx: ScalarLike
    fraction: ScalarLike = 0.3
    longest: ScalarLike = np.inf

    def __check_init__(self):
        inside = lambda a: (a > 0) & (a < 1)
        check_parameter("fraction", self.fraction, inside, "0 < fraction < 1")

    def wrap(self, direction):
        del direction
        return self

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        del terms, t1, func, error_order
        if dt0 is not None:
            raise ValueError(f"dt0: given {dt0}; accepted is None, CFL says it.")
        return t0 + self.limit(y0, args).astype(jnp.result_type(t0)), ()

    def adapt_step_size(
        self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state
    ):
        del t0, y0, y_error, error_order
        after = t1 + self.limit(y1_candidate, args).astype(jnp.result_type(t1))
        return True, t1, after, False, controller_state, diffrax.RESULTS.successful

    def limit(self, y: Body, args: Materials) -> Scalar:
        """dt in s."""
        dtype = y.x.dtype
        speed = wave_speed(args, y) + jnp.max(jnp.sqrt(jnp.sum(y.v**2, -1)))
        dt = tree.cast(self.fraction, dtype) * tree.cast(self.dx, dtype) / speed
        dt = jnp.minimum(dt, tree.cast(self.longest, dtype))
        return jax.lax.stop_gradient(dt)
