"""Decrease in expectation: false alarms below α on noise of known laws, power on a
drift, and the two mistakes that one makes (a t-test at every step, the training batch).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

import dynax as dx
from dynax import certify
from dynax.lyapunov import NEVER


RUNS, AUDITS, ALPHA = 1000, 1000, 0.05
ROOT3 = 3**0.5


def noise(name, shape):
    """Of mean 0 and variance 1, by NumPy: an oracle that is not JAX's."""
    rng = np.random.default_rng(5)
    if name == "Pareto left":
        return -(rng.pareto(3.0, shape) - 0.5) / 0.75**0.5
    return {
        "Gauss": lambda: rng.normal(size=shape),
        "Student 3": lambda: rng.standard_t(3, shape) / ROOT3,
        "uniform": lambda: rng.uniform(-ROOT3, ROOT3, shape),
        "Pareto right": lambda: (rng.pareto(3.0, shape) - 0.5) / 0.75**0.5,
    }[name]()


TESTS = {
    "bounded": (certify.Bounded(), 2.0),
    "clipped": (certify.Clipped(), None),
    "variance": (certify.Variance(), 1.0),
    "symmetric": (certify.Symmetric(), None),
    "asymptotic": (certify.Asymptotic(), None),
}


@functools.cache
def runner(kind):
    """One program an assumption: the evidence at the end of each run."""
    assuming, bound = TESTS[kind]
    sequential = certify.Sequential(assuming, ALPHA)

    def run(x):
        body = lambda e, value: (sequential.update(e, value[None], bound), None)
        return jax.lax.scan(body, sequential.init(), x)[0]

    return sequential, jax.jit(jax.vmap(run))


def flagged(kind, x):
    e = jax.device_get(runner(kind)[1](jnp.asarray(x)))
    sound = e.broken == NEVER
    return np.mean(sound & (e.alarmed < NEVER)), np.mean(sound & (e.fell < NEVER))


CASES = [
    ("bounded", "uniform"),
    ("clipped", "Gauss"),
    ("clipped", "Student 3"),
    ("variance", "Gauss"),
    ("variance", "Student 3"),
    ("variance", "Pareto left"),
    ("variance", "Pareto right"),
    ("symmetric", "Gauss"),
    ("symmetric", "Student 3"),
    ("symmetric", "uniform"),
    ("asymptotic", "Gauss"),
    ("asymptotic", "Student 3"),
    ("asymptotic", "uniform"),
]


@pytest.mark.parametrize("kind, law", CASES)
def test_false_alarms_and_power(kind, law):
    """At drift 0 wrong in at most α of the runs; at ±0.3 right in most of them."""
    x = noise(law, (RUNS, AUDITS))
    slack = 2 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5
    alarm, fall = flagged(kind, x)
    assert alarm + fall <= ALPHA + slack
    top = 2.0 if kind == "bounded" else np.inf
    room = (1 + 0.3**2) ** 0.5 if kind == "variance" else 1.0
    moved = lambda drift: np.clip((x + drift) / room, -top, top)
    rise, no_fall = flagged(kind, moved(0.3))
    no_rise, fell = flagged(kind, moved(-0.3))
    assert rise > 0.9 and fell > 0.9
    assert no_fall <= ALPHA + slack and no_rise <= ALPHA + slack


def test_control_a_t_test_at_every_step():
    """It is wrong in a quarter of the runs and more: the reason for e-processes."""
    x = noise("Gauss", (RUNS, AUDITS))
    n = np.arange(1, AUDITS + 1)
    mean = np.cumsum(x, axis=1) / n
    deviation = np.sqrt(np.maximum(np.cumsum(x**2, axis=1) / n - mean**2, 1e-12))
    t = mean * np.sqrt(n) / deviation
    wrong = np.any(t[:, 20:] > scipy.stats.norm.ppf(1 - ALPHA), axis=1)
    assert np.mean(wrong) >= 0.25


