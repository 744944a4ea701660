"""What a hidden term is, in a library of monomials; or that the data cannot tell.

Three things must hold before a coefficient is given: no column of the library may be
made up by others within the noise, the terms chosen must explain h, and a bootstrap
must choose the same ones again with nearly the same coefficients.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax._types import ScalarLike
from dynax.pinn._sparse import Library, collinear, monomials as monomials, stlsq


BLOCKS = 20  # of points next to one another in time; a draw takes as many, at random


class Regression(NamedTuple):
    """h = Θ(z)ξ, sparse; all arrays, for vmap.

    Args:
        coefficients: ξ.
        errors: their standard deviation over the draws.
        chosen: the share of draws in which a term is chosen.
        misfit: ‖h − Θξ‖/‖h‖ of each output.
        indices, proportions: of the columns, see `collinear`.
    """

    coefficients: Float[Array, "p r"]
    errors: Float[Array, "p r"]
    chosen: Float[Array, "p r"]
    misfit: Float[Array, " r"]
    indices: Float[Array, " p"]
    proportions: Float[Array, "p p"]


def regress(
    columns: Float[Array, "*members n p"],
    h: Float[Array, "*members n r"],
    noise: ScalarLike,
    key,
    draws: int = 100,
) -> Regression:
    """Sparse regression, with a bootstrap over blocks of points and over members.

    Args:
        columns, h: Θ(z) and h at points of ascending time; with members, fits of the
            same term from other noise or other seeds.
        noise: a term is dropped if the fit loses less than noise·‖h‖ by it.
        draws: of the bootstrap.
    """
    columns, h = (a.reshape(-1, *a.shape[-2:]) for a in (columns, h))
    members, n, p = columns.shape
    count = min(BLOCKS, n)
    rows = columns[:, : n // count * count].reshape(members, count, -1, p)
    targets = h[:, : n // count * count].reshape(members, count, -1, h.shape[-1])
    both = jnp.concatenate([rows, targets], -1)
    squares = jnp.einsum("mbni,mbnj->mbij", both, both)

    @jax.vmap
    def fit(square):
        one = lambda moment, size: stlsq(square[:p, :p], moment, size, noise)
        outputs = square[p:, :p], jnp.diagonal(square)[p:]
        return jax.vmap(one, out_axes=1)(*outputs)

    of, among = jax.random.split(key)
    member = jax.random.randint(of, (draws, 1), 0, members)
    block = jax.random.randint(among, (draws, count), 0, count)
    drawn = jnp.sum(squares[member, block], 1)
    everything = jnp.sum(squares, (0, 1))
    found, kept = fit(jnp.concatenate([everything[None], drawn]))
    off, size = (
        jnp.linalg.norm(a.reshape(-1, a.shape[-1]), axis=0)
        for a in (columns @ found[0] - h, h)
    )
    return Regression(
        found[0],
        jnp.std(found[1:], 0),
        jnp.mean(kept[1:].astype(found.dtype), 0),
        off / jnp.where(size > 0, size, 1),
        *collinear(columns.reshape(-1, p)),
    )


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
    """`regress`, and the verdict.

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
        raise ValueError("z, h: given NaN or infinity; finite accepted.")
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


PYSR = '''"""Symbolic regression of a hidden term. First: pip install pysr."""

import numpy as np
from pysr import PySRRegressor

data = np.load("hidden.npz")
model = PySRRegressor(binary_operators=["+", "-", "*"], niterations=40, maxsize=20)
model.fit(data["z"], data["h"], variable_names=[str(n) for n in data["names"]])
print(model)
'''


def to_pysr(folder, z, h, names: Sequence[str]) -> pathlib.Path:
    """Write z, h and their names to folder/hidden.npz, and beside it the script that
    gives them to PySR, which is not imported here. Returns the script's path.

    Source: Cranmer, arXiv:2305.01582.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    z, h = np.asarray(z), np.asarray(h)
    np.savez(folder / "hidden.npz", z=z, h=h, names=np.asarray(names))
    script = folder / "run_pysr.py"
    script.write_text(PYSR, encoding="utf-8")
    return script
