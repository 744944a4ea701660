"""All polynomials of a degree on a box, with a problem's own functions beside them."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import chebyshev

from dynax.pde import AbstractPDE, derivatives


@dataclasses.dataclass(frozen=True)
class Basis:
    """T_k(x̂) … T_l(ẑ) with k + … + l at most a degree, and functions beside them.

    Args:
        powers: the degrees k … l of each.
        lower, upper: the box that x̂ ∈ [−1, 1] stands for.
        functions: places (d,) → a number.
    """

    powers: tuple[tuple[int, ...], ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    functions: tuple[Callable, ...] = ()

    @classmethod
    def of(cls, pde: AbstractPDE, degree: int) -> "Basis":
        """On the box around an equation's region, with its `singular` functions."""
        d = len(pde.lower)
        every = np.stack(np.meshgrid(*[np.arange(degree + 1)] * d, indexing="ij"), -1)
        every = every.reshape(-1, d)
        kept = every[every.sum(1) <= degree]
        box = tuple(map(float, pde.lower)), tuple(map(float, pde.upper))
        functions = getattr(pde, "singular", ())
        return cls(tuple(map(tuple, kept.tolist())), *box, tuple(functions))

    def __len__(self) -> int:
        return len(self.powers) + len(self.functions)

    @property
    def degree(self) -> int:
        return int(np.max(self.powers))

    def at(self, x: Float[Array, " d"]) -> Float[Array, " n"]:
        """All of them at a place."""
        powers = np.asarray(self.powers)
        terms = jnp.ones((len(powers),), x.dtype)
        for axis, (a, b) in enumerate(zip(self.lower, self.upper, strict=True)):
            z = 2 * (x[axis] - a) / (b - a) - 1
            known = [jnp.ones_like(z), z]
            for _ in range(int(powers[:, axis].max()) - 1):
                known.append(2 * z * known[-1] - known[-2])
            terms = terms * jnp.stack(known)[powers[:, axis]]
        return jnp.concatenate([terms, self.beside(x)])

    def table(self, x: np.ndarray, letters: str) -> np.ndarray:
        """A derivative of all of them at places (points, d), (points, n)."""
        powers = np.asarray(self.powers)
        out = np.ones((len(x), len(powers)))
        for axis, (a, b) in enumerate(zip(self.lower, self.upper, strict=True)):
            order = letters.count("xyz"[axis])
            z = 2 * (x[:, axis] - a) / (b - a) - 1
            unit = np.eye(int(powers[:, axis].max()) + 1)
            slopes = chebyshev.chebder(unit, order, 2 / (b - a), axis=0)
            known = chebyshev.chebvander(z, max(len(slopes) - 1, 0)) @ slopes
            out = out * known[:, powers[:, axis]]
        if not self.functions:
            return out
        return np.concatenate(
            [out, np.asarray(_derivative(self, x, letters or "u"))], 1
        )

    def beside(self, x: Float[Array, " d"]) -> Array:
        """The functions beside the polynomials."""
        found = [f(x) for f in self.functions]
        return jnp.stack(found) if found else jnp.zeros(0, x.dtype)


@eqx.filter_jit
def _derivative(basis: Basis, x, name) -> Array:
    u = lambda t, x: basis.beside(x)
    zero = jnp.zeros((), jnp.result_type(float))
    at = lambda x: derivatives(u, zero, x, (name,))[name]
    return jax.vmap(at)(jnp.asarray(x, zero.dtype))


class Polynomial(eqx.Module):
    """Σ c_k φ_k over a basis, a function of (t, x), whatever t.

    Args:
        coefficients: (n, c).
        basis: φ.
    """

    coefficients: Float[Array, "n c"]
    basis: Basis = eqx.field(static=True)

    def __call__(self, t, x):
        del t
        return self.basis.at(x) @ self.coefficients.astype(x.dtype)


def orthonormal(values: np.ndarray, cut: float) -> tuple[np.ndarray, np.ndarray]:
    """Combinations of columns that are orthonormal.

    Args:
        values: (rows, n).
        cut: directions that are smaller than this, beside the largest, are left out.

    Returns:
        (the combinations, (n, kept), and `values` of them, (rows, kept)).
    """
    left, s, right = np.linalg.svd(values, full_matrices=False)
    keep = s > cut * s[0]
    return right[keep].T / s[keep], left[:, keep]
