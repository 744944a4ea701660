"""A law from a test on a machine: displacements of the whole body and one force."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, ArrayLike, Float

from dynax.mechanics._body import AbstractBody
from dynax.mechanics.mesh import demand


class Fit(NamedTuple):
    """Hold the weights of a law, and how far its forces are from balance.

    Args:
        weights: w ≥ 0, (terms,); 0 where `seen` is False.
        misfit: what is out of balance at free nodes, as a share of the forces that the
            elements exert there; root mean square.
        force: the measured force, predicted; (k,), N.
        seen: which terms the test can tell, (terms,).
    """

    weights: Float[np.ndarray, " terms"]
    misfit: float
    force: Float[np.ndarray, " k"]
    seen: np.ndarray


def fit(
    of: Callable[[Array], AbstractBody],
    terms: int,
    u: Float[ArrayLike, "k n d"],
    force: Float[ArrayLike, " k"],
    grip: Float[ArrayLike, "n d"],
) -> Fit:
    r"""Fit a law whose stress is linear in its weights, in one convex problem.

    min over w ≥ 0 of Σ |Σᵢ wᵢ fᵢ(u)|² at free nodes + Σ (⟨grip, Σᵢ wᵢ fᵢ(u)⟩ − F)²,

    fᵢ the nodal forces of term i. No equilibrium is solved and nothing is iterated. A
    misfit far above the noise of the forces says that the law is not in the family.

    Source: Flaschel, Kumar, De Lorenzis, CMAME 381 (2021); Grédiac et al., Strain 42
    (2006), the virtual fields method.

    Args:
        of: weights → body; without loads, and of an elastic law.
        terms: how many weights.
        u: displacements, m, as a camera sees them.
        force: F of the machine at each of them, N.
        grip: 1 where it pulls (node and direction), else 0; of held nodes.

    Raises:
        ValueError: shapes that do not fit; no node is free; NaN in the data.
    """
    u, force, grip = jnp.asarray(u), np.asarray(force, float), np.asarray(grip, float)
    body = of(jnp.zeros(terms, u.dtype))
    parts = body.parts
    shape = len(force), *parts.nodes.shape
    demand(u.shape == shape, "u", f"shape {u.shape}", f"{shape}, one state a force")
    demand(grip.shape == shape[1:], "grip", f"shape {grip.shape}", f"{shape[1:]}")
    known = bool(np.isfinite(force).all() and jnp.isfinite(u).all())
    demand(known, "u, force", "NaN or infinity", "finite data")
    free = np.asarray(parts.free) == 1
    demand(free.any(), "body", "no free node", "free nodes, which are in balance")
    history = body.init()[0][1]
    inner = lambda w, u: of(w).element_forces(u, history)
    terms_of = jax.jit(jax.vmap(jax.vmap(inner, (0, None), -1), (None, 0)))
    each = terms_of(jnp.eye(terms, dtype=u.dtype), u)  # (k, m, c, d, w)
    gather = lambda a: np.asarray(
        jnp.zeros((*shape, a.shape[-1])).at[:, parts.elements].add(a)
    )
    rows = gather(each)
    pulled = np.einsum("nd,kndw->kw", grip, rows)
    A = np.concatenate([rows[:, free].reshape(-1, terms), pulled])
    b = np.concatenate([np.zeros(len(A) - len(force)), force])
    size = np.linalg.norm(A, axis=0)
    seen = size > 1e-9 * np.max(size)
    w = np.zeros(terms)
    w[seen] = scipy.optimize.nnls(A[:, seen] / size[seen], b)[0] / size[seen]
    exerted = gather(jnp.abs(each @ jnp.asarray(w, u.dtype))[..., None])[..., 0]
    off = np.linalg.norm((rows @ w)[:, free]) / np.linalg.norm(exerted[:, free])
    return Fit(w, float(off), pulled @ w, seen)
