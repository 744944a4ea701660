"""ETDRK4 and the references made with it, against closed forms, exponax and scipy."""

import concurrent.futures
import importlib
import warnings
from typing import ClassVar

import exponax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from dynax import pde as P
from dynax.pde import _cache
from dynax.pde.etdrk4 import Torus, coefficients, etdrk4, split
from dynax.pde.reference import Reference, reference, relative_l2


ETD, REFERENCE = (
    importlib.import_module(f"dynax.pde.{m}") for m in ("etdrk4", "reference")
)


class Soliton(P.AbstractSemilinear):
    """uₜ + u uₓ + δ² uₓₓₓ = 0: u = 3c sech²(√c (x − ct)/2δ). The box is so wide that
    its image is below 3e-18 at the end."""

    needs: ClassVar = "u t x xxx"
    lower: ClassVar = (-1.0,)
    upper: ClassVar = (1.0,)
    horizon: ClassVar = 0.5
    delta: float = 0.022
    speed: float = 0.4

    def exact(self, t, x):
        s = (x - self.speed * t + 1) % 2 - 1
        return 3 * self.speed / jnp.cosh(self.speed**0.5 * s / (2 * self.delta)) ** 2

    def equation(self, t, x, d):
        return d.t + d.u * d.x + self.delta**2 * d.xxx

    def initial(self, x):
        return self.exact(0.0, x)

    def symbol(self, k):
        return jax.lax.complex(jnp.zeros_like(k), self.delta**2 * k**3)

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        slope = jax.lax.complex(jnp.zeros_like(k), k)
        return -slope * to_modes(to_grid(u_hat) ** 2 / 2)


class Drift(P.AbstractSemilinear):
    """uₜ + c·∇u = ν Δu in three dimensions, with one wave that drifts and decays."""

    needs: ClassVar = "u t x y z xx yy zz"
    lower: ClassVar = (0.0, -1.0, 0.0)
    upper: ClassVar = (1.0, 1.0, 3.0)
    horizon: ClassVar = 0.3
    nu: float = 0.01
    c: ClassVar = np.asarray([1.0, -2.0, 0.5])
    wave: ClassVar = 2 * np.pi * np.asarray([1.0, 1.0, 2 / 3])

    def equation(self, t, x, d):
        drift = sum(c * d[name] for c, name in zip(self.c, "xyz", strict=True))
        return d.t + drift - self.nu * (d.xx + d.yy + d.zz)

    def exact(self, t, x):
        decay = jnp.exp(-self.nu * np.sum(self.wave**2) * t)
        phase = x @ self.wave - t * (self.wave @ self.c)
        return decay * jnp.cos(phase)[..., None]

    def initial(self, x):
        return self.exact(0.0, x)

    def symbol(self, k):
        drift = sum(c * k for c, k in zip(self.c, k, strict=True))
        return jax.lax.complex(-self.nu * jnp.sum(k**2, 0), -drift)[None]

    def nonlinear(self, k, u_hat, to_grid, to_modes):
        return jnp.zeros_like(u_hat)


def values(pde, r):
    """The closed form on the grid of a reference."""
    x = np.stack(np.meshgrid(*r.axes, indexing="ij"), -1)
    at = lambda t: pde.exact(t, jnp.asarray(x))
    return np.stack([at(t) for t in r.t])


def distance(u, v):
    return np.linalg.norm(np.asarray(u) - v) / np.linalg.norm(v)


def soliton_errors(counts, imaginary=1):
    """Of the soliton after t = ½ in so many steps; the imaginary part of the
    coefficients may be left out."""
    pde, torus = Soliton(), Torus((-1.0,), (1.0,), (256,))
    linear, nonlinear = split(pde, torus)
    x = torus.axes()[0][:, None]
    u = torus.to_modes(pde.initial(jnp.asarray(x)).T)
    run = jax.jit(
        lambda n: etdrk4(linear, nonlinear, u, jnp.asarray([0.5]), n, torus.to_grid)
    )
    exact = np.asarray(pde.exact(0.5, jnp.asarray(x)))[:, 0]
    return np.asarray([distance(run(jnp.asarray([n]))[0, 0], exact) for n in counts])


