"""Laws that every differential equation must pass, whatever it is."""

import inspect
import pathlib
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from dynax import pde
from dynax.pde import Derivatives
from tests.waves import exactly, random_points, random_waves


CLASSES = {
    name: kind
    for name, kind in vars(pde).items()
    if isinstance(kind, type)
    and issubclass(kind, pde.AbstractPDE)
    and not inspect.isabstract(kind)
}
EXACT = [n for n, k in CLASSES.items() if issubclass(k, pde.AbstractExact)]
SEMILINEAR = [n for n, k in CLASSES.items() if issubclass(k, pde.AbstractSemilinear)]
EPS = float(jnp.finfo(jnp.float64).eps)

# Sums of a few dozen products, each off by some ε of itself; angles reach 30, and a
# sine is no better known than its angle.
SLACK = 100 * EPS


def of_order_one(name):
    """Coefficients that let no term hide, as arrays: 0.5, 0.8, 1.1, …"""
    member = CLASSES[name]()
    leaves, structure = jax.tree.flatten(member)
    values = [jnp.asarray(0.5 + 0.3 * i) for i in range(len(leaves))]
    return jax.tree.unflatten(structure, values)


def box(member):
    return member.lower, member.upper


def function_of(member, dtype=np.float64):
    """No solution: random waves; of Lotka and Volterra positive ones."""
    mean = 2.0 if isinstance(member, pde.LotkaVolterra) else 0.3
    return random_waves(0, *box(member), len(member.fields), mean=mean, dtype=dtype)


def grid_of(member):
    """Points of the torus, (n, d).

    The trapezoidal rule is exact on products of up to five waves in one dimension, of
    up to three in two: what the energies are made of.
    """
    n = {0: 1, 1: 32, 2: 16}[len(member.lower)]
    corners = zip(member.lower, member.upper, strict=True)
    axes = [a + (b - a) * np.arange(n) / n for a, b in corners]
    mesh = np.meshgrid(*axes, indexing="ij")
    points = np.stack(mesh, -1).reshape(-1, len(axes)) if axes else np.zeros((1, 0))
    return jnp.asarray(points)


class Account(NamedTuple):
    """Per unit of volume. `scale` is the sum of absolute terms."""

    slope: Array
    rate: Array
    work: Array
    scale: Array
    rates: Array


def account(member, functional, u, t, x, weights, engine=exactly) -> Account:
    """Ė by one jvp in t, and the two integrals which it should be."""
    needs = (*functional.needs.split(), *member.needs.split())

    def at(t):
        return Derivatives(jax.vmap(lambda x: engine(u, t, x, needs))(x))

    density = lambda t: functional.density(x, at(t))
    _, slopes = jax.jvp(density, (t,), (jnp.ones_like(t),))
    d = at(t)
    rates = functional.rate(x, d)
    r = member.equation(jnp.broadcast_to(t, x.shape[:1]), x, d)
    work = jnp.sum(functional.variation(x, d) * r, -1)
    total = lambda f: jnp.sum(weights * f)
    scale = total(jnp.abs(slopes) + jnp.abs(rates) + jnp.abs(work))
    return Account(total(slopes), total(rates), total(work), scale, rates)


def off(a: Account, rate=1, work=1):
    return jnp.abs(a.slope - rate * a.rate - work * a.work) / a.scale


@pytest.mark.parametrize("name", CLASSES)
def test_energies_balance(name):
    """Ė = ∫ rate + ∫ ⟨variation, r⟩ along what is no solution; the kind; controls."""
    member = of_order_one(name)
    u = function_of(member)
    x = grid_of(member)
    mean = jnp.full(len(x), 1 / len(x))

    @jax.jit
    def accounts(member, t):
        found = member.functionals().items()
        return {k: account(member, f, u, t, x, mean) for k, f in found}

    found = accounts(member, jnp.asarray(0.37))
    assert found, "every equation here has something to account for"
    for key, a in found.items():
        assert off(a) <= SLACK, key
        assert off(a, work=-1) > 1e-6, key  # control: a wrong sign is seen
        match member.functionals()[key].kind:
            case "falls":
                assert jnp.all(a.rates <= 0)
                assert off(a, rate=-1) > 1e-4
            case "conserved":
                assert jnp.abs(a.rate) <= SLACK * a.scale
            case "balances":
                assert jnp.any(a.rates != 0)


