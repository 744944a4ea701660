"""Problems of other packages' example pages, on regions with conditions on sides."""

import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import pde, shapes
from dynax.pde.derivatives import Derivatives


ROOT = 0.8603335890193797  # of μ tan μ = 1


class Rod(pde.AbstractExact):
    """uₜ = uₓₓ, insulated left, u + uₓ = 0 right: e^{−μ²t} cos μx."""

    needs = "u t xx"
    domain = shapes.Interval(0.0, 1.0)
    horizon = 1.0
    loss: Any = 1.0

    @property
    def boundary(self):
        return {"left": pde.Neumann(g=0.0), "right": pde.Robin(a=self.loss, b=1.0)}

    def equation(self, t, x, d):
        return d.t - d.xx

    def exact(self, t, x):
        return jnp.exp(-(ROOT**2) * t) * jnp.cos(ROOT * x)


class Helmholtz(pde.AbstractSteady):
    """Δu + k²u = f in a square, u = sin kx sin ky, k = 4π: not coercive."""

    needs = "u xx yy"
    domain = shapes.Box((0, 0), (1, 1))
    boundary = pde.Dirichlet(g=0.0)
    k: float = 4 * math.pi

    def balance(self, x, d):
        return d.xx + d.yy + self.k**2 * (d.u + self.exact(0.0, x))

    def exact(self, t, x):
        k = self.k
        return jnp.sin(k * x[..., :1]) * jnp.sin(k * x[..., 1:])


class Open(Helmholtz):
    """The same, and nothing is said of the sides."""

    boundary = {"left, right, bottom, top": None}


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
        return pde.Dirichlet(g=wall, of="u v")

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
        "top": pde.Dirichlet(g=(1.0, 0.0), of="u v", hard=False),
        "left, right, bottom": pde.Dirichlet(g=0.0, of="u v", hard=False),
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
            "bottom": pde.Dirichlet(g=0.0),
            "left, right": pde.Operator(fn=beside, reads="u x y"),
            "top": pde.Operator(fn=above, reads="u x y"),
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


class Membrane(pde.AbstractSteady):
    """−Δu = 1 on an L, u = 0 around it; what it has at its corners is declared.

    At the one that points inwards r^{2/3}, …; at the others r² ln r, for the source is
    not 0 there.
    """

    needs = "xx yy"
    domain = shapes.Box((-1, -1), (1, 1)) - shapes.Box((0, 0), (1, 1))
    boundary = pde.Dirichlet(g=0.0, hard=False)
    singular = pde.corner((0, 0), math.pi / 2, 3 * math.pi / 2, 6) + sum(
        (
            pde.corner(at, quarter * math.pi / 2, math.pi / 2, 1)
            for at, quarter in (
                ((-1, -1), 0),
                ((1, -1), 1),
                ((1, 0), 2),
                ((0, 1), 2),
                ((-1, 1), 3),
            )
        ),
        (),
    )

    def balance(self, x, d):
        return d.xx + d.yy + 1

    def exact(self, t, x):
        return self.expansion(x)[..., None]

    def expansion(self, x):
        """By the method of particular solutions: harmonic functions r^{2k/3} sin 2kθ/3
        and one that brings about the source, which have the values 0 on the two sides
        of the corner; on the others least squares.

        Source: Fox, Henrici, Moler, SIAM J. Numer. Anal. 4 (1967)."""
        c = _on_outer_sides(120)
        return _particular(jnp, x) + _harmonics(jnp, x, len(c)) @ jnp.asarray(c)


class Blind(Membrane):
    """The same, and nothing is declared."""

    singular = ()


def _polar(xp, x):
    """r, and θ from the side x = 0, y > 0 on, counterclockwise."""
    a = -(x[..., 0] + x[..., 1]) / math.sqrt(2)
    b = (x[..., 0] - x[..., 1]) / math.sqrt(2)
    theta = xp.arctan2(b, a) + 3 * math.pi / 4
    return xp.sqrt(a**2 + b**2 + 1e-30), theta


def _harmonics(xp, x, count):
    r, theta = (a[..., None] for a in _polar(xp, x))
    p = 2 * xp.arange(1, count + 1) / 3
    return (r / 1.5) ** p * xp.sin(p * theta)


def _particular(xp, x):
    r, theta = _polar(xp, x)
    log = xp.log(r) * xp.sin(2 * theta) + theta * xp.cos(2 * theta)
    return r**2 * ((xp.cos(2 * theta) - 1) / 4 - log / (3 * math.pi))


@functools.cache
def _on_outer_sides(count):
    s = np.cos(np.pi * (np.arange(400) + 0.5) / 400)
    one, half = np.ones_like(s), (s - 1) / 2
    sides = (-one, s), (s, -one), (one, half), (half, one)
    x = np.concatenate([np.stack(side, -1) for side in sides])
    table = _harmonics(np, x, count)
    return np.linalg.lstsq(table, -_particular(np, x), rcond=1e-13)[0]


class Bratu(pde.AbstractSteady):
    """Δu + eᵘ = 0 in a disk, u = 0 around it: u = ln 8b − 2 ln(1 + br²)."""

    needs = "u xx yy"
    domain = shapes.Disk((0.0, 0.0), 1.0)
    boundary = pde.Dirichlet(g=0.0)

    def balance(self, x, d):
        return d.xx + d.yy + jnp.exp(d.u)

    def exact(self, t, x):
        b, square = 3 - math.sqrt(8), jnp.sum(x**2, -1, keepdims=True)
        return jnp.log(8 * b) - 2 * jnp.log1p(b * square)