def test_fourth_order_under_dispersion():
    errors = soliton_errors([400, 800, 1600])
    rates = np.log2(errors[:-1] / errors[1:])
    assert np.all(np.abs(rates - 4) < 0.2), rates
    assert errors[-1] < 1e-7


def test_control_real_coefficients_are_of_first_order(monkeypatch):
    """What exponax 0.2.0 does."""

    def real(linear, h):
        by = coefficients(linear, h)
        parts = (jax.lax.complex(c.real, jnp.zeros_like(c.real)) for c in by[2:])
        return by._replace(**dict(zip(by._fields[2:], parts, strict=True)))

    monkeypatch.setattr(ETD, "coefficients", real)
    errors = soliton_errors([400, 800, 1600])
    rates = np.log2(errors[:-1] / errors[1:])
    assert np.all(rates < 1.5), rates


def test_coefficients_at_zero_and_far_from_it():
    """Taylor's series at 0; the formulas themselves where they do not cancel."""
    h, z = jnp.asarray(0.1), np.asarray([0.0, -30.0, 20j, -300 + 40j])
    by = coefficients(jnp.asarray(z / 0.1), h)
    z = z[1:]
    e, zero = np.exp(z), (1 / 2, 1 / 6, 1 / 6, 1 / 6)
    far = (
        (np.exp(z / 2) - 1) / z,
        (-4 - z + e * (4 - 3 * z + z**2)) / z**3,
        (2 + z + e * (z - 2)) / z**3,
        (-4 - 3 * z - z**2 + e * (4 - z)) / z**3,
    )
    known = 0.1 * np.concatenate([np.asarray(zero)[:, None], np.asarray(far)], 1)
    np.testing.assert_allclose(np.stack(by[2:]), known, rtol=1e-13)


def test_a_product_aliases_to_nothing():
    """−u uₓ of a wave below n/3 is that of calculus. Of one above nothing is taken:
    on 12 points cos² of wave 5 has wave 10, which looks like wave −2."""
    torus = Torus((-1.0,), (1.0,), (12,))
    x = jnp.asarray(torus.points()[:, 0])[None]

    @jax.jit
    def rate(wave):
        _, nonlinear = split(P.Burgers(), torus)
        u = jnp.cos(wave * jnp.pi * x)
        return torus.to_grid(nonlinear(torus.to_modes(u)))

    exact = jnp.pi / 2 * jnp.sin(2 * jnp.pi * x)
    np.testing.assert_allclose(rate(1.0), exact, atol=1e-14)
    np.testing.assert_allclose(rate(5.0), 0, atol=1e-13)


N, DT, STEPS = 128, 1e-3, 50
PEERS = {
    "AllenCahn": (
        P.AllenCahn(diffusion=1e-2),
        lambda: exponax.stepper.reaction.AllenCahn(
            1,
            2.0,
            N,
            DT,
            diffusivity=1e-2,
            first_order_coefficient=5.0,
            third_order_coefficient=-5.0,
            order=4,
            dealiasing_fraction=2 / 3,
        ),
    ),
    "Burgers": (
        P.Burgers(viscosity=0.05),
        lambda: exponax.stepper.Burgers(
            1,
            2.0,
            N,
            DT,
            diffusivity=0.05,
            single_channel=True,
            conservative=True,
            order=4,
        ),
    ),
    "KuramotoSivashinsky": (
        P.KuramotoSivashinsky(),
        lambda: exponax.stepper.generic.GeneralConvectionStepper(
            1,
            2.0,
            N,
            DT,
            linear_coefficients=(0.0, 0.0, -0.5, 0.0, -0.005),
            convection_scale=5.0,
            single_channel=True,
            conservative=True,
            order=4,
        ),
    ),
    "NavierStokes": (
        P.NavierStokes(speed=0.5),
        # its stream function has the other sign
        lambda: exponax.stepper.NavierStokesVorticity(
            2,
            2 * np.pi,
            64,
            DT,
            diffusivity=0.01,
            vorticity_convection_scale=-1.0,
            order=4,
        ),
    ),
}