def test_energies_of_burgers_between_walls():
    """u = 0 at both walls but not periodic: mass passes through them. Of polynomials
    Gauss' rule is exact."""
    member = of_order_one("Burgers")
    nodes, weights = (jnp.asarray(a) for a in np.polynomial.legendre.leggauss(12))

    def u(t, x):
        return (1 - x**2) * (0.3 + jnp.sin(t) * x - t * x**2)

    @jax.jit
    def accounts(t):
        found, x = member.functionals(), nodes[:, None]
        about = u, t, x, weights, pde.nested_jvp
        return {key: account(member, f, *about) for key, f in found.items()}

    for a in accounts(jnp.asarray(0.37)).values():
        assert off(a) <= SLACK
        assert off(a, rate=-1) > 1e-2


def solutions():
    """Closed forms from the literature, with coefficients that fit them."""
    at = of_order_one
    a, c = 0.7, 0.4

    burgers = at("Burgers")
    nu = burgers.viscosity
    yield "Burgers", burgers, lambda t, x: c - a * jnp.tanh(a * (x - c * t) / (2 * nu))

    kdv = at("KdV")
    width = jnp.sqrt(c) / (2 * kdv.delta)
    yield "KdV", kdv, lambda t, x: 3 * c / jnp.cosh(width * (x - c * t)) ** 2

    # Kuramoto & Tsuzuki, Prog. Theor. Phys. 55 (1976)
    waves = pde.KuramotoSivashinsky(alpha=1.0, beta=1.0, gamma=1.0)
    slope = np.sqrt(11 / 19) / 2

    def front(t, x):
        s = jnp.tanh(slope * (x - c * t))
        return c + 30 / 19 * slope * (11 * s**3 - 9 * s)

    yield "KuramotoSivashinsky", waves, front

    phases = at("AllenCahn")
    wall = jnp.sqrt(phases.reaction / (2 * phases.diffusion))
    yield "AllenCahn", phases, lambda t, x: jnp.tanh(wall * x)

    gray = at("GrayScott")
    fed = lambda t, x: jnp.stack([1 - jnp.exp(-gray.feed * t) + 0 * x[0], 0 * x[0]])
    yield "GrayScott, fed", gray, fed

    fluid = at("NavierStokes")
    decay = lambda t: jnp.exp(-4 * fluid.viscosity * t)

    def along_x(t, x):
        wave = decay(t) * jnp.cos(2 * (x[0] - c * t))
        return jnp.stack([c * x[1] + wave, 4 * wave])

    def along_y(t, x):
        wave = decay(t) * jnp.cos(2 * (x[1] - c * t))
        return jnp.stack([-c * x[0] + wave, 4 * wave])

    yield "NavierStokes, wind along x", fluid, along_x
    yield "NavierStokes, wind along y", fluid, along_y

    pendulum = at("Pendulum")

    def separatrix(t, x):
        s = pendulum.frequency * t
        angle = 4 * jnp.arctan(jnp.exp(s)) - np.pi
        return jnp.stack([angle, 2 * pendulum.frequency / jnp.cosh(s)])

    yield "Pendulum", pendulum, separatrix

    lorenz = pde.Lorenz()
    side = np.sqrt(lorenz.beta * (lorenz.rho - 1))
    rest = jnp.asarray([side, side, lorenz.rho - 1])
    yield "Lorenz at rest", lorenz, lambda t, x: rest + 0 * t
    axis = jnp.asarray([0.0, 0.0, 1.0])
    yield "Lorenz, on its axis", lorenz, lambda t, x: jnp.exp(-lorenz.beta * t) * axis

    prey = at("LotkaVolterra")
    alone = lambda t, x: jnp.stack([jnp.exp(prey.alpha * t), 0 * t])
    left = lambda t, x: jnp.stack([0 * t, jnp.exp(-prey.gamma * t)])
    yield "LotkaVolterra, prey alone", prey, alone
    yield "LotkaVolterra, predators alone", prey, left
    for name in EXACT:
        yield f"{name}.exact", at(name), at(name).exact


