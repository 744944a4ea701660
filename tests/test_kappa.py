"""Laws of every convex potential κ: what convex analysis promises, and outside oracles.

The laws are functions of a table of observations that return a defect ≥ 0, so that the
controls at the end can show that a wrong κ fails them.
"""

import functools
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree

from dynax.kappa import (
    L1,
    AbstractBoxed,
    AbstractNorm,
    FourThirds,
    GroupL2,
    HalfSquared,
    HalfSquaredLp,
    Huber,
    LInf,
    LogCosh,
    LogSumExp,
    Lp,
    OrthogonallyInvariant,
    Power,
    Quartic,
    Relativistic,
    SoftAbs,
    SparseL1,
    Support,
    TopK,
    ky_fan,
    nuclear,
    spectral,
)


def box(g):
    return jax.tree.map(lambda a: -jnp.sign(a), g)


def box_distance(y):
    excess = ravel_pytree(jax.tree.map(lambda a: jax.nn.relu(jnp.abs(a) - 1), y))[0]
    return jnp.sqrt(jnp.sum(excess**2) + 1e-300)


def simplex(g):
    return jax.nn.one_hot(jnp.argmin(g), g.size, dtype=g.dtype)


MIXED = {"w": (3, 4), "b": (5,), "s": ()}
VECTORS = {"w": (3, 4), "b": (5,)}
MATRICES = {"w": (3, 4), "conv": (2, 2, 3), "b": (4,)}


def zeros(shapes):
    shape = lambda a: isinstance(a, tuple)
    return jax.tree.map(lambda s: jnp.zeros(s), shapes, is_leaf=shape)


CASES = {
    "l1": (L1(), MIXED),
    "lp-1.5-leaf": (Lp(1.5), MIXED),
    "lp-3-tree": (Lp(3, "tree"), MIXED),
    "lp-1.01-leaf": (Lp(jnp.array(1.01)), VECTORS),
    "linf-leaf": (LInf(), MIXED),
    "linf-tree": (LInf("tree"), MIXED),
    "l2-leaf": (GroupL2(), MIXED),
    "l2-tree": (GroupL2(scope="tree"), MIXED),
    "group-columns": (GroupL2(0), VECTORS),
    "group-axes": (GroupL2((0, -1)), {"conv": (2, 2, 3), "w": (3, 4)}),
    "top1-leaf": (TopK(1), MIXED),
    "top3-leaf": (TopK(3), VECTORS),
    "top4-tree": (TopK(4, "tree"), MIXED),
    "sparse-0.3": (SparseL1(0.3), MIXED),
    "sparse-0": (SparseL1(0.0), VECTORS),
    "huber-1": (Huber(1.0), MIXED),
    "huber-0.1": (Huber(jnp.array(0.1)), VECTORS),
    "softabs-0.5": (SoftAbs(0.5), MIXED),
    "softabs-0.01": (SoftAbs(0.01), VECTORS),
    "logcosh-1": (LogCosh(1.0), MIXED),
    "logcosh-4": (LogCosh(4.0), VECTORS),
    "logsumexp-1-leaf": (LogSumExp(1.0), MIXED),
    "logsumexp-0.3-tree": (LogSumExp(0.3, "tree"), VECTORS),
    "half-squared": (HalfSquared(), MIXED),
    "half-lp-1.5-leaf": (HalfSquaredLp(1.5), MIXED),
    "half-lp-3-tree": (HalfSquaredLp(3.0, "tree"), VECTORS),
    "quartic": (Quartic(), MIXED),
    "power": (Power(1.3), MIXED),
    "four-thirds": (FourThirds(), MIXED),
    "relativistic": (Relativistic(), MIXED),
    "nuclear": (nuclear(), MATRICES),
    "spectral": (spectral(), MATRICES),
    "ky-fan-2": (ky_fan(2), {"w": (3, 4), "conv": (2, 2, 3)}),
    "nuclear-softabs": (OrthogonallyInvariant(SoftAbs(0.2)), MATRICES),
    "nuclear-huber": (OrthogonallyInvariant(Huber(0.5)), MATRICES),
    "schatten-3": (OrthogonallyInvariant(Lp(3.0)), {"w": (3, 4)}),
    "support-box": (Support(box, zeros(MIXED), distance_fn=box_distance), MIXED),
    "support-box-fw": (Support(box, zeros(MIXED)), MIXED),
    "support-simplex": (Support(simplex, zeros((6,))), (6,)),
}
every = pytest.mark.parametrize("name", CASES)
BATCH = 24
ROUND_OFF = 1e-12


