"""Laws with a return or a flow: ψ falls in every update, for any weights and any dt."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import material as mat
from dynax.material import convex_energy, kinematics
from dynax.material.principal import deviator
from tests.material_laws import rotations


HENCKY = mat.Hencky(3e5, 0.25)
KNOTS = {"volume": 14, "shear": 8, "strain": 10, "stretch": 10}


def units(rng, count, low, high, weight=1e5):
    center = np.sort(rng.uniform(low, high, count))
    width = rng.uniform(0.3, 1, count) * (high - low) / count
    return mat.Units(rng.exponential(weight, count), center, width)


def random_law(seed, stretch=0.0, coupled=True):
    """Any weights; a cap and an apex, a time, or neither."""
    rng = np.random.default_rng(seed)
    energy = mat.ConvexEnergy(
        units(rng, 14, -0.8, 1.0),
        units(rng, 8, 0, 0.6),
        units(rng, 10, -1.0, 0.6, 1e5 * coupled),
        units(rng, 10, -0.6, 0.8, stretch),
        np.append(rng.exponential(1e5, 3), 0.0),
    )
    cap, base, time = [(0.0, 0.0, 0.0), (np.inf, 0.05, 0.0), (np.inf, 0.1, 0.2)][
        seed % 3
    ]
    weight = rng.exponential(0.05, 20)
    scale = np.geomspace(1e-3, 3, 10)
    back = mat.YieldCurve(np.float64(base), weight, scale, 0.0, np.float64(cap), time)
    return energy, back


def learned(**how):
    """40 random laws, leading by law; joined without the check of their numbers."""
    many = [random_law(seed, **how) for seed in range(40)]
    energy, back = jax.tree.map(
        lambda *a: jnp.stack([jnp.asarray(x) for x in a]), *many
    )
    one = mat.Elastoplastic(HENCKY, mat.VonMises(1.0))
    parts = lambda law: (law.elastic, law.plastic)
    return eqx.tree_at(parts, one, (energy, back))


def joined(plastic, elastic: mat.AbstractHyperelastic = HENCKY):
    law = mat.Elastoplastic(elastic, plastic)
    return jax.tree.map(lambda a: jnp.asarray(a)[None], law)


MEMBERS = {
    "learned": learned,
    "von Mises": lambda: joined(mat.VonMises(5e3)),
    "Drucker–Prager": lambda: joined(mat.DruckerPrager(0.4)),
    "Mohr–Coulomb": lambda: joined(mat.MohrCoulomb(0.4)),
    "Bingham": lambda: joined(mat.Bingham(5e3, 1e3)),
    "Herschel–Bulkley": lambda: joined(mat.HerschelBulkley(5e3, 1e3, 0.4)),
    "Perzyna": lambda: joined(mat.Perzyna(5e3, 0.2, 3.0)),
    "Norton": lambda: joined(mat.Norton(5e3, 1.0, 8.0)),
    "water that lets go": lambda: joined(mat.TensionCutoff(), mat.water()),
}
WITHOUT_RATE = {"von Mises", "Drucker–Prager", "Mohr–Coulomb", "water that lets go"}
SEMIGROUP = {"Bingham", "learned"}


def states(laws, dtype, each):
    """F = U e^ε Vᵀ with ε of 0.4 and up to e^±1.5, and dt of 10⁻⁶ to 10 s."""
    rng = np.random.default_rng(7)
    eps = np.clip(0.4 * rng.normal(size=(each, 3)), -1.5, 1.5)
    eps[: each // 10] *= 1e-3
    eps[each // 10 : each // 5, 1] = eps[each // 10 : each // 5, 0]
    U, V = (rotations(rng, each, 3) for _ in range(2))
    F = U * np.exp(eps)[:, None] @ V.transpose(0, 2, 1)
    dt = 10 ** rng.uniform(-6, 1, each)
    every = lambda a: jnp.asarray(np.broadcast_to(a, (laws, *a.shape)), dtype)
    return every(F), every(dt)


def point(law, F, dt):
    alpha = law.init(F)
    after, alpha = law.update(F, alpha, dt)
    half, beta = law.update(F, law.init(F), dt / 2)
    twice, _ = law.update(half, beta, dt / 2)
    eps = kinematics.log_stretches(after)
    shape = lambda F: deviator(kinematics.log_stretches(F))[1][0]
    out = {
        "before": law.energy(F),
        "after": law.energy(after),
        "stress": jnp.sqrt(kinematics.square(law.kirchhoff(F))),
        "det": kinematics.det(after),
        "again": jnp.max(jnp.abs(law.update(after, alpha, dt)[0] - after)),
        "halves": jnp.max(jnp.abs(twice - after)),
        "size": jnp.max(jnp.abs(after)),
    }
    if isinstance(law.elastic, mat.AbstractIsotropic):
        elastic, (e, norm) = law.elastic, deviator(eps)
        n = e / jnp.where(norm > 0, norm, 1)
        slope = jax.grad(elastic.potential)(eps, *elastic.numbers(F.dtype))
        out["heat"] = jnp.sum(slope * n) * (shape(F) - norm[0])
    return out


RUN = eqx.filter_jit(jax.vmap(jax.vmap(point, (None, 0, 0))))


def observed(law, dtype, each):
    law = jax.tree.map(lambda a: a.astype(dtype), law)
    F, dt = states(jax.tree.leaves(law)[0].shape[0], dtype, each)
    return jax.tree.map(np.asarray, RUN(law, F, dt))


QUICK = "learned", "Mohr–Coulomb", "Bingham", "Norton", "water that lets go"


def rows():
    """Each member in float64 and float32; those like others are slow."""
    for name in MEMBERS:
        for dtype in ("float64", "float32"):
            quick = name in QUICK and dtype == "float64"
            marks = () if quick else pytest.mark.slow
            yield pytest.param(name, dtype, marks=marks)


@pytest.mark.parametrize("name, dtype", list(rows()))
def test_the_energy_falls_in_every_update(name, dtype):
    """ψ(ε) + D ≤ ψ(ε_tr), D = ∂ψ/∂‖e‖ (‖e_tr‖ − ‖e‖) ≥ 0, in 10⁵ updates of random laws
    (2·10⁴ of named ones). F is rounded, so strains are right to κu, κ = σ₁/σ₃ ≤ e³, and
    ψ to ‖τ‖ times that; 30 roundings."""
    seen = observed(MEMBERS[name](), dtype, 2500 if name == "learned" else 20_000)
    tol = 30 * np.exp(3) * float(jnp.finfo(dtype).eps)
    scale = seen["before"] + seen["stress"]
    heat = seen.get("heat", 0)
    assert all(np.all(np.isfinite(a)) for a in seen.values())
    assert np.min(seen["det"]) > 0
    assert np.min(heat / scale) >= -tol
    assert np.max((seen["after"] + heat - seen["before"]) / scale) <= tol
    assert np.mean(seen["before"] - seen["after"] > 1e-3 * seen["before"]) > 0.1
    if name in WITHOUT_RATE:
        assert np.max(seen["again"] / seen["size"]) <= tol
    if name in SEMIGROUP:
        assert np.max(seen["halves"] / seen["size"]) <= tol


def test_control_units_of_single_stretches_break_it():
    """Convex in σ, with a return: ψ rises; and the constructor refuses the pair."""
    seen = observed(learned(stretch=1e6, coupled=False), "float64", 2500)
    rise = (seen["after"] - seen["before"]) / seen["before"]
    assert np.max(rise) > 1e-3
    energy, back = random_law(0, stretch=1e5)
    with pytest.raises(ValueError, match="stretch, n: given weights"):
        mat.Elastoplastic(energy, back)
    energy, back = random_law(0)
    cohesive = mat.YieldCurve(0.1, back.weight, back.scale, 0.0, 0.0)
    with pytest.raises(ValueError, match="base: given 0.1 with cap"):
        mat.Elastoplastic(energy, cohesive)


def test_flows_agree_with_what_is_known():
    """K = 0 is von Mises; n = 1 is Bingham as dt → 0, and Perzyna; N = 1 relaxes as
    implicit Euler; the derivative of the implicit function is that of differences."""
    F = jnp.asarray(states(1, "float64", 50)[0][0])
    moved = lambda plastic, dt: jax.vmap(
        lambda F: mat.Elastoplastic(HENCKY, plastic).update(F, (), dt)[0]
    )(F)
    shape = lambda F: deviator(kinematics.log_stretches(F))[1]

    def run(K):
        flow = mat.HerschelBulkley(5e3, K, 0.5)
        return jnp.sum(jnp.sin(moved(flow, 1e-2)))

    @jax.jit
    def all(K):
        plain = (
            moved(mat.HerschelBulkley(5e3, 0.0), 1e-2),
            moved(mat.VonMises(5e3), 1.0),
        )
        short = (
            moved(mat.HerschelBulkley(5e3, 2e3), 1e-7),
            moved(mat.Bingham(5e3, 1e3), 1e-7),
        )
        over = moved(mat.Perzyna(5e3, 0.4), 1e-7), short[0]
        creep = shape(moved(mat.Norton(5e3, 2.0, 1.0), 1e-2)), shape(F)
        return plain, short, over, creep, jax.grad(run)(K)

    plain, short, over, creep, slope = all(1e3)
    np.testing.assert_allclose(*plain, atol=1e-12)
    np.testing.assert_allclose(*short, atol=1e-8)
    np.testing.assert_allclose(*over, atol=1e-12)
    mu = 3e5 / 2.5  # 2μr = (σ₀/γ̇₀)(r_tr − r)/dt
    np.testing.assert_allclose(
        creep[0], creep[1] / (1 + 2 * mu * 1e-2 * 2 / 5e3), rtol=1e-9
    )
    value = jax.jit(run)
    difference = (value(1001.0) - value(999.0)) / 2
    np.testing.assert_allclose(slope, difference, rtol=1e-5)


def test_units_are_what_they_say():
    """In float32, against float64 by the plain formula; convex, with no slope at 0."""
    x = np.concatenate([np.linspace(-2, 2, 401), np.geomspace(1e-6, 1e-2, 50)])
    c, d = np.array([-0.7, 0.0, 0.3]), np.array([0.05, 0.02, 0.3])
    plain = np.sqrt((x[:, None] - c) ** 2 + d**2) - np.hypot(c, d)
    plain = plain + c / np.hypot(c, d) * x[:, None]
    single = lambda a: jnp.asarray(a, jnp.float32)
    each = lambda unit: jax.jit(jax.vmap(unit, (None, 0, 0), 1))
    bend = each(convex_energy._bend)(single(x), single(c), single(d))
    np.testing.assert_allclose(bend[:401], plain[:401], rtol=1e-3, atol=1e-7)
    small = x[401:, None] ** 2 / 2 * d**2 / np.hypot(c, d) ** 3
    np.testing.assert_allclose(bend[401:441], small[:40], rtol=0.1)
    r = np.linspace(0, 2, 101)[:, None]
    root = lambda s: np.sqrt((r - s * c) ** 2 + d**2)
    even = each(convex_energy._even)(single(r[:, 0] ** 2), single(c), single(d))
    np.testing.assert_allclose(even, root(1) + root(-1) - 2 * np.hypot(c, d), atol=2e-6)


def test_a_fluid_lets_go_of_tension():
    law = mat.Elastoplastic(mat.water(), mat.TensionCutoff())
    for size, kept in ((1.2, 1.0), (0.8, 0.8)):
        F = size * jnp.eye(3)
        after, _ = law.update(F, (), 0.0)
        np.testing.assert_allclose(kinematics.det(after), kept**3, rtol=1e-12)
    with pytest.raises(TypeError, match="WeaklyCompressible or Hencky"):
        mat.Elastoplastic(mat.NeoHookean(1e5, 0.3), mat.TensionCutoff())


def test_quadratic_terms_make_classical_laws_members():
    """k and m of Hencky's, l of water, l and n of the corotated law."""
    none = mat.Units(np.zeros(1), np.zeros(1), np.ones(1))
    lam, mu = map(float, mat.lame(1e5, 0.3))
    eps = np.random.default_rng(0).normal(size=(40, 3)) * 0.4
    v = np.sum(eps, 1)
    water = (np.exp(v) - 1) ** 2 / 2
    pairs = (
        ((lam + 2 * mu / 3, 0, mu, 0), lam / 2 * v**2 + mu * np.sum(eps**2, 1)),
        ((0, 5e4, 0, 0), 5e4 * water),
        ((0, lam, 0, mu), lam * water + mu * np.sum((np.exp(eps) - 1) ** 2, 1)),
    )
    potential = jax.jit(mat.ConvexEnergy.potential)
    for terms, psi in pairs:
        law = mat.ConvexEnergy(none, none, none, none, np.array(terms))
        found = potential(jnp.asarray(eps), *law.numbers(jnp.float64))
        np.testing.assert_allclose(found, psi, rtol=1e-9)
