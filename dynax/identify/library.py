"""Formulas: libraries of monomials, and sums of their terms."""

import itertools
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Library(eqx.Module):
    """Monomials of named quantities: z ↦ Θ(z), (…, k) → (…, p).

    Args:
        quantities: names of z₁ … z_k.
        powers: of each term, the exponents of z₁ … z_k.
    """

    quantities: tuple[str, ...] = eqx.field(static=True)
    powers: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    def __call__(self, z: Float[Array, "... k"]) -> Float[Array, "... p"]:
        def term(powers):
            out = jnp.ones_like(z[..., 0])
            for j, e in enumerate(powers):
                out = out * z[..., j] ** e if e else out
            return out

        return jnp.stack([term(powers) for powers in self.powers], -1)

    @property
    def terms(self) -> tuple[str, ...]:
        """Their names: "1", "u", "u²", "u·u_xx"."""

        def name(powers):
            digits = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
            power = lambda q, e: q if e == 1 else q + str(e).translate(digits)
            each = zip(self.quantities, powers, strict=True)
            return "·".join(power(q, e) for q, e in each if e) or "1"

        return tuple(name(powers) for powers in self.powers)


def monomials(quantities: str | Sequence[str], degree: int, constant=False) -> Library:
    """All monomials up to `degree`, by ascending degree.

    Args:
        quantities: "u u_xx", or a sequence.
        constant: whether 1 is one of them.
    """
    given = quantities.split() if isinstance(quantities, str) else quantities
    names = tuple(given)
    if not names or len({*names}) < len(names) or degree < 1:
        raise ValueError(
            f"quantities, degree: given {quantities!r}, {degree}; accepted are "
            "different names and a degree ≥ 1."
        )
    powers = [(0,) * len(names)] if constant else []
    for order in range(1, degree + 1):
        for chosen in itertools.combinations_with_replacement(range(len(names)), order):
            powers.append(tuple(chosen.count(j) for j in range(len(names))))
    return Library(names, tuple(powers))


class Polynomial(eqx.Module):
    """Sum monomials with coefficients.

    h(z) = Σ ξₖ θₖ(z): a hidden term as a formula, ξ trained.

    Args:
        library: θ.
        places: (term, output) of each coefficient, as `Discovery.places`.
        coefficients: ξ.
        outputs: how many numbers h has.
    """

    library: Library
    places: tuple[tuple[int, int], ...] = eqx.field(static=True)
    coefficients: Float[Array, " k"]
    outputs: int = eqx.field(static=True, default=1)

    def __call__(self, z):
        term, output = np.asarray(self.places, int).reshape(-1, 2).T
        parts = self.coefficients * self.library(z)[term]
        return jnp.zeros_like(z, shape=(self.outputs,)).at[output].add(parts)
