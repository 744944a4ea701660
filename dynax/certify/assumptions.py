"""What may be taken for granted of noise, and the bets that follow from it.

x is X in units of a c that was known before the batch was drawn. Increments of the
logarithms of two e-processes, for each λ of a grid:

    Bounded     |x| ≤ 1         log(1 + λx)        −λx/2 − ψ(λ)((x − p)/2)²
    Clipped     x is clipped    as Bounded
    Variance    E[x²] ≤ 1       φ(λx) − λ²/2       φ(−λx) − λ²/2
    Symmetric   x symmetric     λx − λ²x²/2        −λx − λ²x²/2

with ψ(λ) = −log(1 − λ) − λ, p a prediction from the past, and Catoni's
φ(u) = ±log(1 ± u + u²/2). `Asymptotic` bets nothing: with S = Σx of n examples, their
variance v and q = S²ρ²/(2v(nρ² + 1)), it weighs (e^q − 1)·2/√(nρ² + 1) on the side that
S has. This is at least 1/α where |S/n| exceeds the width

    √(v·2(nρ² + 1)/(n²ρ²)·log(1 + √(nρ² + 1)/(2α))).

Source: Waudby-Smith, Ramdas, JRSS B 2024 (betting); Howard, Ramdas, McAuliffe, Sekhon,
Annals of Statistics 2021 (empirical Bernstein); Wang, Ramdas, SPA 2023 (Catoni);
Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Annals of Statistics 2024 (asymptotic).
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dynax import _tree as tree
from dynax._check import check_parameter, check_positive
from dynax._types import Params, ScalarLike


GRID = 16
Bound = ScalarLike | Callable[[Params, Params], ScalarLike]


class Evidence(NamedTuple):
    """What was learnt so far: O(1) numbers, carried through `scan` and checkpoints.

    Attributes:
        audits, examples: how many there were.
        alarm, fall, doubt: logarithms of e-processes, one a λ: that it rises, that it
            falls, and that what is assumed is false.
        total, squares, cubes: Σx, Σx², Σx³.
        rounding: Σ of the rounding of x that its losses allow.
        scale: root mean square of X, in its own units.
        same: how many of the first audits had the gradient that made the step.
        alarmed, fell, broken: the audit at which it happened.
    """

    audits: Int[Array, ""]
    examples: Int[Array, ""]
    alarm: Float[Array, " grid"]
    fall: Float[Array, " grid"]
    doubt: Float[Array, " grid"]
    total: Float[Array, ""]
    squares: Float[Array, ""]
    cubes: Float[Array, ""]
    rounding: Float[Array, ""]
    scale: Float[Array, ""]
    same: Int[Array, ""]
    alarmed: Int[Array, ""]
    fell: Int[Array, ""]
    broken: Int[Array, ""]


class AbstractAssumption(eqx.Module):
    """What is taken for granted of the noise.

    Attributes:
        sentence: the assumption in words.
        doubtful: what of it a skewed sample makes doubtful, or nothing.
        limit: the largest |x| that is allowed.
        clip: where |x| is cut.
        times: c in root mean squares of earlier X; None where c is given.
    """

    sentence: eqx.AbstractClassVar[str]
    doubtful: eqx.AbstractClassVar[str]
    limit: eqx.AbstractClassVar[float]
    clip: eqx.AbstractClassVar[float]
    times: eqx.AbstractClassVar[float | None]

    @abc.abstractmethod
    def bets(self, x, expected) -> tuple[Array, Array, Array]:
        """What x adds to alarm, fall and doubt, given a prediction from the past."""

    @abc.abstractmethod
    def weigh(self, evidence: Evidence, alpha: float) -> tuple[Array, Array]:
        """log of the evidence of a rise and of a fall, to compare with log 1/α."""

    @abc.abstractmethod
    def below(self, evidence: Evidence, alpha: float, mean) -> Array:
        """log of the evidence that the running mean of x is below `mean`."""


def mixture(logs) -> Array:
    """log of the mean of the grid's e-processes."""
    return jax.nn.logsumexp(jnp.asarray(logs)) - np.log(GRID)


