"""The adaptive methods: laws, twins in optax, and controls that must fail."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx
from dynax import tree
from dynax.flow import Step
from dynax.monitor import row_of_step

from . import laws
from .members import LR, MEMBERS, each


@pytest.mark.parametrize("opt", [dx.Shampoo(), dx.SOAP(interval=2)])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_keeps_wide_statistics(opt, dtype):
    """Factorisations need float32, and averages of g² do too."""
    f, x = laws.problem(dtype)
    body = lambda y, _: (opt.step(*y, jax.grad(f)(y[0]), 1e-2), f(y[0]))
    (_, state), values = jax.jit(
        lambda x: jax.lax.scan(body, (x, opt.init(x)), length=30)
    )(x)
    assert {a.dtype for a in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32)}
    assert values[-1] < values[0] - 0.3


def test_theorem():
    """r ≤ (L/2)‖δ‖² with the true L; a hundredth of it is rejected."""
    f, x = laws.problem()
    flat, back = jax.flatten_util.ravel_pytree(x)
    curvature = jax.jit(jax.hessian(lambda v: f(back(v))))(flat)
    smoothness = 2 + jnp.linalg.eigvalsh(curvature)[-1]

    @eqx.filter_jit
    def run(opt, smoothness):
        return dx.tally(dx.iterate(opt, f, x, LR, steps=100, smoothness=smoothness)[1])

    for opt in (dx.Adam(), dx.RMSprop()):
        for factor, status in ((1.0, "holds"), (0.01, "violated")):
            assert dx.verdict(run(opt, factor * smoothness), "").status == status


# --- twins -----------------------------------------------------------------------


def mask(x):
    return {"w": True, "b": False}


SCHEDULES = {
    "constant": 1e-2,
    "cosine": optax.cosine_decay_schedule(1e-1, 40),
    "warmup": optax.warmup_cosine_decay_schedule(1e-3, 1e-1, 10, 60),
}
TWINS = {
    "adam": (lambda lr: optax.adam(lr), dx.Adam()),
    "adam-roots": (
        lambda lr: optax.adam(lr, 0.8, 0.95, eps=1e-3, eps_root=1e-3),
        dx.Adam(0.8, 0.95, 1e-3, 1e-3),
    ),
    "adamw": (lambda lr: optax.adamw(lr, weight_decay=0.1), dx.AdamW(weight_decay=0.1)),
    "adamw-mask": (
        lambda lr: optax.adamw(lr, weight_decay=0.1, mask=mask),
        dx.AdamW(weight_decay=0.1, decay_mask=mask),
    ),
    "rmsprop": (lambda lr: optax.rmsprop(lr), dx.RMSprop()),
    "rmsprop-torch": (
        lambda lr: optax.rmsprop(lr, 0.99, 1e-6, 0.3, eps_in_sqrt=False),
        dx.RMSprop(0.99, 1e-6, 0.0, 0.3),
    ),
    "adagrad": (lambda lr: optax.adagrad(lr), dx.AdaGrad()),
    "schedule-free": (
        lambda lr: optax.contrib.schedule_free(optax.sgd(_later(lr)), lr),
        dx.ScheduleFree(),
    ),
    "schedule-free-p": (
        lambda lr: optax.contrib.schedule_free(
            optax.sgd(_later(lr)), lr, b1=0.5, weight_lr_power=0.5
        ),
        dx.ScheduleFree(0.5, 0.5),
    ),
}


def _later(lr):
    """optax's schedule_free counts from 1, its base optimizer from 0."""
    return (lambda count: lr(count + 1)) if callable(lr) else lr


def _moments(name, opt, state):
    """What of optax's state must be ours: (theirs as ours, ours)."""
    if name.startswith("adamw"):
        opt = opt.adam
    if isinstance(opt, dx.Adam):
        return opt.from_optax
    if name.startswith("schedule-free"):
        return lambda s: (s.z, s.weight_sum, s.max_lr)
    return dx.SquaresState.from_optax


