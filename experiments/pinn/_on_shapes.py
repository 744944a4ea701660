"""Problems of other packages' example pages, on regions with conditions on sides."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import pde, shapes
from dynax.pde.derivatives import Derivatives
from dynax.pinn.networks import MLP


ROOT = 0.8603335890193797  # of μ tan μ = 1


class Rod(pde.AbstractExact):
    """uₜ = uₓₓ, insulated left, u + uₓ = 0 right: e^{−μ²t} cos μx."""

    needs = "u t xx"
    domain = shapes.Interval(0.0, 1.0)
    horizon = 1.0
    loss: Any = 1.0

    @property
    def boundary(self):
        return {"left": pde.Neumann(0.0), "right": pde.Robin(self.loss, 1.0)}

    def equation(self, t, x, d):
        return d.t - d.xx

    def exact(self, t, x):
        return jnp.exp(-(ROOT**2) * t) * jnp.cos(ROOT * x)


class Helmholtz(pde.AbstractSteady):
    """Δu + k²u = f in a square, u = sin kx sin ky, k = 4π: not coercive."""

    needs = "u xx yy"
    domain = shapes.Box((0, 0), (1, 1))
    boundary = pde.Dirichlet(0.0)
    k: float = 4 * math.pi

    def balance(self, x, d):
        return d.xx + d.yy + self.k**2 * (d.u + self.exact(0.0, x))

    def exact(self, t, x):
        k = self.k
        return jnp.sin(k * x[..., :1]) * jnp.sin(k * x[..., 1:])


class Kovasznay(pde.AbstractSteady):
    """Steady Navier–Stokes at Re = 20, velocities prescribed on all sides."""

    fields = ("u", "v", "p")
    gauge = ("p",)
    needs = "u x y xx yy"
    domain = shapes.Box((-0.5, -0.5), (1.0, 1.5))
    reynolds: float = 20.0

    @property
    def boundary(self):
        wall = lambda t, x: self.exact(t, x)[..., :2]
        return pde.Dirichlet(wall, of="u v")

    def balance(self, x, d):
        return navier_stokes(d, self.reynolds)

    def exact(self, t, x):
        half = self.reynolds / 2
        rate = half - math.sqrt(half**2 + 4 * math.pi**2)
        a, b = x[..., :1], 2 * jnp.pi * x[..., 1:]
        e = jnp.exp(rate * a)
        v = rate / (2 * jnp.pi) * e * jnp.sin(b)
        return jnp.concatenate([1 - e * jnp.cos(b), v, (1 - e**2) / 2], -1)


class Cavity(pde.AbstractSteady):
    """A square with a lid that moves: Ghia, Ghia, Shin, J. Comput. Phys. 48 (1982)."""

    fields = ("u", "v", "p")
    gauge = ("p",)
    needs = "u x y xx yy"
    domain = shapes.Box((0, 0), (1, 1))
    boundary = {
        "top": pde.Dirichlet((1.0, 0.0), of="u v", hard=False),
        "left, right, bottom": pde.Dirichlet(0.0, of="u v", hard=False),
    }
    reynolds: float = 100.0

    def balance(self, x, d):
        return navier_stokes(d, self.reynolds)


GHIA = {  # y → u on x = ½, at Re = 100; table I
    0.9766: 0.84123,
    0.9688: 0.78871,
    0.9609: 0.73722,
    0.9531: 0.68717,
    0.8516: 0.23151,
    0.7344: 0.00332,
    0.6172: -0.13641,
    0.5: -0.20581,
    0.4531: -0.21090,
    0.2813: -0.15662,
    0.1719: -0.10150,
    0.1016: -0.06434,
    0.0703: -0.04775,
    0.0625: -0.04192,
    0.0547: -0.03717,
}


def navier_stokes(d, reynolds):
    """(u·∇)u + ∇p − Δu/Re, and ∇·u."""
    u, v = d.u[..., :1], d.u[..., 1:2]
    carried = u * d.x[..., :2] + v * d.y[..., :2]
    pushed = jnp.concatenate([d.x[..., 2:], d.y[..., 2:]], -1)
    slowed = (d.xx + d.yy)[..., :2] / reynolds
    source = d.x[..., :1] + d.y[..., 1:2]
    return jnp.concatenate([carried + pushed - slowed, source], -1)


class Plate(pde.AbstractSteady):
    """Linear elasticity, λ = 1, μ = ½, displacements and tractions on sides.

    u = cos 2πx sin πy, v = sin πx · y⁴. Source of the problem: Haghighat et al., CMAME
    379 (2021) 113741.
    """

    fields = ("u", "v")
    needs = "xx yy xy"
    domain = shapes.Box((0, 0), (1, 1))
    first: float = 1.0
    second: float = 0.5

    @property
    def boundary(self):
        def beside(t, x, n, d):
            return jnp.concatenate([d.u[..., 1:], self.stress(d)[0]], -1)

        def above(t, x, n, d):
            pull = 4 * (self.first + 2 * self.second) * jnp.sin(jnp.pi * x[..., :1])
            return jnp.concatenate([d.u[..., :1], self.stress(d)[1] - pull], -1)

        return {
            "bottom": pde.Dirichlet(0.0),
            "left, right": pde.Operator(beside, "u x y"),
            "top": pde.Operator(above, "u x y"),
        }

    def stress(self, d):
        """σ_xx, σ_yy."""
        a, b = d.x[..., :1], d.y[..., 1:]
        spread = self.first * (a + b)
        return spread + 2 * self.second * a, spread + 2 * self.second * b

    def balance(self, x, d):
        a, b = jnp.pi * x[..., :1], x[..., 1:]
        sine, cosine = jnp.sin(a), jnp.cos(a)
        waves = jnp.cos(2 * a) * jnp.sin(jnp.pi * b)
        u = {"xx": -4 * jnp.pi**2 * waves, "yy": -(jnp.pi**2) * waves}
        u["xy"] = -2 * jnp.pi**2 * jnp.sin(2 * a) * jnp.cos(jnp.pi * b)
        v = {"xx": -(jnp.pi**2) * sine * b**4, "yy": 12 * sine * b**2}
        v["xy"] = 4 * jnp.pi * cosine * b**3
        known = {name: jnp.concatenate([u[name], v[name]], -1) for name in u}
        return self.force(d) - self.force(Derivatives(known))

    def force(self, d):
        """∇·σ."""
        m, both = self.second, self.first + self.second
        across = jnp.flip(d.xy, -1)
        along = jnp.concatenate([d.xx[..., :1], d.yy[..., 1:]], -1)
        return m * (d.xx + d.yy) + both * (along + across)

    def exact(self, t, x):
        a, b = jnp.pi * x[..., :1], x[..., 1:]
        u = jnp.cos(2 * a) * jnp.sin(jnp.pi * b)
        return jnp.concatenate([u, jnp.sin(a) * b**4], -1)


class Corner(pde.AbstractSteady):
    """Δu = 0 on an L, u = r^{2/3} cos(2θ/3): singular at the corner."""

    needs = "xx yy"
    domain = shapes.Box((-1, -1), (1, 1)) - shapes.Box((0, 0), (1, 1))

    @property
    def boundary(self):
        return pde.Dirichlet(self.exact, hard=False)

    def balance(self, x, d):
        return d.xx + d.yy

    def exact(self, t, x):
        return singular(x)


class Membrane(Corner):
    """−Δu = 1 on an L, u = 0 on its sides."""

    boundary = pde.Dirichlet(0.0, hard=False)

    def balance(self, x, d):
        return d.xx + d.yy + 1


def singular(x):
    """r^{2/3} cos(2θ/3), θ from the middle of the L."""
    a = -(x[..., :1] + x[..., 1:]) / math.sqrt(2)
    b = (x[..., :1] - x[..., 1:]) / math.sqrt(2)
    return (a**2 + b**2 + 1e-30) ** (1 / 3) * jnp.cos(2 / 3 * jnp.arctan2(b, a))


class Enriched(eqx.Module):
    """A network that is told r^{2/3} cos(2θ/3) beside x and y."""

    body: MLP

    def __init__(self, key, width=12):
        self.body = MLP(3, 1, width, 2, key=key)

    def __call__(self, t, x):
        return self.body(jnp.concatenate([x, singular(x)]))


def off(problem, u, count=2000):
    """‖u − exact‖/‖exact‖ of each field; a mean that no condition fixes is left out."""

    @eqx.filter_jit
    def both(u):
        t = jax.random.uniform(jax.random.key(6), (count,)) * problem.horizon
        x = problem.shape.sample(jax.random.key(5), count)
        return jax.vmap(u)(t, x), jax.vmap(problem.exact)(t, x)

    found, exact = both(u)
    free = jnp.asarray([name in problem.gauge for name in problem.fields])
    mean = lambda a: jnp.where(free, jnp.mean(a, 0), 0.0)[None]
    found, exact = found - mean(found), exact - mean(exact)
    return jnp.linalg.norm(found - exact, axis=0) / jnp.linalg.norm(exact, axis=0)