class AbstractBets(AbstractAssumption):
    """An assumption whose evidence is a mixture of bets.

    Attributes:
        most: the largest λ that is sound.
        share: a fall's bets lose share·λ·E[x].
    """

    most: eqx.AbstractClassVar[float]
    share: eqx.AbstractClassVar[float]

    @abc.abstractmethod
    def bet(self, x, expected, size) -> tuple[Array, Array, Array]:
        """`bets` with λ = size."""

    def bets(self, x, expected):
        of = lambda size: jax.tree.map(jnp.sum, self.bet(x, expected, size))
        return jax.vmap(of)(self._grid(x.dtype))

    def weigh(self, evidence, alpha):
        del alpha
        return mixture(evidence.alarm), mixture(evidence.fall)

    def below(self, evidence, alpha, mean):
        del alpha
        lost = self.share * self._grid(evidence.fall.dtype)
        return mixture(evidence.fall + lost * _count(evidence) * mean)

    def _grid(self, dtype) -> Float[Array, " grid"]:
        """The λ of the mixture, from a thousandth to the most that is sound."""
        return jnp.geomspace(1e-3, self.most, GRID).astype(dtype)


class AbstractGiven(AbstractBets):
    """An assumption with a c that is known before the batch is drawn.

    Attributes:
        bound: G, for c = G‖x₊ − x‖₂, or a function (x, x₊) → c; None where c is given
            to `Sequential.update`.
    """

    bound: eqx.AbstractVar[Bound | None]

    def __check_init__(self):
        if self.bound is not None and not callable(self.bound):
            check_positive(bound=self.bound)

    def of_step(self, x: Params, x_next: Params) -> Any:
        """c of the change of f in a step."""
        if callable(self.bound):
            return self.bound(x, x_next)
        assert self.bound is not None
        return self.bound * _norm(tree.sub(tree.wide(x_next), tree.wide(x)))


class Bounded(AbstractGiven):
    """Assume that no example changes by more than a bound: |X| ≤ c.

    Args:
        bound: G with |f_i(x₊) − f_i(x)| ≤ G‖x₊ − x‖₂ for every example i.
    """

    bound: Bound | None = None
    sentence: ClassVar[str] = "no example changes by more than the bound c given"
    doubtful: ClassVar[str] = ""
    limit: ClassVar[float] = 1.0
    clip: ClassVar[float] = 1.0
    times: ClassVar[float | None] = None
    most: ClassVar[float] = 0.9
    share: ClassVar[float] = 0.5

    def bet(self, x, expected, size):
        return _bernstein(x, expected, size)


class Clipped(AbstractBets):
    """Clip X at ±c, three times the root mean square of earlier X.

    Nothing is assumed of the noise. What is judged is the clipped change: a rise that
    comes from few examples with large changes may go unseen.
    """

    sentence: ClassVar[str] = (
        "what is judged is X clipped at 3 times its earlier root mean square"
    )
    doubtful: ClassVar[str] = ""
    limit: ClassVar[float] = np.inf
    clip: ClassVar[float] = 1.0
    times: ClassVar[float | None] = 3.0
    most: ClassVar[float] = 0.9
    share: ClassVar[float] = 0.5

    def bet(self, x, expected, size):
        return _bernstein(x, expected, size)


class Variance(AbstractGiven):
    """Assume a bound on the mean square, E[X² | past] ≤ c². Heavy tails are allowed.

    Args:
        bound: G with E‖∇f_i‖₂² ≤ G² everywhere between x and x₊.
    """

    bound: Bound | None = None
    sentence: ClassVar[str] = "the mean square of a change is at most c², c as given"
    doubtful: ClassVar[str] = ""
    limit: ClassVar[float] = np.inf
    clip: ClassVar[float] = np.inf
    times: ClassVar[float | None] = None
    most: ClassVar[float] = 1.0
    share: ClassVar[float] = 1.0

    def bet(self, x, expected, size):
        del expected
        rise, fall = (_catoni(u * size * x) - size**2 / 2 for u in (1, -1))
        return rise, fall, jnp.log1p(size / 2 * (x**2 - 1))