@pytest.mark.parametrize("name", PEERS)
def test_equals_exponax_where_symbols_are_real(name):
    """The same scheme with the same steps from a state whose spectrum has ended where
    the two dealias differently; so up to round-off: 200 stages, each of some 10u."""
    pde, make = PEERS[name]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        peer = make()
        torus = Torus(pde.lower, pde.upper, (peer.num_points,) * len(pde.lower))
        if name == "NavierStokes":
            x = jnp.asarray(torus.points().reshape(-1, 2))
            start = jax.vmap(pde.initial)(x)[:, 1].reshape(1, *torus.n)
        else:
            x = torus.axes()[0]
            start = jnp.asarray([0.5 * np.sin(np.pi * x) + 0.3 * np.cos(2 * np.pi * x)])
        theirs = np.asarray(jax.jit(exponax.repeat(peer, STEPS))(start))
    one = jnp.asarray([DT * STEPS]), jnp.asarray([STEPS])
    run = lambda u: etdrk4(*split(pde, torus), torus.to_modes(u), *one, torus.to_grid)
    assert distance(start, theirs) > 1e-3
    assert distance(jax.jit(run)(start)[0], theirs) < 1e-12


def test_three_dimensions_and_a_closed_form():
    """L is all there is, so every step is exact; 24 of whose roundings add up."""
    pde = Drift()
    r = reference(pde, 4, 8, modes=12, step=0.05)
    assert r.u.shape == (4, 8, 8, 8, 1) and r.recipe["modes"] == 12
    assert distance(r.u, values(pde, r)) < 1e-13 and r.self_error < 1e-13


def test_self_error_bounds_the_error_of_the_soliton():
    """By at most 16 times what the step leaves: the modes leave nothing."""
    pde = Soliton()
    r = reference(pde, 6, 64, modes=384, step=0.5 / 800)
    error = distance(r.u, values(pde, r))
    assert error < r.self_error < 20 * error
    assert r.recipe["steps"] == 800 and r.recipe["coefficients"]["speed"] == 0.4


def cole_hopf(nu, t, x):
    """u = −∫ sin πy F dη/∫ F dη, y = x − η, F = exp(−cos(πy)/2πν − η²/4νt)."""
    s = np.linspace(-8, 8, 801)  # analytic integrands: the trapezoidal rule converges
    y = x[:, None] - np.sqrt(4 * nu * t) * s
    f = np.exp(-np.cos(np.pi * y) / (2 * np.pi * nu) - s**2 - 1 / (2 * np.pi * nu))
    return -np.sum(np.sin(np.pi * y) * f, 1) / np.sum(f, 1)


def test_accuracy_is_reached_unasked_against_cole_and_hopf():
    r = reference(P.Burgers(viscosity=0.05), [0.1, 0.35, 1.0], 64, accuracy=1e-8)
    exact = np.stack([cole_hopf(0.05, t, r.axes[0]) for t in r.t])
    error = distance(r.u[..., 0], exact)
    assert error < r.self_error < 1e-8


class Bump(P.Burgers):
    """Burgers from a start that vanishes at the walls and is not odd about them."""

    def initial(self, x):
        return (1 - x**2) * jnp.exp(x)


def by_lines(nu, start, times, n, x):
    """Burgers between walls by centred differences on n intervals, of second order."""
    grid, h = np.linspace(-1, 1, n + 1), 2 / n

    def rate(t, u):
        u = np.pad(u, 1)
        flux = (u[2:] ** 2 - u[:-2] ** 2) / (4 * h)
        return nu * (u[2:] - 2 * u[1:-1] + u[:-2]) / h**2 - flux

    given = {"method": "LSODA", "rtol": 1e-10, "atol": 1e-12, "lband": 1, "uband": 1}
    start = start(grid)[1:-1]
    u = scipy.integrate.solve_ivp(rate, (0, times[-1]), start, t_eval=times, **given).y
    return np.pad(u.T, ((0, 0), (1, 1)))[:, np.searchsorted(grid, x - 1e-12)]


