"""Finite elements, the bar, projected solvers and their ledger, against closed forms.

Compiled programs are what this file pays for: cases of one kind go through one, by
vmap.
"""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
import pytest
import scipy.integrate
import scipy.optimize
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from dynax import material as mat, verdict
from dynax.mechanics import (
    Bar,
    Mesh,
    Projected,
    Solid,
    WithWorkAndSupply,
    audit,
    box_mesh,
    traction,
)


E, NU, RHO = 1e5, 0.3, 1e3
EPS = np.finfo(np.float64).eps


def neo_hookean_P(F, young=E, poisson=NU):
    """μ(F − F⁻ᵀ) + λ log J F⁻ᵀ, in numpy."""
    mu = young / 2 / (1 + poisson)
    lam = 2 * mu * poisson / (1 - 2 * poisson)
    inv = np.linalg.inv(F).T
    return mu * (F - inv) + lam * np.log(np.linalg.det(F)) * inv


def solve(terms, solver, y0, t1, dt, saveat=None, **kwargs) -> Any:
    sol = diffrax.diffeqsolve(
        terms,
        solver,
        0.0,
        t1,
        dt,
        y0,
        saveat=diffrax.SaveAt(t1=True) if saveat is None else saveat,
        max_steps=1000,
        **kwargs,
    )
    return sol.ys


def adaptive(rtol, atol):
    return {"stepsize_controller": diffrax.PIDController(rtol=rtol, atol=atol)}


# --- the mesh and single elements ---------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
def test_box_is_filled_and_its_surface_pulled(d):
    size = (2.0, 1.0, 0.5)[:d]
    mesh = box_mesh((2, 3, 1)[:d], size)
    X = np.asarray(mesh.nodes)
    edges = X[mesh.elements[:, 1:]] - X[mesh.elements[:, :1]]
    volumes = np.linalg.det(edges) / np.prod(np.arange(1, d + 1))
    assert (volumes > 0).all()
    np.testing.assert_allclose(volumes.sum(), np.prod(size), rtol=8 * EPS)
    pull = jnp.arange(1.0, d + 1)
    force = np.asarray(traction(mesh, X[:, 0] == 2.0, pull))
    area = np.prod(size[1:])
    np.testing.assert_allclose(force.sum(0), area * pull, rtol=8 * EPS)
    assert (force[X[:, 0] < 2.0] == 0).all()


@pytest.mark.parametrize("d", [2, 3])
def test_patch_and_dead_loads(d):
    """Uniform F: P of the law everywhere, no force within; and the traction P N on
    each face holds the body in balance, at all nodes."""
    F = np.eye(d) + 0.2 * np.random.default_rng(d).uniform(-1, 1, (d, d))
    P, mesh = neo_hookean_P(F), box_mesh((2,) * d, (1.0,) * d)
    X = np.asarray(mesh.nodes)
    force = jnp.zeros((len(X), d))
    for i in range(d):
        for end, sign in ((0.0, -1.0), (1.0, 1.0)):
            force += traction(mesh, X[:, i] == end, jnp.asarray(sign * P[:, i]))
    body = Solid(mat.NeoHookean(E, NU), mesh, RHO, force=force)
    inner, none = (X == 0.5).all(1), body.init()[0][1]
    crooked = np.where(inner[:, None], X + 1e-3, X)

    @jax.jit
    def seen(x):
        y = (x, none), x[::-1]
        return body.stress((x, none)), body.pull((x, none)), body.angular_momentum(y)

    x = X @ F.T
    stress, pull, L = seen(jnp.asarray(x))
    place, speed = (np.pad(a, ((0, 0), (0, 3 - d))) for a in (x, x[::-1]))
    spin = np.cross(place, speed)
    spin = np.sum(np.asarray(body.parts.mass) * spin, 0)
    np.testing.assert_allclose(L, spin if d == 3 else spin[2], atol=1e3 * RHO * EPS)
    # stresses of ~E, rounded where summed: 30 operations an entry
    np.testing.assert_allclose(
        stress, np.broadcast_to(P, stress.shape), atol=30 * EPS * E
    )
    np.testing.assert_allclose(pull, 0, atol=30 * EPS * E)
    assert (
        np.abs(seen(jnp.asarray(crooked @ F.T))[1][inner]).max() > 1e-4 * E
    )  # control