class Warm(pde.AbstractSteady):
    """Δu = 0 in a square, insulated left and right: u = y + cos πx sinh πy/sinh π."""

    needs = "xx yy"
    domain = shapes.Box((0, 0), (1, 1))
    boundary = {
        "left, right": pde.Neumann(g=0.0),
        "bottom": pde.Dirichlet(g=0.0),
        "top": pde.Dirichlet(g=lambda t, x: 1 + jnp.cos(jnp.pi * x[..., :1])),
    }

    def balance(self, x, d):
        return d.xx + d.yy

    def exact(self, t, x):
        a, b = jnp.pi * x[..., :1], jnp.pi * x[..., 1:]
        return x[..., 1:] + jnp.cos(a) * jnp.sinh(b) / math.sinh(math.pi)


class Turned(pde.AbstractSteady):
    """Δu = f in a disk that loses heat through its edge; u = eˣ cos 2y."""

    needs = "xx yy"
    domain = shapes.Disk((0.0, 0.0), 1.0)

    @property
    def boundary(self):
        return pde.Robin(a=1.0, b=0.3, g=self.lost)

    def lost(self, t, x):
        a, b = x[..., :1], x[..., 1:]
        outward = a * jnp.cos(2 * b) - 2 * b * jnp.sin(2 * b)  # n = x on the edge
        return jnp.exp(a) * (jnp.cos(2 * b) + 0.3 * outward)

    def balance(self, x, d):
        return d.xx + d.yy + 3 * self.exact(0.0, x)

    def exact(self, t, x):
        return jnp.exp(x[..., :1]) * jnp.cos(2 * x[..., 1:])


class Gaining(Turned):
    """The same, told that it gains through its edge what it loses."""

    @property
    def boundary(self):
        return pde.Robin(a=-1.0, b=0.3, g=self.lost)


class Drum(pde.AbstractSteady):
    """Δu + k²u = 0 in a disk, u = 0 around it: the lowest k² is 5.783…, j₀,₁²."""

    needs = "u xx yy"
    sizes = (1.0,)
    domain = shapes.Disk((0.0, 0.0), 1.0)
    boundary = pde.Dirichlet(g=0.0)
    square: Any = 4.0

    def balance(self, x, d):
        return d.xx + d.yy + self.square * d.u


class String(pde.AbstractExact):
    """uₜ = v, vₜ = uₓₓ, u = 0 at both ends: u = cos πt sin πx + ½ cos 2πt sin 2πx."""

    fields = ("u", "v")
    needs = "u t xx"
    domain = shapes.Interval(0.0, 1.0)
    boundary = pde.Dirichlet(g=0.0)
    horizon = 1.0

    def equation(self, t, x, d):
        return d.t - jnp.concatenate([d.u[..., 1:], d.xx[..., :1]], -1)

    def exact(self, t, x):
        n = jnp.pi * jnp.asarray([1.0, 2.0], x.dtype)
        shape = jnp.sin(n * x) / jnp.asarray([1.0, 2.0], x.dtype)
        u, v = jnp.cos(n * t) * shape, -n * jnp.sin(n * t) * shape
        return jnp.stack([jnp.sum(u, -1), jnp.sum(v, -1)], -1)


class Schroedinger(pde.AbstractSemilinear):
    """i hₜ + ½hₓₓ + |h|²h = 0 from 2/cosh x, h = u + iv, on [−5, 5], periodic.

    u and v turn into each other, so nothing of it is diagonal in real fields: L = 0.
    """

    fields = ("u", "v")
    needs = "u t xx"
    lower, upper, horizon = (-5.0,), (5.0,), math.pi / 2

    def equation(self, t, x, d):
        square = jnp.sum(d.u**2, -1, keepdims=True)
        pushed = d.xx / 2 + square * d.u
        return d.t - jnp.concatenate([-pushed[..., 1:], pushed[..., :1]], -1)

    def initial(self, x):
        return jnp.concatenate([2 / jnp.cosh(x), 0 * x])

    def symbol(self, k):
        return 0.0 * jnp.stack([k[0], k[0]])

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        u = to_grid(u_hat)
        pushed = to_modes(jnp.sum(u**2, 0) * u) - k[0] ** 2 / 2 * u_hat
        return jnp.stack([-pushed[1], pushed[0]])


class Reaction(pde.AbstractPDE):
    """aₜ = D aₓₓ − k ab², bₜ = D bₓₓ − 2k ab²; a enters left, b right."""

    fields = ("a", "b")
    needs = "u t xx"
    lower, upper, boundary, horizon = (0.0,), (1.0,), "zero", 10.0
    diffusion: Any = 2e-3
    rate: Any = 0.1

    def equation(self, t, x, d):
        made = self.rate * d.u[..., :1] * d.u[..., 1:] ** 2
        return d.t - self.diffusion * d.xx + jnp.concatenate([made, 2 * made], -1)

    def initial(self, x):
        return jnp.concatenate([jnp.exp(-20 * x), jnp.exp(-20 * (1 - x))])


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