@pytest.mark.parametrize("kind", ["symmetric", "asymptotic"])
def test_control_what_a_skewed_law_breaks(kind):
    """It is wrong more often than α, and the verdict warns of the skewness."""
    x = noise("Pareto left", (RUNS, 2 * AUDITS))
    alarm, _ = flagged(kind, x)
    assert alarm > ALPHA
    sequential, run = runner(kind)
    e = jax.tree.map(lambda a: a[0], run(jnp.asarray(x[:1])))
    found = sequential.verdict(e)
    assert "skewed" in found.reason and any("skewed" in a for a in found.assumes)
    calm = run(jnp.asarray(noise("Gauss", (1, 2 * AUDITS))))
    calm = sequential.verdict(jax.tree.map(lambda a: a[0], calm))
    assert "skewed" not in str(calm)
    assert kind != "asymptotic" or "asymptotic" in str(calm)


def test_the_confidence_sequence_covers_the_running_mean():
    """Of a drift that turns round; its end is below 0 where `fall` is established."""
    drift = np.where(np.arange(500) < 300, -0.3, 0.3)
    x = jnp.asarray(noise("uniform", (100, 500)) / 2 + drift)
    for kind in ("bounded", "variance"):
        sequential, bound = certify.Sequential(TESTS[kind][0], ALPHA), TESTS[kind][1]

        @jax.jit
        @jax.vmap
        def run(x, sequential=sequential, bound=bound):
            def body(e, value):
                e = sequential.update(e, value[None], bound)
                return e, sequential.upper(e)

            return jax.lax.scan(body, sequential.init(), x)

        mean = np.cumsum(drift) / np.arange(1, 501) / bound
        e, ends = jax.device_get(run(x))
        missed = np.any(ends < mean, axis=1)
        assert np.mean(missed) <= ALPHA
        assert np.mean(np.any(ends[:, :300] < 0, axis=1)) > 0.9  # it is no idle bound
        first = np.where(ends < 0, np.arange(1, 501), NEVER).min(axis=1)
        assert np.all(first == e.fell)


def test_what_data_can_break_is_told():
    """The verdict is undecided, and says at which audit."""
    bounded = certify.Sequential(certify.Bounded())
    update = jax.jit(bounded.update)
    e = update(bounded.init(), jnp.asarray([0.1, 3.0]), 1.0)
    for _ in range(300):
        e = update(e, jnp.asarray([-0.9, -0.9]), 1.0)
    found = bounded.verdict(e)
    assert found.status == "undecided" and "broken at audit 1" in found.reason
    # one number out of bounds is no alarm, however large
    e = update(bounded.init(), jnp.asarray([1e9, 1.0]), 1.0)
    assert bounded.verdict(e).status == "undecided"
    # not a number, after a fall was established
    e = bounded.init()
    for _ in range(300):
        e = update(e, jnp.asarray([-0.9, -0.9]), 1.0)
    assert bounded.verdict(e).status == "holds"
    found = bounded.verdict(update(e, jnp.asarray([np.nan, 0.0]), 1.0))
    assert found.status == "undecided" and "audit 301; else holds" in found.reason
    # c = 0 where something moved
    found = bounded.verdict(update(bounded.init(), jnp.asarray([0.1, 0.0]), 0.0))
    assert "broken at audit 1" in found.reason
    # no step, no change, no evidence
    still = update(bounded.init(), jnp.zeros(2), 0.0)
    assert still.broken == NEVER and still.examples == 0
    # the mean square is 1.5² times what was given
    sequential, run = runner("variance")
    x = 1.5 * noise("Gauss", (RUNS, AUDITS))
    assert np.mean(run(jnp.asarray(x)).broken < NEVER) > 0.99


def test_streams_are_merged():
    """As if they were one; what a stream had established alone is not taken over."""
    sequential = certify.Sequential(certify.Variance())
    x = jnp.asarray(noise("Gauss", (200,))) - 0.5
    update = jax.jit(lambda part: sequential.update(sequential.init(), part, 1.0))
    merge = jax.jit(sequential.merge)
    both = merge(update(x[:100]), update(x[100:]))
    one = update(x)
    np.testing.assert_allclose(both.fall, one.fall, rtol=1e-12)
    assert int(both.examples) == 200 and int(both.audits) == 1
    assert sequential.verdict(both).status == "holds"
    for up, down in ((0.9, -0.9), (-0.9, 0.9)):
        found = merge(*(update(jnp.full(100, a)) for a in (up, down)))
        assert sequential.verdict(found).status == "undecided"
    empty = sequential.init()
    assert all(jnp.all(a == b) for a, b in zip(merge(empty, empty), empty, strict=True))


