"""Laws that every optimizer must pass, whatever it is. One function, one law.

A test names its members and calls these; nothing here knows any member.
"""

import functools
import io

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import dynax as dx
from dynax import _tree as tree
from dynax.flow import Step


@functools.cache  # one f: what is compiled for it is found again
def problem(dtype=jnp.float64, n=7):
    """A smooth nonconvex loss on a small tree with a matrix and a vector."""
    key = jax.random.key(0)
    a = jax.random.normal(key, (n + 6, n + 6), dtype)
    q, shift = (
        a @ a.T / (n + 6),
        jax.random.normal(jax.random.fold_in(key, 1), (n + 6,)),
    )
    shift = shift.astype(dtype)

    def f(x):
        v = jnp.concatenate([x["w"].ravel(), x["b"]])
        return v @ q @ v / 2 + jnp.sum(jnp.cos(v + shift))

    w = jax.random.normal(jax.random.fold_in(key, 2), (2, 3), dtype)
    return f, {"w": w / 4, "b": jnp.linspace(-0.4, 0.4, n, dtype=dtype)}


def wander(opt, f, x, lr, steps, key):
    """Steps under noisy gradients, (x, s, g, x₊, s₊) stacked: reachable states."""
    return _wander(opt, f, x, lr, jax.random.split(key, steps))


@eqx.filter_jit
def _wander(opt, f, x, lr, keys):
    def body(carry, key):
        x, s = carry
        keys = jax.random.split(key, len(jax.tree.leaves(x)))
        keys = jax.tree.unflatten(jax.tree.structure(x), keys)
        noise = tree.map(lambda a, k: jax.random.normal(k, a.shape, a.dtype), x, keys)
        g = tree.map(lambda a, b: a + 0.3 * b, jax.grad(f)(x), noise)
        after = opt.step(x, s, g, lr)
        return after, (x, s, g, *after)

    return jax.lax.scan(body, (x, opt.init(x)), keys)[1]


def last(opt, f, x, key, lr=1e-2):
    """(x, s, g) after a few noisy steps."""
    return jax.tree.map(lambda a: a[-1], wander(opt, f, x, lr, 4, key)[:3])


def same_structure(new, old):
    assert jax.tree.structure(new) == jax.tree.structure(old)
    for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


class Tampered(dx.AbstractLyapunovOptimizer):
    """The claim of `opt` with D × 1.01, or of `claim` about the flow of `opt`."""

    opt: dx.AbstractOptimizer
    claim: dx.AbstractLyapunovOptimizer
    rate: float = 1.0

    def init(self, x):
        return self.opt.init(x)

    def update(self, x, state, grad, lr):
        return self.opt.update(x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        return self.opt.flow(t, x, state, grad, lr)

    def energy(self, t, x, state, value, lr):
        return self.claim.energy(t, x, state, value, lr)

    def dissipation(self, t, x, state, grad, lr):
        return self.rate * self.claim.dissipation(t, x, state, grad, lr)


def keeps_structure(opt, dtype, lr=1e-2):
    """step, flow: structure, shapes and dtypes of x and state are kept; no two leaves
    are one array, so that (x, state) can be donated."""
    _, x = problem(dtype)
    y = x, opt.init(x)
    assert len({id(a) for a in jax.tree.leaves(y)}) == len(jax.tree.leaves(y))
    for move in (opt.step, lambda *given: opt.flow(0.0, *given)):
        same_structure(jax.eval_shape(lambda y, g, m=move: m(*y, g, lr), y, x), y)


def jit_is_eager(opt, key, lr=1e-2):
    f, x = problem()
    x, s, g = last(opt, f, x, key)
    eager, jitted = opt.step(x, s, g, lr), eqx.filter_jit(opt.step)(x, s, g, lr)
    for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def vmap_is_loop(make, values, key):
    """`make(v)` with v traced under vmap equals a loop: hyper-parameters are traced."""
    f, x = problem()
    x, s, g = last(make(values[0]), f, x, key)
    step = lambda v: make(v).step(x, s, g, 1e-2)
    batched, single = jax.jit(jax.vmap(step))(values), jax.jit(step)
    for i, v in enumerate(values):
        one = single(v)
        for a, b in zip(jax.tree.leaves(batched), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-12, atol=1e-14)


def tends_to_flow(opt, key, lr=1e-2, t=0.0):
    """(x₊ − x)/ε → ẋ and (s₊ − s)/ε → ṡ, at first order in ε or exactly.

    A method whose hyper-parameters count steps is refined with ε. `last` has taken
    three steps of `lr`: t = 3·lr where the flow depends on the time.
    """
    f, x = problem()
    x, s, g = last(opt, f, x, key, lr)

    def gap(eps):
        finer = opt
        if isinstance(opt, dx.AbstractRefinableOptimizer):
            finer = opt.refined(lr, eps)
        after = finer.step(x, s, g, eps)
        rate = finer.flow(t, x, s, g, eps)
        moved = tree.map(lambda a, b: (a - b) / eps, after, (x, s))
        return max(
            float(jnp.max(jnp.abs(a - b)))
            for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(rate), strict=True)
        )

    gaps = [gap(eps) for eps in (1e-3, 5e-4)]
    assert gaps[1] < 0.6 * gaps[0] + 1e-9, gaps