def draw(shapes, seed, size=(BATCH,), scale=1.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    normal = lambda s: np.asarray(scale * rng.standard_normal((*size, *s)), dtype)
    return jax.tree.map(normal, shapes, is_leaf=lambda a: isinstance(a, tuple))


def flat(tree):
    return ravel_pytree(tree)[0]


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0))
def primal(kappa, m):
    return kappa.value(m), kappa.grad(m), jax.grad(kappa.value)(m)


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0))
def dual(kappa, y):
    finite, slope = jax.value_and_grad(kappa.finite_conjugate)(y)
    conjugate, p, distance = kappa.conjugate(y), kappa.grad_conjugate(y), kappa.distance
    return conjugate, p, distance(y), finite, slope


def rows(tree):
    """A batch of trees as a matrix, one sample a row."""
    return np.concatenate(
        [np.reshape(a, (BATCH, -1)) for a in jax.tree.leaves(tree)], 1
    )


def mix(weights, *trees):
    """Σ wᵢ treeᵢ with a weight for each sample."""

    def mean(*leaves):
        wide = [np.reshape(w, (BATCH,) + (1,) * (leaves[0].ndim - 1)) for w in weights]
        return sum(w * a for w, a in zip(wide, leaves, strict=True))

    return jax.tree.map(mean, *trees)


def observe(kappa, shapes):
    """Everything the laws need, at samples m with m[0] = 0. `far` is mostly outside
    dom κ*, y inside: a mean of the gradients at m, far and −m."""
    m, far = draw(shapes, 0), draw(shapes, 1, scale=2.0)
    for leaf in jax.tree.leaves(m):
        leaf[0] = 0
    rng = np.random.default_rng(2)
    t = rng.uniform(size=BATCH)
    value, V, autodiff = primal(kappa, m)
    _, V_far, _ = primal(kappa, far)
    _, V_back, _ = primal(kappa, jax.tree.map(np.negative, m))
    y = mix(rng.dirichlet(np.ones(3), BATCH).T, V, V_far, V_back)
    at_V, at_y, at_far = dual(kappa, V), dual(kappa, y), dual(kappa, far)
    seen = {
        "m": rows(m),
        "V": rows(V),
        "autodiff": rows(autodiff),
        "y": rows(y),
        "p": rows(at_y[1]),
        "t": t,
        "κ(m)": value,
        "κ(p)": primal(kappa, at_y[1])[0],
        "κ*(V)": at_V[0],
        "κ*(y)": at_y[0],
        "κ*(far)": at_far[0],
        "finite κ*(V)": at_V[3],
        "finite κ*(far)": at_far[3],
        "p(far)": rows(at_far[1]),
        "slope κ*(far)": rows(at_far[4]),
        "d(V)": at_V[2],
        "d(y)": at_y[2],
        "d(far)": at_far[2],
        "d(between)": dual(kappa, mix((1 - t, t), far, V))[2],
    }
    return {key: np.asarray(a) for key, a in seen.items()}


@functools.cache
def seen(name):
    return observe(*CASES[name])


def dot(a, b):
    return np.sum(a * b, axis=-1)


def relative(defect, *terms):
    """Largest |defect| against the size of the terms it is the difference of."""
    size = sum(np.abs(term) for term in terms)
    if not np.all(np.isfinite(size)):  # as where ∇κ leaves dom κ*
        return np.inf
    return np.max(np.abs(defect) / np.maximum(size, 1e-3))


