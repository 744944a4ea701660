"""Constitutive laws: what all of them must pass, and each against its closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from dynax import material as mat
from tests.material_laws import check_all, measured, size, states


KEY = jax.random.key(0)
CLASSICAL = {
    kind.__name__: kind
    for kind in (
        mat.FixedCorotated,
        mat.StVenantKirchhoff,
        mat.Hencky,
        mat.NeoHookean,
    )
}


def maxwell(d):
    del d
    return mat.Maxwell(mat.NeoHookean(1e5, 0.3), 5e4, 0.1)


def icnn(d):
    del d
    return mat.ICNN(KEY, 1e5, width=8)


def gsm(d):
    return mat.GSM(KEY, mat.NeoHookean(1e5, 0.3), 1e5, 0.1, width=8)


def polynomial(d):
    del d
    return mat.Polynomial(1e4 * jnp.array([2, 1, 1, 1, 1, 3, 1, 1.0]))


def nclaw(d):
    return mat.StressAndReturn(mat.NCElastic(KEY, d), mat.NCPlastic(KEY, d, 0.0))


def learned(d):
    """Any weights; sand's apex, and a cone that bends."""
    del d
    rng = np.random.default_rng(0)
    units = lambda n, low, high, weight: mat.Units(
        rng.exponential(weight, n), np.linspace(low, high, n), np.full(n, 0.15)
    )
    energy = mat.ConvexEnergy(
        units(14, -0.5, 0.5, 1e4),
        units(8, 0.0, 0.5, 1e4),
        units(10, -0.5, 0.5, 1e4),
        units(10, -0.5, 0.5, 0.0),
        np.array([1e4, 1e4, 1e4, 0.0]),
    )
    weight, scale = rng.exponential(0.02, 20), np.geomspace(0.03, 3, 10)
    return mat.Elastoplastic(energy, mat.YieldCurve(0.0, weight, scale, 0.0, 0.0))


LAWS = {
    "jelly": lambda d: mat.jelly(),
    "St. Venant–Kirchhoff": lambda d: mat.StVenantKirchhoff(1e5, 0.3),
    "neo-Hookean": lambda d: mat.NeoHookean(1e5, 0.3),
    "plasticine": lambda d: mat.plasticine(),
    "sand": lambda d: mat.sand(),
    "water": lambda d: mat.water(),
    "Maxwell": maxwell,
    "ICNN": icnn,
    "GSM": gsm,
    "polynomial": polynomial,
    "learned": learned,
}


def named(laws):
    """Their names; what takes long to compile is slow."""
    slow = {"learned": pytest.mark.slow}
    return [pytest.param(n, marks=slow.get(n, ())) for n in laws]


@pytest.mark.parametrize("name", [*named(LAWS), "jelly in the plane"])
def test_laws(name):
    d = 2 if name not in LAWS else 3
    law = LAWS.get(name, LAWS["jelly"])
    check_all(measured(law(d), d))


# the last takes the plane from `Elastoplastic`, as plasticine does
ONLY_IN_SPACE = "St. Venant–Kirchhoff", "learned"
PLANE = {
    **{k: v for k, v in LAWS.items() if k not in ONLY_IN_SPACE},
    "Drucker–Prager": lambda d: mat.Elastoplastic(
        mat.Hencky(1e6, 0.2), mat.DruckerPrager(0.4)
    ),
}


