"""Equilibria against closed forms and scipy's sparse solve.

One mesh and one law serve most tests: numbers of the law are traced, so they share one
program.
"""

# Bad input is given on purpose, and NumPy where jax is expected.
# pyright: reportArgumentType=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from dynax import material as mat, verdict
from dynax.mechanics import (
    Mesh,
    Solid,
    Truss,
    box_mesh,
    quadratic,
    statics,
    traction,
)


E, NU, RHO = 1e5, 0.3, 1e3


def beam(law=None, scale=1.0, pull=1.0, dtype=None, simplices=False):
    """L/H = 5, clamped at the left, pulled down at the right end."""
    size = 5.0 * scale, scale
    mesh = box_mesh((10, 2), size, dtype=dtype, simplices=simplices)
    X = np.asarray(mesh.nodes)
    law = mat.NeoHookean(E, NU) if law is None else law
    force = traction(mesh, X[:, 0] == X[:, 0].max(), jnp.array([0.0, -pull]))
    return Solid(law, mesh, RHO, X[:, 0] == 0, force=force)


def test_small_loads_are_linear_elasticity():
    """Against scipy's sparse solve with BᵀCB of bilinear quads, written out anew."""
    body = beam()
    path = statics.load(body, 2)
    X, elements = np.asarray(body.parts.nodes), np.asarray(body.parts.elements)
    (n, d), c = X.shape, E / (1 + NU) / (1 - 2 * NU)
    C = c * np.array([[1 - NU, NU, 0], [NU, 1 - NU, 0], [0, 0, 0.5 - NU]])
    h, w = 0.5, 0.5  # cells
    K = sp.lil_matrix((n * d, n * d))
    for nodes in elements:
        ke, i = np.zeros((8, 8)), (2 * nodes[:, None] + np.arange(2)).ravel()
        for x in 0.5 + np.array([-1, 1]) / 12**0.5:
            for y in 0.5 + np.array([-1, 1]) / 12**0.5:
                dx = np.array([y - 1, 1 - y, y, -y]) / w
                dy = np.array([x - 1, -x, x, 1 - x]) / h
                B = np.zeros((3, 8))
                B[0, ::2] = B[2, 1::2] = dx
                B[1, 1::2] = B[2, ::2] = dy
                ke += B.T @ C @ B * h * w / 4
        K[np.ix_(i, i)] += ke
    free = np.flatnonzero(np.asarray(body.parts.free).ravel())
    u = np.zeros(n * d)
    load = np.asarray(body.parts.force).ravel()
    u[free] = spsolve(K.tocsr()[free][:, free], load[free])
    strain = 1e-3  # of the beam: what is not linear is smaller than so much
    found = np.asarray(path.u[-1]).ravel()
    np.testing.assert_allclose(found, u, atol=3 * strain * np.abs(u).max())
    np.testing.assert_allclose(
        path.reaction[-1].sum(0), -load.reshape(-1, 2).sum(0), atol=1e-9
    )
    rows = statics.audit(body, path)
    assert verdict(rows, "W = ΔΨ").status == "holds"
    # controls: a state that is no equilibrium, and reactions that do too much work
    off = path._replace(u=path.u.at[1].multiply(1.01))
    said = verdict(statics.audit(body, off), "").checks
    assert said["equilibrium"]["violations"] >= 1
    pulled = path._replace(reaction=path.reaction + body.parts.force[None])
    assert verdict(statics.audit(body, pulled), "").checks["balance"]["violations"] == 2


def test_units_and_stiffness_do_not_matter():
    """Steel in mm and in µm: the same shape as the soft beam in m, to round-off."""
    soft = statics.load(beam(pull=300.0), 2)
    assert float(jnp.max(jnp.abs(soft.u))) > 1  # it bends far
    assert (np.asarray(soft.iterations[1:]) < 12).all()
    for young, scale in ((2e11, 1e-3), (2e11, 1e-6)):
        body = beam(mat.NeoHookean(young, NU), scale, 300.0 * young / E)
        path = statics.load(body, 2)
        np.testing.assert_allclose(path.u / scale, soft.u, atol=1e-9)
        assert verdict(statics.audit(body, path), "").checks["equilibrium"]["seen"]


