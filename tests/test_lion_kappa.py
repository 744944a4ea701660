import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynax as dx
from dynax import kappa as K

from . import laws
from .members import KAPPAS


def lion(name, **options):
    return dx.LionKappa(KAPPAS[name], weight_decay=0.5, **options)


def test_balance_simplex():
    f, x = laws.problem()
    x = jax.tree.map(lambda a: jnp.full_like(a, 2 / a.size), x)
    opt = dx.LionKappa(K.LogSumExp(0.5), weight_decay=0.5)
    _, rows = dx.iterate(opt, f, x, 1e-2, steps=50)
    v = dx.verdict(rows, "simplex")
    assert v.status == "holds" and v.outside == 0, str(v)


@pytest.mark.parametrize("name", ["l1", "lp", "nuclear", "softabs"])
@pytest.mark.parametrize("decay", ["explicit", "implicit"])
def test_explicit_is_implicit(name, decay):
    """x₊ = x + ε(V − λx) is x₊ = x + ε'(V − λx₊) with ε' = ε/(1 − ελ)."""
    f, x = laws.problem()
    explicit, implicit = lion(name), lion(name, decay="implicit")
    g = jax.grad(f)(x)
    a, _ = explicit.step(x, explicit.init(x), g, 0.1)
    b, _ = implicit.step(x, implicit.init(x), g, 0.1 / (1 - 0.1 * 0.5))
    for u, v in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-13)


def test_lion_at_zero_decay_is_f_plus_c_kappa():
    f, x = laws.problem()
    opt = dx.LionKappa(K.L1())
    m = jax.tree.map(jnp.sin, x)
    c = 1e-2 * 0.9 / (1 - 0.99)
    expected = f(x) + c * sum(jnp.sum(jnp.abs(a)) for a in jax.tree.leaves(m))
    energy = opt.energy(0.0, x, dx.LionState(m), f(x), 1e-2)
    np.testing.assert_allclose(energy, expected, rtol=1e-13)


def test_mask_balances():
    opt = lion("l1", decay_mask={"w": True, "b": False}, decay="implicit")
    assert not laws.broken(opt)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_low_precision_audit(dtype):
    """float32, and a bfloat16 momentum: audited within the stated round-off model."""
    f, x = laws.problem(jnp.float32)
    opt = lion("l1", momentum_dtype=dtype)
    run = jax.jit(lambda lr: dx.tally(dx.iterate(opt, f, x, lr, steps=200)[1]))
    for lr in (1e-2, 1e-3, 1e-4):
        v = dx.verdict(run(jnp.float32(lr)), "low precision")
        assert v.status == "holds", str(v)
        if dtype == jnp.float32:
            assert v.error <= 1e-3


@pytest.mark.parametrize("name", ["l1", "lp", "nuclear", "linf", "topk", "group"])
def test_phase_one_contracts(name):
    """dist(λx_t) ≤ (1 − ελ)ᵗ dist(λx₀) from any start outside."""
    f, x = laws.problem()
    x = jax.tree.map(lambda a: a * 40, x)
    opt = lion(name)
    _, rows = dx.iterate(opt, f, x, 1e-2, steps=100)
    v = dx.verdict(rows, "phase one")
    assert v.status == "holds" and v.outside == 100, str(v)
    distance = rows.facts["distance"]
    bound = distance[0] * (1 - 1e-2 * 0.5) ** jnp.arange(100.0)
    assert jnp.max(distance - bound) <= 1e-12


# --- controls: what must be rejected ---------------------------------------------


def test_right_claim_holds():
    assert laws.audited(lion("l1"), lion("l1")).status == "holds"


@pytest.mark.parametrize(
    "claim, run, check",
    [
        (lion("l1", beta2=0.98), lion("l1"), "momentum"),
        (lion("l1", beta1=0.8), lion("l1"), "balance"),
        (dx.LionKappa(weight_decay=0.45), lion("l1"), "balance"),
        (lion("l1", beta1=0.99, beta2=0.9), lion("l1", beta1=0.99, beta2=0.9), "d2"),
        (lion("l1"), lion("softabs"), "subgradient"),
        (lion("nuclear"), lion("l1"), "domain"),
    ],
    ids=["beta2", "beta1", "decay", "swapped", "kappa", "nuclear"],
)
def test_wrong_claim_is_violated(claim, run, check):
    v = laws.audited(claim, run)
    assert v.status == "violated", str(v)
    name = {"d2": "dissipation_2"}.get(check, check)
    assert v.checks[name]["violations"] > 0, str(v)


