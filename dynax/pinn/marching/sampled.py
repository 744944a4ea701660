"""Any network on a periodic box, seen at equispaced places: its residual by FFT."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from dynax._check import require
from dynax.newton import LevenbergMarquardt
from dynax.pde import AbstractPDE, AbstractSemilinear, Symmetry
from dynax.pinn.marching.ansatz import (
    AbstractAnsatz,
    check_start,
    found_degree,
    relative,
    symmetry_of,
)
from dynax.pinn.marching.space import Waves
from dynax.pinn.networks._fixed import split
from dynax.pinn.networks.symmetric import Symmetric


class Sampled(AbstractAnsatz):
    """Let a network be the solution, and take its residual by FFT.

    u(t, x) = u(t₀, x) + τ S N(2τ − 1, x),  τ = (t − t₀)/Δ,  S the sizes of the fields.

    At each time N and ∂ₜN are taken at equispaced places, moved by a random offset each
    time, so that what it does between them is seen; derivatives in space are exact for
    the modes that these places hold. One derivative in time is all that N is asked for.

    Args:
        pde: an `AbstractSemilinear` whose fields all evolve, on a periodic box.
        network: N, periodic in x; its first argument runs over [−1, 1].
        places: along each axis.
        times: in a window.
        symmetry: as of `Spectral`; the network is made `Symmetric`.

    Raises:
        TypeError: of another equation.
        ValueError: `places`, or a symmetry that the start does not have.
    """

    pde: AbstractPDE
    network: Callable
    sizes: Float[Array, " c"]
    places: int = eqx.field(static=True)
    times: int = eqx.field(static=True)
    symmetry: Symmetry = eqx.field(static=True)
    degree: int = eqx.field(static=True)

    order = 4

    def __init__(
        self,
        pde: AbstractPDE,
        network: Callable,
        places: int = 64,
        times: int = 24,
        symmetry: Symmetry | None = None,
        degree: int | None = None,
    ):
        if not isinstance(pde, AbstractSemilinear) or pde.boundary != "periodic":
            raise TypeError(
                f"pde: given {type(pde).__name__}; accepted is an AbstractSemilinear "
                "on a periodic box."
            )
        require(places >= 4, "places", places, "4 or more")
        self.pde, self.places, self.times = pde, places, times
        self.symmetry, _ = symmetry_of(pde, symmetry)
        self.network = Symmetric(pde, network, self.symmetry)
        self.degree = found_degree(pde) if degree is None else degree
        self.sizes = jnp.ones(len(pde.fields))

    @property
    def modes(self):
        return (self.places - 1) // 2

    @property
    def space(self):
        pde: Any = self.pde
        return Waves(pde, self.modes, self.degree, self.symmetry)

    def init(self, key, dtype):
        return split(self.network)[0]

    def sized(self, sizes):
        return eqx.tree_at(lambda a: a.sizes, self, sizes)

    def check(self, initial):
        check_start(self.pde, self.symmetry, initial)

    def guess(self, y, ratio):
        return y

    def grown(self, most):
        return None

    def regridded(self, other, y):
        return y

    def moved(self, y, tau, x) -> Float[Array, " c"]:
        """τ S N."""
        network = eqx.combine(y, split(self.network)[1])
        return tau * self.sizes * network(2 * tau - 1, x)

    def grid(self, offset) -> Float[Array, "places d"]:
        """The places, moved by a share of their distance."""
        torus = self.space.torus._replace(n=(self.places,) * len(self.pde.lower))
        x = torus.points().reshape(-1, len(self.pde.lower))
        step = (np.asarray(torus.upper) - np.asarray(torus.lower)) / self.places
        return jnp.asarray(x, offset.dtype) + jnp.asarray(step[None]) * offset[None]

    def transform(self, values, offset):
        """û of values at the places, (places, c)."""
        space = self.space
        torus = space.torus._replace(n=(self.places,) * len(self.pde.lower))
        modes = torus.to_modes(values.T.reshape(-1, *torus.n))
        k = jnp.asarray(torus.waves(), offset.dtype)
        step = (np.asarray(torus.upper) - np.asarray(torus.lower)) / self.places
        turn = -jnp.tensordot(offset * jnp.asarray(step), k, 1)
        modes = modes * jax.lax.complex(jnp.cos(turn), jnp.sin(turn))[None]
        return space.unpack(space.pack(torus.resize(modes, space.torus.n)))

    def displacement(self, y, tau, offset):
        values = jax.vmap(lambda x: self.moved(y, tau, x))(self.grid(offset))
        return self.transform(values, offset)

    def value(self, start, y, tau, x):
        return self.space.value(start, x) + self.moved(y, tau, x)

    def method(self, dtype):
        return LevenbergMarquardt(jacobian=self.jacobian, form="primal")

    def jacobian(self, fn, y, args):
        """Each place's own gradient, and then the transform of all: O(places)."""
        start, length, sizes, tau, offset, root = args
        flat, unravel = ravel_pytree(y)

        def point(flat, tau, x):
            at = lambda s: self.moved(unravel(flat), s, x)
            return jax.jvp(at, (tau,), (jnp.ones_like(tau),))

        def one(now):
            tau, offset, root = now
            x = self.grid(offset)
            values = jax.vmap(point, (None, None, 0))(flat, tau, x)
            slopes = jax.vmap(jax.jacrev(point), (None, None, 0))(flat, tau, x)

            def rows(value, rate):
                by = self.transform(value, offset), self.transform(rate, offset)
                return jnp.ravel(relative(self.space, *by, start, length, sizes)) * root

            r, push = jax.linearize(rows, *values)
            return r, jax.vmap(push, -1, -1)(*slopes)

        r, J = jax.lax.map(one, (tau, offset, root))
        return jnp.ravel(r), J.reshape(-1, len(flat))