def test_walls_and_a_start_that_is_not_odd(monkeypatch):
    """Two grids of the method of lines, extrapolated: to 1e-3 of their distance."""
    times = np.linspace(0, 1, 3)
    r = reference(Bump(0.05), times, 40)
    assert "continued" in r.recipe and r.self_error < 1e-7
    start = lambda x: (1 - x**2) * np.exp(x)
    coarse, fine = (by_lines(0.05, start, times, n, r.axes[0]) for n in (640, 1280))
    truth, apart = (4 * fine - coarse) / 3, distance(coarse, fine)
    assert distance(r.u[..., 0], truth) < 1e-3 * apart < 2e-8
    np.testing.assert_allclose(r.u[:, 0], 0, atol=1e-14)
    # control: the periodic problem on the box is another one
    monkeypatch.setattr(REFERENCE, "scheme", lambda *_: "periodic")
    other = reference(Bump(0.05), times, 40)
    assert other.self_error < 1e-6 and distance(other.u[..., 0], truth) > 0.3
    assert "continued" not in reference(P.Burgers(0.05), times, 40).recipe


class Step(P.Heat):
    """Heat from a start that jumps, twice."""

    def initial(self, x):
        return jnp.where((x >= -0.74) & (x < 0.22), 1.0, 0.0)


def test_another_start_than_that_of_the_closed_form():
    """It is solved by modes; what is told of a start that jumps is not too little."""

    class Faster(P.Heat):
        def initial(self, x):
            return jnp.sin(2 * jnp.pi * x)

    r = reference(Faster(0.1), [0.2, 1.0], 32)
    decay = np.exp(-0.4 * np.pi**2 * r.t)[:, None]
    assert r.recipe["method"] == "ETDRK4"
    assert distance(r.u[..., 0], decay * np.sin(2 * np.pi * r.axes[0])) < r.self_error
    assert r.self_error < 1e-12
    k = np.pi * np.arange(1, 2000)[:, None]
    for modes in (96, 192, 384):
        r = reference(Step(0.01), [0.1, 0.5], 48, modes=modes, step=0.05)
        s, c = (
            (np.sin(k * 0.22) + np.sin(k * 0.74)) / k,
            (np.cos(k * 0.74) - np.cos(k * 0.22)) / k,
        )
        wave = c * np.sin(k * r.axes[0]) + s * np.cos(k * r.axes[0])
        decays = np.exp(-0.01 * k[:, 0] ** 2 * r.t[:, None])
        error = distance(r.u[..., 0], 0.48 + decays @ wave)
        assert error < r.self_error < 100 * error


def other_problems():
    """Equations whose inherited scheme solves another problem, and what is said."""
    walls = "on the walls; accepted is 0 there"

    class Lifted(P.Burgers):
        def initial(self, x):
            return jnp.cos(x)

    class Growing(P.Burgers):
        def equation(self, t, x, d):
            return d.t + d.u * d.x - self.viscosity * d.xx - d.u**2

        def nonlinear(self, k, u_hat, to_grid, to_modes):
            u = to_grid(u_hat)
            return P.Burgers.nonlinear(self, k, u_hat, to_grid, to_modes) + to_modes(
                u**2
            )

    class Heated(P.Burgers):
        def equation(self, t, x, d):
            return P.Burgers.equation(self, t, x, d) - 0.1 * jnp.sin(jnp.pi * x)

    class Shaken(P.KdV):
        def equation(self, t, x, d):
            return P.KdV.equation(self, t, x, d) - jnp.sin(9 * t)

    class Open(P.KdV):
        boundary: ClassVar = None

    class Torn(P.AllenCahn):
        def initial(self, x):
            return 0.5 * x

    class Cut(P.Heat):
        upper: ClassVar = (0.3,)

    class Elsewhere(P.Wave):
        def initial(self, x):
            return jnp.concatenate([jnp.cos(jnp.pi * x), 0 * x])

    class Damped(P.Wave):
        def equation(self, t, x, d):
            return P.Wave.equation(self, t, x, d) + 0.1 * d.u

    class Driven(P.Pendulum):
        def equation(self, t, x, d):
            return P.Pendulum.equation(self, t, x, d) - jnp.sin(t)

    return {
        Lifted: walls,
        Growing: "has walls and does not keep odd states odd",
        Heated: "equation is not that of its symbol and nonlinear",
        Shaken: "equation is not that of its symbol and nonlinear",
        Open: "whose boundary is None",
        Torn: "apart on opposite sides of its box",
        Cut: "apart on opposite sides of its box",
        Elsewhere: "whose closed form is not that of its start",
        Damped: "whose closed form is not that of its equation",
        Driven: "whose field is not its own",
    }


