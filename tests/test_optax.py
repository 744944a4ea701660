"""Lion-κ among optax's own: the same map, bit for bit, under all its wrappers."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx
from dynax import kappa as K
from experiments._virtual import run

from . import laws


@pytest.mark.parametrize("mask", [{"w": True, "b": False}, lambda p: {"w": 1, "b": 0}])
def test_mask(mask):
    f, x = laws.problem()
    opt = dx.LionKappa(weight_decay=0.5, decay_mask=mask)
    twin = optax.lion(1e-2, weight_decay=0.5, mask={"w": True, "b": False})
    _same_run(dx.as_optax(opt, 1e-2), twin, f, x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_equals_optax(dtype, lam):
    f, x = laws.problem(dtype)
    schedule = optax.linear_schedule(1e-2, 1e-3, 20)
    twin = optax.lion(schedule, weight_decay=lam)
    _same_run(dx.as_optax(dx.LionKappa(weight_decay=lam), schedule), twin, f, x)


@pytest.mark.parametrize("kappa", [K.L1(), K.SoftAbs(0.2), K.nuclear()])
def test_bfloat16_momentum(kappa):
    """Audited as tightly as any; H₊ − H by definition, the rounding of m₊ included."""
    f, x = laws.problem(jnp.float32)
    opt = dx.LionKappa(kappa, weight_decay=0.5, momentum_dtype=jnp.bfloat16)
    _, rows = dx.iterate(opt, f, x, 1e-2, steps=100)
    v = dx.verdict(rows, "bfloat16")
    assert v.status == "holds" and v.resolution < 1e-3, str(v)
    np.testing.assert_allclose(rows.change[:-1], jnp.diff(rows.energy), atol=5e-6)
    assert np.max(np.abs(rows.terms["rounding"])) > 1e-4


def test_optax_rounds_beta2_with_a_bfloat16_momentum():
    """optax multiplies β₂ into mu in bfloat16: 0.99 becomes 0.98828, and is noticed."""
    f, x = laws.problem(jnp.float32)
    tx = optax.lion(1e-2, weight_decay=0.5, mu_dtype=jnp.bfloat16)

    def audited(beta2):
        claim = dx.LionKappa(beta2=beta2, weight_decay=0.5)
        audit = dx.audit(tx, claim, 1e-2, read=dx.LionState.from_optax)
        p, s = x, audit.init(x)
        for _ in range(5):
            delta, s = audit.update(jax.grad(f)(p), s, p, value=f(p), value_fn=f)
            p = optax.apply_updates(p, delta)
        return dx.verdict(s.tally, f"β₂ = {beta2}")

    with jax.numpy_dtype_promotion("standard"):
        v = audited(0.99)
    assert v.status == "violated", str(v)
    assert [k for k, c in v.checks.items() if c["violations"]] == ["momentum"], str(v)


@pytest.mark.parametrize(
    "kappa, mode",
    [
        (K.L1(), {"mode": "hard"}),
        (K.LogCosh(3.0), {"mode": "smooth", "smooth_beta": 3.0}),
        (K.Huber(1.0), {"mode": "refined"}),
    ],
)
def test_equals_optax_modes(kappa, mode):
    f, x = laws.problem()
    twin = optax.chain(
        optax.scale_by_lion(**mode),
        optax.add_decayed_weights(0.5),
        optax.scale_by_learning_rate(1e-2),
    )
    ours = dx.as_optax(dx.LionKappa(kappa, weight_decay=0.5), 1e-2)
    _same_run(ours, twin, f, x, rtol=1e-12)


def _same_run(ours, twin, f, x, steps=50, rtol=0.0):
    """Bit for bit the same map (rtol = 0)."""

    def train(tx):
        def body(carry, _):
            p, s = carry
            with jax.numpy_dtype_promotion("standard"):
                delta, s = tx.update(jax.grad(f)(p), s, p)
                return (optax.apply_updates(p, delta), s), None

        return jax.jit(
            lambda p: jax.lax.scan(body, (p, tx.init(p)), length=steps)[0][0]
        )(x)

    for a, b in zip(*map(jax.tree.leaves, (train(ours), train(twin))), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=0)


def test_sharded_ledger_equals_unsharded():
    """On a 2 × 4 mesh of virtual devices, in a process of its own."""
    script = pathlib.Path(__file__).with_name("sharded.py")
    assert run(str(script), devices=8) == "ok\n"


TWINS = {  # constructor of dynax.optax → arguments, and the twin in optax
    "lion": ({"b1": 0.8, "b2": 0.98, "weight_decay": 0.5}, optax.lion),
    "adam": ({"b1": 0.8, "b2": 0.98, "eps": 1e-6, "eps_root": 1e-9}, optax.adam),
    "adamw": (
        {"b2": 0.98, "weight_decay": 0.1, "mask": {"w": True, "b": False}},
        optax.adamw,
    ),
    "sgd": ({}, optax.sgd),
    "momentum": ({"momentum": 0.8, "nesterov": True}, optax.sgd),
    "sign_sgd": ({}, optax.sign_sgd),
    "rmsprop": ({"decay": 0.8, "eps_in_sqrt": False}, optax.rmsprop),
    "adagrad": ({"initial_accumulator_value": 0.2, "eps": 1e-5}, optax.adagrad),
    "muon": ({"beta": 0.9, "adam_b1": 0.8, "weight_decay": 0.1}, optax.contrib.muon),
}


def test_constructors_under_their_optax_names():
    """One program trains all of them beside their twins: the same parameters, and the
    verdict of each; a wrong argument shows."""
    f, x = laws.problem()
    # not a schedule of optax: XLA may round one of two of them to float32
    rate = lambda count: 1e-2 - 5e-3 * count.astype(float) / 20
    constructor = lambda name: getattr(dx.optax, {"momentum": "sgd"}.get(name, name))
    pairs = {
        name: (constructor(name)(rate, **given, every=1), twin(rate, **given))
        for name, (given, twin) in TWINS.items()
    }
    pairs["control"] = dx.optax.adam(rate, b1=0.8, every=1), optax.adam(rate, b1=0.9)

    @jax.jit
    def train(x):
        txs = [
            optax.with_extra_args_support(tx) for pair in pairs.values() for tx in pair
        ]

        def step(carry, _):
            after = []
            for tx, (p, s) in zip(txs, carry, strict=True):
                value, grad = jax.value_and_grad(f)(p)
                delta, s = tx.update(grad, s, p, value=value, value_fn=f)
                after.append((optax.apply_updates(p, delta), s))
            return after, None

        return jax.lax.scan(step, [(x, tx.init(x)) for tx in txs], length=20)[0]

    with jax.numpy_dtype_promotion("standard"):  # optax itself needs it
        ended = train(x)
    apart, verdicts = {}, {}
    for k, name in enumerate(pairs):
        (ours, state), (theirs, _) = ended[2 * k : 2 * k + 2]
        gaps = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), ours, theirs)
        apart[name] = float(max(jax.tree.leaves(gaps)))
        found = dx.verdict(optax.tree.get(state, "tally"), name)
        verdicts[name] = found.status, found.audited
    assert apart.pop("control") > 1e-4
    assert apart.pop("muon") < 1e-13  # 20 steps of size 1e-2, in another order
    for name in ("lion", "sgd", "sign_sgd"):
        assert apart.pop(name) == 0
    ulps = 20 * 1e-2 * np.finfo(float).eps  # fused in another way, at each of 20 steps
    assert max(apart.values()) <= ulps, apart
    for name in TWINS:  # muon's account says that its steps dissipated on this run
        status = "no certificate" if name == "adamw" else "holds"
        assert verdicts[name] == (status, 20), name
    mu = optax.tree.get(ended[0][1], "mu")
    jax.tree.map(np.testing.assert_array_equal, mu, optax.tree.get(ended[1][1], "mu"))


def test_a_momentum_rounded_by_optax_is_not_audited():
    with pytest.raises(ValueError, match="mu_dtype: given .* with every=1, for which"):
        dx.optax.lion(1e-2, mu_dtype=jnp.bfloat16, every=1)
    _, x = laws.problem()
    state = dx.optax.lion(1e-2, mu_dtype=jnp.bfloat16).init(x)
    assert optax.tree.get(state, "mu")["w"].dtype == jnp.bfloat16