def test_single_precision():
    whole = statics.load(beam(pull=300.0), 2)
    single = statics.load(beam(pull=300.0, dtype=jnp.float32), 2)
    assert single.u.dtype == jnp.float32
    np.testing.assert_allclose(single.u, whole.u, atol=3e-4)  # of a beam of 5 m


def von_mises_truss(young, h=0.2):
    mesh = Mesh(jnp.array([[0.0, 0], [1, h], [2, 0]]), np.array([[0, 1], [1, 2]]))
    force = jnp.zeros((3, 2)).at[1, 1].set(-1.0)
    law = mat.StVenantKirchhoff(young, 0.0)
    return Truss(law, mesh, RHO, 1.0, np.array([True, False, True]), force=force)


def test_truss_snaps_through():
    """P = (E A/L³)(h − w)(2hw − w²), by arc length past both limit points; load control
    ends at the first."""
    h, L = 0.2, np.sqrt(1.04)
    path = statics.arc(von_mises_truss(E), 45, 75.0)
    factor = path.factor
    w = -np.asarray(path.u[:, 1, 1])
    exact = E / L**3 * (h - w) * (2 * h * w - w**2)
    peak = E / L**3 * 2 / 27**0.5 * h**3
    assert factor.max() > 0.99 * peak and factor.min() < -0.99 * peak and w[-1] > 2 * h
    np.testing.assert_allclose(factor, exact, atol=1e-9 * peak)
    body = von_mises_truss(E)
    assert verdict(statics.audit(body, path), "W = ΔΨ").status == "holds"
    with pytest.raises(RuntimeError, match="step 2 of 2: no equilibrium .* factor 150"):
        statics.load(body, [150.0, 1.01 * peak])
    again = statics.load(body, [150.0, 1.01 * peak], throw=False)
    assert again.found.tolist() == [True, True, False] and jnp.isnan(again.u[2]).any()


@pytest.mark.slow
def test_arc_has_derivatives():
    """The factor is linear in E: its derivative along the path is λ/E."""

    @jax.jit
    def run(young):
        return statics.arc(von_mises_truss(young), 20, 75.0 * young / E).factor

    factor, rate = jax.jvp(run, (E,), (1.0,))
    np.testing.assert_allclose(rate, factor / E, atol=1e-9 * 300 / E)
    np.testing.assert_allclose(jax.jacrev(run)(E), rate, atol=1e-9 * 300 / E)


def pulled_block(law, stretch=0.0, pull=0.0, d=2):
    """Two squares or cubes on rollers, pulled by displacement or by force."""
    mesh = box_mesh((2, 1, 1)[:d], (1.0, 1.0, 1.0)[:d], simplices=False)
    X = np.asarray(mesh.nodes)
    held = X == 0
    end = X[:, 0] == 1
    moved = np.zeros_like(X)
    moved[end, 0] = stretch
    held[end, 0] |= stretch != 0
    force = traction(mesh, end, pull * jnp.eye(d)[0])
    return Solid(law, mesh, RHO, held, force=force), moved, end


@pytest.mark.slow
def test_plastic_bar_in_closed_form():
    """A perfectly plastic bar: √(3/2) σ_y of true stress beyond yield, so P₁₁ = that
    over the stretch; unloading is elastic. The work is stored and dissipated."""
    limit, strain = 5e3, 0.1
    law = mat.Elastoplastic(mat.Hencky(3e5, 0.25), mat.VonMises(limit))
    body, moved, end = pulled_block(law, strain, d=3)
    factors = np.concatenate([np.linspace(0.1, 1, 10), [0.95]])
    path = statics.load(body, factors, moved)
    force = np.asarray(path.reaction)[:, end, 0].sum(1)
    a = 1 + strain * factors
    tau = np.minimum(3e5 * np.log(a), np.sqrt(1.5) * limit)
    tau[-1] = np.sqrt(1.5) * limit + 3e5 * (np.log(a[-1]) - np.log(a[-2]))
    np.testing.assert_allclose(force[1:], tau / a, rtol=1e-9)
    rows = statics.audit(body, path)
    assert verdict(rows, "W = ΔΨ + D, D ≥ 0").status == "holds"
    spent = np.asarray(rows.terms["dissipation"])
    elastic = np.sqrt(1.5) * limit / 3e5  # logarithmic strain at yield
    done = np.sqrt(1.5) * limit * (np.log(1.1) - elastic)
    kink = 3e5 * 0.01**2 / 8  # the step in which it yields, at the worst place
    np.testing.assert_allclose(spent.sum(), done, atol=kink)
    assert abs(spent[0]) < 1e-9 * done and abs(spent[-1]) < 1e-9 * done