def claim_is_jvp(opt, key, states=20, lr=1e-2, tol=1e-10):
    """The claimed dissipation is −V̇ by jvp, and is ≥ 0."""
    f, x = problem()
    flow = dx.as_flow(opt, f, lr)
    # not the start: m = 0 is a kink of every norm; and a first step may only look
    ys = jax.tree.map(lambda a: a[2:], wander(opt, f, x, lr, states, key)[:2])

    @eqx.filter_jit
    def rates(flow, ys):
        rate = dx.lie_derivative(flow.energy, flow.field)
        return jax.vmap(lambda y: (*rate(0.3, y), flow.dissipation(0.3, y)))(ys)

    v, dv, d = rates(flow, ys)
    assert np.all(np.isfinite(v))
    np.testing.assert_allclose(dv + d, 0, atol=tol * (1 + np.max(np.abs(d))))
    assert np.min(d) >= -tol


def falls_along_diffrax(opt, horizon=3.0, lr=1e-2):
    """Along a solve V falls and V + ∫D is constant, step by step."""
    f, x = problem()
    system = dx.WithDissipation(dx.as_flow(opt, f, lr))
    sol = diffrax.diffeqsolve(
        diffrax.ODETerm(system.field),
        dx.Monitored(diffrax.Tsit5(), system),
        0.0,
        horizon,
        None,
        system.init(x),
        stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-8),
        saveat=diffrax.SaveAt(t1=True, solver_state=True),
        throw=False,  # the error is a callback, and no such programme is cached
    )
    assert sol.result == diffrax.RESULTS.successful
    v = dx.verdict(sol.solver_state.tally, "flow", "solver")
    assert v.status == "holds", str(v)
    assert v.rises == 0


def balances(opt, key, steps=40, lr=1e-2, tol=1e-12, energy_lr=None):
    """The exact balance on noisy steps, and by the naive definition of H₊ − H.

    `energy_lr`: the step size at which the map's H is the method's `energy`.
    """
    f, x = problem()
    steps = wander(opt, f, x, lr, steps, key)

    @eqx.filter_jit
    def audit(opt, steps):
        def one(k, x, s, g, x1, s1):
            row = dx.monitor.row_of_step(opt, Step(k, x, s, g, lr, x1, s1, f(x), f(x1)))
            eps = lr if energy_lr is None else energy_lr
            before = opt.energy(0.0, x, s, f(x), eps)
            return row, opt.energy(0.0, x1, s1, f(x1), eps) - before

        return jax.vmap(one)(
            jnp.arange(steps[0]["b"].shape[0], dtype=jnp.int32), *steps
        )

    rows, naive = audit(opt, steps)
    v = dx.verdict(rows, "balance")
    assert v.status == "holds", str(v)
    assert v.error <= tol, str(v)
    inside = np.isfinite(naive)
    assert np.all(inside == ~np.asarray(rows.facts.get("outside", False)))
    np.testing.assert_allclose(rows.change[inside], naive[inside], atol=1e-12)


