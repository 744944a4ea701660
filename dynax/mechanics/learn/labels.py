"""The loss of a law whose stress is known: supervised learning."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from dynax import _tree as tree
from dynax.material import AbstractLaw


class Labels(eqx.Module):
    """The mean of |τ(F) − τ*|²/unit² over labelled points.

    Args:
        F: (k, d, d).
        tau: τ*, (k, d, d), Pa.
        unit: Pa.
    """

    F: Float[Array, "k d d"]
    tau: Float[Array, "k d d"]
    unit: float

    def __check_init__(self):
        if self.F.ndim != 3 or self.F.shape != self.tau.shape:
            raise ValueError(
                f"F, tau: given shapes {self.F.shape} and {self.tau.shape}; accepted "
                "are (k, d, d), equal."
            )

    def __call__(self, law: PyTree) -> tuple[Array, Array]:
        one = lambda F: law.kirchhoff(F, law.init(F))
        off = (jax.vmap(one)(self.F) - self.tau) / tree.cast(self.unit, self.F.dtype)
        return jnp.mean(off**2), jnp.zeros((), jnp.int32)

    @classmethod
    def of(cls, law: AbstractLaw, F: Float[Array, "k d d"], unit: float) -> "Labels":
        """As a known law has them."""
        return cls(F, jax.vmap(lambda F: law.kirchhoff(F, law.init(F)))(F), unit)
