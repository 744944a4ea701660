"""Laws that every optimizer must pass, whatever it is. One function, one law.

A member is observed once, in one jitted program. A law reads what was seen and returns
by how much it is broken. Where something is not a number it returns NaN, which is not
at most a tolerance, and not above the size that a control must reach either.
"""

import functools
import io
import zlib
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import dynax as dx
from dynax import _tree as tree
from dynax.flow import Step
from dynax.lyapunov import NEVER

from .members import LR, MEMBERS, Member


STEPS = 40  # of the walk
AT = 3  # the state at which maps are compared; of a clock that is 3·LR
FINE = 1e-3, 5e-4


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


# --- what is seen ------------------------------------------------------------------


class Walk(NamedTuple):
    """Steps under noisy gradients, stacked: states that the method can be in."""

    x: Any
    state: Any
    grad: Any
    x_next: Any
    state_next: Any

    def at(self, k):
        """(x, state, grad) before step k."""
        return jax.tree.map(lambda a: a[k], self[:3])


class Seen(NamedTuple):
    """A member, and all that its laws need.

    Args:
        member: the member.
        lr: the learning rate.
        walk: `STEPS` steps.
        swept: of each sweep the steps from `walk.at(AT)`, both values at once.
        moved: |(y₊ − y)/ε − ẏ| of each leaf there, at the two ε of `FINE`.
        energy: V, V̇ by jvp and the claimed D at the states of the walk, if claimed.
        rows: the ledger of the walk, H₊ − H by definition, and the tally, if balanced.
    """

    member: Member
    lr: float
    walk: Walk
    swept: list
    moved: Any
    energy: tuple | None
    rows: tuple | None


def walk(opt, f, x, lr, noise) -> Walk:
    def body(carry, noise):
        x, s = carry
        g = tree.map(lambda a, b: a + 0.3 * b, jax.grad(f)(x), noise)
        after = opt.step(x, s, g, lr)
        return after, (x, s, g, *after)

    return Walk(*jax.lax.scan(body, (x, opt.init(x)), noise)[1])


def noise_like(x, seed, steps=STEPS):
    """A noise for each step, drawn by NumPy: nothing is compiled."""
    rng = np.random.default_rng(seed)
    return tree.map(lambda a: rng.standard_normal((steps, *a.shape)), x)


def observe(member: Member, seed: int = 0, lr: float = LR) -> Seen:
    """One program; its hyper-parameters are arguments of it."""
    numbers = lambda a: jnp.asarray(a) if isinstance(a, float) else a
    sweeps = [(make, jnp.array(values)) for make, values in member.sweeps]
    energy_lr = jnp.asarray(member.energy_lr * lr / LR)
    opt, (f, x) = jax.tree.map(numbers, member.opt), problem()
    noise = noise_like(x, seed)
    found = _observe(opt, f, x, sweeps, jnp.asarray(lr), energy_lr, noise)
    return Seen(member, lr, *found)


@functools.cache
def seen(name: str) -> Seen:
    return observe(MEMBERS[name], zlib.crc32(name.encode()))


@eqx.filter_jit
def _observe(opt, f, x, sweeps, lr, energy_lr, noise):
    steps = walk(opt, f, x, lr, noise)
    y = steps.at(AT)
    swept = [
        jax.vmap(lambda v, make=make: make(v).step(*y, lr))(values)
        for make, values in sweeps
    ]

    @jax.vmap
    def moved(eps):
        finer = opt
        # a method whose hyper-parameters count steps is refined with ε
        if isinstance(opt, dx.AbstractRefinableOptimizer):
            finer = opt.refined(lr, eps)
        rate = finer.flow(AT * lr, *y, eps)
        leaves = zip(
            *map(jax.tree.leaves, (finer.step(*y, eps), y[:2], rate)), strict=True
        )
        return [jnp.max(jnp.abs((b - a) / eps - v)) for b, a, v in leaves]

    energy = rows = None
    if isinstance(opt, dx.AbstractLyapunovOptimizer):
        flow = dx.as_flow(opt, f, lr)
        rate = dx.lie_derivative(flow.energy, flow.field)
        # not the start: m = 0 is a kink of every norm; and a first step may only look
        ys = jax.tree.map(lambda a: a[2:], steps[:2])
        energy = jax.vmap(lambda y: (*rate(0.3, y), flow.dissipation(0.3, y)))(ys)
    if isinstance(opt, dx.AbstractBalancedOptimizer):

        @jax.vmap
        def row(k, x, s, g, x1, s1):
            row = dx.monitor.row_of_step(opt, Step(k, x, s, g, lr, x1, s1, f(x), f(x1)))
            before = opt.energy(0.0, x, s, f(x), energy_lr)
            return row, opt.energy(0.0, x1, s1, f(x1), energy_lr) - before

        ledger, change = row(jnp.arange(STEPS, dtype=jnp.int32), *steps)
        rows = ledger, change, dx.tally(ledger)
    return steps, swept, moved(jnp.array(FINE)), energy, rows


