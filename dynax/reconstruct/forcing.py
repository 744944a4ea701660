"""Teacher forcing: how much a model sees of the data while it is trained on them.

After each step the observed part of the state is drawn towards the data,

    z̃ₜ = (1 − αₜ)zₜ + αₜx̂ₜ,

so that a gradient carried back over T − t steps is at most Π(1 − αₛ)‖Jₛ‖, where J is
the model's Jacobian. A forcing says what αₜ is, and how it follows from 𝒩, the norm of
the Jacobians.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._check import check_parameter, require
from dynax._types import Scalar, ScalarLike


class AbstractForcing(eqx.Module):
    """How much of the data is mixed into the states of a training window."""

    @abc.abstractmethod
    def init(self) -> Scalar:
        """Return α at the first update."""

    def adapt(self, alpha: Scalar, norm: Scalar) -> Scalar:
        """Return the next α, by the norm 𝒩 of the Jacobians."""
        return alpha

    def weights(self, alpha: Scalar, steps: int) -> Float[Array, " steps"]:
        """Return αₜ along a window."""
        return jnp.full(steps, alpha)


class Generalized(AbstractForcing):
    """Mix a share α of the data into each state (generalised teacher forcing).

    α = 0 is a free run, α = 1 prediction one step ahead.
    Source: Hess, Monfared, Brenner, Durstewitz, ICML (2023).
    """

    alpha: ScalarLike

    def __check_init__(self):
        _check_share(alpha=self.alpha)

    def init(self):
        return jnp.asarray(self.alpha)


class Annealed(AbstractForcing):
    """Mix in what the Jacobians ask for: α ← kα + (1 − k)·max(0, 1 − 1/𝒩).

    With α = 1 − 1/𝒩 no gradient grows. Source: Hess et al. (2023), §3.4.

    Args:
        start: the first α.
        keep: k, for each time that 𝒩 is measured.
    """

    start: ScalarLike = 1.0
    keep: ScalarLike = 0.9

    def __check_init__(self):
        _check_share(start=self.start, keep=self.keep)

    def init(self):
        return jnp.asarray(self.start)

    def adapt(self, alpha, norm):
        wanted = jnp.maximum(0, 1 - 1 / jnp.maximum(norm, 1))
        keep = tree.cast(self.keep, alpha.dtype)
        return keep * alpha + (1 - keep) * tree.cast(wanted, alpha.dtype)


class Sparse(AbstractForcing):
    """Replace the observed state by the data at one step in τ, and else not at all.

    Source: Mikhaeil, Monfared, Durstewitz, NeurIPS (2022).
    """

    every: int = eqx.field(static=True)

    def __check_init__(self):
        require(self.every >= 1, "every", self.every, "at least 1")

    def init(self):
        return jnp.asarray(1.0)

    def weights(self, alpha, steps):
        return jnp.where(jnp.arange(1, steps + 1) % self.every == 0, alpha, 0)


def _check_share(**values) -> None:
    for name, value in values.items():
        inside = lambda v: (v >= 0) & (v <= 1)
        check_parameter(name, value, inside, f"a {name} from 0 to 1")
