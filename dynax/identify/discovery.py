"""What a hidden term is, in a library of monomials; or that the data cannot tell.

Three things must hold before a coefficient is given: no column of the library may be
made up by others within the noise, the terms chosen must explain h, and a bootstrap
must choose the same ones again with nearly the same coefficients.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from dynax.identify.library import Library
from dynax.identify.regression import regress


Status = Literal["identified", "not identified", "not explained"]


@dataclasses.dataclass(frozen=True)
class Discovery:
    """What came of a regression: coefficients, or why there are none.

    Args:
        status: "identified"; "not identified": other coefficients would do as well;
            "not explained": none of these would.
        reason: in words.
        terms: names of the library.
        coefficients, errors: (terms, outputs); NaN unless identified.
        condition: the largest condition index of the library.
        misfit: ‖h − Θξ‖/‖h‖ of each output.
        columns: the terms that cannot be told apart, or are not sure.
    """

    status: Status
    reason: str
    terms: tuple[str, ...]
    coefficients: np.ndarray
    errors: np.ndarray
    condition: float
    misfit: np.ndarray
    columns: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.status == "identified"

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """(term, output) of each coefficient that is not 0; none unless identified."""
        found = np.argwhere(self.coefficients != 0) if self.holds else ()
        return tuple((int(term), int(output)) for term, output in found)

    def __str__(self) -> str:
        lines = [
            f"{self.status.upper()}: {self.reason}; condition {self.condition:.3g}, "
            f"misfit {', '.join(f'{m:.2g}' for m in self.misfit)}"
        ]
        for output in range(self.coefficients.shape[1] if self.holds else 0):
            sums = [
                f"({self.coefficients[k, output]:.4g} ± {self.errors[k, output]:.1g})"
                f" {self.terms[k]}"
                for k, place in self.places
                if place == output
            ]
            lines.append(f"  h{output + 1} = {' + '.join(sums) or 0}")
        return "\n".join(lines)


def identify(library: Library, z, h, *, noise: float, key, draws=100) -> Discovery:
    """Run `regress` and give the verdict.

    Not identified are the columns of which condition indices above 1/noise make up
    more than half of the variance, and terms that a tenth of the draws do without, with
    an error above half of themselves, or dropped though most draws have them. Not
    explained is an h with a misfit above 3·noise.

    Args:
        library, z: give the columns Θ(z).
        h, key, draws: see `regress`.
        noise: the relative error of z and h that the data leave; about that of the data
            over the size of what they vary by.

    Raises:
        ValueError: shapes that do not fit, or values that are not finite.
    """
    z, h = jnp.asarray(z), jnp.asarray(h)
    if z.shape[:-1] != h.shape[:-1] or z.shape[-1] != len(library.quantities):
        raise ValueError(
            f"z, h: given shapes {z.shape}, {h.shape}; accepted are (n, k), (n, r), "
            f"k = {len(library.quantities)} the quantities of the library."
        )
    if not (jnp.all(jnp.isfinite(z)) and jnp.all(jnp.isfinite(h))):
        raise ValueError("z, h: given NaN or infinity; accepted are finite numbers.")
    if not 0 < noise < 1:
        raise ValueError(f"noise: given {noise}; accepted is a number in (0, 1).")
    found = jax.device_get(_regress(library(z), h, noise, key, draws))
    terms, xi = library.terms, found.coefficients
    weak = found.indices > 1 / noise
    confounded = found.proportions[weak].sum(0) > 0.5
    used = xi != 0
    unsure = np.where(used, found.chosen < 0.9, found.chosen > 0.5)
    unsure |= used & (found.errors > np.abs(xi) / 2)
    names = lambda which: tuple(n for n, yes in zip(terms, which, strict=True) if yes)
    status: Status = "not identified"
    columns = names(confounded)
    if columns:
        reason = f"the data cannot tell {', '.join(columns)} apart"
    elif np.any(found.misfit > 3 * noise):
        status, reason = "not explained", "h is more than these terms"
    elif np.any(unsure):
        columns = names(unsure.any(1))
        reason = f"{', '.join(columns)} are not sure"
    else:
        status, reason = "identified", f"{np.sum(used)} terms, the same again and again"
    nothing = np.full_like(xi, np.nan)
    good = status == "identified"
    return Discovery(
        status,
        reason,
        terms,
        xi if good else nothing,
        found.errors if good else nothing,
        float(found.indices.max()),
        found.misfit,
        columns,
    )


_regress = jax.jit(regress, static_argnames="draws")
