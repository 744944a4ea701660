"""Polar, singular values, isotropic functions: values against LAPACK and SciPy,
derivatives against central differences, at repeated singular values above all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from dynax.material import kinematics as kin


EPS = np.finfo(np.float64).eps
EPS32 = float(np.finfo(np.float32).eps)
GENERIC = 16


def rotations(rng, n, d):
    Q = np.linalg.qr(rng.normal(size=(n, d, d)))[0]
    Q[:, 0] *= np.sign(np.linalg.det(Q))[:, None]
    return Q


def points(d, seed=0):
    """F = U diag(σ) Vᵀ with det F > 0: repeated and nearly repeated σ, then generic."""
    rng = np.random.default_rng(seed)
    rows = [[1, 1, 1], [1.3, 1.3, 1.3], [2, 2, 1], [2, 1, 1], [1.3, 1.3 + 1e-7, 1.3]]
    rows += [[2, 2 + 1e-7, 1], [1, 1 + 3e-5, 1.5], [1, 1 + 3e-3, 1.5], [1, 1.0, 1e-2]]
    sigma = np.array(rows + list(rng.uniform(0.6, 1.8, (GENERIC, 3))))[:, :d]
    U, V = rotations(rng, len(sigma), d), rotations(rng, len(sigma), d)
    F = U * sigma[:, None] @ V.transpose(0, 2, 1)
    F[0] = np.eye(d)
    return F, rng.normal(size=F.shape)


def size(a):
    return np.max(np.abs(a))


def logarithm(F):
    return kin.isotropic_function(lambda eps: eps, F)


def coupled(eps, p):
    """Not separable: every value depends on all eigenvalues, and on a parameter."""
    dev = eps - jnp.mean(eps, -1, keepdims=True)
    return jnp.expm1(-p * dev) * (1 + jnp.sum(dev**2, -1, keepdims=True))


def symmetric(sigma):
    """A symmetric function of singular values, smooth where they are equal too."""
    return jnp.stack([jnp.sum(jnp.log(sigma) ** 2, -1), jnp.sum(sigma**3, -1)], -1)


FUNCTIONS = {
    "polar": lambda F: jnp.concatenate(kin.polar(F), -1),
    "singular values": lambda F: symmetric(kin.singular_values(F)),
    "logarithm": logarithm,
    "coupled": lambda F: kin.isotropic_function(coupled, F, jnp.asarray(0.7, F.dtype)),
    "inverse": kin.inverse,
    "volume": kin.volume_change,
}


def everything(F, dF):
    return {name: jax.jvp(f, (F,), (dF,)) for name, f in FUNCTIONS.items()}


@pytest.mark.parametrize("d", [2, 3])
def test_values_are_those_of_lapack_and_scipy(d):
    F, _ = points(d)
    F[-4:, 0] *= -1  # inverted
    R, S, sigma, H = jax.jit(
        lambda F: (
            *kin.polar(F),
            kin.singular_values(F),
            logarithm(F),
        )
    )(F)
    sign = np.sign(np.linalg.det(F))
    expected = np.linalg.svd(F, compute_uv=False)
    expected[:, -1] *= sign
    # condition numbers reach 180
    np.testing.assert_allclose(sigma, expected, atol=100 * EPS)
    for f, r, s, h in zip(F, R, S, H, strict=True):
        right, stretch = scipy.linalg.polar(f)
        np.testing.assert_allclose(r, right, atol=1000 * EPS)
        np.testing.assert_allclose(s, stretch, atol=100 * EPS)
        log = scipy.linalg.logm(stretch).real
        np.testing.assert_allclose(h, log, atol=1e4 * EPS)
    np.testing.assert_allclose(np.linalg.det(R), sign, rtol=100 * EPS)
    F = jnp.asarray(F)
    np.testing.assert_allclose(kin.det(F), np.linalg.det(F), rtol=1000 * EPS)
    # condition numbers of 180, entries near 0
    np.testing.assert_allclose(kin.inverse(F), np.linalg.inv(F), atol=1e5 * EPS)
    np.testing.assert_allclose(kin.matmul(F, R), F @ np.asarray(R), atol=10 * EPS)
    cofactor = np.linalg.det(F)[:, None, None] * np.linalg.inv(F).transpose(0, 2, 1)
    np.testing.assert_allclose(kin.cofactor(F), cofactor, atol=1000 * EPS)


@pytest.mark.parametrize("d", [2, 3])
def test_derivatives(d):
    """Forward, in both precisions, against central differences of fourth order, whose
    error is h⁴/30 · f⁽⁵⁾ + ε/h ≈ 10⁻¹¹ for h = 10⁻³ where the smallest σ is ½."""
    F, dF = points(d)
    run = jax.jit(everything)
    exact = run(F, dF)
    h = 1e-3
    around = [run(F + k * h * dF, dF) for k in (-2, -1, 1, 2)]
    single = run(F.astype(np.float32), dF.astype(np.float32))
    tame = np.arange(len(F)) != 8  # σ = 0.01: as the difference's step
    for name, (_, tangent) in exact.items():
        a, b, c, e = (np.asarray(out[name][0]) for out in around)
        difference = (a - 8 * b + 8 * c - e) / (12 * h)
        assert np.all(np.isfinite(tangent)), name
        size = np.max(np.abs(difference[tame]))
        error = np.abs(tangent - difference)[tame] / size
        assert np.max(error) <= 1e-8, (name, np.max(error))
        assert single[name][1].dtype == np.float32
        assert np.all(np.isfinite(single[name][1])), name
        error = np.abs(np.asarray(single[name][1]) - np.asarray(tangent))[tame] / size
        # 1e-6; of isotropic functions near repeated eigenvalues 2e-5, as documented
        bound = 2e-5 if name in ("logarithm", "coupled") else 1e-6
        assert np.max(error) <= bound, (name, np.max(error))


def test_reverse_is_the_transpose_of_forward_and_vmap_the_batch():
    F, dF = points(3)
    names = "polar", "singular values", "coupled"

    def both(F, dF):
        pairs = []
        for f in (FUNCTIONS[name] for name in names):
            out, push = jax.linearize(f, F)
            weight = jnp.cos(jnp.arange(out.size, dtype=F.dtype)).reshape(out.shape)
            (pulled,) = jax.linear_transpose(push, F)(weight)
            pairs.append((jnp.vdot(weight, push(dF)), jnp.vdot(pulled, dF)))
        return jnp.asarray(pairs), FUNCTIONS["polar"](F)

    found, R = jax.jit(jax.vmap(both))(F, dF)
    scale = np.max(np.abs(found), -1) + 1
    np.testing.assert_array_less(np.abs(found[..., 0] - found[..., 1]), 1e-10 * scale)
    np.testing.assert_allclose(R, jax.jit(FUNCTIONS["polar"])(F), atol=1e-12)


def test_parameters_of_g_are_differentiated():
    F, _ = points(3)
    f = jax.jit(lambda p: kin.isotropic_function(coupled, F, p))
    p, h = jnp.asarray(0.7), 1e-4
    slope = jax.jit(jax.jacfwd(f))(p)
    np.testing.assert_allclose(slope, (f(p + h) - f(p - h)) / (2 * h), atol=1e-7)


def test_second_derivatives_of_polar_and_a_refusal_of_the_rest():
    """d²⟨W, R⟩ against differences of the gradient; others say what to do."""
    F, dF = points(3)
    F, dF = jnp.asarray(F[[0, 2, -1]]), jnp.asarray(dF[[0, 2, -1]])
    W = jnp.arange(9.0).reshape(3, 3)
    f = lambda F: jnp.sum(kin.polar(F)[0] * jnp.broadcast_to(W, F.shape))
    gradient = jax.jit(jax.grad(f))
    second = jax.jvp(gradient, (F,), (dF,))[1]
    h = 1e-5
    difference = (gradient(F + h * dF) - gradient(F - h * dF)) / (2 * h)
    np.testing.assert_allclose(second, difference, rtol=1e-6, atol=1e-6)
    for name in ("singular values", "logarithm"):
        with pytest.raises(NotImplementedError, match="kirchhoff"):
            jax.hessian(lambda F, f=FUNCTIONS[name]: jnp.sum(f(F)))(F[0])


def test_small_strains_keep_their_digits():
    """float32, ‖H‖ = 1e-5: FᵀF − I and J − 1, where det F has no digit left."""
    H = (1e-5 * np.random.default_rng(0).normal(size=(5, 3, 3))).astype(np.float32)
    F = np.eye(3, dtype=np.float32) + H
    exact = F.astype(np.float64)
    C = exact.transpose(0, 2, 1) @ exact - np.eye(3)
    found = kin.twice_green_lagrange(F)
    np.testing.assert_allclose(found, C, rtol=4 * EPS32, atol=1e-11)
    J = np.linalg.det(exact) - 1
    np.testing.assert_allclose(kin.volume_change(F), J, rtol=1e-5, atol=1e-11)


def test_control_the_svd_of_jax_has_no_gradient_at_the_identity():
    U_V = lambda F: jnp.sum((lambda u, _, v: u @ v)(*jnp.linalg.svd(F)))
    assert np.all(np.isnan(jax.grad(U_V)(jnp.eye(3))))
    ours = jax.jit(jax.grad(lambda F: jnp.sum(kin.polar(F)[0])))(jnp.eye(3))
    assert np.all(np.isfinite(ours))


def test_inverted_and_singular_are_as_documented():
    F = np.array([np.diag([2.0, 1.5, -1.0]), np.diag([2.0, 1.0, 0.0])])
    R, sigma = jax.jit(lambda F: (kin.polar(F)[0], kin.singular_values(F)))(F)
    np.testing.assert_allclose(R[0], np.diag([1.0, 1.0, -1.0]), atol=10 * EPS)
    assert not np.all(np.isfinite(R[1]))
    np.testing.assert_allclose(sigma, [[2, 1.5, -1], [2, 1, 0]], atol=10 * EPS)


@pytest.mark.parametrize("bad", [np.eye(4), np.eye(3, dtype=np.int64), np.ones((2, 3))])
def test_bad_input(bad):
    with pytest.raises(ValueError, match="F: given shape"):
        kin.polar(jnp.asarray(bad))


def drawn(rng, n, d):
    """(σ, U, V, L) of n deformations: sR, shears, nearly repeated and crushed σ."""
    kinds = rng.integers(6, size=(n, 1))
    spread = 10.0 ** rng.uniform(-8, 0, (n, d))
    sigma = np.select(
        [kinds == k for k in range(5)],
        [
            rng.choice([0.3, 0.5, 0.8, 0.9675, 1.0, 1.5], (n, 1)) + 0 * spread,
            rng.uniform(0.3, 1.5, (n, 1)) * (1 + spread),
            np.where(rng.random((n, d)) < 0.4, 10.0 ** rng.uniform(-3, 0, (n, 1)), 1),
            10.0 ** rng.uniform(-3, 0.5, (n, d)),
            10.0 ** rng.uniform(-15, 15, (n, 1)) * (1 + rng.random((n, d))),
        ],
        rng.uniform(0.5, 1.5, (n, d)),
    )
    frames = rotations(rng, n, d), rotations(rng, n, d)
    return sigma, *frames, rng.normal(size=(n, d, d))


@pytest.mark.parametrize(
    "n", [20_000, pytest.param(10**6, marks=pytest.mark.slow)], ids=["", "million"]
)
@pytest.mark.parametrize("d", [2, 3])
def test_logarithms_are_as_good_as_the_numbers_they_are_of(d, n):
    """½ log FᵀF of F = UΣVᵀ is V log Σ Vᵀ, and along dF = U L U ᵀF its change is
    V(Γ∘sym L)Vᵀ, Γᵢⱼ = Δ/sinh Δ. Rounding F alone moves both by κε, κ = σ₁/σ_d."""
    rng = np.random.default_rng(2)
    sigma, U, V, L = drawn(rng, n, d)
    Vt = V.transpose(0, 2, 1)
    F, dF = U * sigma[:, None] @ Vt, U @ L * sigma[:, None] @ Vt
    eps = np.log(sigma)
    gap = eps[:, :, None] - eps[:, None]
    same = gap == 0
    gamma = np.where(same, 1, gap) / np.where(same, 1, np.sinh(gap))
    value = V * eps[:, None] @ Vt
    change = V @ (gamma * (L + L.transpose(0, 2, 1)) / 2) @ Vt
    kappa = np.max(sigma, 1) / np.min(sigma, 1)
    run = jax.jit(lambda F, dF: jax.jvp(logarithm, (F,), (dF,)))
    for dtype in (np.float32, np.float64):
        unit = np.finfo(dtype).eps * kappa
        for ours, exact in zip(
            run(F.astype(dtype), dF.astype(dtype)), (value, change), strict=True
        ):
            error = np.max(np.abs(np.asarray(ours) - exact), (1, 2)) / unit
            error /= 1 + np.max(np.abs(exact), (1, 2))
            assert np.max(error) <= 30, (dtype, np.max(error), sigma[np.argmax(error)])


def test_shears_of_any_size():
    """Of I + γ e₁e₂ the logarithm is ½γ sym, from 10⁻³⁰ on, in float32."""
    shear = np.geomspace(1e-30, 1e-4, 200).astype("f")
    for d in (2, 3):
        F = np.broadcast_to(np.eye(d, dtype="f"), (200, d, d)).copy()
        F[:, 0, 1] = shear
        found = np.asarray(jax.jit(logarithm)(F))
        np.testing.assert_allclose(found[:, 0, 1], shear / 2, rtol=2e-4)
        assert np.max(np.abs(found[:, 0, 0])) <= 1e-8


def test_polar_and_singular_values_of_any_size():
    F, dF = points(3)
    F, dF = F[-GENERIC:], dF[-GENERIC:]  # σ apart, κ ≤ 3
    both = lambda F: (*kin.polar(F), kin.singular_values(F))
    run = jax.jit(lambda F, dF: jax.jvp(both, (F,), (dF,)))
    for dtype, power in ((np.float32, 30), (np.float64, 200)):
        at = lambda s, dtype=dtype: run((F * s).astype(dtype), (dF * s).astype(dtype))
        (R, S, sigma), (dR, dS, dsigma) = at(1.0)
        for s in (10.0**-power, 10.0**power):
            (R1, S1, sigma1), (dR1, dS1, dsigma1) = at(s)
            pairs = [(R1, R), (S1 / s, S), (sigma1 / s, sigma)]
            pairs += [(dR1, dR), (dS1 / s, dS), (dsigma1 / s, dsigma)]
            for a, b in pairs:
                tol = 300 * np.finfo(dtype).eps
                np.testing.assert_allclose(a, b, rtol=0, atol=tol * (1 + size(b)))
