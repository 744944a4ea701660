"""A network that has a symmetry by construction."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from dynax.pde import AbstractPDE, Symmetry


class Symmetric(eqx.Module):
    """Give any network a symmetry: the mean over its images.

    u(t, x) = mean over the symmetry's elements of s·N(t, Ax + b), s = ±1: of an odd one
    (N(t, x) − N(t, 2a − x))/2. The network is to be periodic where the box is.

    Args:
        pde: says where the box is, and the symmetry unless one is given.
        network: N, any (t, x) → fields.
        symmetry: `pde.odd()`, `pde.even()`, `pde.repeated(m)`.
    """

    network: Callable[[Array, Array], Array]
    images: tuple = eqx.field(static=True)

    def __init__(
        self, pde: AbstractPDE, network: Callable, symmetry: Symmetry | None = None
    ):
        symmetry = pde.symmetry if symmetry is None else symmetry
        found = [] if symmetry is None else symmetry.images(pde)
        self.network = network
        self.images = tuple(
            (s, float(a[0, 0]), tuple(map(float, b))) for s, a, b in found
        )

    def __call__(self, t, x):
        out = self.network(t, x)
        for sign, turn, shift in self.images:
            out = out + sign * self.network(t, turn * x + jnp.asarray(shift, x.dtype))
        return out / (1 + len(self.images))