# In training: logistic regression of 4000 examples in 8 dimensions.
rng = np.random.default_rng(0)
DATA = rng.normal(size=(4000, 8))
LABELS = np.sign(DATA @ rng.normal(size=8) + 2 * rng.normal(size=4000))
WIDEST = float(np.max(np.linalg.norm(DATA, axis=1)))  # a Lipschitz constant


def losses(x, batch):
    rows, signs = (jnp.asarray(a, x.dtype)[batch] for a in (DATA, LABELS))
    return jax.nn.softplus(-signs * (rows @ x))


def pick(key, size=32):
    return jax.random.randint(key, (size,), 0, len(DATA))


def minibatch(seed, k):
    return pick(jax.random.fold_in(jax.random.key(seed), k))


LION = dx.as_optax(dx.LionKappa(), 0.01)
BOUNDED = certify.Sequential(
    certify.Bounded(WIDEST), losses=losses, batches=pick, seed=7
)


@functools.partial(jax.jit, static_argnames=("tx", "unit"))
def train(x, *, tx, ahead=None, unit=1.0):
    """300 steps; the batch that is handed over is that of `ahead` steps later."""

    def body(carry, k):
        x, state = carry
        loss = lambda x, batch: unit * jnp.mean(losses(x, batch))
        given = {} if ahead is None else {"fresh": minibatch(1, k + ahead)}
        grads = jax.grad(loss)(x, minibatch(1, k))
        updates, state = tx.update(grads, state, x, **given)
        return (optax.apply_updates(x, updates), state), None

    return jax.lax.scan(body, (x, tx.init(x)), jnp.arange(300))[0]


@functools.cache
def floor():
    x = jnp.zeros(8)
    for _ in range(4):
        x, _ = train(x, tx=LION)
    return x


def test_training():
    """It falls at first, nobody can tell at the floor, and ascent rises."""
    tx = BOUNDED.watch(LION)
    x, state = train(jnp.zeros(8), tx=tx)
    found = BOUNDED.verdict(state)
    assert found.status == "holds" and found.evidence == "sequential"
    # the updates are those of the method within
    np.testing.assert_array_equal(x, train(jnp.zeros(8), tx=LION)[0])
    ascent = BOUNDED.watch(optax.chain(LION, optax.scale(-1.0)))
    _, state = train(jnp.zeros(8), tx=ascent)
    assert BOUNDED.verdict(state).status == "violated"
    _, state = train(floor(), tx=tx)
    assert BOUNDED.verdict(state).status == "undecided"
    assert BOUNDED.upper(state.evidence) > 0


def test_the_training_batch_is_refused():
    """Its gradient is the one that made the step. Judged on it, the floor "falls"."""
    handed = certify.Sequential(BOUNDED.assuming, losses=losses)
    tx = handed.watch(LION)
    _, state = train(floor(), tx=tx, ahead=0)
    found = handed.verdict(state)
    assert found.status == "undecided" and "is the training batch" in found.reason
    assert "else holds" in found.reason  # the biased judge
    # the batch of the next step is fresh when this one is judged
    _, state = train(floor(), tx=tx, ahead=1)
    assert handed.verdict(state).reason == "the noise hides the drift so far"
    with pytest.raises(ValueError, match="fresh: given None"):
        train(floor(), tx=tx)
    with pytest.raises(ValueError, match="batches: given 'one and the same batch"):
        constant = lambda key: jnp.arange(32)
        certify.Sequential(certify.Clipped(), losses=losses, batches=constant).watch(
            LION
        )


def test_the_energy_of_a_method():
    """`as_optax(audit=)` judges H₊ − H with the mean of f over the batch in it."""
    clipped = certify.Sequential(
        certify.Clipped(), losses=losses, batches=pick, seed=7, every=3
    )
    opt = dx.LionKappa(dx.kappa.HalfSquared())
    tx = dx.as_optax(opt, 0.01, audit=clipped)
    x, state, method = jnp.zeros(8), tx.init(jnp.zeros(8)), dx.as_optax(opt, 0.01)
    inner = method.init(x)
    for k in range(4):
        grads = jax.grad(lambda x: jnp.mean(losses(x, minibatch(1, k))))(x)  # noqa: B023
        batch = minibatch(7, k)
        energy = lambda x, s: opt.energy(0.0, x, s.state, losses(x, batch).mean(), 0.01)  # noqa: B023
        before = energy(x, inner)
        updates, state = tx.update(grads, state, x)
        _, inner = method.update(grads, inner, x)
        x = optax.apply_updates(x, updates)
        if k == 0:  # the scale is the root mean square of the changes
            f = losses(x, batch) - losses(x - updates, batch)
            moved = f - jnp.mean(f) + energy(x, inner) - before
            rms = jnp.sqrt(jnp.mean(moved**2))
            np.testing.assert_allclose(state.evidence.scale, rms, rtol=1e-9)
    assert int(state.evidence.audits) == 2  # steps 0 and 3
    assert optax.tree.get(state, "evidence") is state.evidence