def test_bar_is_in_uniaxial_stress():
    """P(a) against a root of scipy, and all modes ω = (2c/h) sin kh/2 with c = √(E/ρ)
    of the bar clamped at one end, k = (j − ½)π/L: exact for lumped linear elements."""
    cells, length = 6, 2.0
    held = jnp.arange(cells + 1) == 0
    bar = Bar(mat.NeoHookean(E, NU), box_mesh((cells,), (length,)), RHO, 0.1, held)
    (X, none), _ = bar.init()

    @jax.jit
    def seen(stretches):
        P = jax.vmap(lambda a: bar.stress((a * X, none))[0, 0, 0, 0])(stretches)
        return P, jax.jacfwd(lambda x: bar.acceleration((x, none)))(X)

    stretches = np.array([0.5, 1.01, 2.0])
    P, K = seen(jnp.asarray(stretches))
    for a, given in zip(stretches, P, strict=True):
        across = lambda b, a=a: neo_hookean_P(np.diag([a, b, b]))[1, 1]
        b: Any = scipy.optimize.brentq(across, 0.4, 2.5, xtol=1e-15)
        expected = neo_hookean_P(np.diag([a, b, b]))[0, 0]
        np.testing.assert_allclose(given, expected, rtol=1e-11)  # brentq's 1e-15·E/P
    found = np.sort(np.sqrt(-np.linalg.eigvals(np.asarray(K)[1:, 0, 1:, 0]).real))
    c, h = np.sqrt(E / RHO), length / cells
    k = (np.arange(1, cells + 1) - 0.5) * np.pi / length
    np.testing.assert_allclose(found, 2 * c / h * np.sin(k * h / 2), rtol=1e-11)
    assert abs(found[0] / (c * k[0]) - 1) < (k[0] * h) ** 2 / 20  # to 1/24


def test_bar_hangs_and_swings():
    """u = ρg/E (LX − X²/2) is in balance; from rest unloaded, the free end swings
    about it: after half the first period nearly twice as low, by closed form."""
    cells, length, g = 8, 1.0, 1e-3
    held = jnp.arange(cells + 1) == 0
    mesh, c = box_mesh((cells,), (length,)), np.sqrt(E / RHO)
    bar = Bar(mat.NeoHookean(E, NU), mesh, RHO, held=held, gravity=jnp.array([g]))
    X = np.asarray(mesh.nodes)
    u = RHO * g / E * (length * X - X**2 / 2)

    @jax.jit
    def run(x):
        terms, y0 = bar.terms(), bar.init()
        end = 2 * length / c
        y = solve(terms, diffrax.SemiImplicitEuler(), y0, end, end / 200)
        return bar.acceleration((x, y0[0][1])), y[0][0][-1] - bar.parts.nodes

    a, moved = run(jnp.asarray(X + u))
    strain = RHO * g * length / E  # what is neglected in u: 1e-5 of it
    assert np.abs(a).max() < 5 * strain * g * cells
    # d'Alembert: at t = 2L/c the end has fallen 2u(L), the sharp kink apart
    assert abs(moved[-1, 0] / (2 * u[-1, 0]) - 1) < 0.02


# --- motion --------------------------------------------------------------------------


class Signed(mat.AbstractHyperelastic):
    """ψ = ψ∞(F) + ½k‖E − α‖², α̇ = ±(E − α)/t: a solid with a dashpot, and its mistakes.
    `flow` −1 runs the dashpot backwards; `push` ≠ 1 is a stress not of the energy."""

    shear: Array
    flow: Array
    push: Array
    inner: mat.NeoHookean = mat.NeoHookean(E, NU)
    time: float = 0.05

    def init(self, F):
        return jnp.zeros_like(F)

    def energy(self, F, alpha):
        X = mat.kinematics.twice_green_lagrange(F) / 2 - alpha
        return self.inner.energy(F) + self.shear / 2 * jnp.sum(X**2)

    def kirchhoff(self, F, alpha):
        S = self.shear * (mat.kinematics.twice_green_lagrange(F) / 2 - alpha)
        return self.push * (self.inner.kirchhoff(F) + F @ S @ F.T)

    def update(self, F, alpha, dt):
        strain = mat.kinematics.twice_green_lagrange(F) / 2
        return F, alpha - jnp.expm1(-self.flow * dt / self.time) * (strain - alpha)

    def stiffness(self, F, alpha=()):
        return self.inner.stiffness(F) + self.shear


