"""Put a whole system (optimizer, loss, start) to the test and return verdicts."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from dynax import _display as display, _tree as tree
from dynax._types import Params, ScalarLike
from dynax.flow import (
    AbstractAccountedOptimizer,
    AbstractBalancedOptimizer,
    AbstractConditionalOptimizer,
    AbstractLyapunovOptimizer,
    AbstractOptimizer,
    AbstractRatedFlow,
    AbstractRatedMap,
    LyapunovFlow,
    Minimum,
    is_continuous,
)
from dynax.lyapunov import Ledger, Status, Tally, Verdict, tally, verdict
from dynax.monitor import (
    VACUOUS,
    Limit,
    Monitored,
    WithDissipation,
    condition_row,
    gaps_of_step,
    limit_of_gaps,
    pointwise,
    random_states,
    rate_of_flow,
    rate_of_map,
    row_of_step,
    scan_steps,
)


class System(NamedTuple):
    """A system that `verify` can audit.

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
        """The gravest of what the system rests on; see `summary` for which part holds.

        A map without a certificate rests on its flow's through `limit`; one that has a
        certificate does not. A `condition` of a proof is no certificate of either.
        """
        found = {k: v.status for k, v in self.verdicts.items()}
        if "violated" in found.values():
            return "violated"
        if self._certified(MAP):
            found.pop("limit", None)
        if "undecided" in found.values():
            return "undecided"
        holds = self._certified(MAP) or self._certified(FLOW)
        return "holds" if holds else "no certificate"

    @property
    def summary(self) -> str:
        """One line: the status, and of which of map and flow it is the status."""
        status, ofs = self.status, {MAP: "map", FLOW: "flow"}
        if status in ("violated", "undecided"):
            names = [k for k, v in self.verdicts.items() if v.status == status]
            return f"{status}: {', '.join(names)}"
        if status == "no certificate":
            return f"{status}: neither of the map nor of the flow"
        if self._certified(MAP):
            return "holds: " + " and ".join(
                w for k, w in ofs.items() if self._certified(k)
            )
        return (
            "holds: flow; the map is not certified, but tends to this flow at first "
            "order at the states of its run"
        )

    def __repr__(self) -> str:
        statuses = ", ".join(f"{k} {v.status}" for k, v in self.verdicts.items())
        return f"<Result {self.summary} ({statuses})>"

    def _repr_html_(self) -> str:
        each = [
            display.details(v.status, f"{k}: {v.claim}", str(v))
            for k, v in self.verdicts.items()
        ]
        return "".join([display.details(self.status, self.summary, ""), *each])

    def _certified(self, names: tuple[str, ...]) -> bool:
        return any(
            self.verdicts[k].status == "holds" for k in names if k in self.verdicts
        )


MAP = "map", "map rate"
FLOW = "pointwise", "flow", "flow rate"