# --- the laws ----------------------------------------------------------------------


def gap(a, b, floor=0.01):
    """Largest |a − b|/(floor + |b|) over two trees of one structure."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return np.max([np.max(np.abs(a - b) / (floor + np.abs(b))) for a, b in pairs])


def jit_is_eager(o: Seen):
    """A step taken eagerly, its hyper-parameters known, is the jitted one."""
    after = jax.tree.map(lambda a: a[AT], o.walk[3:])
    return gap(tuple(o.member.opt.step(*o.walk.at(AT), o.lr)), after)


def vmap_is_loop(o: Seen):
    """`make(v)` with v traced under vmap equals a loop: hyper-parameters are traced."""
    worst = [0.0]
    for (make, values), both in zip(o.member.sweeps, o.swept, strict=True):
        for i, v in enumerate(values):
            one = tuple(make(v).step(*o.walk.at(AT), o.lr))
            worst.append(gap(jax.tree.map(lambda a, i=i: a[i], both), one))
    return np.max(worst)


def tends_to_flow(o: Seen):
    """(x₊ − x)/ε → ẋ and (s₊ − s)/ε → ṡ, at first order in ε or exactly."""
    coarse, fine = np.max(np.stack(o.moved), axis=0)
    return fine - 0.6 * coarse


def claim_is_jvp(o: Seen):
    """The claimed dissipation is −V̇ by jvp."""
    v, rate, claimed = map(np.asarray, o.energy)
    if not np.all(np.isfinite(v)):
        return np.nan
    return np.max(np.abs(rate + claimed)) / (1 + np.max(np.abs(claimed)))


def dissipates(o: Seen):
    """D ≥ 0."""
    return -np.min(o.energy[2])


def balances(o: Seen):
    """H₊ − H by its terms: the largest |defect|/Σ|terms|."""
    tally = o.rows[2]  # which passes over rows that are no numbers
    return float(tally.error) if tally.non_finite == NEVER else np.nan


def ledger_holds(o: Seen):
    """No check of the ledger is violated, none is blind."""
    v = dx.verdict(o.rows[2], "balance")
    return 0 if v.status == "holds" else v.violations or np.nan


def change_is_as_defined(o: Seen):
    """H₊ − H of the ledger, where both are finite, is a difference of energies."""
    rows, change, _ = o.rows
    inside = np.isfinite(change)
    if np.any(inside == np.asarray(rows.facts.get("outside", False))):
        return np.nan
    return np.max(np.abs(rows.change - change)[inside], initial=0.0)


class Law(NamedTuple):
    of: type
    tolerance: float


LAWS = {
    jit_is_eager: Law(dx.AbstractOptimizer, 1e-13),
    vmap_is_loop: Law(dx.AbstractOptimizer, 1e-12),
    tends_to_flow: Law(dx.AbstractOptimizer, 1e-9),
    claim_is_jvp: Law(dx.AbstractLyapunovOptimizer, 1e-10),
    dissipates: Law(dx.AbstractLyapunovOptimizer, 1e-10),
    balances: Law(dx.AbstractBalancedOptimizer, 1e-12),
    ledger_holds: Law(dx.AbstractBalancedOptimizer, 0.0),
    change_is_as_defined: Law(dx.AbstractBalancedOptimizer, 1e-12),
}


def broken(opt, *laws, **options) -> dict[str, float]:
    """Those laws that `opt`, or a `Member`, breaks, and by how much."""
    o = observe(opt if isinstance(opt, Member) else Member(opt), **options)
    laws = laws or [k for k, law in LAWS.items() if isinstance(o.member.opt, law.of)]
    found = {law: float(law(o)) for law in laws}
    return {k.__name__: v for k, v in found.items() if not v <= LAWS[k].tolerance}


# --- laws that nothing has to be compiled for, or something of its own -------------


def same_structure(new, old):
    assert jax.tree.structure(new) == jax.tree.structure(old)
    for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


def keeps_structure(opt, dtype, lr=1e-2):
    """step, flow: structure, shapes and dtypes of x and state are kept; no two leaves
    are one array, so that (x, state) can be donated. Traced only."""
    _, x = problem(dtype)

    def moves(x, g):
        y = x, opt.init(x)
        assert len({id(a) for a in jax.tree.leaves(y)}) == len(jax.tree.leaves(y))
        for after in (opt.step(*y, g, lr), opt.flow(0.0, *y, g, lr)):
            same_structure(tuple(after), y)

    jax.eval_shape(moves, x, x)


class Tampered(dx.AbstractLyapunovOptimizer):
    """The claim of `opt` with D × rate, or of `claim` about the flow of `opt`."""

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
        throw=False,  # the error is a callback, and no such program is cached
    )
    assert sol.result == diffrax.RESULTS.successful
    v = dx.verdict(sol.solver_state.tally, "flow", "solver")
    assert v.status == "holds", str(v)
    assert v.rises == 0


# --- what optax does with a method: properties of `as_optax`, not of the method ----

FALLING = optax.cosine_decay_schedule(1e-2, 10)


def wrappers(opt, every=0):
    """Everything that optax wraps a transformation in, and all of it at once."""
    ours = lambda learning_rate: dx.as_optax(opt, learning_rate, every=every)
    inject = optax.inject_hyperparams(ours)
    clip = optax.clip_by_global_norm(1.0)
    return {
        "plain": ours(1e-2),
        "schedule": ours(FALLING),
        "injected": inject(learning_rate=1e-2),
        "injected schedule": inject(learning_rate=FALLING),
        "multi-steps": optax.MultiSteps(ours(1e-2), 2),
        "chain": optax.chain(clip, dx.as_optax(opt, 1e-2)),
        "all": optax.MultiSteps(optax.chain(clip, inject(learning_rate=FALLING)), 2),
    }


def works_in_optax(tx, every=0, steps=8):
    """Under jit: structures are kept, the state is written and read, the loss falls."""
    f, x = problem()

    def body(carry, _):
        p, state = carry
        extra = {"value": f(p), "value_fn": f} if every else {}
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
            delta, new = tx.update(jax.grad(f)(p), state, p, **extra)
            same_structure(new, state)
            same_structure(delta, p)
            return (optax.apply_updates(p, delta), new), None

    @jax.jit
    def run(x):
        with jax.numpy_dtype_promotion("standard"):
            p, state = jax.lax.scan(body, (x, tx.init(x)), length=steps)[0]
        return p, state, f(x) - f(p)

    _, state, fall = run(x)
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, state)
    buffer.seek(0)
    read = eqx.tree_deserialise_leaves(buffer, state)
    same_structure(read, state)
    for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)
    assert fall > 0


# --- one method's steps, another's claim -------------------------------------------


def audited(claim, run, lr=LR, claim_lr=None, smoothness=None, steps=100, on=None):
    """Steps of `run`, held against `claim`: the verdict. `on`: the loss and a start."""
    f, x = on or problem()
    rates = lr, lr if claim_lr is None else claim_lr, smoothness
    rates = jax.tree.map(jnp.asarray, rates)
    return dx.verdict(_audited(claim, run, f, x, *rates, steps), "control")


@eqx.filter_jit
def _audited(claim, run, f, x, lr, claim_lr, smoothness, steps):
    def body(carry, k):
        x, s = carry
        g = jax.grad(f)(x)
        x1, s1 = run.step(x, s, g, lr)
        step = Step(k, x, s, g, claim_lr, x1, s1, f(x), f(x1))
        return (x1, s1), dx.monitor.row_of_step(claim, step, smoothness)

    ks = jnp.arange(steps, dtype=jnp.int32)
    return dx.tally(jax.lax.scan(body, (x, run.init(x)), ks)[1])


# --- rates -------------------------------------------------------------------------


class Convex(eqx.Module):
    """f(x) = ½(x−c)ᵀQ(x−c) + Σ w·log cosh(x)."""

    q: jax.Array
    c: jax.Array
    weight: jax.Array

    def __call__(self, x):
        bowl = 0.5 * (x - self.c) @ self.q @ (x - self.c)
        return bowl + jnp.sum(self.weight * (jnp.logaddexp(x, -x) - jnp.log(2.0)))


@functools.partial(jax.jit, static_argnames=("n", "spread"))
def convex(key, n=6, spread=30.0):
    """A random smooth, strongly convex, non-quadratic f with its constants and minimum.

    Curvatures are in [μ, L]; Newton's method finds the minimum to the last digits.
    """
    keys = jax.random.split(key, 5)
    basis = jnp.linalg.qr(jax.random.normal(keys[0], (n, n)))[0]
    inner = jnp.exp(jax.random.uniform(keys[1], (n,)) * jnp.log(spread))
    eigenvalues = jnp.concatenate([jnp.ones(1), inner[1:-1], jnp.full(1, spread)])
    q, c = (basis * eigenvalues[None]) @ basis.T, jax.random.normal(keys[2], (n,))
    weight = jax.random.uniform(keys[3], (n,)) * spread / 4
    f = Convex(q, c, weight)

    def newton(x, _):
        return x - jnp.linalg.solve(jax.hessian(f)(x), jax.grad(f)(x)), None

    best = jax.lax.scan(newton, jnp.zeros(n), length=60)[0]
    mu, smoothness = jnp.ones(()), spread + jnp.max(weight)
    start = jax.random.normal(keys[4], (n,))
    return f, mu, smoothness, dx.Minimum(best, f(best)), start


def anywhere(t, y):
    return y


def rate_of_flow(
    opt,
    f,
    minimum,
    x,
    key,
    *,
    lr=1.0,
    times=(0.5, 2.0, 9.0),
    place=anywhere,
):
    """V̇ + decay ≤ 0 by jvp, at random states and times; the largest value over V.

    `place(t, (x, state))` puts a random state where the claim is made at the time t: on
    a simplex, or with its own clock at t.
    """
    times, lr = jnp.array(times), jnp.asarray(lr)
    leaves, treedef = jax.tree.flatten(jax.eval_shape(lambda x: (x, opt.init(x)), x))
    shapes = tuple((a.shape, a.dtype) for a in leaves)
    # a program of its own: where XLA draws anew for each use of a number, no entry
    # equals the maximum, and the derivative of a maximum is 0/0
    ys = jax.tree.unflatten(
        treedef, _draw(jax.random.split(key, (len(times), 200)), shapes)
    )
    return float(_rate_of_flow(opt, f, minimum, ys, lr, times, place))


@functools.partial(jax.jit, static_argnames="shapes")
def _draw(keys, shapes):
    def one(key):
        parts = zip(jax.random.split(key, len(shapes)), shapes, strict=True)
        return [3 * jax.random.normal(key, *like) for key, like in parts]

    return jax.vmap(jax.vmap(one))(keys)


@eqx.filter_jit
def _rate_of_flow(opt, f, minimum, ys, lr, times, place):
    field = dx.as_flow(opt, f, lr).field

    def excess(y, t):
        y = place(t, y)
        v = lambda t, y, args: opt.lyapunov(t, *y, f, minimum, lr)
        value, rate = dx.lie_derivative(v, field)(t, y)
        return (rate + opt.decay(t, *y, f, minimum, lr)) / (1 + jnp.abs(value))

    return jnp.max(jax.vmap(jax.vmap(excess, (0, None)))(ys, times))


def rate_of_map(opt, f, minimum, x, *, lr, steps=200):
    """V_{k+1} ≤ factor·V_k and V ≥ 0 along a run; the largest excess over V_0."""
    return float(_rate_of_map(opt, f, minimum, x, jnp.asarray(lr), steps))


@eqx.filter_jit
def _rate_of_map(opt, f, minimum, x, lr, steps):
    def body(carry, k):
        x, state = carry
        v = opt.potential(k, x, state, f, minimum, lr)
        carry = opt.step(x, state, jax.grad(f)(x), lr)
        after = opt.potential(k + 1, *carry, f, minimum, lr)
        return carry, (v, after - opt.factor(k, lr) * v)

    start = x, opt.init(x)
    _, (v, excess) = jax.lax.scan(body, start, jnp.arange(steps, dtype=float))
    return jnp.max(jnp.maximum(excess, -v)) / v[0]
