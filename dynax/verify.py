"""Put a whole system (optimizer, loss, start) to the test and return verdicts."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from dynax import _tree as tree
from dynax._types import Params, ScalarLike
from dynax.flow import (
    AbstractBalancedOptimizer,
    AbstractConditionalOptimizer,
    AbstractLyapunovOptimizer,
    AbstractOptimizer,
    AbstractRatedFlow,
    AbstractRatedMap,
    AbstractRefinableOptimizer,
    LyapunovFlow,
    Minimum,
    is_continuous,
)
from dynax.lyapunov import INSIDE, Check, Ledger, Verdict, verdict
from dynax.monitor import (
    Monitored,
    WithWork,
    iterate,
    observe_flow,
    rate_of_flow,
    rate_of_map,
)


class System(NamedTuple):
    """What `verify` takes.

    Args:
        optimizer: the method.
        loss: f(x), or f(x, batch) with `batches`.
        start: x₀, any pytree of real floating arrays.
        learning_rate: of the map; also where the flow is read off.
        batches: a tree of arrays that lead by time, for a stochastic loss.
        smoothness: a Lipschitz constant of ∇f, if one is known.
        horizon: T, how long the flow is followed; None not to.
        minimum: x* and f*, if known: then proved rates of convergence are checked too.
    """

    optimizer: AbstractOptimizer
    loss: Callable
    start: Params
    learning_rate: ScalarLike = 1e-2
    batches: PyTree | None = None
    smoothness: ScalarLike | None = None
    horizon: float | None = 10.0
    minimum: Minimum | None = None


class Result(NamedTuple):
    """Verdicts by name, and the ledger of the map for figures."""

    verdicts: dict[str, Verdict]
    ledger: Ledger

    @property
    def status(self) -> str:
        """The gravest verdict. Parts about which nothing is claimed do not count, and
        that the map tends to its flow (`limit`) is no certificate of either."""
        found = {v.status for v in self.verdicts.values()}
        for status in ("violated", "undecided"):
            if status in found:
                return status
        certified = {v.status for k, v in self.verdicts.items() if k != "limit"}
        return "holds" if "holds" in certified else "no certificate"


def verify(system: System, *, steps: int = 1000, states: int = 200, seed: int = 0):
    """Audit a system as a map and as a flow.

    condition what the proof asks of the hyper-parameters alone, where it asks anything
    map       every step's balance, signs, contraction (and the bound, with L)
    pointwise V̇ = −D and D ≥ 0 at random states around the start
    limit     (x₊ − x)/ε → ẋ at first order as ε → 0
    flow      the same along a diffrax solve (Tsit5, rtol = atol = 1e-8), with the
              integrated identity V(T) − V(0) + ∫D = 0; skipped where the field jumps
              (a κ that is not smooth, a mask)
    rates     of a method with a proved rate, given the minimum: V₊ ≤ ρV along the map
              (`map rate`), V̇ ≤ −decay at random states (`flow rate`); what is measured
              over what is proved is in the claim

    From a start where H = +∞ (outside the constraint set of a Lion-κ) only `map` and
    `limit` are done: the map's ledger has the contraction towards the set.

    Args:
        system: the system.
        steps: of the map (ignored when `system.batches` says how many there are).
        states: how many random states.
        seed: of those states.
    """
    opt, f, x = system.optimizer, system.loss, system.start
    if not isinstance(opt, AbstractOptimizer):
        raise TypeError(
            f"optimizer: given {type(opt).__name__}; accepted is a "
            "dynax.AbstractOptimizer."
        )
    tree.check_params(x, "start")
    batches = system.batches

    @eqx.filter_jit
    def run(opt, x):
        _, rows = iterate(
            opt,
            f,
            x,
            system.learning_rate,
            steps=None if batches is not None else steps,
            batches=batches,
            smoothness=system.smoothness,
        )
        return rows

    name = type(opt).__name__
    verdicts = {}
    if isinstance(opt, AbstractConditionalOptimizer):
        verdicts["condition"] = verdict(
            _condition(opt.condition(), tree.widest(x)),
            f"{name}: its hyper-parameters are those of the proof",
        )
    ledger = run(opt, x)
    origin = f"round-off model, {tree.widest(x).name}"
    exact = isinstance(opt, AbstractBalancedOptimizer)
    what = "exact energy balance of every step" if exact else "energy of the map"
    verdicts["map"] = verdict(ledger, f"{name}: {what}", origin)

    first = f if batches is None else _first(f, batches)
    verdicts["limit"] = verdict(
        _limit(opt, first, x, system.learning_rate),
        f"{name}: the map tends to the flow at first order",
        origin,
    )
    if system.minimum is not None and batches is None:
        verdicts |= _rates(system, system.minimum, steps, states, seed)
    if isinstance(opt, AbstractLyapunovOptimizer):
        flow = LyapunovFlow(opt, first, system.learning_rate)
        start = flow.energy(jnp.zeros((), tree.widest(x)), flow.init(x))
        if not bool(
            start < jnp.inf
        ):  # phase 1 of a constraint: the map's ledger has it
            return Result(verdicts, ledger)
        rows = _pointwise(flow, x, states, jax.random.key(seed))
        verdicts["pointwise"] = verdict(
            rows, f"{name}: V̇ = −D, D ≥ 0 at {states} random states", origin
        )
        if system.horizon is not None and is_continuous(opt):
            rows, solved = _along(flow, x, system.horizon)
            claim = f"{name}: V falls and V + ∫D is constant along the flow"
            verdicts["flow"] = verdict(
                rows, claim, "the solver's local error estimates and round-off"
            )
            if not solved:
                verdicts["flow"] = _unsolved(verdicts["flow"])
    return Result(verdicts, ledger)


def _condition(checks: dict[str, Check], dtype) -> Ledger:
    """One row: no energy, only the checks, of numbers of order 1."""
    zero = jnp.zeros((), dtype)
    return Ledger(
        step=jnp.zeros((), jnp.int32),
        energy=zero,
        change=zero,
        predicted=zero,
        defect=zero,
        scale=jnp.ones((), dtype),
        terms={},
        phase=jnp.asarray(INSIDE),
        distance=zero,
        stationarity=zero,
        checks=checks,
    )


def _first(f, batches):
    batch = tree.map(lambda a: a[0], batches)
    return lambda x: f(x, batch)


def _rates(system: System, minimum: Minimum, steps, states, seed) -> dict[str, Verdict]:
    """Verdicts on the rates that are proved for the method."""
    opt, f, x, lr = system[:4]
    tree.check_match(x, minimum.x, "start", "minimum.x")
    rows = {}
    if isinstance(opt, AbstractRatedMap):
        run = eqx.filter_jit(lambda opt, x: rate_of_map(opt, f, x, lr, minimum, steps))
        rows["map rate"] = "V₊ ≤ ρV along the map", run(opt, x)
    if isinstance(opt, AbstractRatedFlow):

        @eqx.filter_jit
        def look(opt, x, key):
            ys = _wander(opt, f, x, lr, states, key)
            dtype = tree.widest(x)
            ts = jnp.arange(states, dtype=dtype) * tree.cast(lr, dtype)
            return rate_of_flow(opt, f, ts, ys, lr, minimum)

        found = look(opt, x, jax.random.key(seed))
        rows["flow rate"] = f"V̇ ≤ −decay at {states} random states", found
    verdicts = {}
    for name, (what, ledger) in rows.items():
        slowest = float(jnp.min(ledger.terms["measured/proved"]))
        ratio = f", measured/proved ≥ {slowest:.4g}" if np.isfinite(slowest) else ""
        claim = f"{type(opt).__name__}: {what}{ratio}"
        verdicts[name] = verdict(ledger, claim, "first-order rounding of V's parts")
    return verdicts


def _unsolved(v: Verdict) -> Verdict:
    if v.status != "holds":
        return v
    claim = f"{v.claim} (the solver did not reach the horizon)"
    return dataclasses.replace(v, status="undecided", claim=claim)


def _wander(opt, f, x, lr, steps, key):
    """States the optimizer can be in: iterates under gradients as noisy as large."""

    def body(carry, key):
        x, s = carry
        g = jax.grad(f)(x)
        keys = jax.random.split(key, len(tree.leaves(g)))
        keys = jax.tree.unflatten(jax.tree.structure(g), keys)
        size = jnp.sqrt(tree.vdot(g, g) / tree.size(g))

        def disturb(a, key):
            return a + size.astype(a.dtype) * jax.random.normal(key, a.shape, a.dtype)

        return opt.step(x, s, tree.map(disturb, g, keys), lr), (x, s)

    return jax.lax.scan(body, (x, opt.init(x)), jax.random.split(key, steps))[1]


@eqx.filter_jit
def _pointwise(flow, x, states, key) -> Ledger:
    # not the start itself: m = 0 is a kink of every norm; a first step may only look
    ys = _wander(flow.opt, flow.f, x, flow.lr, states + 2, key)
    ys = tree.map(lambda a: a[2:], ys)
    dtype = tree.widest(x)
    ts = jnp.arange(2, states + 2, dtype=dtype) * tree.cast(flow.lr, dtype)

    at = jax.vmap(lambda t, y: observe_flow(flow, t, y))(ts, ys)
    v, dv, d, size = at.energy, at.rate, at.dissipation, at.power
    known = jnp.isfinite(v)
    u = (8 + float(np.log2(tree.size(x)))) * tree.eps(x) / 2
    allowed = u * jnp.max(jnp.where(known, size, 0))
    allowed = jnp.broadcast_to(allowed.astype(v.dtype), v.shape)
    zero = jnp.zeros_like(v)
    return Ledger(
        # H = +∞ outside dom κ*: nothing is claimed there
        step=jnp.where(known, jnp.arange(states, dtype=jnp.int32), -1),
        energy=jnp.where(known, v, 0),
        change=dv,
        predicted=-d,
        defect=dv + d,
        scale=jnp.maximum(jnp.abs(d), size),
        terms={"dissipation": d},
        phase=jnp.full(v.shape, INSIDE),
        distance=zero,
        stationarity=zero,
        checks={
            "identity": Check(-jnp.abs(dv + d), allowed),
            "dissipation": Check(d, allowed),
        },
    )


@eqx.filter_jit
def _limit(opt, f, x, lr) -> Ledger:
    """‖(y₊ − y)/ε − ẏ‖ must shrink with ε, y = (x, s): at ε/8 and ε/16."""
    dtype = tree.widest(x)

    x_, s = x, opt.init(x)
    for _ in range(3):
        x_, s = opt.step(x_, s, jax.grad(f)(x_), lr)
    g, t = jax.grad(f)(x_), tree.cast(3 * lr, dtype)

    def error(eps):
        finer = opt
        if isinstance(opt, AbstractRefinableOptimizer):
            finer = opt.refined(lr, eps)
        delta, after = finer.update(x_, s, g, eps)
        moved, rate = (delta, tree.sub(after, s)), finer.flow(t, x_, s, g, eps)
        gap = tree.sub(tree.scale(1 / eps, moved), rate)
        return tree.vdot(gap, gap) ** 0.5, tree.vdot(rate, rate) ** 0.5

    eps = jnp.asarray(lr, dtype) / 8
    (coarse, size), (fine, _) = error(eps), error(eps / 2)
    reach = tree.vdot((x_, s), (x_, s)) ** 0.5
    noise = 64 * tree.eps(x) * (size + reach / eps)
    zero = jnp.zeros((), dtype)
    return Ledger(
        step=jnp.zeros((), jnp.int32),
        energy=fine,
        change=fine - coarse,
        predicted=-coarse / 2,
        defect=fine - coarse / 2,
        scale=size,
        terms={},
        phase=jnp.asarray(INSIDE),
        distance=zero,
        stationarity=zero,
        checks={"first order": Check(0.75 * coarse - fine, noise)},
    )


@eqx.filter_jit
def _along(flow, x, horizon):
    system = WithWork(flow)
    dtype = tree.widest(x)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(system.field),
        Monitored(diffrax.Tsit5(), system),
        jnp.zeros((), dtype),
        jnp.asarray(horizon, dtype),
        None,
        system.init(x),
        stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-8),
        saveat=diffrax.SaveAt(t1=True, solver_state=True),
        max_steps=16_384,
        throw=False,
    )
    assert solution.solver_state is not None
    ok = solution.result == diffrax.RESULTS.successful
    return solution.solver_state.tally, ok
