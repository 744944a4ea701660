"""A flax classifier on real digits: optax.lion's parameters to the bit, audited."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest

import dynax as dx
from experiments.lion import _digits, digits


LR, DECAY, STEPS, WIDTH = 3e-3, 1.0, 12, 16
LION = functools.partial(dx.LionKappa, weight_decay=DECAY)
PEER = functools.partial(optax.lion, weight_decay=DECAY)
SCHEDULE = optax.cosine_decay_schedule(LR, STEPS)
ORDER = digits.minibatches(STEPS, 32, seed=0)


def _experiment(route, given, order=ORDER):
    """The experiment's own loop, compiled once a route."""
    images, start = jnp.asarray(digits.data()[0][0]), digits.begin(WIDTH, 0)
    with jax.numpy_dtype_promotion("standard"):
        return digits.train(given, start, images, order, route=route, width=WIDTH)


def _verdict(out, claim="digits"):
    return dx.verdict(out["tally"], claim)


def test_ledger_and_audit_leave_the_parameters_alone():
    given = digits.settings(LR, DECAY)
    plain = _experiment("plain", given)
    for route in ("dynax", "audit"):
        out = _experiment(route, given)
        assert digits.ulps(out["params"], plain["params"]) == 0
        verdict = _verdict(out)
        assert (verdict.status, verdict.audited) == ("holds", STEPS)
        assert verdict.error < verdict.resolution < 1e-2


@pytest.mark.parametrize(
    "fault",
    [
        {"weight_decay": 0.0, "coupled": DECAY},
        {"betas": (0.99, 0.9)},
        {"betas": (0.918, 0.99)},
        {"betas": (0.9, 0.9899)},
    ],
    ids=str,
)
def test_what_is_not_lion_is_rejected(fault):
    given = digits.settings(LR, **{"weight_decay": DECAY, **fault})
    assert _verdict(_experiment("audit", given)).status == "violated"


def test_a_nan_is_never_held():
    beyond = len(digits.data()[0][0])  # an image that cannot be read
    order = ORDER.at[5, 0].set(beyond)
    verdict = _verdict(_experiment("dynax", digits.settings(LR, DECAY), order))
    assert (verdict.status, verdict.non_finite) == ("undecided", 5)


# As a user writes it: hyper-parameters as Python numbers, optax's wrappers around


def _train(tx):
    """(parameters, state) after a few minibatches."""
    (images, labels), _ = digits.data()
    net, params = _digits.MLP(WIDTH), digits.begin(WIDTH, 0)

    def loss(params, batch):
        logits = net.apply(params, batch[0])
        entropy = optax.softmax_cross_entropy_with_integer_labels
        return entropy(logits, batch[1]).mean()

    def step(carry, batch):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, batch)
        extra = {"value": value, "value_fn": lambda params: loss(params, batch)}
        if not isinstance(tx, optax.GradientTransformationExtraArgs | optax.MultiSteps):
            extra = {}
        updates, state = tx.update(grads, state, params, **extra)
        return (optax.apply_updates(params, updates), state), None

    with jax.numpy_dtype_promotion("standard"):
        batches = jnp.asarray(images)[ORDER], jnp.asarray(labels)[ORDER]
        run = jax.jit(lambda carry: jax.lax.scan(step, carry, batches)[0])
        return run((params, tx.init(params)))


def _kernels(params):
    return jax.tree.map(lambda a: a.ndim > 1, params)


def _injected(make):
    return optax.inject_hyperparams(make)(learning_rate=LR)


def _stored(tx, dtype):
    """`tx` in full precision, its momentum rounded to `dtype` between steps.

    Not optax's `mu_dtype`, which also rounds β to it: 0.99 is 0.98828 in bfloat16.
    """

    def cast(state, dtype):
        mu = optax.tree.cast(optax.tree.get(state, "mu"), dtype)
        return optax.tree.set(state, mu=mu)

    def update(grads, state, params):
        updates, state = tx.update(grads, cast(state, jnp.float32), params)
        return updates, cast(state, dtype)

    init = lambda params: cast(tx.init(params), dtype)
    return optax.GradientTransformation(init, update)


HALF = jnp.bfloat16
PAIRS = {
    "decay": (dx.as_optax(LION(), LR), PEER(LR)),
    "no decay": (
        dx.as_optax(dx.LionKappa(weight_decay=0.0), LR),
        optax.lion(LR, weight_decay=0.0),
    ),
    "schedule": (dx.as_optax(LION(), SCHEDULE), PEER(SCHEDULE)),
    "mask": (dx.as_optax(LION(decay_mask=_kernels), LR), PEER(LR, mask=_kernels)),
    "bfloat16 momentum": (
        dx.as_optax(LION(momentum_dtype=HALF), LR),
        _stored(PEER(LR), HALF),
    ),
    "injected": (
        _injected(lambda learning_rate: dx.as_optax(LION(), learning_rate)),
        _injected(lambda learning_rate: PEER(learning_rate)),
    ),
    "accumulated, with a ledger": (
        optax.MultiSteps(dx.as_optax(LION(), LR, every=1), 2),
        optax.MultiSteps(PEER(LR), 2),
    ),
    "mask and schedule, with a thinned ledger": (
        dx.as_optax(LION(decay_mask=_kernels), SCHEDULE, every=5),
        PEER(SCHEDULE, mask=_kernels),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_parameters_are_those_of_optax(name):
    ours, theirs = PAIRS[name]
    (params, state), (expected, _) = _train(ours), _train(theirs)
    assert digits.ulps(params, expected) == 0
    tally = optax.tree.get(state, "tally")
    assert (tally is not None) == ("ledger" in name)
    if tally is not None:
        verdict = dx.verdict(tally, name)
        assert (verdict.status, verdict.audited) == ("holds", 6 if "acc" in name else 3)
