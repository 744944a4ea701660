"""Linear systems of a mesh by conjugate gradients, for wide bands."""

import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax.mechanics._parts import Vectors
from dynax.mechanics.statics._band import Layout


def conjugate(layout: Layout, K: Float[Array, "m c d c d"], free: Vectors):
    """r → p with K p = r at free unknowns and p = r at held ones, (n, d).

    Preconditioned by the blocks (d, d) of the nodes, to ε^⅔ of r. K is symmetric and
    positive. About 2 m c²d² operations an iteration, no more memory than K.

    Source: Hestenes, Stiefel, J. Res. NBS 49 (1952).
    """
    elements, d = layout.elements, free.shape[1]
    eye = jnp.eye(d, dtype=K.dtype)[None]

    def product(p):
        f = jnp.einsum("maibj,mbj->mai", K, p[elements])
        return jnp.zeros_like(p).at[elements].add(f)

    blocks = jnp.zeros((len(free), d, d), K.dtype).at[elements]
    blocks = blocks.add(jnp.einsum("maiaj->maij", K))
    both = free[:, :, None] * free[:, None]
    back = jnp.linalg.inv(blocks * both + eye * (1 - free)[:, None])

    def solve(r):
        held = (1 - free) * r
        rest = free * (r - product(held))
        p, _ = cg(
            lambda p: free * product(free * p) + (1 - free) * p,
            rest,
            tol=float(tree.eps(r)) ** (2 / 3),
            maxiter=20 * len(r),
            M=lambda r: jnp.sum(back * r[:, None], -1),
        )
        return p + held

    return solve
