r"""Between points and grid by quadratic B-splines: per axis, with f = x/dx − base,

    w = ½(3/2 − f)², ¾ − (f − 1)², ½(f − ½)²   at the nodes base + 0, 1, 2.

Σw = 1, Σw(xᵢ − x) = 0 and Σw(xᵢ − x)(xᵢ − x)ᵀ = ¼dx² I.
Source: Jiang, Schroeder, Selle, Teran, Stomakhin, "The affine particle-in-cell method",
ACM Trans. Graph. 34 (2015).
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dynax import _tree as tree
from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.mechanics.mpm.body import Matrices, Vectors


class Grid(eqx.Module):
    """The nodes of a regular grid.

    Nodes at i·dx, i = 0 … n − 1 along each axis.

    Points may lie from ½dx to (n − 3/2)dx.

    Args:
        nodes: how many along each axis, 2 or 3 of them.
        dx: spacing in m.
    """

    nodes: tuple[int, ...] = eqx.field(static=True)
    dx: ScalarLike

    def __check_init__(self):
        n = self.nodes
        whole = isinstance(n, tuple) and all(isinstance(k, int) and k > 2 for k in n)
        if not whole or len(n) not in (2, 3):
            raise ValueError(f"nodes: given {n}; accepted are 2 or 3 integers > 2.")
        check_parameter("dx", self.dx, lambda dx: dx > 0, "dx > 0, in m")

    def inside(self, x: Vectors) -> Array:
        """Which points the grid carries, (N,)."""
        dx = tree.cast(self.dx, x.dtype)
        top = jnp.array([n - 1.5 for n in self.nodes], x.dtype)[None]
        return jnp.all((x / dx >= 0.5) & (x / dx < top), -1)

    def places(self, dtype) -> Float[Array, "*nodes d"]:
        """Where the nodes are, m."""
        axes = [jnp.arange(n, dtype=dtype) for n in self.nodes]
        grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), -1)
        return tree.cast(self.dx, dtype) * grid

    def stencil(self, x: Vectors) -> tuple[Int[Array, "N d"], Array, Array]:
        """base, w and (xᵢ − x)/dx, the last two (3, N, d).

        The base is rounded, not the floor of x/dx − ½: XLA contracts that into one
        operation in some uses and not in others, and at the edge of a cell a point
        would have the weights of one window and the nodes of the next.
        """
        place = x / tree.cast(self.dx, x.dtype)
        base = jnp.maximum(jnp.round(place) - 1, 0).astype(jnp.int32)
        f = place - base.astype(x.dtype)
        w = jnp.stack([(1.5 - f) ** 2 / 2, 0.75 - (f - 1) ** 2, (f - 0.5) ** 2 / 2])
        return base, w, jnp.stack([-f, 1 - f, 2 - f])


class AbstractTransfer(eqx.Module):
    """How points and grid exchange: two linear maps, each the adjoint of the other."""

    @abc.abstractmethod
    def to_grid(
        self, grid: Grid, x: Vectors, p: Float[Array, "N c"], A: Float[Array, "N c d"]
    ) -> Float[Array, "*nodes c"]:
        """Σ_p w (p + A(xᵢ − x)/dx)."""

    @abc.abstractmethod
    def to_points(
        self, grid: Grid, x: Vectors, v: Float[Array, "*nodes d"]
    ) -> tuple[Vectors, Matrices]:
        """Σᵢ w v and Σᵢ w v ⊗ (xᵢ − x)/dx."""


class Window(AbstractTransfer):
    """One scatter of a 3ᵈ window, and one gather, a point: for CPU and GPU."""

    def to_grid(self, grid, x, p, A):
        base, w, away = grid.stencil(x)
        d, c = x.shape[-1], p.shape[-1]
        updates = _flat(p, d)
        for a in range(d):
            updates = updates + _along(away, a, d) * _flat(A[:, :, a], d)
        updates = math.prod(_along(w, a, d) for a in range(d)) * updates
        numbers = jax.lax.ScatterDimensionNumbers(
            update_window_dims=tuple(range(1, d + 2)),
            inserted_window_dims=(),
            scatter_dims_to_operand_dims=tuple(range(d)),
        )
        empty = jnp.zeros((*grid.nodes, c), p.dtype)
        return jax.lax.scatter_add(empty, base, updates, numbers, mode="clip")

    def to_points(self, grid, x, v):
        base, w, away = grid.stencil(x)
        d, moment = x.shape[-1], w * away
        numbers = jax.lax.GatherDimensionNumbers(
            offset_dims=tuple(range(1, d + 2)),
            collapsed_slice_dims=(),
            start_index_map=tuple(range(d)),
        )
        value = jax.lax.gather(v, base, numbers, (*(3,) * d, v.shape[-1]), mode="clip")
        columns = []
        for a in range(d):  # one axis of the window after the other
            left = d - a
            columns = [jnp.sum(_along(w, a, left, 0) * b, 1) for b in columns]
            columns.append(jnp.sum(_along(moment, a, left, 0) * value, 1))
            value = jnp.sum(_along(w, a, left, 0) * value, 1)
        return value, jnp.stack(columns, -1)


class Dense(AbstractTransfer):
    """The same as matrix products with one-hot weights, without scatter or gather.

    For a TPU and small scenes: the work is N Πnodes.
    """

    def to_grid(self, grid, x, p, A):
        w, moment = _one_hot(grid, x)
        d, c = x.shape[-1], p.shape[-1]
        out = jnp.zeros((*grid.nodes, c), p.dtype)
        for rows, values in _terms(w, moment, p, A):
            left = rows[0][:, :, None] * values[:, None, :]
            right = rows[1] if d == 2 else rows[1][:, :, None] * rows[2][:, None, :]
            product = jnp.einsum(
                "pic,p...->i...c", left, right, precision=jax.lax.Precision.HIGHEST
            )
            out += product
        return out

    def to_points(self, grid, x, v):
        w, moment = _one_hot(grid, x)
        d, exact = x.shape[-1], jax.lax.Precision.HIGHEST

        def read(rows):
            out = jnp.einsum("pi,i...->p...", rows[0], v, precision=exact)
            for row in rows[1:]:
                out = jnp.einsum("pi,pi...->p...", row, out, precision=exact)
            return out

        columns = [read([*w[:a], moment[a], *w[a + 1 :]]) for a in range(d)]
        return read(w), jnp.stack(columns, -1)


def _along(rows, axis, d, place=None):
    """Of (3, N, d) those of `axis`, over values in a window of d axes: (N, 1, 3, 1, 1).

    They vary along the window's axis `place`, the same one if None.
    """
    shape = [1] * (d + 1)
    shape[axis if place is None else place] = 3
    return rows[..., axis].T.reshape(-1, *shape)


def _flat(values, d):
    """(N, c) → (N, 1, …, 1, c), over a window."""
    return values.reshape(values.shape[0], *(1,) * d, values.shape[1])


def _one_hot(grid, x):
    """w and w(xᵢ − x)/dx at all nodes along each axis, (N, n)."""
    base, w, away = grid.stencil(x)

    def spread(row, a):
        nodes = jnp.arange(grid.nodes[a], dtype=jnp.int32)
        here = nodes[None, None] - base[None, :, a, None]
        at = jnp.arange(3, dtype=jnp.int32)[:, None, None]
        return jnp.sum(jnp.where(here == at, row[:, :, a, None], 0), 0)

    return tuple([spread(row, a) for a in range(x.shape[-1])] for row in (w, w * away))


def _terms(w, moment, p, A):
    yield w, p
    for a in range(len(w)):
        yield [*w[:a], moment[a], *w[a + 1 :]], A[:, :, a]