def verify(system: System, *, steps: int = 1000, states: int = 200, seed: int = 0):
    """Audit a system as a map and as a flow.

    condition what the proof asks of the hyper-parameters alone, where it asks anything
    map       every step's balance, signs, contraction (and the bound, with L)
    limit     (x₊ − x)/ε → ẋ at first order as ε → 0, each leaf by itself, at every
              state that the map comes to, with the count and the batch it has there
    pointwise V̇ = −D and D ≥ 0 at random states around the start
    flow      the same along a diffrax solve (Tsit5, rtol = atol = 1e-8), with the
              integrated identity V(T) − V(0) + ∫D = 0; skipped where the field jumps
              (a κ that is not smooth, a mask)
    rates     of a method with a proved rate, given the minimum: V₊ ≤ ρV along the map
              (`map rate`), V̇ ≤ −decay at random states (`flow rate`); what is measured
              over what is proved is in the claim

    An energy that cannot fall or fail is `no certificate`, for the reason in the
    verdict: one that no motion changes, that does not grow with the loss, or that falls
    by its clock alone. One with D = 0 at every state is judged as a conserved quantity:
    V̇ = 0 can fail, and no fall is claimed.

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
    batches, lr = system.batches, system.learning_rate
    name = type(opt).__name__
    verdicts = {}
    run = _run(opt, f, x, lr, batches, system.smoothness, steps)
    if run.condition is not None:
        claim = f"{name}: its hyper-parameters are those of the proof"
        verdicts["condition"] = verdict(run.condition, claim)
    origin = f"round-off model, {tree.result_dtype(x).name}"
    exact = isinstance(opt, AbstractAccountedOptimizer)
    what = "exact energy balance of every step" if exact else "energy of the map"
    verdicts["map"] = verdict(run.map, f"{name}: {what}", origin)
    proved = isinstance(opt, AbstractBalancedOptimizer) or not exact
    if not proved and verdicts["map"].status == "holds":
        reason = "every step of this run dissipates, which nothing proves"
        verdicts["map"] = _because(verdicts["map"], "no certificate", reason)
    verdicts["limit"] = _tied(run, opt, x, origin)
    if system.minimum is not None and batches is None:
        verdicts |= _rates(system, system.minimum, steps, states, seed)
    if isinstance(opt, AbstractLyapunovOptimizer):
        first = f if batches is None else _first(f, batches)
        flow = LyapunovFlow(opt, first, lr)
        if not run.inside:  # phase 1 of a constraint: the map's ledger has it
            return Result(verdicts, run.ledger)
        rows, found = _states(flow, x, states, jax.random.key(seed))
        *vacuous, conserved = np.asarray(found)
        what = "V̇ = −D, D ≥ 0"
        if conserved:
            what = "H is conserved, no fall is claimed: V̇ = 0"
        verdicts["pointwise"] = verdict(
            rows, f"{name}: {what} at {states} random states", origin
        )
        if any(vacuous):
            reason = VACUOUS[vacuous.index(True)]
            for k in ("pointwise", "map"):
                if verdicts[k].status != "violated":
                    verdicts[k] = _because(verdicts[k], "no certificate", reason)
        elif system.horizon is not None and is_continuous(opt) and not conserved:
            rows, solved = _along(flow, x, system.horizon)
            claim = f"{name}: V falls and V + ∫D is constant along the flow"
            verdicts["flow"] = verdict(
                rows, claim, "the solver's local error estimates and round-off"
            )
            if not solved and verdicts["flow"].status == "holds":
                reason = "the solver did not reach the horizon"
                verdicts["flow"] = _because(verdicts["flow"], "undecided", reason)
    return Result(verdicts, run.ledger)


class Run(NamedTuple):
    """What one program sees of the map: tallies to judge, and the ledger.

    `inside`: whether H is finite at the start, where the flow has an H.
    """

    ledger: Ledger
    map: Tally
    limit: Limit
    tied: Tally
    condition: Tally | None
    inside: Bool[Array, ""] | None


@eqx.filter_jit
def _run(opt, f, x, lr, batches, smoothness, steps) -> Run:
    length = {"steps": steps} if batches is None else {"batches": batches}
    look = lambda step: (row_of_step(opt, step, smoothness), gaps_of_step(opt, step))
    _, (rows, gaps) = scan_steps(opt, f, x, lr, look, **length)
    limit = limit_of_gaps(gaps, x, lr)
    condition = inside = None
    if isinstance(opt, AbstractConditionalOptimizer):
        condition = tally(condition_row(opt, x))
    if isinstance(opt, AbstractLyapunovOptimizer):
        flow = LyapunovFlow(opt, f if batches is None else _first(f, batches), lr)
        start = flow.energy(jnp.zeros((), tree.result_dtype(x)), flow.init(x))
        inside = start < jnp.inf
    return Run(rows, tally(rows), limit, tally(limit.rows), condition, inside)


@eqx.filter_jit
def _states(flow, x, states, key) -> tuple[Tally, Array]:
    rows, found = pointwise(flow, x, states, key)
    return tally(rows), found


def _tied(run: Run, opt, x, origin: str) -> Verdict:
    """The verdict on the limit, which names leaves."""
    limit = run.limit
    paths = jax.tree_util.tree_leaves_with_path((x, jax.eval_shape(opt.init, x)))
    names = ["x" + jax.tree_util.keystr(p[1:]) for p, _ in paths if p[0].idx == 0]
    names += ["state" + jax.tree_util.keystr(p[1:]) for p, _ in paths[len(names) :]]
    coarse = np.asarray(limit.coarse)[: len(tree.leaves(x))]
    k = int(np.argmax(coarse))
    claim = (
        f"{type(opt).__name__}: each leaf of the map tends to the flow at first order, "
        f"all along the run; at its own step {names[k]} is {100 * coarse[k]:.2g} % off"
    )
    v = verdict(run.tied, claim, origin)
    if v.violations:
        where = names[int(limit.worst[v.first])]
        return dataclasses.replace(v, claim=f"{claim}; first broken by {where}")
    if v.status == "holds" and not coarse[k] < 1:
        reason = f"the run's own steps of {names[k]} are not the flow's"
        return _because(v, "undecided", reason)
    return v


def _first(f, batches):
    batch = tree.map(lambda a: a[0], batches)
    return lambda x: f(x, batch)


def _rates(system: System, minimum: Minimum, steps, states, seed) -> dict[str, Verdict]:
    """Verdicts on the rates that are proved for the method."""
    opt, f, x, lr = system[:4]
    tree.check_match(x, minimum.x, "start", "minimum.x")
    rows = {}
    if isinstance(opt, AbstractRatedMap):

        @eqx.filter_jit
        def run(opt, x):
            return _slowest(rate_of_map(opt, f, x, lr, minimum, steps))

        rows["map rate"] = "V₊ ≤ ρV along the map", run(opt, x)
    if isinstance(opt, AbstractRatedFlow):

        @eqx.filter_jit
        def look(opt, x, key):
            ys = random_states(opt, f, x, lr, states, key)
            dtype = tree.result_dtype(x)
            ts = jnp.arange(states, dtype=dtype) * tree.cast(lr, dtype)
            return _slowest(rate_of_flow(opt, f, ts, ys, lr, minimum))

        rows["flow rate"] = (
            f"V̇ ≤ −decay at {states} random states",
            look(opt, x, jax.random.key(seed)),
        )
    verdicts = {}
    for name, (what, (seen, slowest)) in rows.items():
        slowest = float(slowest)
        ratio = f", measured/proved ≥ {slowest:.4g}" if np.isfinite(slowest) else ""
        claim = f"{type(opt).__name__}: {what}{ratio}"
        verdicts[name] = verdict(seen, claim, "first-order rounding of V's parts")
    return verdicts


def _slowest(rows: Ledger) -> tuple[Tally, Array]:
    return tally(rows), jnp.min(rows.facts["measured/proved"])


def _because(v: Verdict, status: Status, reason: str) -> Verdict:
    return dataclasses.replace(v, status=status, reason=reason)


@eqx.filter_jit
def _along(flow, x, horizon):
    system = WithDissipation(flow)
    dtype = tree.result_dtype(x)
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
