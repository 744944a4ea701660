"""Material points against closed forms, numpy, central differences and a plain scan.

Compiled programs are what this file pays for: one flight of two bodies serves for
energy, momentum and angular momentum, and others of its shapes go through its program.
"""

# Bad input is given on purpose, and NumPy where jax is expected.
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import functools

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from dynax import material as mat, verdict
from dynax.mechanics import box_mesh, mpm, surface


EPS = np.finfo(np.float64).eps
DX, DT, STEPS = 0.05, 5e-4, 30
G = np.array([0.0, -9.8])
ROOM = mpm.MPM(mpm.Grid((20, 20), DX), mpm.box_walls(2), G)
POINT = mpm.Material(mat.NeoHookean(1e5, 0.2), 1e3, DX**2, 1)
SMALL = mpm.MPM(mpm.Grid((8, 8), DX))


class Slack(mat.AbstractLaw):
    """A stress without an energy: 0·F/scale, so none at all, or NaN."""

    scale: float = 1.0

    def kirchhoff(self, F, alpha=()):
        return 0 * F / self.scale

    def stiffness(self, F, alpha=()):
        return jnp.ones((), F.dtype)


def two_bodies():
    """Jelly and plasticine, one above the other, turning about each other."""
    lower = mpm.bodies.box((0.3, 0.3), (0.7, 0.5), DX)
    upper = mpm.bodies.box((0.3, 0.55), (0.7, 0.75), DX)
    materials = (
        mpm.Material(mat.jelly(), 1e3, DX**2, len(lower)),
        mpm.Material(mat.plasticine(), 2e3, np.full(len(upper), DX**2), len(upper)),
    )
    x = np.concatenate([lower, upper])
    return materials, mpm.at_rest(materials, x, np.array([0.5, -1.0]), 8.0)


@functools.cache
def flight():
    materials, y0 = two_bodies()
    return materials, mpm.simulate(ROOM, materials, y0, DT, STEPS)


def test_points_at_the_edges_of_cells_know_their_nodes():
    """In float32 too, where x/dx − ½ is whole but for rounding: v = i gives x/dx."""
    dx, k = np.float32(0.05), np.arange(2, 17, dtype=np.float32)
    edges = dx * (k + np.float32(0.5))
    x = np.concatenate([edges, *(np.nextafter(edges, np.float32(c)) for c in (0, 1))])
    x = np.stack([x, x[::-1]], 1)
    grid, nodes = mpm.Grid((20, 20), float(dx)), np.arange(20, dtype=np.float32)
    v = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1)
    for transfer in (mpm.Window(), mpm.Dense()):
        read = jax.jit(lambda x, transfer=transfer: transfer.to_points(grid, x, v)[0])
        np.testing.assert_allclose(read(x), x / dx, rtol=1e-6)


def points(key, n, d, dtype=np.float64):
    return jax.random.uniform(key, (n, d), dtype, 2 * DX, 4 * DX)


def spline(u):
    """N(u), the centred quadratic B-spline, in numpy."""
    u = np.abs(u)
    return np.where(u < 0.5, 0.75 - u**2, np.where(u < 1.5, (1.5 - u) ** 2 / 2, 0))


