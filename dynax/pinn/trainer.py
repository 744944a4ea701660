"""How a window is trained, and what counts as solved."""

from collections.abc import Callable

import equinox as eqx
import jax
import optax
import optimistix as optx
from jaxtyping import PyTree

from dynax import _tree as tree
from dynax.pde import AbstractSteady
from dynax.pinn import networks
from dynax.pinn.balancing import AbstractBalance
from dynax.pinn.causal import Annealing
from dynax.pinn.certificate import Certificate
from dynax.pinn.collocation import correct
from dynax.pinn.estimate import estimate_error
from dynax.pinn.interpolant import AbstractInterpolant
from dynax.pinn.objective import Model, Objective
from dynax.pinn.state import TrainResult
from dynax.pinn.window import Window, measured


Method = optax.GradientTransformation | optx.AbstractLeastSquaresSolver


class Trainer(eqx.Module):
    """How a window is trained.

    Args:
        objective: the loss.
        method: an optax transformation (any of dynax's by `as_optax`, with its ledger)
            or an optimistix least-squares solver (`dynax.newton.LevenbergMarquardt`).
        annealing: of ε.
        inner: steps a cycle.
        learn: pde → the parts of it that are trained too, in inverse problems.
        unseen: how many batches of unseen points the stop test draws; None: 4, and 32
            of an ordinary differential equation, where they are cheap.
        balance: of the blocks' weights λ while training; None: the objective's own.
        sampler: (key, pde, window, dtype, residual) → points; None for the
            objective's own; `residual` (t, x) → ρ, for adaptive sampling.
        rtol: what a certificate promises: a relative error of each field below it.
    """

    objective: Objective
    method: Method
    annealing: Annealing
    inner: int = eqx.field(static=True, default=1)
    learn: Callable | None = eqx.field(static=True, default=None)
    unseen: int | None = eqx.field(static=True, default=None)
    balance: AbstractBalance | None = None
    sampler: Callable | None = eqx.field(static=True, default=None)
    rtol: float = eqx.field(static=True, default=1e-2)

    def solution(self, model: Model, window: Window) -> Callable:
        """u(t, x) of a model on a window."""
        return eqx.Partial(_of, self.objective.ansatz, model, window)

    def certificate(self, out: TrainResult, window: Window, start=None) -> Certificate:
        """Whether the window is solved, in words and numbers.

        Args:
            out, window: of this training.
            start: the true state at t₀, x → fields, or the `end` of the estimate for
                the window before. Unless given it is what the window starts from; of
                an interpolant at t = 0, the equation's own initial state.
        """
        state = jax.device_get(out.state)
        certificate = Certificate.of(state.last, state, self.annealing)
        if certificate.status == "diverged":
            return certificate
        pde, dtype = out.model.pde, tree.leaves(out.state.params)[0].dtype
        window = measured(pde, window, dtype)
        if start is None:
            start = window.initial
            if isinstance(start, AbstractInterpolant) and float(window.t0) == 0:
                start = pde.initial
        estimate = None
        if isinstance(pde, AbstractSteady):
            u = self.solution(out.model, window)
            estimate = correct(pde, u, scale=window.scale).estimate()
        elif "t" in pde.needs.split():
            u = self.solution(out.model, window)
            estimate = estimate_error(pde, u, window.t0, window.t1, start)
        return certificate.judged(estimate, self.rtol)

    def split(self, model: Model) -> tuple[PyTree, PyTree]:
        """(what is trained, the rest)."""
        known, learn = model.pde, self.learn
        found = jax.tree.map(lambda _: None, known)
        if learn is not None:
            part, rest = networks.split(learn(known))
            numbers = [a for a in tree.leaves(rest) if isinstance(a, int | float)]
            if numbers or not tree.leaves(part):
                raise TypeError(
                    f"learn: given {numbers or learn(known)}, nothing that can be "
                    "trained; accepted are floating arrays, or modules that have some."
                )
            found = eqx.tree_at(learn, found, part, is_leaf=lambda a: a is None)
            known = eqx.tree_at(learn, known, rest)
        learned, fixed = networks.split(model.network)
        params, static = Model(learned, found), Model(fixed, known)
        tree.check_params(params, "model")
        return params, static


def _of(ansatz, model: Model, window: Window, t, x):
    return ansatz(model.pde, model.network, window)(t, x)
