"""How long the next window is."""

import abc
import dataclasses

from dynax._check import check_positive, require


class AbstractController(abc.ABC):
    """Choose windows, as the step size of a solver of ordinary equations is chosen."""

    @abc.abstractmethod
    def first(self, span: float, pace: float) -> float:
        """Δ of the first window.

        Args:
            span: of the whole march.
            pace: size of the start over that of its rate.
        """

    @abc.abstractmethod
    def accepted(self, length: float, effort: float, ratio: float) -> float:
        """Δ after a window that was solved.

        Args:
            length: its Δ.
            effort: cycles that it took, of those allowed.
            ratio: (rtol/ρ)^{1/P}: how much longer it could have been.
        """

    @abc.abstractmethod
    def refused(self, length: float, span: float) -> float | None:
        """Δ after one that was not solved; None to end the march."""


@dataclasses.dataclass(frozen=True)
class Adaptive(AbstractController):
    """Let windows grow where they are solved, and halve them where not.

    Args:
        start: Δ of the first window; a tenth of size over rate of the start unless
            given.
        grow: by how much at most, a window that was solved in a quarter of its cycles.
        shrink: by how much one that was not.
        least: the shortest, of the whole span: below it the march ends.
        most: the longest.
    """

    start: float | None = None
    grow: float = 1.5
    shrink: float = 0.5
    least: float = 1e-6
    most: float | None = None

    def __post_init__(self):
        require(self.grow >= 1, "grow", self.grow, "1 or more")
        require(0 < self.shrink < 1, "shrink", self.shrink, "a number in (0, 1)")
        check_positive(least=self.least)

    def first(self, span, pace):
        length = pace / 10 if self.start is None else self.start
        return min(length, span, self.most or span)

    def accepted(self, length, effort, ratio):
        highest = self.grow if effort <= 1 / 4 else 1.0
        longer = length * min(max(ratio, self.shrink), highest)
        return min(longer, self.most or longer)

    def refused(self, length, span):
        shorter = self.shrink * length
        return shorter if shorter >= self.least * span else None


@dataclasses.dataclass(frozen=True)
class Fixed(AbstractController):
    """Make all windows equally long. The first that is not solved ends the march.

    Args:
        length: Δ.
    """

    length: float

    def __post_init__(self):
        check_positive(length=self.length)

    def first(self, span, pace):
        return min(self.length, span)

    def accepted(self, length, effort, ratio):
        return self.length

    def refused(self, length, span):
        return None