# --- between points and grid ---------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3])
def test_transfer_is_the_sum_over_all_nodes(d, getkey):
    grid, n, c = mpm.Grid((7, 6, 8)[:d], DX), 9, 2
    x = points(getkey(), n, d)
    p, A = jax.random.normal(getkey(), (n, c)), jax.random.normal(getkey(), (n, c, d))
    v = jax.random.normal(getkey(), (*grid.nodes, c))

    nodes = np.stack(np.indices(grid.nodes), -1).reshape(-1, d)
    away = nodes[None] - np.asarray(x)[:, None] / DX
    w = np.prod(spline(away), -1)
    np.testing.assert_allclose(w.sum(1), 1, rtol=8 * EPS)  # partition of unity
    value = p[:, None] + np.einsum("pca,pia->pic", A, away)
    expected = np.einsum("pi,pic->ic", w, value).reshape(v.shape)
    seen = np.einsum("pi,ic->pc", w, v.reshape(-1, c))
    moment = np.einsum("pi,ic,pia->pca", w, v.reshape(-1, c), away)

    @jax.jit
    def both(x, p, A, v):
        kinds = mpm.Window(), mpm.Dense()
        return [(k.to_grid(grid, x, p, A), k.to_points(grid, x, v)) for k in kinds]

    for to_grid, to_points in both(x, p, A, v):
        close = functools.partial(np.testing.assert_allclose, rtol=0, atol=64 * EPS)
        close(to_grid, expected)  # of numbers ~ 4, a sum of 9·27
        close(to_points[0], seen)
        close(to_points[1], moment)


@pytest.mark.parametrize("d", [2, 3])
def test_one_step_keeps_an_affine_motion_and_all_momenta(d, getkey):
    """v = Ax stays so, F = I + dt A or exp(dt A); with a stress, p and L are kept."""
    grid, n = mpm.Grid((8,) * d, DX), 12
    material = mpm.Material(mat.NeoHookean(1e5, 0.2), 1e3, DX**d / 8, n)
    x = points(getkey(), n, d)
    A = 40 * jax.random.normal(getkey(), (d, d))
    linear = mpm.at_rest(material, x)._replace(
        v=x @ A.T, C=jnp.broadcast_to(A, (n, d, d))
    )
    F = jnp.eye(d)[None] + 0.1 * jax.random.normal(getkey(), (n, d, d))
    v, C = jax.random.normal(getkey(), (n, d)), 9 * F
    wild = mpm.Body(x, v, C, F, linear.alpha)

    @jax.jit
    def steps(linear, wild):
        window, dense = mpm.MPM(grid), mpm.MPM(grid, transfer=mpm.Dense())
        exponential, dt = mpm.MPM(grid, exponential=True), jnp.asarray(1e-3)
        still, tau = jnp.zeros((n, d, d)), mpm.Stress().vf(0, wild, material)
        moved = [s.move(still, linear, material, dt) for s in (window, exponential)]
        moved += [s.move(tau, wild, material, dt) for s in (window, dense)]
        kept = [
            (mpm.momentum(material, y), mpm.angular_momentum(window, material, y))
            for y in (wild, moved[2])
        ]
        return moved, kept

    (plain, exact, one, two), (before, after) = steps(linear, wild)
    A = np.asarray(A)
    tol = 1e3 * EPS  # of A ~ 100: a few roundings of 27 terms
    np.testing.assert_allclose(plain.C, np.broadcast_to(A, (n, d, d)), atol=100 * tol)
    np.testing.assert_allclose(plain.x, x + 1e-3 * x @ A.T, rtol=tol)
    np.testing.assert_allclose(plain.F[0], np.eye(d) + 1e-3 * A, atol=tol)
    # (½‖dtA‖)⁵/120 twice, ‖dtA‖ ≤ 0.2
    np.testing.assert_allclose(exact.F[0], scipy.linalg.expm(1e-3 * A), atol=2e-7)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max())
    mass = 1e3 * DX**d / 8 * n
    # the stress moves each node by up to 4dt τ/(ρdx) ~ 10 m/s
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=mass * 10 * 64 * EPS)


