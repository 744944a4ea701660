"""Hyperelasticity that is linear in its coefficients: generalised Mooney–Rivlin."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax.material._base import AbstractHyperelastic
from dynax.material.icnn import invariants


Powers = tuple[int, int, int]
POWERS: tuple[Powers, ...] = (
    (1, 0, 0),
    (0, 1, 0),
    (2, 0, 0),
    (1, 0, 1),
    (1, 0, 2),
    (0, 0, 2),
    (0, 0, 3),
    (0, 0, 4),
)


class Polynomial(AbstractHyperelastic):
    r"""Give an energy that is a polynomial of invariants of F.

    ψ = Σ c (Ī₁ − 3)ⁱ (Ī₂ − 3)ʲ (J − 1)ᵏ,  invariants as in `ICNN`.

    For any c: objective, isotropic, a symmetric Cauchy stress, ψ(I) = 0 and no stress
    at F = I. Nothing says that I is a minimum, or that waves are real. Linear in c, so
    `learn.least_squares` finds c in one step.

    Source: Rivlin, Saunders, Phil. Trans. R. Soc. A 243 (1951); as a library to choose
    from, Flaschel, Kumar, De Lorenzis, CMAME 381 (2021). Terms with (J − 1)ᵏ let the
    shear modulus depend on the volume.

    Args:
        coefficients: c, Pa, one a term.
        powers: (i, j, k) of each term.
    """

    coefficients: Float[Array, " terms"]
    powers: tuple[Powers, ...] = eqx.field(default=POWERS, static=True)

    def __check_init__(self):
        rests = all(i + j > 0 or k > 1 for i, j, k in self.powers)
        if not rests:
            raise ValueError(
                f"powers: given {self.powers}; accepted is k ≥ 2 where i = j = 0, else "
                "there is stress at rest."
            )
        if jnp.shape(self.coefficients) != (len(self.powers),):
            raise ValueError(
                f"coefficients: given shape {jnp.shape(self.coefficients)}; accepted "
                f"is ({len(self.powers)},), one a term."
            )

    def energy(self, F, alpha=()):
        del alpha
        z = invariants(F)
        power = lambda a, n: jnp.ones_like(a) if n == 0 else a**n
        terms = [
            power(z[0], i) * power(z[1], j) * power(z[2], k) for i, j, k in self.powers
        ]
        return jnp.sum(tree.cast(self.coefficients, F.dtype) * jnp.stack(terms))