CASES = ("elastic", "viscous", "backwards", "pushed", "held")
SHEAR = jnp.array([0.0, 5e4, 5e4, 5e4, 5e4])
FLOW = jnp.array([1.0, 1.0, -1.0, 1.0, 1.0])
PUSH = jnp.array([1.0, 1.0, 1.0, 0.9, 1.0])
HELD = jnp.array([False, False, False, False, True])
DURATION = 0.1  # 1 m at c = 11 m/s: one passage


def spinning(law, held=False):
    mesh = box_mesh((2, 1), (1.0, 0.5))
    X = mesh.nodes
    body = Solid(law, mesh, RHO, (X[:, 0] == 0) & held)
    return body, body.init(1 + jnp.stack([X[:, 0] - X[:, 1], 1.5 * X[:, 0]], -1))


def test_ledger_of_a_solve_and_its_controls():
    ts, rtol = jnp.linspace(0.0, DURATION, 9), 1e-7

    @jax.jit
    @jax.vmap
    def run(shear, flow, push, held):
        body, y0 = spinning(Signed(shear, flow, push), held)
        system = WithWorkAndSupply(body)
        term, save = diffrax.ODETerm(system.field), diffrax.SaveAt(ts=ts)
        y = solve(
            term,
            diffrax.Tsit5(),
            system.init(y0),
            DURATION,
            1e-4,
            save,
            **adaptive(rtol, 1e-9),
        )
        rows = audit(body, ts, y, 10 * rtol)
        momenta = jax.vmap(lambda y: (body.momentum(y), body.angular_momentum(y)))
        return rows, y[1][0][-1], y[1][1][-1], *momenta(y[0])

    rows, work, fed, p, L = run(SHEAR, FLOW, PUSH, HELD)
    found = {}
    for i, case in enumerate(CASES):
        found[case] = verdict(jax.tree.map(lambda a, i=i: a[i], rows), "Ḣ = −D ≤ 0")
        if case == "held":
            continue
        # ΣP∇N = 0 in each element: to round-off of sums over 60 steps
        np.testing.assert_allclose(
            p[i], np.broadcast_to(p[i, 0], p[i].shape), rtol=1e-12
        )
        # a quadratic invariant: to the solve's tolerance
        np.testing.assert_allclose(L[i], L[i, 0], rtol=10 * rtol)
    energy = np.asarray(rows.energy)[:, 0]
    assert found["elastic"].status == found["viscous"].status == "holds"
    assert found["held"].status == "holds"  # moved by the held nodes, 1 m/s
    assert (fed[:4] == 0).all() and abs(fed[4]) > 1e-2 * energy[4]
    assert abs(work[0]) < 1e-12 * energy[0] and work[1] > 1e-3 * energy[1]
    wrong = found["backwards"]
    assert wrong.status == "violated" and work[2] < 0
    assert (
        wrong.checks["fall"]["violations"] and wrong.checks["dissipation"]["violations"]
    )
    assert not wrong.checks["identity"]["violations"]
    assert found["pushed"].checks["identity"]["violations"]


def test_semi_implicit_euler():
    """Bounded energy; a dashpot's falls; L is kept to round-off. Far beyond the limit
    of the step the energy explodes (control)."""
    steps = 200

    @jax.jit
    @jax.vmap
    def run(shear, factor):
        body, y0 = spinning(mat.Maxwell(mat.NeoHookean(E, NU), shear, 0.05))
        dt = factor * body.limit(y0)
        solver = Projected(diffrax.SemiImplicitEuler(), body.update)
        fn = lambda t, y, args: (body.energy(t, y), body.angular_momentum(y))
        save = diffrax.SaveAt(t0=True, steps=True, fn=fn)
        sol = diffrax.diffeqsolve(
            body.terms(),
            solver,
            0.0,
            (steps - 0.5) * dt,
            dt,
            y0,
            saveat=save,
            max_steps=steps,
            throw=False,
        )
        return sol.ys

    H, L = run(jnp.array([0.0, 5e4, 0.0]), jnp.array([0.25, 0.25, 2.5]))
    H = np.asarray(H)[:, :-1]
    drift = np.abs(H[0] / H[0, 0] - 1)
    assert (
        drift[:100].max() < 0.1 and drift[100:].max() < 1.2 * drift[:100].max() + 1e-3
    )
    assert H[1, -1] < H[1, 0] * 0.99 and H[1, -1] < H[0].min()
    np.testing.assert_allclose(L[:2, :-1], L[0, 0], rtol=1e-12)
    assert not np.nanmax(np.abs(H[2])) < 2 * H[2, 0]