@pytest.mark.parametrize("name", PLANE)
def test_the_plane_is_space_with_a_third_stretch_of_one(name):
    """Along a path that yields and flows: stress, energy and what is remembered."""
    law = PLANE[name](2)
    steps = np.random.default_rng(3).normal(size=(6, 2, 2)) * 0.06

    def path(d):
        def step(now, H):
            F, alpha = now
            F, alpha = law.update(F + H @ F, alpha, jnp.asarray(0.02))
            tau = law.kirchhoff(F, alpha)
            return (F, alpha), (tau, law.energy(F, alpha), law.stiffness(F, alpha))

        move = np.zeros((6, d, d))
        move[:, :2, :2] = steps
        eye = jnp.eye(d)
        return jax.lax.scan(step, (eye, law.init(eye)), jnp.asarray(move))[1]

    (tau, energy, speed), (whole, exact, fast) = jax.jit(lambda: (path(2), path(3)))()
    np.testing.assert_allclose(tau, whole[:, :2, :2], rtol=0, atol=1e-12 * size(whole))
    np.testing.assert_allclose(energy, exact, rtol=1e-11)
    assert np.all(speed <= 1.02 * fast)  # of waves in the plane only
    assert size(whole[:, :2, 2]) == 0


def test_nclaw_is_neither_symmetric_nor_isotropic():
    found = measured(nclaw(3), 3)
    # sorted σ have a kink where they are equal, at the first four states
    generic = slice(4, None)
    check_all(found, isotropic=False, symmetric=False, smooth=generic)
    weights = sum(w.size for w in mat.NCElastic(KEY).weights)
    assert weights == 5504  # Ma et al.: 13·64 + 64·64 + 64·9
    limit = np.sqrt(6 / (13 + 64))  # Xavier, uniform
    first = mat.NCElastic(KEY).weights[0]
    assert 0.98 * limit < size(first) <= limit


class WrongSign(mat.AbstractHyperelastic):
    law: mat.AbstractHyperelastic

    def energy(self, F, alpha=()):
        return self.law.energy(F)

    def kirchhoff(self, F, alpha=()):
        return -self.law.kirchhoff(F)


class NotObjective(mat.AbstractHyperelastic):
    def energy(self, F, alpha=()):
        return 1e5 * jnp.sum((F - jnp.eye(len(F))) ** 2)


class Prestressed(mat.AbstractHyperelastic):
    def energy(self, F, alpha=()):
        return 1e5 * mat.kinematics.square(F)


class Hardening(mat.AbstractReturn):
    def project(self, F, alpha, dt, elastic):
        return F + 0.1 * (F - jnp.eye(len(F))), alpha


@pytest.mark.parametrize(
    "law, says",
    [
        (WrongSign(mat.NeoHookean(1e5, 0.3)), "stress of the energy"),
        (NotObjective(), "objectivity"),
        (Prestressed(), "stress at rest"),
        (mat.Elastoplastic(mat.NeoHookean(1e5, 0.3), Hardening()), "return"),
    ],
)
def test_control_a_false_law_fails(law, says):
    with pytest.raises(AssertionError, match=says):
        check_all(measured(law, 2))


@pytest.mark.parametrize("name", [*LAWS, "NCLaw"])
def test_dtype_and_structure_follow_the_inputs(name):
    law = {**LAWS, "NCLaw": nclaw}[name](3)  # float64 parameters, float32 F
    F = jax.ShapeDtypeStruct((3, 3), jnp.float32)
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    alpha = jax.eval_shape(law.init, F)
    after = jax.eval_shape(lambda F, a: law.update(F, a, 1e-3), F, alpha)
    plain = lambda tree: jax.tree.map(lambda a: (a.shape, a.dtype), tree)
    assert plain(after) == plain((F, alpha))
    assert plain(jax.eval_shape(law.kirchhoff, F, alpha)) == plain(F)
    assert plain(jax.eval_shape(law.stiffness, F, alpha)) == plain(scalar)
    if isinstance(law, mat.AbstractHyperelastic):
        assert plain(jax.eval_shape(law.energy, F, alpha)) == plain(scalar)