# The laws ---------------------------------------------------------------------------


def equality_at_gradient(o):
    """κ(m) + κ*(V) = ⟨m, V⟩ for V ∈ ∂κ(m)."""
    terms = o["κ(m)"], o["κ*(V)"], -dot(o["m"], o["V"])
    return relative(sum(terms), *terms)


def equality_at_conjugate_gradient(o):
    """κ(p) + κ*(y) = ⟨p, y⟩ for p ∈ ∂κ*(y), y inside."""
    terms = o["κ(p)"], o["κ*(y)"], -dot(o["p"], o["y"])
    return relative(sum(terms), *terms)


def inequality(o):
    """κ(mᵢ) + κ*(yⱼ) ≥ ⟨mᵢ, yⱼ⟩ for all pairs."""
    slope = np.concatenate([o["V"], o["y"]])
    conjugate = np.concatenate([o["κ*(V)"], o["κ*(y)"]])
    terms = o["κ(m)"][:, None], conjugate[None, :], -o["m"] @ slope.T
    return relative(np.minimum(sum(terms), 0), *terms)


def biconjugate(o):
    """max_j ⟨mᵢ, Vⱼ⟩ − κ*(Vⱼ) = κ(mᵢ), at j = i."""
    minorants = o["m"] @ o["V"].T - o["κ*(V)"][None, :]
    return relative(minorants.max(1) - o["κ(m)"], o["κ(m)"], np.diag(minorants))


def monotonicity(o):
    """⟨∇κ(a) − ∇κ(b), a − b⟩ ≥ 0 for all pairs."""
    V, m = (a[:, None] - a[None, :] for a in (o["V"], o["m"]))
    return relative(np.minimum(dot(V, m), 0), dot(np.abs(V), np.abs(m)))


def autodiff(o):
    """∇κ is the derivative of κ at generic points."""
    return np.max(np.abs(o["V"] - o["autodiff"])[1:] / (1 + np.abs(o["V"][1:])))


def contraction(o):
    """dist((1 − t)y + tv) ≤ (1 − t)dist(y) for v ∈ dom κ*: phase 1."""
    excess = o["d(between)"] - (1 - o["t"]) * o["d(far)"]
    return relative(np.maximum(excess, 0), o["d(far)"])


LAWS = {
    equality_at_gradient: ROUND_OFF,
    equality_at_conjugate_gradient: ROUND_OFF,
    inequality: ROUND_OFF,
    biconjugate: ROUND_OFF,
    monotonicity: ROUND_OFF,
    autodiff: 1e-10,
    contraction: ROUND_OFF,
}
# What is left of the Frank–Wolfe gap after the default number of steps.
FRANK_WOLFE = {"support-box-fw": 0.05, "support-simplex": 0.05}


@every
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(name, law):
    tolerance = LAWS[law]
    if law is contraction:
        tolerance = FRANK_WOLFE.get(name, tolerance)
    assert law(seen(name)) <= tolerance


@every
def test_domain(name):
    o, kappa = seen(name), CASES[name][0]
    assert np.all(o["d(V)"] <= ROUND_OFF) and np.all(o["d(y)"] <= ROUND_OFF)
    assert np.all(o["d(far)"] >= 0)
    outside = o["d(far)"] > ROUND_OFF
    assert np.array_equal(np.isposinf(o["κ*(far)"]), outside)
    everything = HalfSquared | HalfSquaredLp | Power | Quartic | FourThirds
    everything = isinstance(kappa, everything)
    assert outside.mean() == 0 if everything else outside.mean() > 0.9
    np.testing.assert_allclose(o["κ*(V)"], o["finite κ*(V)"], rtol=1e-12)
    for key in ("finite κ*(far)", "p(far)", "slope κ*(far)", "autodiff", "p"):
        assert np.all(np.isfinite(o[key])), key