def noisy_run(tx, f, x, key, steps=50):
    def body(carry, key):
        x, state = carry
        noise = tree.map(lambda a: jax.random.normal(key, a.shape, a.dtype), x)
        updates, state = tx.update(tree.add(jax.grad(f)(x), noise), state, x)
        x = optax.apply_updates(x, updates)
        return (x, state), x

    (x, state), xs = jax.lax.scan(body, (x, tx.init(x)), jax.random.split(key, steps))
    return state, xs


def tabled(rate):
    """The same numbers in any program: each rounds a schedule of float32 anew."""
    if not callable(rate):
        return rate
    values = jax.jit(jax.vmap(rate))(jnp.arange(60)).astype(float)
    return lambda count: values[count]


@pytest.mark.parametrize("rate", SCHEDULES)
@pytest.mark.parametrize("name", TWINS)
def test_twin(name, rate, getkey):
    """Parameters and states of optax over 50 noisy steps, to 1000 roundings."""
    make, opt = TWINS[name]
    f, x = laws.problem()
    key = getkey()
    with jax.numpy_dtype_promotion("standard"):
        lr = tabled(SCHEDULES[rate])
        theirs, xs = noisy_run(make(lr), f, x, key)
        shifted = _later(lr) if name.startswith("schedule-free") else lr
        ours, ys = noisy_run(dx.as_optax(opt, shifted), f, x, key)
        seen = _moments(name, opt, theirs)(theirs)
    state = ours.state
    if name.startswith("schedule-free"):
        y = tree.map(lambda a: a[-1], ys)
        z = tree.add(y, tree.scale(opt.beta, state.u))
        state = z, state.weight_sum, state.max_lr
        at = optax.contrib.schedule_free_eval_params(
            theirs, tree.map(lambda a: a[-1], xs)
        )
        seen, state = (seen, at), (state, opt.average(y, ours.state))
    for a, b in zip(
        jax.tree.leaves((xs, seen)), jax.tree.leaves((ys, state)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=2e-13, atol=2e-13)


def test_control_a_different_beta_is_no_twin(getkey):
    f, x = laws.problem()
    key = getkey()
    with jax.numpy_dtype_promotion("standard"):
        _, xs = noisy_run(optax.adam(LR), f, x, key)
        _, ys = noisy_run(dx.as_optax(dx.Adam(beta2=0.998), LR), f, x, key)
    assert np.max(np.abs(xs["w"] - ys["w"])) > 1e-6


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(
    "tx, claim, status",
    [
        (optax.adam(LR), dx.Adam(), "holds"),
        (optax.adam(LR), dx.Adam(beta1=0.89), "violated"),
        (optax.adam(LR), dx.Adam(beta2=0.998), "violated"),
        (optax.adam(LR), dx.Adam(eps=1e-2), "violated"),
        (optax.adamw(LR, weight_decay=0.1), dx.Adam(), "violated"),
        (optax.nadam(LR), dx.Adam(), "violated"),
        (optax.adam(1.05 * LR), dx.Adam(), "violated"),
    ],
    ids=["right", "beta1", "beta2", "eps", "adamw", "nadam", "rate"],
)
def test_audit_of_optax_adam(tx, claim, status, dtype):
    v = audited(tx, claim, claim.from_optax, dtype)
    assert v.status == status, str(v)


def audited(tx, claim, read, dtype=jnp.float64):
    """Fifty steps of an optax transformation, held against `claim`."""
    f, x = laws.problem(dtype)
    tx = dx.audit(tx, claim, LR, read=read)

    def body(carry, _):
        x, state = carry
        updates, state = tx.update(jax.grad(f)(x), state, x, value=f(x), value_fn=f)
        return (optax.apply_updates(x, updates), state), None

    with jax.numpy_dtype_promotion("standard"):
        (_, state), _ = jax.lax.scan(body, (x, tx.init(x)), length=50)
    return dx.verdict(state.tally, "optax's is ours")


@pytest.mark.parametrize(
    "tx, claim, status",
    [
        (optax.rmsprop(LR), dx.RMSprop(), "holds"),
        (optax.adagrad(LR), dx.AdaGrad(), "holds"),
        (optax.rmsprop(LR, 0.91), dx.RMSprop(), "violated"),
        (optax.adagrad(1.05 * LR), dx.AdaGrad(), "violated"),
    ],
    ids=["rmsprop", "adagrad", "decay", "rate"],
)
def test_audit_of_the_others(tx, claim, status):
    v = audited(tx, claim, dx.SquaresState.from_optax)
    assert v.status == status, str(v)


# --- the condition on the hyper-parameters ---------------------------------------


@pytest.mark.parametrize(
    "betas, flow, map_",
    [
        ((0.9, 0.999), True, True),
        ((0.9, 0.95), True, True),
        ((0.95, 0.95), True, True),
        ((0.0, 0.9), True, True),
        ((0.99, 0.95), False, False),
        ((0.9, 0.6), True, False),  # b = 4a exactly; √β₂ = .775 < .818
        ((0.9, 0.599), False, False),
        ((0.9, (0.9 / 1.1) ** 2), True, True),  # √β₂ = β₁/(2 − β₁) exactly
    ],
)
def test_condition(betas, flow, map_):
    for opt in (dx.Adam(*betas), dx.SOAP(*betas)):
        checks = opt.condition()
        met = {k: bool(c.margin >= -c.tolerance) for k, c in checks.items()}
        assert met == {"flow": flow, "map": map_}


def test_condition_traces():
    out = jax.jit(jax.vmap(lambda b: dx.Adam(0.99, b).condition()))(
        jnp.array([0.95, 0.97])
    )
    np.testing.assert_allclose(out["flow"].margin, [-0.25, 0.25], atol=1e-12)


@pytest.mark.parametrize(
    "betas, status", [((0.9, 0.99), "holds"), ((0.99, 0.95), "violated")]
)
def test_verify_reports_the_condition_first(betas, status):
    f, x = laws.problem()
    system = dx.System(dx.Adam(*betas), f, x, horizon=None)
    result = dx.verify(system, steps=50, states=20)
    assert next(iter(result.verdicts)) == "condition"
    assert result.verdicts["condition"].status == result.status == status


def state_of(m, v, w=1.0):
    leaf = lambda a: {"x": jnp.array([a])}
    return dx.AdamState(leaf(m), leaf(v), jnp.asarray(w), jnp.asarray(w))


@pytest.mark.parametrize("ratio, sign", [(3.9, 1), (4.1, -1)])
def test_flow_condition_is_sharp(ratio, sign):
    """At g = 0 and e ≪ √v, D = (1 − b/4a) m²/√v: its sign is that of 4a − b."""
    opt = dx.Adam(0.9, 1 - 0.1 * ratio, bias_correction=False)
    zero = {"x": jnp.zeros(1)}
    d = opt.dissipation(0.0, zero, state_of(1.0, 1.0), zero, LR)
    np.testing.assert_allclose(d, 1 - ratio / 4, atol=1e-7)
    assert np.sign(d) == sign


@pytest.mark.parametrize("excess, sign", [(1e-3, 1), (-1e-3, -1)])
def test_map_condition_is_sharp(excess, sign):
    """The m₊ = β₁m/(2−β₁) that is worst, made by g ≪ √v: ≥ 0 iff √β₂ ≥ β₁/(2−β₁)."""
    beta1 = 0.9
    opt = dx.Adam(beta1, (beta1 / (2 - beta1) + excess) ** 2, bias_correction=False)
    m, x = 1e-6, {"x": jnp.zeros(1)}
    before = state_of(m, 1.0)
    g = {"x": jnp.array([(beta1 / (2 - beta1) - beta1) * m / (1 - beta1)])}
    x1, after = opt.step(x, before, g, LR)
    zero = jnp.zeros(())
    row = row_of_step(opt, Step(jnp.int32(0), x, before, g, LR, x1, after, zero, zero))
    found = sum(row.terms[k] for k in ("momentum", "drift", "adaptation"))
    assert np.sign(found) == sign


def test_energy_of_the_map_by_hand():
    """V = f + (c/2) Σ m²/P written out, and V₊ − V of the ledger."""
    f, x = laws.problem()
    opt = dx.Adam(0.8, 0.95, 1e-3, 1e-4)
    rows = dx.iterate(opt, f, x, LR, steps=20)[1]
    (x20, s), _ = dx.iterate(opt, f, x, LR, steps=20)
    kept = 0.0
    for m, v in zip(jax.tree.leaves(s.m), jax.tree.leaves(s.v), strict=True):
        m_hat, v_hat = np.asarray(m) / (1 - 0.8**20), np.asarray(v) / (1 - 0.95**20)
        p = (1 - 0.8**20) * (np.sqrt(v_hat + 1e-4) + 1e-3)
        kept += np.sum((m_hat * (1 - 0.8**20)) ** 2 / p)
    by_hand = f(x20) + LR * 0.8 / 0.2 / 2 * kept
    np.testing.assert_allclose(rows.energy[-1] + rows.change[-1], by_hand, rtol=1e-13)
    np.testing.assert_allclose(
        rows.energy[1:], (rows.energy + rows.change)[:-1], rtol=1e-13
    )


# --- Shampoo and SOAP ------------------------------------------------------------


def matrices(key, steps=12):
    """Gradients of a matrix, a vector, a column, a tensor."""
    shapes = {"w": (5, 3), "b": (4,), "c": (6, 1), "t": (2, 2, 3)}
    keys = jax.random.split(key, len(shapes))
    return {
        name: jax.random.normal(k, (steps, *shape))
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def follow(opt, grads, lr=LR):
    x = tree.map(lambda g: jnp.zeros(g.shape[1:]), grads)

    def body(carry, g):
        carry = opt.step(*carry, g, lr)
        return carry, carry[0]

    return eqx.filter_jit(lambda: jax.lax.scan(body, (x, opt.init(x)), grads))()


def root(a, power, eps):
    values, basis = np.linalg.eigh(a)
    return (basis * (values + eps) ** power) @ basis.T


@pytest.mark.parametrize("beta, interval", [(1.0, 1), (0.9, 3)])
def test_shampoo_by_hand(beta, interval, getkey):
    grads = matrices(getkey())
    opt = dx.Shampoo(beta, 1e-4, interval)
    _, xs = follow(opt, grads)
    for name, g in grads.items():
        steps, x, fresh = len(g), 0.0, 1.0 if beta == 1 else 1 - beta
        g = np.asarray(g)
        m = g.reshape(steps, -1, g.shape[-1]) if g.ndim > 2 else g
        left = right = squares = 0.0
        for k in range(steps):
            if m.ndim == 2:
                squares = beta * squares + fresh * m[k] ** 2
                step = m[k] / np.sqrt(squares + 1e-4)
            else:
                left = beta * left + fresh * m[k] @ m[k].T
                right = beta * right + fresh * m[k].T @ m[k]
                if k % interval == 0:
                    p, q = root(left, -0.25, 1e-4), root(right, -0.25, 1e-4)
                step = p @ m[k] @ q
            x = x - LR * step.reshape(g.shape[1:])
            np.testing.assert_allclose(xs[name][k], x, rtol=1e-9, atol=1e-11)


def test_shampoo_one_sided(getkey):
    """A side too long is left out and the other gets −1/2; none left is AdaGrad."""
    grads = {"w": matrices(getkey())["w"]}
    g = np.asarray(grads["w"])
    _, xs = follow(dx.Shampoo(longest=3), grads)
    expected = -LR * g[0] @ root(g[0].T @ g[0], -0.5, 1e-6)
    np.testing.assert_allclose(xs["w"][0], expected, rtol=1e-6)
    _, xs = follow(dx.Shampoo(longest=2), grads)
    _, ys = follow(dx.AdaGrad(1e-6, 0.0), grads)
    np.testing.assert_allclose(xs["w"], ys["w"], rtol=1e-13)


def published_soap(grads, lr, beta1, beta2, eps, interval):
    """The published algorithm in numpy, m in the original coordinates, one matrix."""
    x = np.zeros_like(grads[0])
    m, v = np.zeros_like(x), np.zeros_like(x)
    left = (1 - beta2) * grads[0] @ grads[0].T
    right = (1 - beta2) * grads[0].T @ grads[0]
    ql, qr = (np.linalg.eigh(a)[1][:, ::-1] for a in (left, right))
    xs = [x]
    for k, g in enumerate(grads[1:], 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (ql.T @ g @ qr) ** 2
        m_hat = ql.T @ m @ qr / (1 - beta1**k)
        step = m_hat / (np.sqrt(v / (1 - beta2**k)) + eps)
        x = x - lr * ql @ step @ qr.T
        left = beta2 * left + (1 - beta2) * g @ g.T
        right = beta2 * right + (1 - beta2) * g.T @ g
        if k % interval == 0:
            order_l = np.argsort(-np.diag(ql.T @ left @ ql), kind="stable")
            order_r = np.argsort(-np.diag(qr.T @ right @ qr), kind="stable")
            v = v[order_l][:, order_r]
            ql = np.linalg.qr(left @ ql[:, order_l])[0]
            qr = np.linalg.qr(right @ qr[:, order_r])[0]
        xs.append(x)
    return np.stack(xs)


@pytest.mark.parametrize("interval", [1, 3])
def test_soap_is_the_published_algorithm(interval, getkey):
    grads = {"w": jax.random.normal(getkey(), (25, 4, 3)) + jnp.arange(3.0)[None, None]}
    _, xs = follow(dx.SOAP(0.9, 0.99, interval=interval), grads)
    ys = published_soap(np.asarray(grads["w"]), LR, 0.9, 0.99, 1e-8, interval)
    # the first bases come from one gradient, of rank 3: a null vector of L is any
    np.testing.assert_allclose(xs["w"], ys, rtol=1e-6, atol=1e-9)


def test_soap_does_not_see_a_rotation(getkey):
    """UXVᵀ in place of X turns the iterates along; with Adam it does not."""
    n, key = 4, getkey()
    u, v = (jnp.linalg.qr(jax.random.normal(getkey(), (n, n)))[0] for _ in range(2))
    grads = jax.random.normal(key, (20, n, n))
    turned = jnp.einsum("ij,kjl,ml->kim", u, grads, v)
    far = {}
    for name, opt in (("soap", dx.SOAP(interval=2)), ("adam", dx.Adam())):
        _, xs = follow(opt, {"w": grads})
        _, ys = follow(opt, {"w": turned})
        far[name] = np.max(
            np.abs(jnp.einsum("ij,kjl,ml->kim", u, xs["w"], v) - ys["w"])
        )
    assert far["soap"] < 1e-9 and far["adam"] > 1e-3


def test_soap_on_vectors_is_adam(getkey):
    """Without a basis it is Adam, one step late."""
    grads = {"b": matrices(getkey())["b"]}
    _, xs = follow(dx.SOAP(0.9, 0.99), grads)
    _, ys = follow(dx.Adam(0.9, 0.99), {"b": grads["b"][1:]})
    np.testing.assert_allclose(xs["b"][1:], ys["b"], rtol=1e-13)


def test_rotation_is_where_v_of_soap_can_rise():
    """J has both signs at renewals, is 0 elsewhere; without it V does not add up."""
    f, x = laws.problem()
    opt, ks = dx.SOAP(interval=5), jnp.arange(300, dtype=jnp.int32)

    @jax.vmap
    def observed(k, x, s, g, x1, s1):
        row = row_of_step(opt, Step(k, x, s, g, LR, x1, s1, f(x), f(x1)))
        v = lambda x, s: f(x) + opt.adam.kinetic(s.adam, LR)
        return row, v(x1, s1) - v(x, s)

    walk = jax.jit(lambda noise: laws.walk(opt, f, x, LR, noise))
    steps = walk(laws.noise_like(x, 0, len(ks)))
    rows, change = jax.jit(observed)(ks, *steps)
    jump = -np.asarray(rows.terms["rotation"])
    assert np.all(np.abs(jump[ks % 5 != 0]) <= 1e-15)
    assert jump.max() > 1e-4 and jump.min() < -1e-4
    np.testing.assert_allclose(rows.change, change, atol=1e-12)
    assert np.max(np.abs(rows.change - jump - change)) > 1e-4


# --- Schedule-Free ---------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9, 1.0])
def test_rates_of_schedule_free(beta, getkey):
    f, _, smoothness, minimum, x = laws.convex(getkey())
    opt = dx.ScheduleFree(beta)
    assert laws.rate_of_flow(opt, f, minimum, x, getkey()) <= 1e-9
    assert laws.rate_of_map(opt, f, minimum, x, lr=1 / smoothness) <= 1e-9


def test_decay_of_schedule_free_needs_convexity(getkey):
    """−V̇ = decay for every f; decay ≥ 0 for convex f only."""
    f, _, _, minimum, x = laws.convex(getkey())
    wavy = lambda x: f(x) + 30 * jnp.sum(jnp.cos(3 * x))
    opt = dx.ScheduleFree(0.9)
    assert laws.rate_of_flow(opt, wavy, minimum, x, getkey()) <= 1e-9
    draw = jax.random.normal(getkey(), (2, 500, *x.shape))
    for loss, convex in ((f, True), (wavy, False)):

        def decay(x, u, loss=loss):
            state = dx.optim.schedule_free.ScheduleFreeState(u, 0.0, 0.0)
            return opt.decay(1.0, x, state, loss, minimum, 1.0)

        found = jax.jit(jax.vmap(decay))(*draw)
        assert bool(jnp.min(found) >= -1e-12) == convex


@pytest.mark.parametrize("beta, falls", [(0, True), (1, True), (-0.1, 0), (1.1, 0)])
def test_betas_of_schedule_free_are_sharp(beta, falls, getkey):
    """At y = x*, −V̇ = [D(y, x) + βD(x, y)]/(1−β), and D(y, x) ≪ D(x, y) if f ≈ |x|.

    So V rises for any β outside [0, 1], which is not checked under jit.
    """
    f = lambda x: jnp.sum(jnp.logaddexp(x, -x) - jnp.log(2.0))
    y, u = jnp.zeros(3), 100 * jax.random.normal(getkey(), (500, 3))

    def decay(beta, u):
        state = dx.optim.schedule_free.ScheduleFreeState(u, 0.0, 0.0)
        return dx.ScheduleFree(beta).decay(1.0, y, state, f, dx.Minimum(y, f(y)), 1.0)

    found = jax.jit(jax.vmap(decay, (None, 0)))(float(beta), u)
    assert bool(jnp.min(found) >= -1e-12) == bool(falls)


@pytest.mark.parametrize("beta, factor", [(0.0, 4.0), (0.9, 12.0)])
def test_control_schedule_free_steps_too_far(beta, factor, getkey):
    f, _, smoothness, minimum, x = laws.convex(getkey())
    opt, lr = dx.ScheduleFree(beta), factor / smoothness
    assert 1e-3 < laws.rate_of_map(opt, f, minimum, x, lr=lr, steps=20) < np.inf


# --- controls --------------------------------------------------------------------


@each(["adam", "adam-plain", "rmsprop", "shampoo", "soap"])
def test_control_claim(name):
    """5 % too much dissipation."""
    opt = MEMBERS[name].opt
    found = laws.broken(laws.Tampered(opt, opt, 1.05), laws.claim_is_jvp)
    assert 1e-3 < found["claim_is_jvp"] < 0.1


@pytest.mark.parametrize(
    "claim, run, check",
    [
        (dx.Adam(0.89), dx.Adam(), "balance"),
        (dx.Adam(eps=1e-3), dx.Adam(), "balance"),
        (dx.Adam(beta2=0.998), dx.Adam(), "v"),
        (dx.Adam(), dx.AdamW(weight_decay=0.1), "balance"),
        (dx.RMSprop(0.8), dx.RMSprop(), "v"),
        (dx.RMSprop(eps=1e-3), dx.RMSprop(), "balance"),
        (dx.AdaGrad(1e-3), dx.AdaGrad(), "balance"),
        (dx.Shampoo(eps=1e-3), dx.Shampoo(), "balance"),
        (dx.Shampoo(0.9), dx.Shampoo(0.95), "sums"),
        (dx.SOAP(0.94), dx.SOAP(), "balance"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_control_wrong_claim_is_violated(claim, run, check):
    v = laws.audited(claim, run, steps=60)
    assert v.status == "violated" and v.checks[check]["violations"] > 0, str(v)


def cliff():
    """Slope 1, then none: the gradient is gone, and v with it, before m is."""
    return lambda x: jax.nn.softplus(100 * x["x"][0]) / 100, {"x": jnp.array([0.1])}


@pytest.mark.parametrize(
    "opt, status",
    [(dx.Adam(), "holds"), (dx.Adam(0.9, 0.95), "holds")]
    + [(dx.Adam(0.99, 0.9), "violated"), (dx.SOAP(0.99, 0.9), "violated")],
    ids=["adam", "adam-95", "adam-forbidden", "soap-forbidden"],
)
def test_control_forbidden_betas(opt, status):
    """Where `condition` is not met, what follows r in V₊ − V does become positive."""
    v = laws.audited(opt, opt, on=cliff())
    assert v.status == status
    assert bool(v.checks["dissipation"]["violations"]) == (status == "violated")


def test_no_certificate_of_adamw():
    f, x = laws.problem()
    opt = dx.AdamW(weight_decay=0.1)
    assert not isinstance(opt, dx.AbstractLyapunovOptimizer)
    result = dx.verify(dx.System(opt, f, x), steps=20)
    assert result.status == "no certificate"


# --- bad input -------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: dx.Adam(1.0), r"beta1: given 1.0; accepted is 0 ≤ beta1 < 1"),
        (lambda: dx.Adam(beta2=-0.1), "beta2: given -0.1"),
        (lambda: dx.Adam(eps=-1.0), "eps: given -1.0; accepted is a finite eps ≥ 0"),
        (lambda: dx.AdamW(beta1=float("nan")), "beta1: given nan"),
        (lambda: dx.AdamW(weight_decay=-1.0), "weight_decay: given -1.0"),
        (lambda: dx.RMSprop(1.5), "beta: given 1.5"),
        (lambda: dx.AdaGrad(initial=-1.0), "initial: given -1.0"),
        (lambda: dx.Shampoo(1.1), "beta: given 1.1"),
        (lambda: dx.Shampoo(interval=0), "interval: given 0; accepted is an integer"),
        (lambda: dx.SOAP(interval=0), "interval: given 0"),
        (lambda: dx.SOAP(beta3=1.0), "beta3: given 1.0"),
        (lambda: dx.ScheduleFree(1.5), "beta: given 1.5; accepted is 0 ≤ beta ≤ 1"),
        (lambda: dx.ScheduleFree(weight=0.0), "weight: given 0.0"),
    ],
)
def test_bad_construction(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_bad_input():
    f, x = laws.problem()
    with pytest.raises(ValueError, match="decay_mask: given"):
        dx.AdamW(decay_mask={"w": True}).init(x)
    with pytest.raises(ValueError, match="state: given one without averages"):
        dx.Adam().from_optax(optax.sgd(LR).init(x))
    with pytest.raises(ValueError, match="state: given one without `nu`"):
        dx.SquaresState.from_optax(optax.sgd(LR).init(x))