def test_float32_is_float64_rounded():
    """Stresses of small strains too: 10 ε of float32 relative to E/(1 − 2ν) times the
    strain; F − R of `FixedCorotated` is only as good as R, to ε absolute."""
    F = jnp.asarray(states(3)[0])
    F = jnp.concatenate([F, jnp.eye(3)[None] + 1e-3 * (F - F[:1])])
    F = F.astype(jnp.float32)
    eps = float(jnp.finfo(jnp.float32).eps)
    for kind in CLASSICAL.values():
        run = jax.jit(jax.vmap(kind(1e5, 0.3).kirchhoff))
        exact, single = run(F.astype(jnp.float64)), np.asarray(run(F))
        error = np.max(np.abs(single - np.asarray(exact)), (1, 2))
        strain = np.max(np.abs(np.asarray(F) - np.eye(3)), (1, 2))
        strain += (kind is mat.FixedCorotated) + eps
        assert np.all(error <= 10 * eps * 1e5 / (1 - 2 * 0.3) * strain), kind


@pytest.mark.parametrize("name", CLASSICAL)
def test_small_strains_obey_hooke(name):
    """τ(I + hH) = h(2μ e + λ tr e I) + O(h²), e = sym H."""
    H = np.random.default_rng(0).normal(size=(3, 3))
    e, h, E, nu = (H + H.T) / 2, 1e-7, 1e5, 0.3
    lam, mu = E * nu / ((1 + nu) * (1 - 2 * nu)), E / (2 * (1 + nu))
    hooke = 2 * mu * e + lam * np.trace(e) * np.eye(3)
    law = CLASSICAL[name](E, nu)
    tau = jax.jit(law.kirchhoff)(jnp.eye(3) + h * H)
    np.testing.assert_allclose(tau / h, hooke, atol=1e-5 * E)
    np.testing.assert_allclose(law.lame(np.float64), (lam, mu), rtol=1e-14)
    stiffness = float(jax.jit(law.stiffness)(jnp.eye(3)))
    assert -1e-14 <= stiffness / (lam + 2 * mu) - 1 <= 0.011


def test_a_stretched_bar():
    """F = diag(s, 1, 1): closed forms of the axial stress, E = 2.6, ν = 0.3 → μ = 1."""
    s = np.linspace(0.7, 1.5, 9)
    lam = 1.5
    expected = {
        "FixedCorotated": 2 * (s - 1) * s + lam * s * (s - 1),
        "StVenantKirchhoff": s**2 * (1 + lam / 2) * (s**2 - 1),
        "Hencky": (2 + lam) * np.log(s),
        "NeoHookean": s**2 - 1 + lam * np.log(s),
    }
    F = np.array([np.diag([x, 1, 1]) for x in s])
    for name, kind in CLASSICAL.items():
        tau = jax.jit(jax.vmap(kind(2.6, 0.3).kirchhoff))(jnp.asarray(F))
        np.testing.assert_allclose(tau[:, 0, 0], expected[name], atol=1e-13)


class Fibre(mat.AbstractHyperelastic):
    """Stiff along (1, 1, 1)."""

    rubber: mat.NeoHookean = mat.NeoHookean(1e5, 0.3)

    def energy(self, F, alpha=()):
        stretch = jnp.sum(jnp.sum(F, 1) ** 2) / 3
        return self.rubber.energy(F) + 1e6 / 8 * (stretch - 1) ** 2


WAVES = {
    **CLASSICAL,
    "nearly incompressible": lambda *_: mat.NeoHookean(1e5, 0.49),
    "water": lambda *_: mat.water(),
    "Maxwell": lambda *_: maxwell(3),
    "ICNN": lambda *_: icnn(3),
    "learned": lambda *_: learned(3),
    "fibre": lambda *_: Fibre(),
    "NCElastic": lambda *_: mat.NCElastic(KEY),
}