@every
def test_zero_in_domain(name):
    kappa, shapes = CASES[name]
    at_zero = dual(kappa, draw(shapes, 0, scale=0.0))[0]
    assert np.all(np.isfinite(at_zero) == kappa.zero_in_domain)
    assert isinstance(kappa.smooth, bool) and isinstance(kappa.zero_in_domain, bool)


@every
def test_smooth_means_a_continuous_gradient(name):
    """Across 0 (for SparseL1: ±e) a kink of κ jumps by O(1), smooth κ by O(step).
    ∛m by O(∛step), |m|^0.3 by O(step^0.3)."""
    kappa, shapes = CASES[name]
    e = kappa.threshold if isinstance(kappa, SparseL1) else 0.0
    u = draw(shapes, 5)
    across = lambda step: jax.tree.map(lambda a: e * np.sign(a) + step * a, u)
    plus, minus = (rows(primal(kappa, across(t))[1]) for t in (1e-9, -1e-9))
    jump = np.max(np.abs(plus - minus))
    small = 1e-2 if isinstance(kappa, FourThirds | Power) else 1e-5
    assert jump < small if kappa.smooth else jump > 0.1


@every
def test_jit_is_eager_and_structure_is_kept(name):
    kappa, shapes = CASES[name]
    batch = draw(shapes, 7)
    m = jax.tree.map(lambda a: jnp.asarray(a[3]), batch)
    jitted = primal(kappa, batch)[:2], dual(kappa, batch)[2]
    jitted = jax.tree.map(lambda a: a[3], jitted)
    eager = (kappa.value(m), kappa.grad(m)), kappa.distance(m)
    assert jax.tree.structure(eager[0][1]) == jax.tree.structure(m)
    for a, b in zip(jax.tree.leaves(jitted), jax.tree.leaves(eager), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype == jnp.float64
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@every
def test_float32(name):
    kappa, shapes = CASES[name]
    m = draw(shapes, 8, size=(), dtype=np.float32)

    @jax.jit
    def terms_of(kappa, m):
        V = kappa.grad(m)
        return V, (kappa.value(m), kappa.conjugate(V), -flat(m) @ flat(V))

    V, terms = terms_of(kappa, m)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((V, terms)))
    assert relative(float(sum(terms)), *map(float, terms)) < 2e-5


HALF = [("l1", jnp.float16), ("l2-tree", jnp.bfloat16), ("softabs-0.5", jnp.bfloat16)]


@pytest.mark.parametrize("name, dtype", [*HALF, ("nuclear", jnp.bfloat16)])
def test_half_precision_is_computed_in_float32(name, dtype):
    kappa, shapes = CASES[name]
    m = jax.tree.map(lambda a: jnp.asarray(a, dtype), draw(shapes, 9, size=()))
    wide = jax.tree.map(lambda a: a.astype(jnp.float32), m)
    assert kappa.value(m).dtype == jnp.float32
    np.testing.assert_allclose(kappa.value(m), kappa.value(wide), rtol=1e-6)
    V = kappa.grad(m)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(V))
    assert jnp.isfinite(kappa.conjugate(V))  # its rounding is inside the slack


@pytest.mark.parametrize("name", ["l1", "lp-3-tree", "logsumexp-1-leaf", "nuclear"])
def test_nan_is_outside(name):
    kappa, shapes = CASES[name]
    lost = jax.tree.map(lambda a: np.full_like(a, np.nan), draw(shapes, 0))
    assert np.all(np.isposinf(dual(kappa, lost)[0]))


def test_mixed_dtypes_are_kept():
    m = {"a": jnp.ones(3, jnp.float32), "b": jnp.ones(2), "none": None}
    for kappa in (Lp(3.0), Lp(3.0, "tree"), LogCosh(2.0)):
        V = kappa.grad(m)
        assert V["a"].dtype == jnp.float32 and V["b"].dtype == jnp.float64
        assert kappa.value(m).dtype == jnp.float64