def test_a_wall_takes_what_goes_into_it(getkey):
    grid, v = mpm.Grid((8, 9), 0.1), jax.random.normal(getkey(), (8, 9, 2))
    walls = [
        mpm.Side(1, 0),
        mpm.Side(0, 1),
        mpm.Side(0, 0, "sticky", 2),
        mpm.Slope([0.43, 0.0], [3.0, 4.0]),
        mpm.Slope([0.43, 0.0], [3.0, 4.0], "sticky"),
        mpm.Slope([0.41, 0.4], [3.0, 4.0], friction=0.8),
        mpm.Collider(lambda x, t: 0.6 * x[0] + 0.8 * x[1] - 0.258 - 0.5 * (t - 2)),
    ]
    out = jax.jit(lambda v: [wall(grid, v, jnp.full((), 2.0)) for wall in walls])(v)
    v = np.asarray(v)
    i, j = np.indices((8, 9))
    normal = np.array([0.6, 0.8])
    beyond = (i * 0.1 - 0.43) * 0.6 + j * 0.1 * 0.8 <= 0
    floor, right, left, slope = v.copy(), v.copy(), v.copy(), v.copy()
    floor[:, :3, 1] = np.maximum(floor[:, :3, 1], 0)
    right[6:, :, 0] = np.minimum(right[6:, :, 0], 0)
    left[:2] = 0
    slope -= (beyond * np.minimum(v @ normal, 0))[..., None] * normal
    stuck = np.where(beyond[..., None], 0, v)
    pushed = v - (beyond * np.minimum(v @ normal - 0.5, 0))[..., None] * normal
    assert 0 < beyond.sum() < beyond.size
    rough, moving = (np.asarray(a) for a in out[5:])
    for ours, numpy in zip(
        [*out[:5], moving], (floor, right, left, slope, stuck, pushed), strict=True
    ):
        np.testing.assert_allclose(ours, numpy, rtol=0, atol=8 * EPS)
    # Coulomb's cone: on its edge what slides, within what sticks; what leaves is free
    impulse, along = rough - v, np.array([0.8, -0.6])
    across, shear = impulse @ normal, impulse @ along
    slides = np.abs(rough @ along) > 8 * EPS
    sees = ((i * 0.6 + j * 0.8) * 0.1 <= 0.566) & (v @ normal < 0)
    assert (sees & slides).any() and (sees & ~slides).any()
    assert (across >= -EPS).all() and (np.abs(shear) <= 0.8 * across + 8 * EPS).all()
    np.testing.assert_allclose(
        np.abs(shear)[sees & slides], 0.8 * across[sees & slides], atol=8 * EPS
    )
    assert (shear * (v @ along) <= EPS).all() and not impulse[~sees].any()


def test_a_piston_and_points_that_are_held():
    """Momentum is what weight, piston and held points gave; these do not move. With the
    piston at rest (control) momentum is not accounted for."""
    x = mpm.bodies.box((0.1, 0.1), (0.25, 0.2), DX / 2)
    jelly = mpm.Material(mat.jelly(), 1e3, DX**2 / 4, len(x))
    held = x[:, 0] > 0.225
    face = lambda speed: mpm.Collider(lambda x, t: x[0] - 0.105 - speed * t)
    solver = mpm.MPM(SMALL.grid, (face(1.0),), G, held=held)
    motion = mpm.simulate(solver, jelly, mpm.at_rest(jelly, x), DT, 20)
    at, F = np.asarray(motion.y.x[:, held]), np.asarray(motion.y.F[:, held])
    assert (at == at[:1]).all() and not (F - np.eye(2)).any()
    rows = mpm.audit(solver, jelly, motion.t, motion.y)
    said = verdict(rows, "").checks["momentum"]
    assert said["violations"] == 0 and said["seen"]
    assert float(jnp.sum(rows.terms["work"])) > 0.1  # J
    rest = eqx.tree_at(lambda s: s.walls, solver, (face(0.0),))
    said = verdict(mpm.audit(rest, jelly, motion.t, motion.y), "")
    assert said.checks["momentum"]["violations"] > 5


# --- a flight, and its ledger ---------------------------------------------------------


