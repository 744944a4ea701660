"""Laws by two convex problems, against what made the data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from dynax import material as mat
from dynax.mechanics import learn, mpm
from dynax.mechanics.learn.weak import solve_nonnegative


def returned(Y, cap=np.inf, keep=0.0, n=4000, seed=0, dt=1e-3):
    """Pairs of a return to ‖e‖ ≤ Y(v), v ≤ cap, of which the share `keep` stays."""
    rng = np.random.default_rng(seed)
    v = rng.uniform(-0.2, 0.05, n)
    e = rng.normal(size=(n, 3)) * 0.03
    e -= e.mean(1, keepdims=True)
    r = np.linalg.norm(e, axis=1, keepdims=True)
    v1 = np.minimum(v, cap)
    goal = Y(v1)[:, None]
    r1 = np.where(r > goal, goal + keep * (r - goal), r)
    before = e + v[:, None] / 3
    after = e * r1 / r + v1[:, None] / 3
    order = lambda a: -np.sort(-a, 1)
    return learn.Pairs(order(before), order(after), np.full(n, 1e-9), dt)


def off(plastic, Y, v):
    found = np.asarray(plastic.limit(jnp.asarray(v)))
    return np.max(np.abs(found - Y(v))) / np.max(Y(v))


V = np.linspace(-0.19, -0.01, 30)


def test_yield_limits_come_back():
    metal, cone = (lambda v: 0.02 + 0 * v), (lambda v: 0.4 * np.maximum(-v, 0))
    plastic, notes = learn.fit_return(returned(metal))
    assert off(plastic, metal, V) < 1e-6 and plastic.cap == np.inf and not notes
    plastic, notes = learn.fit_return(returned(cone, cap=0.0))
    assert off(plastic, cone, V) < 1e-5 and not notes
    assert plastic.cap == 0 and plastic.base < 1e-9 and plastic.time == 0
    rounded = lambda v: np.sqrt(0.01**2 + (0.3 * (0.05 - v)) ** 2)
    plastic, _ = learn.fit_return(returned(rounded))
    assert off(plastic, rounded, V) < 1e-2


def test_noise_biases_a_yield_limit_by_few_percent():
    """2.5·10⁻³ in each strain, an eighth of the limit, white."""
    rng = np.random.default_rng(1)
    for Y, cap in (
        (lambda v: 0.02 + 0 * v, np.inf),
        (lambda v: 0.4 * np.maximum(-v, 0), 0.0),
    ):
        pairs = returned(Y, cap, n=20_000)
        before, after = (
            a + 2.5e-3 * rng.normal(size=a.shape) for a in (pairs.before, pairs.after)
        )
        plastic, notes = learn.fit_return(pairs._replace(before=before, after=after))
        assert plastic.cap == cap and "noise:" in notes[0]
        assert off(plastic, Y, V) < 0.08


def test_a_time_comes_back():
    metal = lambda v: 0.02 + 0 * v
    plastic, _ = learn.fit_return(returned(metal, keep=np.exp(-0.05)))
    np.testing.assert_allclose(plastic.time, 1e-3 / 0.05, rtol=1e-5)
    assert off(plastic, metal, V) < 1e-5


def test_what_cannot_be_told_is_said():
    high = lambda v: 1.0 + 0 * v
    plastic, notes = learn.fit_return(returned(high))
    assert plastic.base == np.inf and "no pair yields up to" in notes[0]
    pairs = returned(high, cap=-0.05)
    some = np.arange(len(pairs.before)) < 2000  # half of the points have no cap
    after = np.where(some[:, None], pairs.before, pairs.after)
    plastic, notes = learn.fit_return(pairs._replace(after=after))
    assert plastic.cap == np.inf and any("cap:" in note for note in notes)
    tresca = returned(lambda v: 0.02 * (1 + 0.2 * np.sin(1e4 * v)))  # no function of v
    assert any("misfit" in note for note in learn.fit_return(tresca)[1])


def test_non_negative_least_squares_is_scipys():
    rng = np.random.default_rng(0)
    A, b, x = rng.normal(size=(60, 8)), rng.normal(size=60), rng.normal(size=8)
    A[:, 5] *= 1e-9
    rows = np.concatenate([A, (A @ x - b)[:, None]], 1)
    found, told = solve_nonnegative(rows.T @ rows, x, 1e-14)
    assert list(np.flatnonzero(~told)) == [5] and found[5] == 0
    best, _ = scipy.optimize.nnls(np.delete(A, 5, 1), b)
    np.testing.assert_allclose(np.delete(found, 5), best, atol=1e-7)
    found, _ = solve_nonnegative(rows.T @ rows, x, 1e-14, np.arange(8) < 2)
    best, _ = scipy.optimize.nnls(A[:, :2], b)
    np.testing.assert_allclose(found[:2], best, atol=1e-7)


DX, DT = 0.1, 1e-3
X = mpm.bodies.box((0.4, 0.3), (0.7, 0.6), DX / 2)
SOLVER = mpm.MPM(mpm.Grid((10, 10), DX), mpm.box_walls(2), np.array([0.0, -9.8]))


class Fibre(mat.AbstractHyperelastic):
    """Stiff along x."""

    def energy(self, F, alpha=()):
        stretch = jnp.sum(F[:, 0] ** 2)
        return mat.NeoHookean(1e4, 0.2).energy(F) + 1e4 * (stretch - 1) ** 2


def moved(law):
    body = mpm.Material(law, 1e3, DX**2 / 4, len(X))
    start = mpm.at_rest(body, X, np.array([0.3, -1.0]), 10.0)
    return body, learn.observed(mpm.simulate(SOLVER, body, start, DT, 40), DT)


def test_a_step_is_affine_in_the_stress_of_each_unit():
    """Energies are linear in weights; `respond` is the derivative of a step."""
    rng = np.random.default_rng(0)
    knots = [
        mat.Units(rng.uniform(1, 2, k), rng.normal(size=k), rng.uniform(0.5, 1, k))
        for k in (3, 2, 3, 2)
    ]
    energy = mat.ConvexEnergy(*knots, quadratic=np.array([1.0, 2.0, 3.0, 0.5]))
    w = np.concatenate([*(u.weight for u in knots), energy.quadratic])
    body, seen = moved(mat.Hencky(1e4, 0.2))
    y = jax.tree.map(lambda a: a[30], seen.y)._replace(alpha=(None,))

    c, some = rng.normal(size=w.size), jnp.asarray(rng.normal(size=(2, 2, 2)))

    @jax.jit
    def both(h):
        eps = jnp.asarray(rng.normal(size=(len(X), 3)))
        stored = lambda eps: energy.potential(eps, *energy.numbers(eps.dtype))
        units = jax.vmap(energy.units)(eps)
        taus = jnp.einsum("nki,iab->nkab", units[..., :2], some)
        tau, more = (jnp.einsum("nkab,k->nab", taus, jnp.asarray(a)) for a in (w, c))
        step = lambda tau: SOLVER.move(tau, y, body, jnp.asarray(DT)).v
        v = jax.lax.map(step, jnp.stack([tau - h * more, tau, tau + h * more]))
        found = SOLVER.respond(tau, taus, y, body, DT)
        return units, jax.vmap(jax.grad(stored))(eps), v, found

    units, whole, v, (v_too, slopes) = jax.device_get(both(1.0))
    found = np.einsum("nki,k->ni", units, w)
    np.testing.assert_allclose(found, whole, atol=1e-12 * np.max(np.abs(whole)))
    np.testing.assert_allclose(v_too, v[1], atol=1e-13)
    change = np.einsum("nkd,k->nd", slopes, c)
    size = np.max(np.abs(change))
    np.testing.assert_allclose((v[2] - v[0]) / 2, change, atol=1e-9 * size)
    touched = np.abs(v[2] - 2 * v[1] + v[0]) > 1e-9 * size  # by a wall that lets go
    assert size > 0 and not np.any(touched)


def test_a_law_and_its_numbers_from_one_motion():
    body, seen = moved(mat.Hencky(1e4, 0.2))
    out = learn.local(SOLVER, body, seen)
    E, nu = 1e4, 0.2
    known = {"bulk modulus": E / (3 - 6 * nu), "shear modulus": E / (2 + 2 * nu)}
    assert out.numbers.keys() == known.keys() and out.misfit < 1e-5
    for name, value in known.items():
        np.testing.assert_allclose(out.numbers[name], value, rtol=1e-3)
    assert len(out.notes) == 1 and "cannot be told" in out.notes[0]
    F = jnp.eye(2) + jnp.array([[0.02, 0.01], [-0.01, -0.03]])
    tau = jax.jit(lambda F: out.law.kirchhoff(F, out.law.init(F)))(F)
    true = jax.jit(mat.Hencky(E, nu).kirchhoff)(F)
    np.testing.assert_allclose(tau, true, atol=1e-3 * np.max(np.abs(true)))


def test_control_a_fibre_is_a_misfit():
    body, seen = moved(Fibre())
    out = learn.local(SOLVER, body, seen)
    assert out.misfit > learn.MISFIT and any("misfit" in note for note in out.notes)


def test_bad_input_is_one_clear_error():
    body, seen = moved(mat.Hencky(1e4, 0.2))
    with pytest.raises(ValueError, match="units: given"):
        learn.local(SOLVER, body, seen, ("volume", "shape"))
    with pytest.raises(TypeError, match="material: given tuple"):
        learn.local(SOLVER, (body, body), seen)  # pyright: ignore
    with pytest.raises(ValueError, match="trajectory: given places only"):
        learn.local(SOLVER, body, seen.positions())
    y = jax.tree.map(lambda a: jnp.repeat(a[:1], 41, 0), seen.y)
    y = y._replace(v=0 * y.v, C=0 * y.C)
    still = learn.Trajectory(DT, y)
    weightless = mpm.MPM(SOLVER.grid, SOLVER.walls)
    with pytest.raises(ValueError, match="no stress is needed"):
        learn.local(weightless, body, still)


def test_a_parabola_in_time_takes_noise_away():
    """White noise falls to √(3(3w² − 7)/4w(w² − 4)); a parabola stays as it is."""
    rng, t = np.random.default_rng(0), 1e-3 * np.arange(61)

    def seen(x):
        return learn.Trajectory(1e-3, mpm.Body(x, None, None, None, ()))  # pyright: ignore

    path = t[:, None, None] * rng.normal(size=(4, 3)) - 5 * t[:, None, None] ** 2
    same = learn.smoothed(seen(path))
    np.testing.assert_allclose(same.y.x, path, atol=1e-14)
    for w in (5, 9, 15):
        left = learn.smoothed(seen(rng.normal(size=(400, 50, 3))), w).y.x[w:-w]
        share = np.sqrt(3 * (3 * w**2 - 7) / (4 * w * (w**2 - 4)))
        np.testing.assert_allclose(np.std(left), share, rtol=0.03)
    for window in (4, 1, 63):
        with pytest.raises(ValueError, match="window: given"):
            learn.smoothed(seen(path), window)