def test_empty_leaves_count_for_nothing():
    m = {"a": jnp.ones(3), "empty": jnp.zeros((0, 2))}
    for kappa in (L1(), LInf(), TopK(2), nuclear(), GroupL2(scope="tree")):
        assert kappa.value(m) == kappa.value({"a": m["a"]})
        assert kappa.grad(m)["empty"].shape == (0, 2)
        assert kappa.conjugate({}) == 0 and kappa.value({}) == 0


HYPER = {
    Lp: [1.1, 2.0, 7.0],
    HalfSquaredLp: [1.1, 2.0, 7.0],
    SparseL1: [0.0, 0.3, 1.0],
    Huber: [0.1, 1.0, 3.0],
    SoftAbs: [0.1, 1.0, 3.0],
    LogCosh: [0.1, 1.0, 30.0],
    LogSumExp: [0.1, 1.0, 3.0],
}


@pytest.mark.parametrize("cls", HYPER, ids=lambda cls: cls.__name__)
def test_vmap_over_hyper_parameters_is_a_loop(cls):
    m = draw(VECTORS, 10, size=())

    half = lambda a: a / 2  # away from the faces, where ∇κ* is ill-conditioned

    def all_of(h):
        kappa = cls(h)
        V = kappa.grad(m)
        slope = jax.grad(lambda h: cls(h).value(m))(h)
        inside = kappa.conjugate(V), kappa.grad_conjugate(jax.tree.map(half, V))
        return kappa.value(m), V, kappa.distance(m), slope, inside

    batched = jax.jit(jax.vmap(all_of))(jnp.array(HYPER[cls]))
    alone = jax.jit(all_of)
    for i, h in enumerate(HYPER[cls]):
        one = alone(jnp.array(h))
        for a, b in zip(jax.tree.leaves(batched), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-11, atol=1e-11)
            assert np.all(np.isfinite(b))


# Oracles from outside ---------------------------------------------------------------


def test_vector_norms_against_numpy():
    m = draw((17,), 11, size=())
    for p in (1.2, 2.0, 3.5):
        np.testing.assert_allclose(Lp(p).value(m), np.linalg.norm(m, p), rtol=1e-14)
        half = np.linalg.norm(m, p) ** 2 / 2
        np.testing.assert_allclose(HalfSquaredLp(p).value(m), half, rtol=1e-14)
        excess = np.linalg.norm(m, p / (p - 1)) - 1
        np.testing.assert_allclose(Lp(p).distance(m), excess, rtol=1e-13)
    np.testing.assert_allclose(GroupL2().value(m), np.linalg.norm(m), rtol=1e-14)
    assert LInf().value(m) == np.linalg.norm(m, np.inf)
    for k in (1, 4, 17):
        largest = np.sort(np.abs(m))[::-1][:k].sum()
        np.testing.assert_allclose(TopK(k).value(m), largest, rtol=1e-14)
        assert int(jnp.sum(jnp.abs(TopK(k).grad(m)))) == k
    W = draw((3, 4), 12, size=())
    columns = np.linalg.norm(W, axis=0)
    np.testing.assert_allclose(GroupL2(0).value(W), columns.sum(), rtol=1e-14)
    np.testing.assert_allclose(GroupL2(0).distance(W), columns.max() - 1, rtol=1e-14)


def test_spectral_norms_against_numpy():
    W = draw((4, 6), 13, size=())
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    for kappa, k in [(spectral(), 1), (ky_fan(2), 2), (nuclear(), 4)]:
        np.testing.assert_allclose(kappa.value(W), s[:k].sum(), rtol=1e-13)
        np.testing.assert_allclose(kappa.grad(W), u[:, :k] @ vt[:k], atol=1e-13)
        excess = max(s[0], s.sum() / k) - 1
        np.testing.assert_allclose(kappa.distance(W), excess, rtol=1e-13)
    vector, cube = draw((5,), 14, size=()), draw((2, 3, 4), 15, size=())
    np.testing.assert_allclose(nuclear().value(vector), np.linalg.norm(vector))
    rows = np.linalg.norm(cube.reshape(6, 4), "nuc")
    np.testing.assert_allclose(nuclear().value(cube), rows)