def test_implicit_is_explicit():
    """Kvaerno3 with matrix-free Newton–Krylov, to its tolerance, and scipy's RK45."""
    body = Solid(mat.NeoHookean(E, NU), box_mesh((1, 1), (1.0, 1.0)), RHO)
    y0 = body.init(body.parts.nodes * jnp.array([[1.0, -1.0]]))
    root = optx.Newton(1e-9, 1e-9, linear_solver=lx.GMRES(1e-9, 1e-9))

    end, (start, unravel) = 0.05, ravel_pytree(y0)

    @jax.jit
    def run():
        solver, term = diffrax.Kvaerno3(root_finder=root), diffrax.ODETerm(body.field)
        return solve(term, solver, y0, end, 1e-3, **adaptive(1e-5, 1e-7))

    field = jax.jit(lambda y: ravel_pytree(body.field(0.0, unravel(y)))[0])
    explicit = scipy.integrate.solve_ivp(
        lambda t, y: np.asarray(field(y)), (0, end), start, rtol=1e-9, atol=1e-11
    ).y[:, -1]
    implicit = ravel_pytree(run())[0]
    np.testing.assert_allclose(implicit, explicit, atol=1e-3)  # 100 tolerances
    assert np.abs(explicit - start).max() > 0.1  # it did move


def test_gradient_by_young():
    """Reverse mode through a solve, against central differences."""
    mesh = box_mesh((1, 1), (1.0, 1.0))
    start = -2 * mesh.nodes

    @jax.jit
    @jax.value_and_grad
    def end(young):
        body = Solid(mat.NeoHookean(young, NU), mesh, RHO)
        (x, _), _ = solve(
            body.terms(), diffrax.SemiImplicitEuler(), body.init(start), 0.1, 0.005
        )
        return x[-1, -1, 0]

    step = E * 1e-4
    up, down = end(E + step)[0], end(E - step)[0]
    # differences: 1e-8 by truncation, 1e-12 by round-off
    np.testing.assert_allclose(end(E)[1], (up - down) / (2 * step), rtol=1e-6)


# --- projection ----------------------------------------------------------------------


def test_projected_keeps_plasticine_within_yield():
    law = mat.plasticine()
    mesh = box_mesh((2, 2), (1.0, 1.0))
    body = Solid(law, mesh, RHO)
    y0 = body.init((mesh.nodes - 0.5) * jnp.array([[-4.0, 2.0]]))

    def norm(y):
        (x, history), _ = y
        slopes = body.parts.slopes[:, 0]
        F = jnp.sum(x[body.parts.elements][..., :, None] * slopes[..., None, :], 1)
        G = body.memory(history)[0][:, 0]
        tau = jax.vmap(law.kirchhoff)(mat.kinematics.matmul(F, G))
        dev = tau - mat.kinematics.spherical(mat.kinematics.trace(tau) / 2, 2)
        return jnp.sqrt(jnp.max(mat.kinematics.square(dev)))

    @jax.jit
    @jax.vmap
    def run(on):
        def project(t, y, dt, args):
            after = body.update(t, y, dt, args)
            return jax.tree.map(lambda a, b: jnp.where(on, a, b), after, y)

        save = lambda t, y, args: (norm(y), body.energy(t, y))
        save = diffrax.SaveAt(ts=jnp.linspace(0.001, 0.03, 30), fn=save)
        solver = Projected(diffrax.Tsit5(), project)
        return solve(diffrax.ODETerm(body.frozen), solver, y0, 0.03, 0.001, save)

    norms, energies = run(jnp.array([True, False]))
    within, control, H = *norms, energies[0]
    limit = 5e3
    assert within.max() <= limit * (1 + 1e-9) and within.max() > 0.99 * limit
    assert control.max() > 3 * limit
    assert (np.diff(H) <= 1e-6 * H[0]).all()  # of Tsit5 at fixed steps