@pytest.mark.parametrize("name", named(WAVES))
def test_waves_are_not_faster_than_said(name):
    """The largest m·Qm = m·(DP[m⊗Fᵀn] Fᵀn) of 2000 directions n, from differences of P;
    and of NCElastic, whose Q is not symmetric, |λ| of the waves and √(… + ‖W‖²)."""
    law = WAVES[name](1e5, 0.3)
    F, _, _ = states(3)
    big = np.array([np.eye(3) * s for s in (1.5, 0.7)])
    big = np.concatenate([big, [np.diag([1.5, 1.0, 0.6]), np.diag([0.5, 0.6, 0.7])]])
    F = np.concatenate([F, big])
    alpha = jax.vmap(law.init)(jnp.asarray(F))
    h = 1e-5
    H = h * np.eye(9).reshape(9, 3, 3)
    near = F[:, None, None] + np.stack([H, -H])[None]
    flat = jnp.asarray(near.reshape(-1, 3, 3))
    every = jax.tree.map(lambda a: jnp.repeat(a, 18, 0), alpha)
    tau = np.asarray(jax.jit(jax.vmap(law.kirchhoff))(flat, every)).reshape(near.shape)
    P = tau @ np.linalg.inv(near).swapaxes(-1, -2)
    A = ((P[:, 0] - P[:, 1]) / (2 * h)).reshape(-1, 3, 3, 3, 3)  # ∂P_ij/∂F_kl at k, l
    n = np.random.default_rng(1).normal(size=(2000, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    back = np.einsum("aji,xj->axi", F, n)
    Q = np.einsum("aklij,axj,axl->axik", A, back, back, optimize=True)
    true = np.max(np.linalg.eigvalsh((Q + Q.swapaxes(-1, -2)) / 2), (1, 2))
    said = np.asarray(jax.jit(jax.vmap(law.stiffness))(jnp.asarray(F), alpha))
    assert np.all(np.isfinite(said)) and np.all(said >= 0)
    # 2000 directions lie within 5° of any other: less by 1 % than the maximum
    assert np.all(said >= true * (1 - 1e-7)), np.min(said / true)
    wave = np.linalg.eigvals(Q)
    wave = np.max(np.where(wave.real > 0, np.abs(wave), 0), (1, 2))
    assert np.all(said >= wave * (1 - 1e-7)), np.min(said / wave)
    skew = np.linalg.norm(Q - Q.swapaxes(-1, -2), 2, (-2, -1)).max(1) / 2
    most = np.hypot(np.maximum(true, 0), skew) + 1e-9 * np.abs(true)
    # where two σ are equal NCElastic has kinks, and differences no meaning
    sigma = np.linalg.svd(F, compute_uv=False)
    smooth = (name != "NCElastic") | (-np.diff(sigma).max(1) > 1e-3)
    assert np.all(said <= 1.3 * most, where=smooth), np.max((said / most)[smooth])


def test_parameters_of_a_wrong_shape_are_named():
    """Two values, where F has two rows, would be broadcast against them."""
    two, F = jnp.array([1e5, 1e6]), jnp.eye(2)
    laws = {
        "young": mat.FixedCorotated(two, 0.2),
        "poisson": mat.Hencky(1e5, jnp.array([0.2, 0.3])),
        "yield_stress": mat.Elastoplastic(mat.Hencky(1e5, 0.2), mat.VonMises(two)),
        "bulk": mat.WeaklyCompressible(two),
        "shear": mat.Maxwell(mat.jelly(), two, 0.1),
        "scale": mat.ICNN(KEY, two, width=2),
    }

    def used(law):
        alpha = law.init(F)
        law.update(F, alpha, 0.1)
        return law.kirchhoff(F, alpha)

    for name, law in laws.items():
        with pytest.raises(ValueError, match=rf"^{name}: given shape \(2,\); accepted"):
            jax.eval_shape(lambda law=law: used(law))


def test_parameters_are_traced():
    """τ is linear in E: dτ/dE = τ/E; the yield stress against central differences."""
    F = jnp.asarray(states(3)[0][-1])
    young = jnp.array([1e4, 1e5])
    stress = jax.jit(jax.vmap(lambda E: mat.FixedCorotated(E, 0.2).kirchhoff(F)))
    np.testing.assert_allclose(stress(young)[1], 10 * stress(young)[0], rtol=1e-12)
    slope = jax.jit(jax.jacfwd(lambda E: mat.Hencky(E, 0.2).kirchhoff(F)))(young[0])
    tau = jax.jit(mat.Hencky(1e4, 0.2).kirchhoff)(F)
    np.testing.assert_allclose(slope, tau / 1e4, rtol=1e-10)
    elastic = mat.Hencky(3e5, 0.25)
    back = jax.jit(lambda y: mat.VonMises(y).project(F, (), 0.0, elastic)[0])
    y, h = jnp.asarray(5e3), 1.0
    found = jax.jit(jax.jacfwd(back))(y)
    difference = (back(y + h) - back(y - h)) / (2 * h)
    np.testing.assert_allclose(found, difference, rtol=1e-6, atol=1e-12)
    assert size(found) > 0


def test_von_mises_is_the_closest_point():
    """Of the elastic energy, over strains within yield: SciPy finds the same."""
    law = mat.plasticine()
    lam, mu = (float(v) for v in mat.Hencky(3e5, 0.25).lame(jnp.float64))
    trial = np.array([0.2, -0.05, 0.1])
    inside = lambda e: 5e3 - 2 * mu * np.linalg.norm(e - e.mean())
    energy = lambda e: (
        (mu * np.sum((e - trial) ** 2) + lam / 2 * np.sum(e - trial) ** 2) / 1e3
    )
    best = scipy.optimize.minimize(
        energy,
        np.full(3, trial.mean()),
        constraints={"type": "ineq", "fun": inside},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 200},
    )
    update = jax.jit(law.update)
    F, _ = update(jnp.diag(jnp.exp(trial)), (), 0.0)
    np.testing.assert_allclose(np.log(np.diagonal(F)), best.x, atol=1e-6)
    tau = jax.jit(law.kirchhoff)(F)
    deviator = tau - np.trace(tau) / 3 * np.eye(3)
    np.testing.assert_allclose(np.linalg.norm(deviator), 5e3, rtol=1e-10)
    small = jnp.diag(jnp.exp(0.01 * trial))
    np.testing.assert_allclose(update(small, (), 0.0)[0], small, atol=1e-15)


def test_sand_lies_on_its_cone():
    """Pressed and sheared: ‖dev τ‖ = −α tr τ, the volume kept. Pulled: no stress."""
    law = mat.Elastoplastic(mat.Hencky(1e6, 0.2), mat.DruckerPrager(np.radians(25)))
    sine = np.sin(np.radians(25))
    slope = np.sqrt(2 / 3) * 2 * sine / (3 - sine)
    assert abs(slope - 0.268) < 1e-3  # the value of Ma et al.
    update = jax.jit(law.update)
    trial = jnp.exp(jnp.array([0.03, -0.05, -0.01]))
    F, _ = update(jnp.diag(trial), (), 0.0)
    tau = jax.jit(law.kirchhoff)(F)
    deviator = tau - np.trace(tau) / 3 * np.eye(3)
    np.testing.assert_allclose(
        np.linalg.norm(deviator), -slope * np.trace(tau), rtol=1e-10
    )
    np.testing.assert_allclose(np.linalg.det(F), np.prod(trial), rtol=1e-12)
    F, _ = update(jnp.diag(jnp.exp(jnp.array([0.03, -0.01, 0.0]))), (), 0.0)
    assert size(jax.jit(law.kirchhoff)(F)) <= 1e-9


@pytest.mark.parametrize("degrees", [10.0, 25.0, 40.0])
def test_the_angle_of_friction_is_what_it_says(degrees):
    """(τ₁ − τ₃)/−(τ₁ + τ₃) = sin φ: in every state that yields, and in the plane."""
    sine = np.sin(np.radians(degrees))
    law = mat.Elastoplastic(
        mat.Hencky(1e6, 0.2), mat.MohrCoulomb(jnp.asarray(np.radians(degrees)))
    )

    @jax.jit
    def run(trials, shear):
        once = lambda e: law.kirchhoff(law.update(jnp.diag(jnp.exp(e)), (), 0.0)[0])

        def step(now, _):
            F, alpha = law.update(shear @ now[0], now[1], 0.0)
            return (F, alpha), law.kirchhoff(F, alpha)

        start = jnp.diag(jnp.array([0.97, 0.99]))
        flow = jax.lax.scan(step, (start, law.init(start)), None, 200)[1][-1]
        return jax.vmap(once)(trials), flow

    trials = -0.05 + 0.06 * np.random.default_rng(0).normal(size=(300, 3))
    trials[:2] = [[-0.1, -0.01, -0.01], [-0.1, -0.1, -0.01]]  # the edges of the pyramid
    tau, flow = run(trials, jnp.array([[1.0, 0.01], [0.0, 1.0]]))
    diagonal = np.sort(np.diagonal(np.asarray(tau), axis1=1, axis2=2), 1)
    low, high = diagonal[:, 0], diagonal[:, 2]
    pressed = (trials.sum(1) < 0) & (high - low > 0.999 * sine * -(high + low))
    assert np.sum(pressed) > 30
    np.testing.assert_allclose(((high - low) / -(high + low))[pressed], sine, rtol=1e-9)
    assert np.all(high - low <= -(high + low) * sine + 1e-6)
    low, high = np.linalg.eigvalsh(flow)
    np.testing.assert_allclose((high - low) / -(high + low), sine, rtol=1e-6)


def test_returns_of_all_kinds_lose_energy():
    """Random F, σ in .35 … 1.4: ψ does not rise and the yield condition holds."""
    rng = np.random.default_rng(5)
    sigma = rng.uniform(0.35, 1.4, (300, 3))
    F = jnp.asarray(sigma[:, :, None] * np.eye(3))
    for plastic in (mat.VonMises(4e3), mat.DruckerPrager(0.4), mat.MohrCoulomb(0.4)):
        law = mat.Elastoplastic(mat.Hencky(2e5, 0.3), plastic)

        def point(F, law=law):
            G, _ = law.update(F, (), 1e-3)
            return law.energy(F), law.energy(G), law.kirchhoff(G)

        before, after, tau = map(np.asarray, jax.jit(jax.vmap(point))(F))
        assert np.all(after <= before * (1 + 1e-12))
        if isinstance(plastic, mat.VonMises):
            mean = np.trace(tau, axis1=1, axis2=2)[:, None, None] / 3
            norms = np.linalg.norm(tau - mean * np.eye(3), axis=(1, 2))
            assert np.max(norms) <= 4e3 * (1 + 1e-9) and np.sum(norms > 3999) > 200


@pytest.mark.parametrize(
    "elastic", [mat.StVenantKirchhoff, mat.FixedCorotated, mat.NeoHookean]
)
def test_a_return_that_would_gain_energy_is_refused(elastic):
    for plastic in (mat.VonMises(1.0), mat.DruckerPrager(0.4), mat.MohrCoulomb(0.4)):
        for join in (mat.Elastoplastic, mat.StressAndReturn):
            with pytest.raises(
                TypeError, match=r"^elastic: given .* accepted .*Hencky"
            ):
                join(elastic(2e5, 0.3), plastic)


def test_viscous_branches_take_no_return():
    for make in (
        lambda law: mat.Maxwell(law, 1.0, 1.0),
        lambda law: mat.GSM(KEY, law, 1.0, 1.0),
    ):
        with pytest.raises(TypeError, match=r"^elastic: given Elastoplastic"):
            make(mat.plasticine())


def test_maxwell_relaxes_exponentially():
    """A step in strain, held: the branch decays as e^{−t/t_r} for any number of steps;
    a step a thousand times t_r leaves the elastic law."""
    law, F = maxwell(3), jnp.asarray(states(3)[0][-1])
    update, stress = jax.jit(law.update), jax.jit(law.kirchhoff)
    rest = jax.jit(law.elastic.kirchhoff)(F)
    start = law.init(F)
    for steps in (1, 7):
        alpha = start
        for _ in range(steps):
            _, alpha = update(F, alpha, 0.3 / steps)
        branch = stress(F, alpha) - rest
        expected = np.exp(-3.0) * (stress(F, start) - rest)
        np.testing.assert_allclose(branch, expected, atol=1e-9 * size(rest))
    late = stress(F, update(F, start, 100.0)[1])
    np.testing.assert_allclose(late, rest, atol=1e-9 * size(rest))


def test_potentials_hold_for_any_weights():
    """Weights twenty times too large too: ψ ≥ 0 and D ≥ 0, and ψ falls in any step."""
    F = jnp.asarray(states(3)[0])

    def point(key, F, dt, spread):
        law = mat.GSM(key, mat.ICNN(key, 1.0, width=8), 1.0, 1.0, width=8)
        law = jax.tree.map(lambda a: spread * a if eqx.is_array(a) else a, law)
        alpha = (), 0.3 * jnp.cos(F + F.T)
        after = law.update(F, alpha, dt)
        before = law.energy(F, alpha)
        elastic = law.elastic.energy(F)
        change = law.energy(*after) - before
        return elastic, law.dissipation(F, alpha), change, before

    keys = jax.random.split(KEY, len(F))
    run = jax.jit(jax.vmap(point, (0, 0, None, None)))
    for dt, spread in ((1e-2, 1.0), (1e3, 1.0), (1.0, 20.0)):
        elastic, lost, change, before = run(keys, F, dt, spread)
        assert np.all(np.isfinite(change))
        assert np.min(elastic) >= -1e-12 * size(before)
        assert np.min(lost) >= 0
        assert np.max(change) <= 1e-12 * size(before)


def test_branches_nest():
    """Two of them relax as each does alone, and what they lose adds up."""
    F = jnp.asarray(states(3)[0][-1])
    rubber = mat.NeoHookean(1e5, 0.3)
    fast, slow = mat.Maxwell(rubber, 5e4, 0.1), mat.Maxwell(rubber, 2e4, 0.4)
    both = mat.Maxwell(fast, 2e4, 0.4)

    def relaxed(law, dt):
        """What is left of the branches' stress, and what they lose."""
        alpha = law.update(F, law.init(F), dt)[1]
        excess = law.kirchhoff(F, alpha) - rubber.kirchhoff(F)
        return excess, law.dissipation(F, alpha)

    every = jax.jit(
        jax.vmap(lambda dt: [relaxed(law, dt) for law in (fast, slow, both)])
    )
    one, other, together = every(jnp.array([0.0, 0.2, 100.0]))
    for a, b, c in zip(one, other, together, strict=True):
        np.testing.assert_allclose(c, a + b, atol=1e-8)
    np.testing.assert_allclose(together[0][-1], 0, atol=1e-8)
    assert np.max(np.abs(together[0][0])) > 1e2


BAD = {
    "young": lambda: mat.FixedCorotated(-1.0, 0.2),
    "poisson": lambda: mat.NeoHookean(1e5, 0.5),
    "yield_stress": lambda: mat.VonMises(0.0),
    "friction_angle": lambda: mat.DruckerPrager(25.0),
    "bulk": lambda: mat.WeaklyCompressible(float("nan")),
    "time": lambda: mat.Maxwell(mat.jelly(), 1.0, 0.0),
    "scale": lambda: mat.ICNN(KEY, -1.0),
    "d": lambda: mat.NCElastic(KEY, 4),
    "powers": lambda: mat.Polynomial(jnp.ones(1), ((0, 0, 1),)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    with pytest.raises(ValueError, match=rf"^{name}: given .*; accepted is "):
        BAD[name]()


def test_a_stress_without_energy_is_sent_elsewhere():
    with pytest.raises(TypeError, match="StressAndReturn"):
        mat.Elastoplastic(mat.NCElastic(KEY), mat.VonMises(1.0))  # type: ignore