SOLUTIONS = {name: (member, u) for name, member, u in solutions()}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_known_solutions(name):
    member, u = SOLUTIONS[name]
    t, x = random_points(1, *box(member), 8)

    @jax.jit
    def sizes(member):
        r = jax.vmap(lambda t, x: member.residual(u, t, x))(t, x)
        needs = tuple(member.needs.split())
        d = jax.vmap(lambda t, x: pde.derivatives(u, t, x, needs))(t, x)
        return jnp.max(jnp.abs(r)), jnp.max(jnp.abs(jnp.stack([*d.values()])))

    r, largest = sizes(member)
    assert r <= SLACK * largest
    # control: some coefficient is another
    leaves, structure = jax.tree.flatten(member)
    others = [(1.2 + 0.1 * i) * a for i, a in enumerate(leaves)]
    others = jax.tree.unflatten(structure, others)
    if name not in ("Lorenz at rest", "GrayScott, fed"):
        assert sizes(others)[0] > 1e-3


@pytest.mark.parametrize("name", SEMILINEAR)
def test_symbol_and_nonlinear_make_the_equation(name):
    """uₜ − L u − N(u), by NumPy's FFT, is the first residuals; others vanish."""
    member = of_order_one(name)
    d = len(member.lower)
    grid = grid_of(member)
    n = round(len(grid) ** (1 / d))
    axes = tuple(range(1, d + 1))
    to_modes = lambda u: jnp.fft.rfftn(u, axes=axes)
    to_grid = lambda u: jnp.fft.irfftn(u, s=(n,) * d, axes=axes)
    periods = np.subtract(member.upper, member.lower)
    counts = [np.fft.fftfreq(n, 1 / n)] * (d - 1) + [np.fft.rfftfreq(n, 1 / n)]
    k = np.stack(np.meshgrid(*counts, indexing="ij"))
    k = jnp.asarray(k * (2 * np.pi / periods).reshape(-1, *[1] * d))
    sampled = jax.vmap(function_of(member), (None, 0))(jnp.asarray(0.0), grid)
    if isinstance(member, pde.AbstractNavierStokes):  # no stream function has ∫ω ≠ 0
        sampled = sampled - jnp.mean(sampled, 0, keepdims=True)
    sampled = jnp.moveaxis(sampled.reshape(*(n,) * d, -1), -1, 0)
    field = jnp.asarray(np.random.RandomState(0).normal(size=sampled.shape))

    @jax.jit
    def both_sides(member):
        u_hat = to_modes(member.evolved(sampled))
        whole = member.recover(k, u_hat)
        again = to_modes(member.evolved(to_grid(whole)))
        linear = member.symbol(k)
        nonlinear = member.nonlinear(k, u_hat, to_grid, to_modes)
        assert linear.shape == nonlinear.shape == u_hat.shape
        assert linear.dtype == nonlinear.dtype == u_hat.dtype
        found = Derivatives(t=jnp.moveaxis(field, 0, -1))
        for needed in member.needs.split():
            if needed != "t":
                by = whole
                for a in needed.strip("u"):
                    by = 1j * k["xyz".index(a)].astype(by.dtype)[None] * by
                found[needed] = jnp.moveaxis(to_grid(by), 0, -1)
        x = grid.reshape(*(n,) * d, d)
        r = jnp.moveaxis(member.equation(jnp.zeros(x.shape[:-1]), x, found), -1, 0)
        l, n_ = to_grid(linear * u_hat), to_grid(nonlinear)
        return r, member.evolved(field), l, n_, u_hat, again

    r, u_t, l, n_, u_hat, again = both_sides(member)
    scale = max(jnp.max(jnp.abs(a)) for a in (r, l, n_))
    c = len(u_t)
    assert jnp.max(jnp.abs(r[:c] - (u_t - l - n_))) <= SLACK * scale
    assert jnp.max(jnp.abs(r[c:]), initial=0) <= SLACK * scale
    assert jnp.max(jnp.abs(again - u_hat)) <= SLACK * jnp.max(jnp.abs(u_hat))
    # controls: each part is seen
    assert jnp.max(jnp.abs(l)) > 1e-2 * scale
    assert name in ("Advection", "Heat") or jnp.max(jnp.abs(n_)) > 1e-4 * scale