def test_projected_fixes_what_solvers_remember():
    """ẏ = −y halved after each step: (e^{−h}/2)ⁿ, though Tsit5 reuses a slope; and the
    dense output ends at the projected value."""
    halve = lambda t, y, dt, args: y / 2
    term, h = diffrax.ODETerm(lambda t, y, args: -y), 0.01

    @jax.jit
    def run():
        found = []
        for solver in (diffrax.Tsit5(), diffrax.Euler()):
            save = diffrax.SaveAt(ts=jnp.array([2 * h, 4 * h]))
            solver = Projected(solver, halve)
            found.append(solve(term, solver, jnp.ones(()), 4 * h, h, save))
        return found

    tsit5, euler = run()
    np.testing.assert_allclose(tsit5[-1], (np.exp(-h) / 2) ** 4, rtol=1e-11)
    np.testing.assert_allclose(euler, ((1 - h) / 2) ** np.array([2, 4]), rtol=1e-12)


# --- what is refused -----------------------------------------------------------------


class Stress(mat.AbstractLaw):
    def kirchhoff(self, F, alpha=()):
        return mat.kinematics.twice_green_lagrange(F)


def test_bad_input():
    law, mesh = mat.NeoHookean(E, NU), box_mesh((1, 1), (1.0, 1.0))
    lines = box_mesh((2,), (1.0,))
    turned = Mesh(mesh.nodes, mesh.elements[:, ::-1])
    alone = Mesh(mesh.nodes, mesh.elements[:1])
    plastic = Solid(mat.plasticine(), mesh, RHO)
    bodiless = Solid(Stress(), mesh, RHO)
    wrong = [
        (lambda: box_mesh((0, 1), (1.0, 1.0)), "cells"),
        (lambda: Solid(law, turned, RHO), "elements: given number 0 with det -1"),
        (lambda: Solid(law, alone, RHO), "elements"),
        (lambda: Solid(law, Mesh(mesh.nodes[0], mesh.elements), RHO), "nodes"),
        (lambda: Solid(law, mesh, 0.0), "density"),
        (lambda: Solid(law, mesh, RHO, held=jnp.zeros((3,), bool)), "held"),
        (lambda: Solid(law, mesh, RHO, gravity=jnp.zeros((3,))), "gravity"),
        (lambda: Solid(law, mesh, RHO, force=jnp.zeros((4, 3))), "force"),
        (lambda: Solid(law, lines, RHO), "mesh: given d = 1"),
        (lambda: Bar(law, mesh, RHO), "mesh: given d = 2"),
        (lambda: Bar(law, lines, RHO, -1.0), "area"),
        (lambda: plastic.init(jnp.zeros((3,))), "velocity"),
        (lambda: traction(mesh, np.zeros(4, bool), jnp.zeros((2,))), "no face"),
        (lambda: traction(mesh, np.zeros(4), jnp.zeros((2,))), "on, pull"),
    ]
    for call, words in wrong:
        with pytest.raises(ValueError, match=words):
            call()
    for call, words in [
        (lambda: Bar(mat.plasticine(), lines, RHO), "plastic"),
        (lambda: plastic.field(0.0, plastic.init()), "no rate"),
        (lambda: bodiless.energy(0.0, bodiless.init()), "no energy"),
    ]:
        with pytest.raises(TypeError, match=words):
            call()


def test_the_rate_of_maxwell_has_no_derivative():
    body = Solid(
        mat.Maxwell(mat.NeoHookean(E, NU), E, 0.1), box_mesh((1, 1), (1, 1)), RHO
    )
    y = body.init()
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        jax.eval_shape(lambda y: jax.jvp(lambda y: body.field(0.0, y), (y,), (y,)), y)
    frozen = lambda y: body.update(0.0, y, 0.1)
    jax.eval_shape(lambda y: jax.jvp(frozen, (y,), (y,)), y)


def test_single_precision():
    mesh = box_mesh((1, 1), (1.0, 1.0), dtype=jnp.float32)
    body = Solid(mat.Maxwell(mat.Hencky(E, NU), 1e4, 0.1), mesh, RHO)
    y = body.init(1.0)
    dtypes = eqx.filter_eval_shape(
        lambda y: (body.field(0.0, y), body.energy(0.0, y), body.update(0.0, y, 0.1)), y
    )
    assert all(a.dtype == jnp.float32 for a in jax.tree.leaves(dtypes))