class Pushed(mat.AbstractHyperelastic):
    """A stress that is not that of the energy."""

    inner: mat.NeoHookean

    def energy(self, F, alpha=()):
        return self.inner.energy(F)

    def kirchhoff(self, F, alpha=()):
        return 0.9 * self.inner.kirchhoff(F)


def test_control_a_stress_without_energy_is_found():
    body, moved, _ = pulled_block(Pushed(mat.NeoHookean(E, NU)), 0.2)
    path = statics.load(body, 4, moved)
    said = verdict(statics.audit(body, path), "W = ΔΨ")
    assert said.status == "violated" and said.checks["balance"]["violations"] == 4
    assert not said.checks["equilibrium"]["violations"]


def test_gradients_are_those_of_the_implicit_function():
    """Under displacement, forces are linear in E: ∂R/∂E = R/E. Under force, u depends
    on P/E only: ∂u/∂E = −(P/E) ∂u/∂P. And ∂R/∂ν against central differences."""

    @functools.partial(jax.jit, static_argnums=2)
    def held(young, poisson, stretch):
        body, moved, end = pulled_block(mat.NeoHookean(young, poisson), stretch)
        path = statics.load(body, 2, moved)
        return jnp.sum(path.reaction[-1][end, 0])

    @jax.jit
    def pulled(young, pull):
        body, _, end = pulled_block(mat.NeoHookean(young, NU), pull=pull)
        return statics.load(body, 2).u[-1][np.argmax(end), 0]

    R, (dE, dnu) = jax.value_and_grad(held, (0, 1))(E, NU, 0.2)
    np.testing.assert_allclose(dE, R / E, rtol=1e-9)
    step = 1e-4
    up, down = (held(E, NU + s, 0.2) for s in (step, -step))
    np.testing.assert_allclose(dnu, (up - down) / (2 * step), rtol=1e-6)
    u, (dE, dP) = jax.value_and_grad(pulled, (0, 1))(E, 2e4)
    np.testing.assert_allclose(dE, -2e4 / E * dP, rtol=1e-8)  # ε^0.6, and round-off
    up, down = (pulled(E, 2e4 + s) for s in (2.0, -2.0))
    np.testing.assert_allclose(dP, (up - down) / 4, rtol=1e-6)


def test_bad_input():
    body = beam()
    X, parts = body.parts.nodes, body.parts
    rolling = Solid(body.law, Mesh(X, parts.elements), RHO, X == 0, force=parts.force)
    hinged = Solid(body.law, Mesh(X, parts.elements), RHO, np.arange(len(X)) == 0)
    wrong = [
        (lambda: statics.load(hinged), "held: given what leaves 1 rigid motions"),
        (lambda: statics.load(rolling, dt=-1.0), "dt"),
        (lambda: statics.load(body, []), "factors: given shape .0"),
        (lambda: statics.load(body, 1, X), "moved: given displacements of free nodes"),
        (lambda: statics.load(body, 1, X[:2]), "moved: given shape"),
        (lambda: statics.arc(body, 0, 1.0), "steps"),
        (lambda: statics.arc(body, 1, 0.0), "first"),
    ]
    for call, words in wrong:
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="traced by jit"):
        jax.jit(statics.load)(body)
    with pytest.raises(TypeError, match="body: given Mesh"):
        statics.load(Mesh(X, parts.elements))


def test_conjugate_gradients_find_the_same():
    mesh = box_mesh((2, 2, 2), (1.0, 1.0, 1.0), simplices=False)
    X = np.asarray(mesh.nodes)
    pull = traction(mesh, X[:, 0] == 1, jnp.array([0.0, 0.0, -0.05 * E]))
    body = Solid(mat.NeoHookean(E, NU), mesh, RHO, X[:, 0] == 0, force=pull)
    one, two = (statics.load(body, krylov=k) for k in (False, True))
    assert float(jnp.max(jnp.abs(one.u))) > 0.1
    np.testing.assert_allclose(one.u, two.u, atol=1e-9)