@pytest.mark.parametrize("name", CLASSES)
def test_elementwise_and_dtype(name):
    """What acts on arrays of points acts on each; all in the dtype of the points."""
    member, dtype = CLASSES[name](), jnp.float32
    needs = {*member.needs.split()}
    needs |= {n for f in member.functionals().values() for n in f.needs.split()}
    u = function_of(member, dtype)
    t, x = random_points(1, *box(member), 2, 3, dtype=dtype)
    at = lambda t, x: exactly(u, t, x, needs)

    @jax.jit
    def run(t, x):
        d = Derivatives(jax.vmap(jax.vmap(at))(t, x))
        one = lambda t, x: member.residual(u, t, x, exactly)
        functionals = {
            k: (f.density(x, d), f.rate(x, d), f.variation(x, d))
            for k, f in member.functionals().items()
        }
        start = jax.vmap(jax.vmap(member.initial))(x)
        if isinstance(member, pde.AbstractExact):
            start = start, jax.vmap(jax.vmap(member.exact))(t, x)
        r = member.equation(t, x, d)
        return r, jax.vmap(jax.vmap(one))(t, x), functionals, start

    r, one_by_one, functionals, start = run(t, x)
    off = 10 * float(jnp.finfo(dtype).eps) * jnp.max(jnp.abs(r))
    assert r.ndim == 3 and jnp.max(jnp.abs(r - one_by_one)) <= off
    for density, rate, variation in functionals.values():
        assert density.shape == rate.shape == (2, 3)
        assert variation.shape == r.shape
    for a in jax.tree.leaves((r, one_by_one, functionals, start)):
        assert a.dtype == dtype and jnp.all(jnp.isfinite(a))
    for a in jax.tree.leaves(start):
        assert a.shape == (2, 3, len(member.fields))


@pytest.mark.parametrize("name", CLASSES)
def test_initial_state_fits_the_boundary(name):
    member = CLASSES[name]()
    initial = jax.jit(jax.vmap(member.initial))
    for axis in range(len(member.lower)):
        _, x = random_points(1, *box(member), 3)
        ends = (x.at[:, axis].set(end[axis]) for end in box(member))
        a, b = map(initial, ends)
        # the box is known to ε·2π, and slopes reach some hundreds
        assert jnp.allclose(a, b, rtol=0, atol=1e3 * EPS)
        if member.boundary == "zero":
            assert jnp.allclose(a, 0, atol=10 * EPS)


@pytest.mark.parametrize("name", CLASSES)
def test_coefficients_are_traced(name):
    """vmap over them is a loop; one programme; a slope in each."""
    member = CLASSES[name]()
    u = function_of(member)
    t, x = random_points(1, *box(member))
    leaves, structure = jax.tree.flatten(member)
    factors = jnp.asarray([0.9, 1.0, 1.2])
    several = jax.tree.unflatten(structure, [a * factors for a in leaves])

    @jax.jit
    def run(several):
        residual = lambda m: m.residual(u, t, x, exactly)
        each = [jax.tree.map(lambda a, i=i: a[i], several) for i in range(3)]
        alone = jnp.stack([residual(m) for m in each])
        return jax.vmap(residual)(several), alone, jax.jacobian(residual)(each[0])

    together, alone, slopes = run(several)
    # as exact as the largest term, with coefficients up to 100
    assert jnp.allclose(together, alone, rtol=0, atol=1e3 * EPS)
    for path, slope in jax.tree.leaves_with_path(slopes):
        in_initial_state = name == "NavierStokes" and path[0].name == "speed"
        assert jnp.any(slope != 0) != in_initial_state, path


def test_random_vorticity():
    grid = grid_of(pde.NavierStokes()) + 0.1

    @jax.jit
    def slopes_and_residual(member):
        zero = jnp.asarray(0.0)
        u = lambda t, x: member.initial(x)
        slopes = lambda x: pde.derivatives(u, zero, x, ("x", "y"))
        found = jax.vmap(slopes)(grid)
        r = jax.vmap(lambda x: member.residual(u, zero, x))(grid)
        return jnp.hypot(found["x"][:, 0], found["y"][:, 0]), r[:, 1]

    def speeds(member):
        speed, r = slopes_and_residual(member)
        assert jnp.max(jnp.abs(r)) <= SLACK * 100  # Δψ + ω, ω up to 100
        return speed

    slow, fast = (speeds(pde.NavierStokes(speed=s)) for s in (1.0, 3.0))
    assert jnp.allclose(fast, 3 * slow, rtol=10 * EPS)
    # of all 256 points one lies within h/√2, h = 2π/16, of the fastest: there ∇ψ, of
    # waves |k| ≤ 4, has lost at most a part (4h/√2)²/2
    assert (1 - 0.62) * 3 < jnp.max(fast) <= 3 * (1 + 0.01)
    other = speeds(pde.NavierStokes(speed=1.0, seed=1))
    assert jnp.max(jnp.abs(other - slow)) > 0.1
    speeds(pde.TaylorGreen())