def works_as_optax(make, every=0, steps=3):
    """inject_hyperparams, schedules, MultiSteps, a chain, jit, serialisation."""
    f, x = problem()
    extra = {} if every == 0 else {"value": f(x), "value_fn": f}
    schedule = optax.cosine_decay_schedule(1e-2, 10)

    def inject(learning_rate):
        return dx.as_optax(make(), learning_rate, every=every)

    for tx in (
        dx.as_optax(make(), 1e-2, every=every),
        dx.as_optax(make(), schedule, every=every),
        optax.inject_hyperparams(inject)(learning_rate=1e-2),
        optax.inject_hyperparams(inject)(learning_rate=schedule),
        optax.MultiSteps(dx.as_optax(make(), 1e-2, every=every), 2),
        optax.chain(optax.clip_by_global_norm(1.0), dx.as_optax(make(), 1e-2)),
    ):
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
            state = tx.init(x)
            update = jax.jit(lambda g, s, p, tx=tx: tx.update(g, s, p, **extra))
            p = x
            for _ in range(steps):
                delta, new = update(jax.grad(f)(p), state, p)
                same_structure(new, state)
                same_structure(delta, p)
                state, p = new, optax.apply_updates(p, delta)
            buffer = io.BytesIO()
            eqx.tree_serialise_leaves(buffer, state)
            buffer.seek(0)
            same_structure(eqx.tree_deserialise_leaves(buffer, state), state)
        assert f(p) < f(x)


def convex(key, n=6, spread=30.0):
    """A random smooth, strongly convex, non-quadratic f with its constants and minimum.

    f(x) = ½(x−c)ᵀQ(x−c) + Σ w·log cosh(x), curvatures in [μ, L]; the minimum is found
    by Newton's method to the last digits.
    """
    keys = jax.random.split(key, 5)
    basis = jnp.linalg.qr(jax.random.normal(keys[0], (n, n)))[0]
    inner = jnp.exp(jax.random.uniform(keys[1], (n,)) * jnp.log(spread))
    eigenvalues = jnp.concatenate([jnp.ones(1), inner[1:-1], jnp.full(1, spread)])
    q, c = (basis * eigenvalues[None]) @ basis.T, jax.random.normal(keys[2], (n,))
    weight = jax.random.uniform(keys[3], (n,)) * spread / 4

    def f(x):
        bowl = 0.5 * (x - c) @ q @ (x - c)
        return bowl + jnp.sum(weight * (jnp.logaddexp(x, -x) - jnp.log(2.0)))

    def newton(x, _):
        return x - jnp.linalg.solve(jax.hessian(f)(x), jax.grad(f)(x)), None

    best = jax.lax.scan(newton, jnp.zeros(n), length=60)[0]
    mu, smoothness = jnp.ones(()), spread + jnp.max(weight)
    return (
        f,
        mu,
        smoothness,
        dx.Minimum(best, f(best)),
        jax.random.normal(keys[4], (n,)),
    )


def rate_of_flow(
    opt,
    f,
    minimum,
    x,
    key,
    *,
    lr=1.0,
    times=(0.5, 2.0, 9.0),
    tol=1e-9,
    place=lambda t, y: y,
):
    """V̇ + decay ≤ 0 by jvp, at random states and times; the largest value over V.

    `place(t, (x, state))` puts a random state where the claim is made at the time t: on
    a simplex, or with its own clock at t.
    """
    state = opt.init(x)
    field = dx.as_flow(opt, f, lr).field

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def gap(key, t):
        leaves, treedef = jax.tree.flatten((x, state))
        parts = jax.random.split(key, len(leaves))
        draw = [
            3 * jax.random.normal(p, a.shape, a.dtype)
            for p, a in zip(parts, leaves, strict=True)
        ]
        y = place(t, jax.tree.unflatten(treedef, draw))
        v = lambda t, y, args: opt.lyapunov(t, *y, f, minimum, lr)
        value, rate = dx.lie_derivative(v, field)(t, y)
        return (rate + opt.decay(t, *y, f, minimum, lr)) / (1 + jnp.abs(value))

    worst = -np.inf
    for k, t in enumerate(times):
        keys = jax.random.split(jax.random.fold_in(key, k), 200)
        worst = max(worst, float(jnp.max(gap(keys, t))))
    assert worst <= tol, worst
    return worst


def rate_of_map(opt, f, minimum, x, *, lr, steps=200, tol=1e-9):
    """V_{k+1} ≤ factor·V_k along a run; the largest excess over V_0."""

    def body(carry, k):
        x, state = carry
        v = opt.potential(k, x, state, f, minimum, lr)
        carry = opt.step(x, state, jax.grad(f)(x), lr)
        after = opt.potential(k + 1, *carry, f, minimum, lr)
        return carry, (v, after - opt.factor(k, lr) * v)

    run = jax.jit(lambda c: jax.lax.scan(body, c, jnp.arange(steps, dtype=float)))
    v, excess = run((x, opt.init(x)))[1]
    assert np.all(np.isfinite(v)) and np.all(v >= -tol * v[0])
    worst = float(np.max(excess) / v[0])
    assert worst <= tol, worst
    return worst
