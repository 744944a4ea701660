"""An optimizer for the matrices, another for the rest, audited as one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx

from . import laws


LABELS = {"w": "matrices", "b": "rest"}
BY_RANK = lambda p: jax.tree.map(lambda a: "matrices" if a.ndim > 1 else "rest", p)
LION = dx.LionKappa(weight_decay=0.5)


def parted(matrices, rest, labels=LABELS, rates=None):
    return dx.Partition({"matrices": matrices, "rest": rest}, labels, rates or {})


OPT = parted(LION, dx.Adam(), BY_RANK, {"matrices": 3.0})


def read(state):
    """The states of optax.partition's parts, as ours."""
    lion, adam = (state.inner_states[k] for k in ("matrices", "rest"))
    return dx.PartitionState(
        {
            "matrices": dx.LionState.from_optax(lion),
            "rest": dx.Adam().from_optax(adam),
        }
    )


def twin(sign=1.0, rate=1e-2):
    return optax.partition(
        {
            "matrices": optax.chain(
                optax.lion(3 * rate, weight_decay=0.5), optax.scale(sign)
            ),
            "rest": optax.adam(rate),
        },
        LABELS,
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_structure(dtype):
    laws.keeps_structure(OPT, dtype)


def test_laws():
    """Map to flow, claim to jvp; H₊ − H by definition, with Muon and momentum."""
    assert not laws.broken(OPT, laws.tends_to_flow, laws.claim_is_jvp, laws.dissipates)
    assert not laws.broken(parted(dx.Muon(), dx.Momentum(), LABELS, {"rest": 0.5}))


def train(tx, f, x, steps=30, audited=True):
    def body(carry, _):
        x, state = carry
        value, grads = jax.value_and_grad(f)(x)
        extra = {"value": value, "value_fn": f} if audited else {}
        with jax.numpy_dtype_promotion("standard"):
            delta, state = tx.update(grads, state, x, **extra)
        return (optax.apply_updates(x, delta), state), None

    with jax.numpy_dtype_promotion("standard"):
        run = lambda x: jax.lax.scan(body, (x, tx.init(x)), length=steps)[0]
        return jax.jit(run)(x)


@pytest.mark.parametrize(
    "claim, sign, status",
    [
        (OPT, 1.0, "holds"),
        (OPT, -1.0, "violated"),
        (parted(LION, dx.Adam(), BY_RANK), 1.0, "violated"),
        (parted(LION, dx.Adam(0.8), BY_RANK, {"matrices": 3.0}), 1.0, "violated"),
    ],
    ids=["right", "climbs", "another rate", "another beta"],
)
def test_audit_of_optax_partition(claim, sign, status):
    f, x = laws.problem()
    tx = dx.audit(twin(sign), claim, 1e-2, read=read)
    _, state = train(tx, f, x)
    found = dx.verdict(state.tally, "partition")
    assert found.status == status, str(found)


def test_equals_optax_partition():
    """To the last bit where the parts do; the ledger changes nothing."""
    f, x = laws.problem()
    plain, _ = train(twin(), f, x, audited=False)
    audited, _ = train(dx.audit(twin(), OPT, 1e-2, read=read), f, x)
    ours, state = train(dx.as_optax(OPT, 1e-2, every=3), f, x)
    assert dx.verdict(state.tally, "ours").status == "holds"
    for a, b, c in zip(*map(jax.tree.leaves, (plain, audited, ours)), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-12)


def test_a_part_at_rate_zero_is_frozen():
    f, x = laws.problem()
    opt = parted(LION, dx.GradientDescent(), LABELS, {"rest": 0.0})
    end, state = train(dx.as_optax(opt, 1e-2, every=1), f, x)
    np.testing.assert_array_equal(end["b"], x["b"])
    assert not np.array_equal(end["w"], x["w"])
    assert dx.verdict(state.tally, "frozen").status == "holds"
    leaking = dx.audit(twin(), opt, 1e-2, read=lambda s: opt.init(x))
    _, state = train(leaking, f, x, steps=2)
    found = dx.verdict(state.tally, "leaking").checks["rest.still"]
    assert found["violations"] == 2


def split(tx):
    return optax.partition({"matrices": tx, "rest": optax.sgd(0.1)}, LABELS)


def masked(tx):
    return optax.masked(tx, {"w": True, "b": False})


@pytest.mark.parametrize(
    "wrap, given",
    [(masked, "masked parts"), (split, "masked parts"), (optax.flatten, "PyTreeDef")],
)
def test_an_audit_inside_says_to_audit_outside(wrap, given):
    """There the loss of the whole tree cannot be evaluated: one sentence, not a crash
    within the loss."""
    f, x = laws.problem()
    tx = wrap(dx.as_optax(LION, 1e-2, every=1))
    state = tx.init(x)
    step = lambda: tx.update(x, state, x, value=f(x), value_fn=f)
    with pytest.raises(ValueError, match=f"value_fn: .*{given}.* audit outside"):
        jax.eval_shape(step)


def test_bad_input():
    f, x = laws.problem()
    with pytest.raises(TypeError, match="opt: given AdamW"):
        parted(LION, dx.AdamW())
    bold = dx.ThresholdedCautious(dx.GradientDescent(), 2.0)
    with pytest.raises(TypeError, match="ThresholdedCautious for rest, whose ledger"):
        jax.eval_shape(lambda: dx.iterate(parted(LION, bold), f, x, 1e-2, steps=1))
    with pytest.raises(ValueError, match=r"rates: given \['v'\]"):
        parted(LION, dx.Adam(), LABELS, {"v": 3.0})
    with pytest.raises(ValueError, match=r"labels: given \['c'\]"):
        parted(LION, dx.Adam(), {"w": "c", "b": "rest"}).init(x)
    with pytest.raises(ValueError, match="labels: given PyTreeDef"):
        parted(LION, dx.Adam(), {"w": "rest"}).init(x)


def test_mixed_takes_any_optimizer():
    """Partition's map without its energy; AdamW for the rest, as optax has it."""
    f, x = laws.problem()
    mixed = dx.Mixed({"matrices": LION, "rest": dx.AdamW()}, BY_RANK, {"rest": 0.5})
    assert not isinstance(mixed, dx.AbstractAccountedOptimizer)
    theirs = optax.partition(
        {
            "matrices": optax.lion(1e-2, weight_decay=0.5),
            "rest": optax.adamw(5e-3),
        },
        LABELS,
    )
    ours = train(dx.as_optax(mixed, 1e-2), f, x, audited=False)[0]
    twin_ = train(theirs, f, x, audited=False)[0]
    for a, b in zip(*map(jax.tree.leaves, (ours, twin_)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    with pytest.raises(TypeError, match="opt: given AdamW; accepted is a dynax.Abs"):
        parted(LION, dx.AdamW())