def test_samples_are_stratified(getkey):
    member = pde.GrayScott()
    t0, t1 = jnp.float32(2.0), jnp.float32(4.0)
    points = member.sample(getkey(), 50, 20, t0, t1, dtype=jnp.float32)
    assert points.t.dtype == points.x.dtype == jnp.float32
    assert points.x.shape == (50, 20, 2)
    t, slices = np.asarray(points.t), np.linspace(2, 4, 51)
    assert np.all(t >= slices[:-1]) and np.all(t <= slices[1:])
    assert jnp.all((points.x >= 0) & (points.x <= 2.5))
    assert jnp.all(jnp.ptp(points.x, axis=(0, 1)) > 2.4)
    assert jnp.max(member.sample(getkey(), 10, 1).t) > 0.9 * member.horizon


class Square(pde.AbstractPDE):
    needs = "u t"
    horizon = 1.0
    shape: tuple = eqx.field(static=True, default=())

    def equation(self, t, x, d):
        return jnp.broadcast_to(d.t[0], self.shape)

    def initial(self, x):
        return jnp.ones(1)


@pytest.mark.parametrize(
    "message, wrong",
    [
        ("u: given values of shape \\(2,\\)", lambda: residual(u=jnp.ones(2))),
        ("u: given values of shape \\(\\)", lambda: residual(u=jnp.ones(()))),
        ("x: given shape \\(\\)", lambda: residual(x=jnp.asarray(0.1))),
        ("x: given shape \\(5, 1\\)", lambda: residual(x=jnp.ones((5, 1)))),
        ("x: given shape \\(2,\\)", lambda: residual(x=jnp.ones(2))),
        ("equation: given shape \\(\\) by Square", lambda: square(())),
        ("equation: given shape \\(2, 3\\) by Square", lambda: square((2, 3))),
        ("times, points: given 1, 5", lambda: sample(1, 5)),
        ("times, points: given 2, 0", lambda: sample(2, 0)),
        ("diffusion: given -1", lambda: pde.Heat(diffusion=-1.0)),
        ("diffusion: given -1", lambda: pde.AllenCahn(diffusion=-1.0)),
        ("viscosity: given nan", lambda: pde.Burgers(viscosity=np.nan)),
        ("viscosity: given -1", lambda: pde.TaylorGreen(viscosity=-1.0)),
        ("gamma: given -1", lambda: pde.KuramotoSivashinsky(gamma=-1.0)),
        ("diffusion_v: given -1", lambda: pde.GrayScott(diffusion_v=-1.0)),
    ],
)
def test_bad_input(message, wrong):
    with pytest.raises(ValueError, match=message):
        wrong()


def residual(u=None, x=None):
    u = jnp.ones(1) if u is None else u
    x = jnp.ones(1) if x is None else x
    return pde.Heat().residual(lambda t, x: u * t, 0.5, x)


def square(shape):
    return Square(shape).residual(lambda t, x: t[None], 0.5, jnp.zeros(0))


def sample(times, points):
    return pde.Heat().sample(jax.random.key(0), times, points)


def test_an_equation_says_what_it_needs():
    class Silent(pde.AbstractODE):
        def field(self, u):
            return u

        def initial(self, x):
            return jnp.ones(1)

    with pytest.raises(TypeError, match="horizon: none given by Silent"):
        Silent()


def test_a_derivative_read_but_not_asked_for():
    class Forgetful(pde.AbstractPDE):
        needs = "u t"
        lower, upper, horizon = (0.0,), (1.0,), 1.0

        def equation(self, t, x, d):
            return d.t - d.xx

        def initial(self, x):
            return x

    with pytest.raises(AttributeError, match="needs: xx is read but not asked for"):
        Forgetful().residual(lambda t, x: t * x, 0.5, jnp.ones(1))


def test_every_equation_stands_in_its_page():
    docs = pathlib.Path(__file__).parents[1] / "docs"
    text = (docs / "reference" / "equations.md").read_text(encoding="utf-8")
    assert len(CLASSES) > 12
    assert not {name for name in CLASSES if f"`{name}`" not in text}