@pytest.mark.parametrize("unit", [1e6, 1e-6])
def test_float32_in_other_units(unit):
    """Adam, batches of one example, and no constants."""
    test = certify.Sequential(
        certify.Clipped(),
        losses=lambda x, batch: unit * losses(x, batch),
        batches=functools.partial(pick, size=1),
    )
    tx = test.watch(dx.as_optax(dx.Adam(eps=1e-30), 0.002))
    x, state = train(jnp.zeros(8, jnp.float32), tx=tx, unit=unit)
    assert test.verdict(state).status == "holds" and x.dtype == jnp.float32


def test_bfloat16_is_undecided_where_it_rounds_the_change_away():
    test = certify.Sequential(certify.Clipped(), losses=losses, batches=pick)
    tx = test.watch(dx.as_optax(dx.GradientDescent(), 1e-3))
    _, state = train(jnp.zeros(8, jnp.bfloat16), tx=tx)
    assert "rounding" in test.verdict(state).reason


def test_a_checkpoint_resumes_the_evidence(tmp_path):
    """State is arrays: half a run, saved and read, is the whole run to the bit."""
    tx = BOUNDED.watch(LION)
    _, state = train(jnp.zeros(8), tx=tx)
    leaves, tree = jax.tree.flatten(state)
    np.savez(tmp_path / "state.npz", *leaves)
    with np.load(tmp_path / "state.npz") as read:
        back = jax.tree.unflatten(tree, [jnp.asarray(a) for a in read.values()])
    x, grads = jnp.zeros(8), jnp.ones(8)
    both = [tx.update(grads, s, x)[1] for s in (state, back)]
    assert all(map(np.array_equal, *map(jax.tree.leaves, both)))
    sizes = [a.size for a in jax.tree.leaves(state.evidence)]
    assert sum(sizes) <= 60  # O(1)
    # a loop may give the state away: no two leaves share a buffer
    where = [a.unsafe_buffer_pointer() for a in jax.tree.leaves(tx.init(x))]
    assert len(set(where)) == len(where)


def test_bad_input():
    for alpha in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match=r"alpha.*\(0, 1\)"):
            certify.Sequential(certify.Clipped(), alpha)
    with pytest.raises(ValueError, match="assuming: given 'float'"):
        certify.Sequential(0.05)
    with pytest.raises(ValueError, match="every"):
        certify.Sequential(certify.Clipped(), every=0)
    for bound in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="bound.*"):
            certify.Bounded(bound)
        with pytest.raises(ValueError, match="c > 0"):
            BOUNDED.update(BOUNDED.init(), jnp.zeros(3), bound)
    with pytest.raises(ValueError, match="bound: given None"):
        BOUNDED.update(BOUNDED.init(), jnp.zeros(3))
    with pytest.raises(ValueError, match="changes.*vector"):
        BOUNDED.update(BOUNDED.init(), jnp.zeros(()), 1.0)
    with pytest.raises(ValueError, match="start"):
        certify.Asymptotic(0)
    with pytest.raises(ValueError, match="bound: given None.*in training"):
        certify.Sequential(certify.Bounded(), losses=losses).watch(LION)
    with pytest.raises(ValueError, match="losses: given None"):
        certify.Sequential(certify.Clipped()).watch(LION)
    tx = BOUNDED.watch(LION)
    with pytest.raises(ValueError, match="params"):
        tx.update(jnp.ones(8), tx.init(jnp.ones(8)))
    scalar = certify.Sequential(certify.Clipped(), losses=lambda x, b: jnp.sum(x))
    tx = scalar.watch(LION)
    with pytest.raises(ValueError, match=r"losses\(x, batch\): given 'shape \(\)"):
        tx.update(jnp.ones(8), tx.init(jnp.ones(8)), jnp.ones(8), fresh=jnp.arange(3))