def test_another_problem_than_the_scheme_solves_is_refused():
    for kind, said in other_problems().items():
        with pytest.raises((TypeError, ValueError)) as refusal:
            reference(kind(), 3, 16)
        assert said in str(refusal.value) and kind.__name__ in str(refusal.value)


def test_lorenz_against_scipy():
    pde = P.Lorenz()
    r = reference(pde, [0.0, 1.5, 10.0])
    field = lambda t, u: np.asarray(
        [10 * (u[1] - u[0]), u[0] * (28 - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]]
    )
    sol = scipy.integrate.solve_ivp(
        field, (0, 10), np.ones(3), "DOP853", r.t, rtol=1e-13, atol=1e-13
    )
    assert r.u.shape == (3, 3) and r.axes == ()
    # chaos: e^{0.9·10} = 8e3 times the tolerance, of both
    assert distance(r.u, sol.y.T) < 1e-8
    assert 1e-13 < r.self_error < 1e-8


def test_closed_forms_are_taken_where_they_exist():
    pde = P.TaylorGreen()
    r = reference(pde, 3, 16)
    assert r.recipe["method"] == "closed form" and r.u.shape == (3, 16, 16, 2)
    x = np.meshgrid(*r.axes, indexing="ij")
    psi = np.cos(x[0]) * np.cos(x[1])
    decay = np.exp(-0.02 * r.t)[:, None, None]
    np.testing.assert_allclose(r.u[..., 1], 2 * decay * psi, atol=4e-16)


def test_float64_though_x64_is_off():
    """To the bit what it is with x64 on."""
    pde = P.KuramotoSivashinsky()
    solve = lambda: reference(pde, [0.0, 0.05], 32, modes=64, step=1e-3)
    wide = solve()
    with jax.enable_x64(False):
        r = solve()
        assert jnp.zeros(()).dtype == jnp.float32
        error = relative_l2(lambda t, x: -jnp.sin(jnp.pi * x), r)
    assert r.u.dtype == np.float64
    np.testing.assert_array_equal(r.u, wide.u)
    assert 0.01 < error.overall < 1


def test_relative_l2():
    """Of a function that is off by 10 % in one field and right in the other."""
    t, x = np.linspace(0, 1, 3), np.linspace(0, 1, 50)
    u = np.stack(np.broadcast_arrays(t[:, None], 1 + x), -1)
    r = Reference(t, (x,), u, 0.0, {})
    off = relative_l2(lambda t, x: jnp.stack([1.1 * t, 1 + x[0]]), r)
    np.testing.assert_allclose(off.fields, [0.1, 0], atol=1e-15)
    size = np.sum(u**2, (0, 1))
    np.testing.assert_allclose(off.overall, 0.1 * np.sqrt(size[0] / np.sum(size)))
    # every 5th place: 10 of 50
    thinned = relative_l2(lambda t, x: jnp.stack([1.1 * t, 1 + x[0]]), r, points=30)
    np.testing.assert_allclose(thinned.fields, off.fields, atol=1e-15)
    with pytest.raises(ValueError, match=r"u: given values of shape \(1,\)"):
        relative_l2(lambda t, x: x, r)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def solved(monkeypatch):
    """The equations that were solved."""
    done, solve = [], REFERENCE._solve

    def count(pde, *settings):
        done.append(pde)
        return solve(pde, *settings)

    monkeypatch.setattr(REFERENCE, "_solve", count)
    return done


def pendulum(**settings):
    return reference(P.Pendulum(**settings), [0.0, 1.0], cache=True)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, (a.t, a.u), (b.t, b.u))
    assert a.self_error == b.self_error and a.recipe == b.recipe
    return True


def test_cache(cache, solved):
    made = pendulum()
    assert same(made, pendulum()) and len(solved) == 1
    pendulum(frequency=1.5)
    reference(P.Pendulum(), [0.0, 1.1], cache=True)
    assert len(solved) == 3 and len([*cache.iterdir()]) == 3
    reference(P.Pendulum(), [0.0, 1.0])
    assert len(solved) == 4 and len([*cache.iterdir()]) == 3