SCALARS = [SparseL1(0.3), Huber(0.5), SoftAbs(0.5), LogCosh(2.0)]
SCALARS += [HalfSquared(), Quartic(), HalfSquaredLp(3.0)]


@pytest.mark.parametrize("kappa", SCALARS, ids=lambda k: type(k).__name__)
@pytest.mark.parametrize("y", [-0.9, -0.25, 0.0, 0.6])
def test_conjugate_against_brute_force(kappa, y):
    value = jax.jit(lambda m: kappa.value(m) - m * y)
    f, options = lambda m: float(value(m)), {"xatol": 1e-10}
    found = scipy.optimize.minimize_scalar(
        f, bounds=(-9, 9), method="bounded", options=options
    )
    np.testing.assert_allclose(kappa.conjugate(y), -found.fun, atol=1e-8)


def test_logsumexp_conjugate_against_brute_force():
    kappa, y = LogSumExp(0.5), np.array([0.2, 0.7, 0.1])
    value = jax.jit(jax.value_and_grad(lambda m: kappa.value(m) - m @ y))
    found = scipy.optimize.minimize(value, np.zeros(3), jac=True, tol=1e-12)
    np.testing.assert_allclose(kappa.conjugate(y), -found.fun, atol=1e-10)


@pytest.mark.parametrize("distance_fn", [None, box_distance])
def test_support_of_the_box_is_l1(distance_fn):
    shapes = {"w": (3, 2), "b": (2,)}
    kappa = Support(box, zeros(shapes), distance_fn=distance_fn, steps=400)
    m = draw(shapes, 16, size=(), scale=2.0)
    np.testing.assert_allclose(kappa.value(m), L1().value(m), rtol=1e-15)
    np.testing.assert_array_equal(flat(kappa.grad(m)), flat(L1().grad(m)))
    assert jnp.isposinf(kappa.conjugate(m)) and kappa.zero_in_domain
    np.testing.assert_allclose(kappa.distance(m), box_distance(m), rtol=2e-2)
    assert kappa.distance(m) <= box_distance(m) * (1 + ROUND_OFF)


def test_support_of_the_simplex_is_max():
    kappa = Support(simplex, zeros((6,)))
    m = draw((6,), 17, size=())
    assert kappa.value(m) == m.max() and not kappa.zero_in_domain
    assert jnp.isfinite(kappa.conjugate(np.full(6, 1 / 6)))
    assert jnp.isposinf(kappa.conjugate(np.full(6, 1 / 5)))


class Ball(eqx.Module):
    radius: float | jax.Array

    def __call__(self, g):
        return -self.radius * g / (jnp.linalg.norm(g) + 1e-30)


def test_support_with_a_traced_set():
    m = draw((5,), 18, size=())

    @jax.jit
    @jax.vmap
    def both(radius):
        kappa = Support(Ball(radius), zero_in_domain=True)
        return jax.value_and_grad(lambda m: kappa.value(m))(m), kappa.distance(m)

    radii = jnp.array([0.5, 1.0])
    (value, slope), distance = both(radii)
    length = np.linalg.norm(m)
    np.testing.assert_allclose(value, radii * length, rtol=1e-14)
    np.testing.assert_allclose(slope, np.outer(radii, m / length), atol=1e-14)
    np.testing.assert_allclose(distance, length - radii, rtol=1e-6)