def test_a_plate_presses_a_block():
    """ν = 0, on rollers: pressure E ε with ε + p/k = the way of the plate. Without the
    obstacle's forces (control) there is no equilibrium."""
    mesh = box_mesh((2, 1), (1.0, 1.0), simplices=False)
    X = np.asarray(mesh.nodes)
    area = traction(mesh, X[:, 1] == 1, jnp.array([0.0, 1.0]))[:, 1]
    body = Solid(mat.StVenantKirchhoff(E, 0.0), mesh, RHO, X == 0)
    k, way = 1e3 * E, 1e-3
    plate = statics.Obstacle(lambda x, factor: 1 - way * factor - x[1], k, area)
    path = statics.load(body, 2, obstacle=plate)
    strain = -path.u[1:, -1, 1]
    pressure = E * strain * (1 - strain) * (1 - strain / 2)  # −P₂₂ of St. Venant's law
    np.testing.assert_allclose(way * path.factor[1:] - strain, pressure / k, rtol=1e-6)
    on = X[:, 1] == 1
    np.testing.assert_allclose(-path.reaction[1:, on, 1].sum(1), pressure, rtol=1e-9)
    assert verdict(statics.audit(body, path), "W = ΔΨ").status == "holds"
    off = path._replace(reaction=path.reaction.at[:, on].set(0))
    said = verdict(statics.audit(body, off), "").checks
    assert said["equilibrium"]["violations"] == 2


def test_a_law_from_displacements_and_one_force():
    """The weights that made the data; a family without shear misfits (control)."""
    mesh = box_mesh((3, 2), (1.0, 1.0), simplices=False)
    X = np.asarray(mesh.nodes)
    grip = np.zeros_like(X)
    grip[X[:, 0] == 1, 0] = 1
    held = (X[:, :1] == 0) | (grip > 0)
    powers = ((1, 0, 0), (2, 0, 0), (0, 0, 2), (0, 0, 3))
    truth = np.array([4e4, 1e4, 1e5, 0.0])

    def of(w, powers=powers):
        return Solid(mat.Polynomial(w, powers), mesh, RHO, held)

    path = statics.load(of(jnp.asarray(truth)), 2, 0.4 * grip)
    force = path.reaction[1:, X[:, 0] == 1, 0].sum(1)
    found = statics.fit(of, 4, path.u[1:], force, grip)
    np.testing.assert_allclose(found.weights, truth, atol=1e-5 * 1e5)
    assert found.misfit < 1e-7 and found.seen.all()
    np.testing.assert_allclose(found.force, force, rtol=1e-7)
    wrong = statics.fit(
        lambda w: of(w, ((0, 0, 2), (0, 0, 3))), 2, path.u[1:], force, grip
    )
    assert wrong.misfit > 0.05
    with pytest.raises(ValueError, match="u: given shape"):
        statics.fit(of, 4, path.u, force, grip)
    with pytest.raises(ValueError, match="u, force: given NaN"):
        statics.fit(of, 4, path.u[1:] * np.nan, force, grip)


@pytest.mark.slow
@pytest.mark.parametrize(
    "poisson, kind, bar, low, high",
    [
        (0.3, "triangle", False, 0.0, 0.6),  # control: too stiff in bending
        (0.3, "quad", False, 0.8, 1.0),
        (0.3, "triangle6", False, 0.97, 1.01),
        (0.4999, "triangle", False, 0.0, 0.1),  # controls: they lock
        (0.4999, "quad", False, 0.0, 0.1),
        (0.4999, "quad", True, 0.9, 1.1),
    ],
)
def test_cantilever_against_timoshenko(poisson, kind, bar, low, high):
    """L/H = 5 in plane strain, two cells across: E/(1 − ν²), shear area 5/6."""
    mesh = box_mesh((10, 2), (5.0, 1.0), simplices=kind != "quad")
    mesh = quadratic(mesh) if kind == "triangle6" else mesh
    X = np.asarray(mesh.nodes)
    pull = traction(mesh, X[:, 0] == 5.0, jnp.array([0.0, -1.0]))
    law = mat.NeoHookean(E, poisson)
    body = Solid(law, mesh, RHO, X[:, 0] == 0, force=pull, mean_volume=bar)
    tip = -statics.load(body).u[-1, np.argmax(X.sum(1)), 1]
    bent = 4 * 125 * (1 - poisson**2) / E
    exact = bent + 5 * 2 * (1 + poisson) / (5 / 6 * E)
    assert low < tip / exact < high
