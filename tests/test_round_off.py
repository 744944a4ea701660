"""The round-off model of the ledgers: no false alarm, and nothing passed unseen.

A member is run at losses from 1e-30 to 1e8 and rates from 1e-7 to 1, a batch of runs in
one program: once as it is, and with its step wrong by 1 %, negated, or idle.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx
from dynax import _tree as tree, kappa as K
from dynax.flow import Step
from dynax.monitor import row_of_step


SCALES = 1e-30, 1e-20, 1e-12, 1e-6, 1e-3, 1.0, 1e4, 1e8
RATES = 1e-7, 1e-5, 1e-3, 1e-2, 1e-1, 1.0
STEPS = {"right": 1.0, "1 % long": 1.01, "negated": -1.0, "idle": 0.0}


def _box(g):
    return jax.tree.map(lambda a: -jnp.sign(a), g)


def lion(kappa):
    return dx.LionKappa(kappa, weight_decay=0.1, decay="implicit")


MEMBERS = {
    "l1": lion(K.L1()),
    "sparse": lion(K.SparseL1(0.1)),
    "huber": lion(K.Huber(0.3)),
    "sharp-huber": lion(K.Huber(0.01)),
    "softabs": lion(K.SoftAbs(0.2)),
    "logcosh": lion(K.LogCosh(2.0)),
    "half": lion(K.HalfSquared()),
    "quartic": lion(K.Quartic()),
    "four-thirds": lion(K.FourThirds()),
    "lp": lion(K.Lp(1.5)),
    "lp-tree": lion(K.Lp(3.0, scope="tree")),
    "linf": lion(K.LInf()),
    "group": lion(K.GroupL2(axis=0)),
    "topk": lion(K.TopK(2)),
    "half-lp": lion(K.HalfSquaredLp(1.5)),
    "relativistic": lion(K.Relativistic()),
    "nuclear": lion(K.nuclear()),
    "spectral": lion(K.spectral()),
    "ky-fan": lion(K.ky_fan(2)),
    "smooth-nuclear": lion(K.OrthogonallyInvariant(K.SoftAbs(0.2))),
    "support": lion(K.Support(_box, zero_in_domain=True)),
    "descent": dx.GradientDescent(),
    "polyak": dx.Momentum(0.9),
    "nesterov": dx.Momentum(0.9, nesterov=True),
    "heavy-ball": dx.HeavyBall(0.7),
    "adam": dx.Adam(),
    "rmsprop": dx.RMSprop(),
    "adagrad": dx.AdaGrad(),
    "frank-wolfe": dx.FrankWolfe(K.L1()),
}
QUICK = "l1", "half", "group", "polyak", "adam"


def loss(dtype):
    key = jax.random.key(0)
    a = jax.random.normal(key, (14, 14), dtype) / 14**0.5
    q = a @ a.T + 0.1 * jnp.eye(14, dtype=dtype)
    b = jax.random.normal(jax.random.fold_in(key, 1), (14,), dtype)
    w = jax.random.normal(jax.random.fold_in(key, 2), (2, 4), dtype) / 2

    def f(x):
        v = jnp.concatenate([x["w"].ravel(), x["b"]]) - b
        return v @ q @ v / 2

    return f, {"w": w, "b": jnp.linspace(-0.4, 0.4, 6, dtype=dtype)}


@functools.partial(jax.jit, static_argnames=("dtype", "steps"))
@functools.partial(jax.vmap, in_axes=(None, 0, 0, 0, None, None))
def tallies(opt, scale, lr, factor, dtype, steps):
    base, x = loss(dtype)
    f = lambda x: scale * base(x)

    def body(carry, k):
        x, s = carry
        value, g = jax.value_and_grad(f)(x)
        delta, s1 = opt.update(x, s, g, lr)
        delta = tree.scale(factor, delta)
        x1 = tree.add(x, delta)
        step = Step(k, x, s, g, lr, x1, s1, value, f(x1), delta)
        return (x1, s1), row_of_step(opt, step)

    ks = jnp.arange(steps, dtype=jnp.int32)
    return dx.tally(jax.lax.scan(body, (x, opt.init(x)), ks)[1])


def table(name, dtype, scales=SCALES, rates=RATES, steps=25):
    """{(step, scale, rate): verdict}."""
    keys = [(w, s, r) for w in STEPS for s in scales for r in rates]
    numbers = np.array([(STEPS[w], s, r) for w, s, r in keys])
    factor, scale, rate = (jnp.asarray(c, dtype) for c in numbers.T)
    found = jax.device_get(tallies(MEMBERS[name], scale, rate, factor, dtype, steps))
    row = lambda i: jax.tree.map(lambda a: a[i], found)
    return {key: dx.verdict(row(i), name) for i, key in enumerate(keys)}


def wrong(verdicts):
    """Correct steps called violated, and wrong ones called holds."""
    right = {k: v.status for k, v in verdicts.items() if k[0] == "right"}
    others = {k: v.status for k, v in verdicts.items() if k[0] != "right"}
    alarms = [k for k, status in right.items() if status == "violated"]
    return alarms, [k for k, status in others.items() if status == "holds"]


@pytest.mark.parametrize("name", QUICK)
def test_no_false_alarm_and_nothing_passed_unseen(name):
    """In float32. At the usual loss and rate the right step holds, the wrong do not."""
    verdicts = table(name, jnp.float32, SCALES[::3] + (1.0,), RATES[::2], steps=12)
    alarms, missed = wrong(verdicts)
    assert not alarms, str(verdicts[alarms[0]])
    assert not missed, str(verdicts[missed[0]])
    usual = {k: verdicts[k, 1.0, 1e-3].status for k in STEPS}
    assert usual == {k: "holds" if k == "right" else "violated" for k in STEPS}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("name", MEMBERS)
def test_every_member(name, dtype):
    """The whole table; printed with -s."""
    verdicts = table(name, dtype)
    alarms, missed = wrong(verdicts)
    for step in STEPS:
        found = [v.status for k, v in verdicts.items() if k[0] == step]
        counts = {s: found.count(s) for s in sorted(set(found))}
        print(f"{name:<15} {dtype.__name__} {step:<9} {counts}")
    for key in alarms + missed:
        print("   ", key, verdicts[key])
    assert not alarms and not missed


# --- transformations of optax, audited ---------------------------------------------


LEAVES = {
    "right": (1.0, 1.0),
    "negated": (-1.0, -1.0),
    "an idle leaf": (1.0, 0.0),
    "a leaf that climbs": (1.0, -1.0),
}


def audited(make, claim, read, dtype, lr=1e-3):
    """Verdicts on `make(lr)`, the updates of two leaves times the factors of LEAVES.

    The gradients of the second leaf are 1e-6 of those of the first.
    """

    def f(x):
        w, t = (a.astype(jnp.float32) for a in (x["w"], x["t"]))
        targets = jnp.linspace(-1.0, 1.0, 64, dtype=jnp.float32)
        bowl = jnp.sum((w - targets) ** 2) / 2
        return bowl + np.float32(1e-6) * jnp.sum((t - 1) ** 2) / 2

    @functools.partial(jax.jit)
    @jax.vmap
    def run(w, t):
        tune = lambda u: {"w": u["w"] * w.astype(dtype), "t": u["t"] * t.astype(dtype)}
        tx = optax.chain(make(lr), optax.stateless(lambda u, _: tune(u)))
        tx = dx.audit(tx, claim, lr, read=read)
        x = {"w": jnp.full(64, 0.3, dtype), "t": jnp.full(5, 0.3, dtype)}

        def body(carry, _):
            x, s = carry
            value, g = jax.value_and_grad(f)(x)
            delta, s = tx.update(g, s, x, value=value, value_fn=f)
            return (optax.apply_updates(x, delta), s), None

        return jax.lax.scan(body, (x, tx.init(x)), length=30)[0][1].tally

    with jax.numpy_dtype_promotion("standard"):
        factors = np.array([*LEAVES.values()], np.float32).T
        found = jax.device_get(run(*map(jnp.asarray, factors)))
    row = lambda i: jax.tree.map(lambda a: a[i], found)
    return {name: dx.verdict(row(i), name) for i, name in enumerate(LEAVES)}


LION = dx.LionKappa(weight_decay=0.1), dx.LionState.from_optax


def lion_of_optax(lr):
    return optax.lion(lr, weight_decay=0.1)


def injected(lr):
    """β₁, β₂ and λ are float32 arrays: 1 − β₂ is 0.00999999."""
    return optax.inject_hyperparams(optax.lion)(lr, weight_decay=0.1)


def injected_sgd(lr):
    return optax.inject_hyperparams(optax.sgd)(lr, momentum=0.9)


@pytest.mark.parametrize(
    "make, claim, dtype",
    [
        (injected, LION, jnp.float32),
        (lion_of_optax, LION, jnp.bfloat16),
        (
            injected_sgd,
            (dx.Momentum(0.9), dx.MomentumState.from_optax),
            jnp.float32,
        ),
    ],
    ids=["lion", "lion-bfloat16", "sgd"],
)
def test_a_wrong_leaf_is_seen(make, claim, dtype):
    """However small its gradients, in bfloat16 and with hyper-parameters as arrays."""
    for name, v in audited(make, claim[0], claim[1], dtype).items():
        assert v.status == ("holds" if name == "right" else "violated"), str(v)