def test_smooth_families_converge_to_the_non_smooth_ones():
    m = draw((20,), 19, size=())
    l1, n = float(L1().value(m)), m.size
    for d in (1.0, 1e-2, 1e-4, 1e-8):
        slack = 1e-14 * l1
        assert -slack <= SoftAbs(d).value(m) - l1 <= n * d
        assert -slack <= l1 - Huber(d).value(m) <= n * d / 2 + slack
        assert -slack <= l1 - LogCosh(1 / d).value(m) <= n * d * np.log(2) + slack
        assert -slack <= LogSumExp(d).value(m) - m.max() <= d * np.log(n) + slack
    matrix = draw((4, 5), 20, size=())
    gap = OrthogonallyInvariant(SoftAbs(1e-3)).value(matrix) - nuclear().value(matrix)
    assert 0 <= gap <= 4e-3


def test_extreme_arguments_stay_finite():
    huge, tiny = np.array([1e200, -3e200]), np.array([1e-200, -3e-200])
    for kappa in (Lp(3.0), GroupL2(), SoftAbs(0.1), LogCosh(4.0), Huber(0.1)):
        for m in (huge, tiny):
            V = kappa.grad(m)
            assert jnp.isfinite(kappa.value(m)) and jnp.isfinite(kappa.conjugate(V))
            assert np.all(np.isfinite(jax.jit(jax.grad(kappa.value))(m)))
    np.testing.assert_allclose(Lp(3.0).value(tiny), 28 ** (1 / 3) * 1e-200)
    # full relative accuracy for momenta far below the width of the smoothing
    np.testing.assert_allclose(LogCosh(2.0).value(1e-9), 1e-18, rtol=1e-12)
    for kappa in (LogCosh(2.0), SoftAbs(0.5), Huber(0.5)):
        assert jax.jit(jax.hessian(kappa.value))(0.0) == 2.0


TWINS = {
    "hard": (L1(), {}),
    "smooth": (LogCosh(3.0), {"smooth_beta": 3.0}),
    "refined": (Huber(1.0), {}),
}


@pytest.mark.parametrize("mode", TWINS)
def test_equals_optax(mode):
    kappa, extra = TWINS[mode]
    assert "mode" in inspect.signature(optax.scale_by_lion).parameters
    tx = optax.scale_by_lion(0.9, 0.99, mode=mode, **extra)
    g, mu = draw(MIXED, 21, size=()), draw(MIXED, 22, size=(), scale=2.0)
    state = tx.init(zeros(MIXED))._replace(mu=mu)
    updates, _ = tx.update(g, state)
    look_ahead = jax.tree.map(lambda g, m: (1.0 - 0.9) * g + 0.9 * m, g, mu)
    ours = kappa.grad(look_ahead)
    np.testing.assert_allclose(flat(updates), flat(ours), rtol=1e-15, atol=1e-15)


BAD = [
    (lambda: Lp(1.0), "p: given 1.0; accepted is a number > 1"),
    (lambda: Lp(float("inf")), "^p: given"),
    (lambda: HalfSquaredLp(jnp.array(0.5)), "^p: given"),
    (lambda: Huber(0.0), "delta: given 0.0; accepted is a number > 0"),
    (lambda: SoftAbs(jnp.array([1.0, -1.0])), "^delta: given"),
    (lambda: SoftAbs(float("nan")), "^delta: given"),
    (lambda: LogCosh("1"), "^scale: given"),
    (lambda: LogSumExp(-1.0), "^temperature: given"),
    (lambda: SparseL1(-0.1), "threshold: given -0.1; accepted is a number >= 0"),
    (lambda: TopK(0), "k: given 0; accepted is an int >= 1"),
    (lambda: TopK(2.0), "^k: given"),
    (lambda: Lp(2.0, "layer"), "scope: given 'layer'; accepted is 'leaf' or 'tree'"),
    (
        lambda: GroupL2(0, "tree"),
        "axis: given 0; accepted is None",
    ),
    (lambda: OrthogonallyInvariant(LogSumExp(1.0)), "^vector_kappa: given"),
    (lambda: OrthogonallyInvariant("l1"), "^vector_kappa: given"),
    (lambda: Support(box), "like, zero_in_domain: given 'both or none'"),
    (lambda: Support(3, zero_in_domain=True), "^lmo: given"),
    (lambda: Support(box, zero_in_domain=True, steps=0), "^steps: given"),
    (lambda: L1().value(jnp.arange(3)), r"tree: given \[dtype"),
]