def test_the_centre_falls_as_it_must():
    """Symplectic Euler: x_k = x₀ + k dt v₀ + ½k(k + 1) dt² g."""
    materials, motion = flight()
    m = np.asarray(mpm.masses(materials, np.float64))
    centre, speed = (
        np.einsum("p,kpa->ka", m, a) / m.sum() for a in (motion.y.x, motion.y.v)
    )
    k = np.arange(STEPS + 1)[:, None]
    expected = centre[0] + k * DT * speed[0] + k * (k + 1) / 2 * DT**2 * G
    # 30 steps of rounding of 1 and of velocities ~ 10 m/s
    np.testing.assert_allclose(centre, expected, atol=100 * EPS)
    np.testing.assert_allclose(motion.t, DT * k[:, 0], rtol=4 * EPS)
    assert int(motion.steps) == STEPS and motion.result == mpm.RESULTS.successful


def test_energy_falls_and_momenta_are_kept():
    materials, motion = flight()
    rows = mpm.audit(ROOM, materials, motion.t, motion.y, free=True)
    found = verdict(rows, "E falls, p and L are kept")
    assert found.status == "holds", found
    assert set(found.checks) == {"fall", "momentum", "angular"}
    assert found.audited == STEPS


def test_in_float32_a_viscous_body_that_spins():
    law = mat.Maxwell(mat.NeoHookean(1e5, 0.2), 2e4, 1e-2)
    x = mpm.bodies.box((0.15, 0.1), (0.25, 0.2), DX / 2).astype(np.float32)
    material = mpm.Material(law, 1e3, DX**2 / 4, len(x))
    y0 = mpm.at_rest(material, x, spin=30.0)
    motion = mpm.simulate(SMALL, material, y0, DT, STEPS)
    assert {str(a.dtype) for a in jax.tree.leaves(motion.y)} == {"float32"}
    assert float(jnp.max(jnp.abs(motion.y.alpha[0][1][-1, :, 0, 1]))) > 1e-4
    rows = mpm.audit(SMALL, material, motion.t, motion.y, free=True)
    found = verdict(rows, "E falls, p and L are kept")
    assert found.status == "holds", found
    assert float(jnp.max(rows.change)) < 0


def test_the_energy_of_a_vibration_falls():
    """A bar that rings: sampled, ½m|v|² + V₀ψ rises in half of the steps, for v is half
    a step behind F. Between two steps it does not; without the affine part it does."""
    x = mpm.bodies.box((0.2, 0.2), (0.7, 0.3), DX / 2)
    bar = mpm.Material(mat.NeoHookean(1e5, 0.0), 1e3, DX**2 / 4, len(x))
    solver, wave = mpm.MPM(ROOM.grid), np.pi * (x[:, 0] - 0.45) / 0.5
    y0 = mpm.at_rest(bar, x)
    C = np.zeros((len(x), 2, 2))
    C[:, 0, 0] = 0.1 * np.pi / 0.5 * np.cos(wave)
    v = np.stack([0.1 * np.sin(wave), 0 * wave], -1)
    y0 = y0._replace(v=jnp.asarray(v), C=jnp.asarray(C))
    motion = mpm.simulate(solver, bar, y0, 0.2 * DX / 10, 150)
    rows = mpm.audit(solver, bar, motion.t, motion.y)
    assert verdict(rows, "E falls").status == "holds"
    false = mpm.audit(solver, bar, motion.t, motion.y, affine=False)
    found = verdict(false, "E falls")
    assert found.status == "violated" and found.violations > 20
    sampled = jax.jit(jax.vmap(lambda y: mpm.energy(solver, bar, y)))(motion.y)
    assert np.sum(np.diff(sampled) > 0) > 30
    each = slice(None, None, 3)  # not every step is saved: nothing is known
    some = jax.tree.map(lambda a: a[each], (motion.t, motion.y))
    assert verdict(mpm.audit(solver, bar, *some), "E falls").status != "holds"


