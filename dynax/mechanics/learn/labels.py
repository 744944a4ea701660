"""The loss of a law whose stress is known: supervised learning."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from dynax import _tree as tree
from dynax.material import AbstractLaw


class Labels(eqx.Module):
    """Compare the stress of a law with given stresses.

    The mean of |τ(F) − τ*|²/unit², and of |update(F₋) − F₊|²/strain² if given.

    Internal variables are at rest.

    Args:
        F: (k, d, d).
        tau: τ*, (k, d, d), Pa.
        unit: Pa.
        returns: (F₋, F₊) before and after the plastic return, (k, d, d) each.
        strain: the unit of F₊.
    """

    F: Float[Array | np.ndarray, "k d d"]
    tau: Float[Array | np.ndarray, "k d d"]
    unit: float
    returns: Any = None
    strain: float = 1e-3

    def __check_init__(self):
        shapes = [a.shape for a in tree.leaves((self.F, self.tau, self.returns))]
        if len(shapes[0]) != 3 or len({*shapes}) > 1:
            raise ValueError(
                f"F, tau, returns: given shapes {shapes}; accepted are equal (k, d, d)."
            )

    def __call__(self, law: PyTree) -> tuple[Array, Array]:
        off = lambda a, b, unit: jnp.mean(((a - b) / tree.cast(unit, b.dtype)) ** 2)
        size = off(_stresses(law, self.F), self.tau, self.unit)
        if self.returns is not None:
            before, after = self.returns
            given = jax.vmap(lambda F: law.update(F, law.init(F), 0.0)[0])(before)
            size += off(given, after, self.strain)
        return size, jnp.zeros((), jnp.int32)

    @classmethod
    def of(
        cls, law: AbstractLaw, F: Float[Array | np.ndarray, "k d d"], unit: float
    ) -> "Labels":
        """As a known law has them."""
        return cls(F, _stresses(law, F), unit)


def _stresses(law, F):
    return jax.vmap(lambda F: law.kirchhoff(F, law.init(F)))(F)
