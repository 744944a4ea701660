"""Whether a map tends to its flow: leaf by leaf, at every state of its own run.

    d(ε) = (y₊ − y)/ε − ẏ → 0 as ε → 0,   y = (x, state)

Here d is taken twice at each state that the map comes to, with the gradient, the counts
and the batch it has there: of the step that the run takes, at its learning rate η, and
of one that is far finer, ε = η·u^⅙ with u the machine epsilon. A map of first order has
|d(ε)| ≈ (ε/η)|d(η)|; asked is half an order,

    |d(ε)| ≤ √(ε/η)·|d(η)| + noise,   noise = 16u(|ẏ| + |y|/ε)

of each leaf by itself: in one norm of all, the leaves with large gradients would hide
what those with small ones do.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dynax import _tree as tree
from dynax._types import Params, Scalar, ScalarLike
from dynax.flow import AbstractOptimizer, AbstractRefinableOptimizer, Step
from dynax.lyapunov import Check, Ledger, ledger_row


BEGINNING = 3  # steps at which clocks and averages start, and the limit is singular
AT_REST = 0.01  # of the largest rate that the leaf has in the run


# At η and at ε: |d|, |ẏ| and |y| of each leaf.
Gaps = tuple[Float[Array, "*steps 3 leaves"], Float[Array, "*steps 3 leaves"]]


class Limit(NamedTuple):
    """Rows of the check `first order`, each of the leaf that fares worst there.

    `worst` is its number among the leaves of (x, state); `coarse` is Σ|d(η)|/Σ|ẏ| of
    each leaf, how far the run's own steps are from its flow.
    """

    rows: Ledger
    worst: Int[Array, " steps"]
    coarse: Float[Array, " leaves"]


def gaps_of_step(opt: AbstractOptimizer, step: Step) -> Gaps:
    """Measure |d|, |ẏ| and |y| of each leaf, at η and at the finer ε.

    `scan_steps` takes this as its `look`.
    """
    dtype = tree.result_dtype(step.x)
    lr, eps = _two_rates(step.x, step.lr)
    finer = opt.refined(lr, eps) if isinstance(opt, AbstractRefinableOptimizer) else opt
    x, state, grad = here = step.x, step.state, step.grad
    t = step.index.astype(dtype) * lr

    def gaps(lr, opt, delta, after):
        rate = opt.flow(t, *here, lr)
        moved = tree.scale(1 / lr, (delta, tree.sub(after, state)))
        kinds = tree.sub(moved, rate), rate, (x, state)
        size = lambda a: jnp.sqrt(tree.vdot(a, a)).astype(dtype)
        return jnp.stack([jnp.stack([*map(size, tree.leaves(k))]) for k in kinds])

    own = gaps(lr, opt, step.displacement, step.state_next)
    return own, gaps(eps, finer, *finer.update(*here, eps))


def limit_of_gaps(gaps: Gaps, x: Params, lr: ScalarLike) -> Limit:
    """Judge the stacked gaps of a run that began at x."""
    dtype, u = tree.result_dtype(x), tree.eps(x)
    lr, eps = _two_rates(x, lr)
    (gap, rate, _), (left, pace, size) = (jnp.moveaxis(a, 1, 0) for a in gaps)
    length = gap.shape[0]
    ks = jnp.arange(length, dtype=jnp.int32)

    used = (ks >= min(BEGINNING, length - 1))[:, None]
    noise = 16 * u * (pace + size / eps)
    margin = (eps / lr) ** 0.5 * gap - left
    rests = pace <= AT_REST * jnp.max(jnp.where(used, pace, 0), axis=0, keepdims=True)
    blur = tree.safe_divide(noise, pace)
    ratio = margin / (noise + jnp.finfo(dtype).tiny)
    worst = jnp.argmin(jnp.where(jnp.isnan(ratio), -jnp.inf, ratio), axis=1)
    take = lambda a: jnp.take_along_axis(a, worst[:, None], axis=1)[:, 0]
    # all leaves at rest: what is seen of them is judged, and no more is asked
    resolution = jnp.max(jnp.where(rests, 0, blur), axis=1)
    rows = ledger_row(
        jnp.where(used[:, 0], ks, -1),
        take(left),
        take(left) - take(gap),
        {"first order": Check(take(margin), take(noise), resolution)},
        scale=take(pace),
    )
    total = lambda a: jnp.sum(jnp.where(used, a, 0), axis=0)
    coarse = tree.safe_divide(total(gap), total(rate))
    return Limit(rows, worst, coarse)


def _two_rates(x: Params, lr: ScalarLike) -> tuple[Scalar, Scalar]:
    """η and ε = η·u^⅙."""
    lr = tree.cast(lr, tree.result_dtype(x))
    return lr, lr * tree.eps(x) ** (1 / 6)