def test_wrong_learning_rate_is_violated():
    assert laws.audited(lion("l1"), lion("l1"), claim_lr=1.05e-2).status == "violated"


def test_theorem_bound():
    """r ≤ (L/2)‖δ‖² with the true L; a tenth of the curvature seen is rejected."""
    f, x = laws.problem()
    hessian = jax.hessian(lambda v: f({"w": v[:6].reshape(2, 3), "b": v[6:]}))
    quadratic = hessian(jnp.zeros(13)) + jnp.diag(
        jnp.cos(jax.random.normal(jax.random.fold_in(jax.random.key(0), 1), (13,)))
    )
    smoothness = float(jnp.linalg.eigvalsh(quadratic)[-1]) + 1
    for factor, status in ((1.0, "holds"), (0.02, "violated")):
        _, rows = dx.iterate(
            lion("l1"), f, x, 1e-2, steps=200, smoothness=factor * smoothness
        )
        v = dx.verdict(rows, "theorem")
        assert v.status == status, str(v)


def test_nan_is_undecided_from_its_step():
    f, x = laws.problem()
    batches = jnp.ones(30).at[17].set(jnp.nan)
    _, rows = dx.iterate(lion("l1"), lambda x, b: b * f(x), x, 1e-2, batches=batches)
    v = dx.verdict(rows, "nan")
    assert (v.status, v.non_finite) == ("undecided", 17), str(v)


# --- bad input -------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: dx.LionKappa(kappa="l1"), TypeError, "kappa: given str"),
        (lambda: dx.LionKappa(beta1=1.0), ValueError, "beta1: given 1.0"),
        (lambda: dx.LionKappa(beta2=-0.1), ValueError, "beta2: given -0.1"),
        (lambda: dx.LionKappa(beta2=float("nan")), ValueError, "beta2: given nan"),
        (lambda: dx.LionKappa(weight_decay=-1.0), ValueError, "weight_decay: given -1"),
        (lambda: dx.LionKappa(decay="both"), ValueError, "decay: given 'both'"),
    ],
)
def test_bad_construction(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_bad_input():
    f, x = laws.problem()
    g = jax.grad(f)(x)
    opt = lion("l1")
    with pytest.raises(ValueError, match="weight_decay: given 0 with κ = LogSumExp"):
        dx.LionKappa(K.LogSumExp(1.0)).init(x)
    with pytest.raises(ValueError, match=r"learning_rate·weight_decay: given 3.0·0.5"):
        opt.step(x, opt.init(x), g, 3.0)
    lion("l1", decay="implicit").step(x, opt.init(x), g, 3.0)
    with pytest.raises(ValueError, match="learning_rate: given -0.1"):
        opt.step(x, opt.init(x), g, -0.1)
    with pytest.raises(ValueError, match="decay_mask: given one that decays some"):
        dx.LionKappa(
            K.Lp(2.0, scope="tree"),
            weight_decay=0.5,
            decay_mask={"w": True, "b": False},
        ).init(x)
    with pytest.raises(ValueError, match="decay_mask: given"):
        lion("l1", decay_mask={"w": True}).init(x)
    with pytest.raises(TypeError, match=r"params\['b'\]: given int"):
        opt.init({"w": x["w"], "b": jnp.arange(3)})
    with pytest.raises(ValueError, match=r"params\['b'\]: given NaN or infinity"):
        opt.init({"w": x["w"], "b": jnp.array([jnp.nan])})


def test_traced_nonsense_is_undecided():
    """ελ ≥ 1 known only at run time is a code in the result, not a silent number."""
    f, x = laws.problem()
    _, rows = jax.jit(lambda lr: dx.iterate(lion("l1"), f, x, lr, steps=5))(3.0)
    assert dx.verdict(rows, "nonsense").status == "undecided"
