"""Whether what is held keeps a body in place."""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from dynax import _tree as tree
from dynax.mechanics._parts import Parts
from dynax.mechanics.mesh import demand


def check_support(parts: Parts) -> None:
    """No piece of the body can move or turn as a whole, where that is known.

    Raises:
        ValueError: one can.
    """
    if not tree.is_concrete(parts.nodes, parts.free):
        return
    X, held = np.asarray(parts.nodes, float), np.asarray(parts.free) == 0
    n, elements = len(X), np.asarray(parts.elements)
    rows = np.repeat(elements[:, :1], elements.shape[1], 1)
    edges = rows.ravel(), elements.ravel()
    graph = sp.coo_matrix((np.ones(elements.size), edges), (n, n))
    pieces, piece = connected_components(graph, directed=False)
    for i in range(pieces):
        here = piece == i
        loose = _motions(X[here])[held[here]]
        accepted = loose.shape[-1]
        rank = np.linalg.matrix_rank(loose, 1e-6) if len(loose) else 0
        text = f"what leaves {accepted - rank} rigid motions to a piece of {here.sum()}"
        text += f" nodes (node {int(np.argmax(here))} is one)"
        demand(rank == accepted, "held", text, "what leaves none")


def _motions(X):
    """Rigid displacements of nodes (n, d) → (n, d, motions), of size about 1."""
    d = X.shape[1]
    away = X - X.mean(0)
    away = away / max(np.abs(away).max(), np.finfo(float).tiny)
    shifts = np.broadcast_to(np.eye(d), (len(X), d, d))
    turns = []
    for i in range(d):
        for j in range(i):
            turn = np.zeros((d, d))
            turn[i, j], turn[j, i] = 1, -1
            turns.append(away @ turn)
    return np.concatenate([shifts, *(t[..., None] for t in turns)], -1)