@pytest.mark.parametrize("make, message", BAD)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Controls that must fail ------------------------------------------------------------


class FiveStepNuclear(AbstractNorm):
    """Muon in practice: σ ↦ five Newton–Schulz steps. Its "gradient" is no gradient."""

    scope = "leaf"

    def _value(self, m):
        return nuclear()._value(m)

    def _grad(self, m):
        X = m / jnp.linalg.norm(m)
        for _ in range(5):
            A = X @ X.T
            X = 3.4445 * X - 4.7750 * A @ X + 2.0315 * A @ A @ X
        return X

    def _dual(self, y):
        return spectral()._value(y)


class WrongHuber(AbstractBoxed):
    """κ* without its ½, and ∇κ* of the right one."""

    smooth = True

    def _phi(self, m):
        return Huber(0.5)._phi(m)

    def _grad(self, m):
        return Huber(0.5)._grad(m)

    def _phi_conjugate(self, y):
        return 2 * Huber(0.5)._phi_conjugate(y)

    def _grad_conjugate(self, y):
        return Huber(0.5)._grad_conjugate(y)


class DeepSoftAbs(AbstractBoxed):
    """κ* = −2δΣ√(1 − y²), too low; and ∇κ of the wrong width and sign."""

    smooth = True

    def _phi(self, m):
        return SoftAbs(0.5)._phi(m)

    def _grad(self, m):
        return -SoftAbs(0.5)._grad(m)

    def _phi_conjugate(self, y):
        return 2 * SoftAbs(0.5)._phi_conjugate(y)

    def _grad_conjugate(self, y):
        return SoftAbs(0.5)._grad_conjugate(y)


def test_control_newton_schulz_is_not_a_gradient():
    o = observe(FiveStepNuclear(), (4, 6))
    o = {key: a[1:] for key, a in o.items()}  # drop m = 0, where it divides by zero
    assert equality_at_gradient(o) > 1e-2
    assert monotonicity(observe_line(FiveStepNuclear())) > 1e-3
    assert monotonicity(observe_line(nuclear())) <= ROUND_OFF


def observe_line(kappa):
    """Along diag(1, s): σ₂ ↦ ∇κ must not fall."""
    m = [np.diag([1.0, s]) for s in np.linspace(0.05, 0.9, 60)]
    V = [np.asarray(kappa.grad(a)) for a in m]
    return {"m": np.reshape(m, (60, 4)), "V": np.reshape(V, (60, 4))}


def test_control_wrong_conjugates_fail():
    wrong = observe(WrongHuber(), VECTORS)
    assert equality_at_gradient(wrong) > 1e-2 and biconjugate(wrong) > 1e-2
    assert equality_at_conjugate_gradient(wrong) > 1e-2
    deep = observe(DeepSoftAbs(), VECTORS)
    assert inequality(deep) > 1e-2 and monotonicity(deep) > 0.1
    assert autodiff(deep) > 0.1


def test_control_a_distance_that_is_not_convex_fails():
    o = dict(seen("l1"))
    for key in ("d(far)", "d(between)"):
        o[key] = np.sqrt(o[key])
    assert contraction(o) > 1e-2


def test_control_the_inside_is_not_called_outside():
    """The Frank–Wolfe distance proves nothing inside, and something 1e-3 outside."""
    kappa = Support(Ball(2.0), zero_in_domain=True)
    m = draw((5,), 23, size=())
    unit = m / np.linalg.norm(m)
    assert jnp.isfinite(kappa.conjugate(1.999 * unit))
    assert jnp.isposinf(kappa.conjugate(2.001 * unit))
