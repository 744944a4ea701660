"""Koopman eigenpairs from data, each with a residual that tells whether it is one.

A dictionary of p functions makes of n snapshots x ↦ y the matrices Ψ_X, Ψ_Y (n × p).
Extended dynamic mode decomposition finds eigenpairs of the matrix that fits
Ψ_Y ≈ Ψ_X K; most of them are artefacts of the dictionary. With

    G = Ψ_X*Ψ_X/n,   A = Ψ_X*Ψ_Y/n,   L = Ψ_Y*Ψ_Y/n

the distance of ψ = Σ vⱼψⱼ from being an eigenfunction is known from the same data:

    res(λ, v)² = v*(L − λA* − λ̄A + |λ|²G)v / v*Gv → ‖𝒦ψ − λψ‖²/‖ψ‖².

Source: Colbrook, Townsend, Comm. Pure Appl. Math. 77 (2024).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from dynax._check import check_positive, require


Snapshots = Float[Array, "n d"] | Float[np.ndarray, "n d"]


class Koopman(NamedTuple):
    """Eigenpairs of a compressed Koopman operator, by ascending residual.

    Attributes:
        values: λ.
        vectors: v, one a column, with v*Gv = 1; the eigenfunction is Ψ(x)v.
        residuals: res(λ, v).
        carried: Â = Q*Ψ_Y…, the operator in an orthonormal basis Q of the dictionary.
        squared: L in that basis.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    carried: np.ndarray
    squared: np.ndarray

    def verified(self, below: float) -> "Koopman":
        """Return the pairs whose residual is below a limit."""
        check_positive(below=below)
        good = self.residuals < below
        return self._replace(
            values=self.values[good],
            vectors=self.vectors[:, good],
            residuals=self.residuals[good],
        )

    def pseudospectrum(self, grid: np.ndarray) -> np.ndarray:
        """Return min over v of res(λ, v) at complex numbers λ; below 1e-8 it is 0.

        λ belongs to the ε-pseudospectrum where this is below ε.
        """
        grid = np.asarray(grid, complex)
        a, one = self.carried, np.eye(len(self.carried))

        def least(z):
            square = self.squared - z * a.conj().T - z.conj() * a + abs(z) ** 2 * one
            return max(np.linalg.eigvalsh(square)[0], 0.0) ** 0.5

        return np.array([least(z) for z in grid.ravel()]).reshape(grid.shape)


def residual_dmd(
    dictionary: Callable,
    before: Snapshots,
    after: Snapshots,
    *,
    rank: float = 1e-8,
) -> Koopman:
    """Find Koopman eigenpairs from pairs of snapshots, and the residual of each.

    Args:
        dictionary: x ↦ (p,), real or complex.
        before, after: states, and where each of them goes.
        rank: combinations of the dictionary smaller than this, relative to the
            largest, are left out.

    Raises:
        ValueError: more functions than snapshots, or values that are not finite.
    """
    before, after = np.asarray(before), np.asarray(after)
    alike = before.ndim == 2 and before.shape == after.shape
    require(alike, "before, after", (before.shape, after.shape), "one shape (n, d)")
    check_positive(rank=rank)
    of = jax.jit(jax.vmap(dictionary))
    x, y = np.asarray(of(before)), np.asarray(of(after))
    finite = np.all(np.isfinite(x)) and np.all(np.isfinite(y))
    require(finite, "dictionary", "NaN or infinity", "finite values on all snapshots")
    n, p = x.shape
    require(p <= n, "dictionary", p, f"at most as many functions as snapshots, {n}")
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    kept = s > rank * s[0]
    back = vt[kept].conj().T / s[kept]  # from the orthonormal basis to the dictionary
    q, b = u[:, kept], y @ back
    carried = q.conj().T @ b
    values, w = np.linalg.eig(carried)
    residuals = np.linalg.norm(b @ w - q @ w * values, axis=0)  # columns of w are unit
    order = np.argsort(residuals)
    vectors = back @ w[:, order] * n**0.5
    squared = b.conj().T @ b
    return Koopman(values[order], vectors, residuals[order], carried, squared)