def test_one_value_a_point():
    """E, ρ₀ and V₀ of each point are those of as many materials of one point."""
    x = mpm.bodies.box((0.15, 0.15), (0.2, 0.175), DX / 2)
    n = len(x)
    young, density = np.linspace(1e4, 1e5, n), np.linspace(800.0, 1200.0, n)
    for law in (
        lambda E: mat.NeoHookean(E, 0.2),
        lambda E: mat.Elastoplastic(mat.Hencky(E, 0.2), mat.VonMises(100.0)),
    ):
        many = mpm.Material(law(jnp.asarray(young)), density, DX**2 / 4, n)
        pairs = zip(young, density, strict=True)
        single = tuple(mpm.Material(law(E), r, DX**2 / 4, 1) for E, r in pairs)

        def step(args):
            y = mpm.at_rest(args, x, 1.0, 9.0)
            y = y._replace(F=y.F * 0.98)
            for _ in range(2):
                y = SMALL.move(mpm.Stress().vf(0, y, args), y, args, jnp.asarray(DT))
            return y.x, y.v, y.F, mpm.wave_speed(args, y)

        both = jax.jit(lambda args=(many, single): [step(a) for a in args])()
        for a, b in zip(*both, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_control_energy_without_its_affine_part_rises():
    materials, motion = flight()
    rows = mpm.audit(ROOM, materials, motion.t, motion.y, affine=False)
    found = verdict(rows, "E falls")
    assert found.status == "violated" and found.violations > STEPS // 3


def test_control_a_wall_is_no_free_flight():
    materials, y0 = two_bodies()
    y0 = y0._replace(x=y0.x - jnp.array([[0.0, 0.15]]))
    motion = mpm.simulate(ROOM, materials, y0, DT, STEPS)
    rows = mpm.audit(ROOM, materials, motion.t, motion.y, free=True)
    found = verdict(rows, "E falls, p and L are kept")
    assert found.checks["momentum"]["violations"]
    assert found.checks["angular"]["violations"]
    assert not found.checks["fall"]["violations"]
    assert motion.y.x[-1, :, 1].min() > 0.1  # the floor holds


def test_a_law_without_energy_has_no_certificate():
    material = mpm.Material(Slack(), 1e3, DX**2, 1)
    y0 = mpm.at_rest(material, np.full((1, 2), 0.2))
    y = jax.tree.map(lambda a: jnp.stack([a, a]), y0)
    rows = eqx.filter_eval_shape(mpm.audit, SMALL, material, jnp.array([0.0, 1.0]), y)
    assert rows.checks == {}  # which is the verdict "no certificate"


# --- gradients, adjoints --------------------------------------------------------------


def test_gradients_agree_with_differences_a_scan_and_one_another(getkey):
    n, steps, dt = 8, 6, 1e-3
    solver = mpm.MPM(SMALL.grid, (mpm.Side(1, 0, "sticky"),), G)
    x, weight = points(getkey(), n, 2), jax.random.normal(getkey(), (n, 2))
    of = lambda E: mpm.Material(mat.NeoHookean(E, 0.2), 1e3, DX**2 / 4, n)
    y0 = mpm.at_rest(of(1e4), x, -0.3)
    y0 = y0._replace(F=y0.F + 0.1 * jax.random.normal(getkey(), (n, 2, 2)))

    def by(adjoint):
        def loss(E):
            motion = mpm.simulate(solver, of(E), y0, dt, steps, 1, adjoint)
            return jnp.sum(weight * motion.y.x[-1])

        return loss

    def by_scan(E):
        def step(y, _):
            tau = mpm.Stress().vf(0, y, of(E))
            return solver.move(tau, y, of(E), jnp.asarray(dt)), None

        return jnp.sum(weight * jax.lax.scan(step, y0, None, steps)[0].x)

    E = jnp.asarray(1e4)
    value, slope = jax.jit(jax.value_and_grad(by_scan))(E)
    values = jax.jit(jax.vmap(by_scan))(E * jnp.array([1 - 1e-4, 1 + 1e-4]))
    # h² of a smooth function, and eps/h of values ~ 1 whose slope in log E is ~ 1e-2
    np.testing.assert_allclose(E * slope, (values[1] - values[0]) / 2e-4, rtol=1e-6)
    for adjoint in (None, diffrax.DirectAdjoint()):
        ours = jax.jit(jax.value_and_grad(by(adjoint)))(E)
        np.testing.assert_allclose(ours, (value, slope), rtol=1e-10)
    forward = by(diffrax.ForwardMode())
    ours = jax.jit(lambda E: jax.jvp(forward, (E,), (jnp.ones_like(E),)))(E)
    np.testing.assert_allclose(ours, (value, slope), rtol=1e-10)


def test_backsolve_is_refused():
    y0 = mpm.at_rest(POINT, jnp.full((1, 2), 0.2))
    with pytest.raises(ValueError, match=r"^adjoint: given BacksolveAdjoint"):
        mpm.simulate(SMALL, POINT, y0, DT, 3, adjoint=diffrax.BacksolveAdjoint())

    with pytest.raises(NotImplementedError, match="BacksolveAdjoint"):
        mpm.Stress().prod(None, None)  # as it does, running backwards


# --- steps by CFL, failures, errors ---------------------------------------------------


def test_steps_by_cfl():
    """A body that is not deformed has c = √((λ + 2μ)/ρ)."""
    y0 = mpm.at_rest(POINT, jnp.full((1, 2), 0.2), jnp.array([3.0, 4.0]))
    E, nu = 1e5, 0.2
    wave = np.sqrt(E * (1 - nu) / (1 + nu) / (1 - 2 * nu) / 1e3)
    dt = 0.4 * DX / (wave + 5)
    solution = diffrax.diffeqsolve(
        mpm.Stress(),
        SMALL,
        0.0,
        10.5 * dt,
        None,
        y0,
        POINT,
        stepsize_controller=mpm.CFL(DX, 0.4),
        saveat=diffrax.SaveAt(steps=True),
        max_steps=16,
    )
    expected = np.append(dt * np.arange(1, 11), 10.5 * dt)
    np.testing.assert_allclose(solution.ts[:11], expected, rtol=1e-12)
    x = 0.2 + solution.ts[:11, None] * np.array([[3.0, 4.0]])
    np.testing.assert_allclose(solution.ys.x[:11, 0], x, rtol=1e-12)


def test_a_failure_is_a_code_with_its_step():
    cell = DX / DT
    cases = {  # x, v, C₀₀, F₀₀ → result, steps
        "fine": (0.2, 0.5 * cell, 0, 1, "successful", 3),
        "nan": (0.2, np.nan, 0, 1, "not_finite", 1),
        "edge": (0.6 * DX, -0.04 * cell, 0, 1, "outside", 3),
        "fast": (0.2, 1.01 * cell, 0, 1, "cfl", 1),
        "turned": (0.2, 0, -2 / DT, 1, "inverted", 1),
        "start": (0.2, 0, 0, -1, "inverted", 1),
    }
    x, v, C, F = (np.array([c[k] for c in cases.values()], float) for k in range(4))
    y0 = mpm.at_rest(POINT, jnp.full((1, 2), 0.2))

    @jax.jit
    @jax.vmap
    def run(x, v, C, F):
        y = y0._replace(
            x=y0.x.at[:, 0].set(x),
            v=y0.v.at[:, 0].set(v),
            C=y0.C.at[:, 0, 0].set(C),
            F=y0.F.at[:, 0, 0].set(F),
        )
        motion = mpm.simulate(SMALL, POINT, y, DT, 3)
        return motion.result, motion.steps, motion.t

    result, steps, t = run(x, v, C, F)
    for k, (name, case) in enumerate(cases.items()):
        one = jax.tree.map(lambda a, k=k: a[k], result)
        assert one == getattr(mpm.RESULTS, case[4]), name
        assert steps[k] == case[5], name
        assert np.isfinite(t[k]).sum() == 1 + case[5], name


def test_a_failed_run_says_in_which_step():
    materials, y0 = two_bodies()
    away = jnp.where(y0.x[:, 1] < 0.525, 80.0, -80.0)  # 0.8 of a cell a step
    y0 = y0._replace(v=y0.v.at[:, 1].set(away))
    with pytest.raises(RuntimeError, match=r"^step \d+ of 30: "):
        mpm.simulate(ROOM, materials, y0, DT, STEPS)


def test_bad_input_is_named():
    x = np.full((1, 2), 0.2)
    y0 = mpm.at_rest(POINT, x)
    start = lambda **k: mpm.simulate(SMALL, POINT, y0._replace(**k), DT, 3)
    cases = {
        r"y0\.F: given det F = -1; accepted": lambda: start(
            F=y0.F * np.array([-1.0, 1.0])[None, None]
        ),
        r"y0\.x: given 1 points outside": lambda: start(x=y0.x + 9),
        r"y0\.x: given float64 of shape \(2, 2\)": lambda: start(x=np.zeros((2, 2))),
        r"y0\.v: given float32": lambda: start(v=y0.v.astype(np.float32)),
        r"y0\.C: given NaN": lambda: start(C=y0.C * np.nan),
        r"y0\.alpha: given 0 trees": lambda: start(alpha=()),
        r"dt: given 1.0; accepted is 0 < dt < 0.004": lambda: mpm.simulate(
            SMALL, POINT, y0, 1.0, 3
        ),
        r"law: given Slack": lambda: mpm.simulate(
            SMALL, mpm.Material(Slack(0.0), 1e3, DX**2, 1), y0, DT, 3
        ),
        r"save_every: given 2": lambda: mpm.simulate(SMALL, POINT, y0, DT, 3, 2),
        r"args: given float": lambda: mpm.at_rest(3.0, x),
        r"x: given float64 of shape \(2, 2\)": lambda: mpm.at_rest(POINT, x[[0, 0]]),
        r"velocity: given shape \(3,\)": lambda: mpm.at_rest(POINT, x, np.ones(3)),
        r"spin: given shape \(3,\)": lambda: mpm.at_rest(POINT, x, 0.0, np.ones(3)),
        r"density: given 0": lambda: mpm.Material(mat.jelly(), 0.0, 1.0, 1),
        r"density: given shape \(2,\)": lambda: mpm.Material(
            mat.jelly(), np.ones(2), 1.0, 1
        ),
        r"young: given shape \(2,\)": lambda: mpm.Material(
            mat.Hencky(jnp.ones(2), 0.2), 1.0, 1.0, 3
        ),
        r"count: given 0": lambda: mpm.Material(mat.jelly(), 1.0, 1.0, 0),
        r"count: given -3": lambda: mpm.Material(mat.jelly(), 1.0, 1.0, -3),
        r"walls: given Slope": lambda: mpm.MPM(
            SMALL.grid, (mpm.Slope([0.0, 0.0, 0.0], [0.0, 0.0, 1.0]),)
        ),
        r"walls: given Side": lambda: mpm.MPM(SMALL.grid, mpm.box_walls(3)),
        r"normal: given .*0": lambda: mpm.Slope([0.0, 0.0], [0.0, 0.0]),
        r"width: given -1": lambda: mpm.box_walls(2, width=-1),
        r"walls: given Side .* width 30": lambda: mpm.MPM(
            SMALL.grid, mpm.box_walls(2, width=30)
        ),
        r"spacing: given 0\.3": lambda: mpm.bodies.box((0, 0), (1, 1), 0.3),
        r"spacing: given 0\.04": lambda: mpm.bodies.box((0, 0), (0.25, 0.25), 0.04),
        r"volume: given shape \(2,\)": lambda: mpm.Material(
            mat.jelly(), 1.0, np.ones(2), 1
        ),
        r"nodes: given \(2, 9\)": lambda: mpm.Grid((2, 9), DX),
        r"dx: given 0": lambda: mpm.Grid((9, 9), 0.0),
        r"gravity: given shape \(3,\)": lambda: mpm.MPM(SMALL.grid, gravity=np.ones(3)),
        r"friction: given -1": lambda: mpm.Side(0, 0, friction=-1.0),
        r"friction: given 0.2 of a sticky": lambda: mpm.Side(
            0, 0, "sticky", friction=0.2
        ),
        r"distance: given a function to shape \(2,\)": lambda: mpm.MPM(
            SMALL.grid, (mpm.Collider(lambda x, t: x),)
        ),
        r"kind: given 'ice'": lambda: mpm.box_walls(2, "ice"),
        r"normal: given shape \(1,\)": lambda: mpm.Slope([0.0, 0.0], [1.0]),
        r"fraction: given 2": lambda: mpm.CFL(DX, 2.0),
        r"which: given 'Q'": lambda: mpm.bodies.letter("Q", (0, 0), 1.0, 0.1),
        r"faces: given a surface with 2 open": lambda: mpm.bodies.from_mesh(
            np.eye(2), [[0, 1]], 0.1
        ),
        r"faces: given shape \(1, 2\)": lambda: mpm.bodies.from_mesh(
            np.eye(3), [[0, 1]], 0.1
        ),
        r"held: given bool of shape \(2,\)": lambda: mpm.simulate(
            mpm.MPM(SMALL.grid, held=np.array([True, False])), POINT, y0, DT, 1
        ),
        r"spacing: given 3": lambda: mpm.bodies.box((0, 0), (1, 1), 3.0),
    }
    for message, call in cases.items():
        with pytest.raises((ValueError, TypeError), match=f"^{message}"):
            call()


# --- sets of points -------------------------------------------------------------------


def test_bodies_have_the_volumes_of_their_shapes():
    h, pi = 0.02, np.pi
    turn = np.linspace(0, 2 * pi, 300, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    rim = np.stack([np.arange(300), (np.arange(300) + 1) % 300], 1)
    hexes = box_mesh((2, 1, 1), (1.0, 0.5, 0.5), (3.0, 0.0, -1.0), simplices=False)
    tets = box_mesh((2, 1, 1), (1.0, 0.5, 0.5))
    from_mesh = mpm.bodies.from_mesh
    star = pi * np.mean((1 - 0.5 * np.linspace(0, 1, 10_001)) ** 2)
    shapes = {
        "box": (mpm.bodies.box((0, 1), (1, 3), h), 2.0),
        "disk": (mpm.bodies.ball((3, 4), 1.0, h), pi),
        "ball": (mpm.bodies.ball((0, 0, 5), 0.5, h), pi / 6),
        "ring": (mpm.bodies.torus((0, 0), 1.0, 0.25, h), pi),
        "torus": (mpm.bodies.torus((1, 1, 1), 0.6, 0.2, h), 2 * pi**2 * 0.6 * 0.04),
        "star": (mpm.bodies.star((0, 0), 1.0, h), star),
        "L": (mpm.bodies.letter("L", (0, 0), 1.4, h), 11 * 0.04),
        "T": (mpm.bodies.letter("T", (0, 0, 0), 1.4, h), 11 * 0.04 * 0.4),
        "circle": (from_mesh(circle, rim, h), pi),
        "hexahedra": (from_mesh(hexes.nodes, surface(hexes), h), 0.25),
        "tetrahedra": (from_mesh(tets.nodes, surface(tets), h), 0.25),
    }
    for name, (x, volume) in shapes.items():
        np.testing.assert_allclose(
            len(x) * h ** x.shape[1], volume, rtol=0.02, err_msg=name
        )
    tips = mpm.bodies.star((0, 0), 1.0, h)
    assert tips[:, 1].max() > 0.9 > -tips[:, 1].min()  # one tip, upwards
    letter = mpm.bodies.letter("L", (0, 0), 1.4, h)
    assert letter[letter[:, 1] > 0][:, 0].max() < -0.2  # upright, at the left