@pytest.fixture
def forgotten():
    """Programs are kept by class: those of a patched one must not outlive the test."""
    yield
    jax.clear_caches()


def test_the_cache_sees_that_code_has_changed(cache, solved, monkeypatch, forgotten):
    pendulum()
    monkeypatch.setattr(P.Pendulum, "field", lambda self, u: -u)
    pendulum()
    monkeypatch.setattr(P.Pendulum, "initial", lambda self, x: jnp.ones(2))
    pendulum()
    assert len(solved) == 3
    r = reference(Soliton(), [0.1], 16, modes=32, step=0.05, cache=True)
    assert same(r, reference(Soliton(), [0.1], 16, modes=32, step=0.05, cache=True))
    assert r.axes[0].shape == (16,) and len(solved) == 4
    monkeypatch.setattr(Soliton, "symbol", lambda self, k: jnp.zeros_like(k))
    jax.clear_caches()  # of programs, by class
    with pytest.raises(TypeError, match="Soliton, whose equation is not that of its s"):
        reference(Soliton(), [0.1], 16, modes=32, step=0.05, cache=True)
    assert len(solved) == 5
    # a start that differs at few places only
    there = Bump(0.05)
    reference(there, [0.1], 16, modes=32, step=0.05, cache=True)
    bent = lambda self, x: jnp.where(jnp.abs(x - 0.3) < 1e-3, 0.1, (1 - x**2))
    monkeypatch.setattr(Bump, "initial", bent)
    reference(there, [0.1], 16, modes=32, step=0.05, cache=True)
    assert len(solved) == 7


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-7], lambda b: b[:300] + b"?" + b[301:], lambda b: b""]
)
def test_a_damaged_file_is_told_of_once_and_made_anew(cache, solved, harm):
    made = pendulum()
    (path,) = cache.iterdir()
    path.write_bytes(harm(path.read_bytes()))
    with pytest.warns(RuntimeWarning, match=f"{path.name}: fails") as told:
        again = pendulum()
    assert len(told) == 1 and same(made, again) and len(solved) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(made, pendulum()) and len(solved) == 2


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DYNAX_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="nothing is kept") as told:
        assert pendulum().u.shape == (2, 2)
    assert len(told) == 1


def test_many_write_and_read_at_once(cache):
    """Whoever reads sees one whole file or none."""
    _cache.write("a", {"u": np.zeros(5000)})

    def work(i):
        for _ in range(20):
            _cache.write("a", {"u": np.full(5000, 1.0 * i)})
            u = _cache.read("a")
            assert u is not None and np.ptp(u["u"]) == 0

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
    assert [p.name for p in cache.iterdir()] == ["a"]


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("DYNAX_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _cache.folder() == tmp_path / ".cache" / "dynax"


def test_an_accuracy_out_of_reach_is_told_of(monkeypatch):
    monkeypatch.setattr(REFERENCE, "WORK", 0)
    with pytest.warns(RuntimeWarning, match="accuracy: given 1e-12; reached"):
        reference(Soliton(), [0.1], 16, accuracy=1e-12)


class Unsolvable(P.AbstractPDE):
    needs: ClassVar = "u t"
    horizon: ClassVar = 1.0

    def equation(self, t, x, d):
        return d.t

    def initial(self, x):
        return jnp.ones(1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: reference(Unsolvable()), "pde: given Unsolvable"),
        (lambda: reference(P.Lorenz(), 1), "times: given 1;"),
        (lambda: reference(P.Lorenz(), [0.0]), "times: given"),
        (lambda: reference(P.Lorenz(), [-1.0, 1.0]), "times: given"),
        (lambda: reference(P.Lorenz(), [0.0, 2.0, 1.0]), "times: given"),
        (lambda: reference(P.KdV(), points=0), "points, modes, step: given 0,"),
        (lambda: reference(P.KdV(), modes=3), "points, modes, step: given 512, 3,"),
        (lambda: reference(P.KdV(), step=0.0), "points, modes, step: given"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