class Symmetric(AbstractBets):
    """Assume that X is symmetric about its expectation, whose sign does not change.

    So `holds` says that some expected change was a fall, not that their mean was.
    """

    sentence: ClassVar[str] = (
        "the noise is symmetric and the drift keeps its sign, which data cannot confirm"
    )
    doubtful: ClassVar[str] = "symmetry"
    limit: ClassVar[float] = np.inf
    clip: ClassVar[float] = np.inf
    times: ClassVar[float | None] = 1.0
    most: ClassVar[float] = 1.0
    share: ClassVar[float] = 1.0

    def bet(self, x, expected, size):
        del expected
        spread = (size * x) ** 2 / 2
        return size * x - spread, -size * x - spread, jnp.zeros_like(x)


class Asymptotic(AbstractAssumption):
    """The mean of many examples is normal: no bound is needed, and α is approximate.

    Args:
        start: the number of examples before the verdict may speak.
    """

    start: int = 200
    sentence: ClassVar[str] = (
        "asymptotic: the mean of the examples is taken for normal, so that α is "
        "approximate"
    )
    doubtful: ClassVar[str] = "the normal law"
    limit: ClassVar[float] = np.inf
    clip: ClassVar[float] = np.inf
    times: ClassVar[float | None] = 1.0

    def __check_init__(self):
        enough = lambda n: n >= 2
        check_parameter("start", self.start, enough, "a number of examples, at least 2")

    def bets(self, x, expected):
        del expected
        return (jnp.zeros(GRID, x.dtype),) * 3

    def weigh(self, evidence, alpha):
        mean = evidence.total / _count(evidence)
        return self._log(evidence, alpha, mean), self._log(evidence, alpha, -mean)

    def below(self, evidence, alpha, mean):
        return self._log(evidence, alpha, mean - evidence.total / _count(evidence))

    def _log(self, evidence, alpha, gap):
        """log of the evidence that an estimate is off by at least `gap` > 0."""
        n = _count(evidence)
        variance = evidence.squares / n - (evidence.total / n) ** 2
        spare = -2 * np.log(2 * alpha)  # of the ρ that is the best at n = start
        r = n / self.start * max(spare + np.log1p(max(spare, 0.0)), 0.1)  # nρ²
        q = n * gap**2 / jnp.maximum(variance, 1e-30) * r / (1 + r) / 2
        grown = q + jnp.log(-jnp.expm1(-jnp.maximum(q, 1e-30)))  # log(e^q − 1)
        speaks = (gap > 0) & (evidence.examples >= self.start)
        return jnp.where(speaks, grown + np.log(2) - jnp.log1p(r) / 2, -jnp.inf)


def _count(evidence: Evidence) -> Array:
    """The number of examples, at least 1."""
    return jnp.maximum(evidence.examples, 1).astype(evidence.total.dtype)


def _norm(x: Params) -> Array:
    """‖x‖₂, whose squares do not underflow."""
    top = jnp.max(jnp.stack([jnp.max(jnp.abs(a)) for a in tree.leaves(x)]))
    safe = jnp.where(top > 0, top, 1)
    return safe * jnp.sqrt(sum(jnp.sum((a / safe) ** 2) for a in tree.leaves(x)))


def _bernstein(x, expected, size):
    psi = -jnp.log1p(-size) - size
    fall = -size * x / 2 - psi * ((x - expected) / 2) ** 2
    return jnp.log1p(size * x), fall, jnp.zeros_like(x)


def _catoni(u):
    return jnp.sign(u) * jnp.log1p(jnp.abs(u) + u**2 / 2)


__all__ = [
    "Asymptotic",
    "Bounded",
    "Clipped",
    "Evidence",
    "Symmetric",
    "Variance",
]
