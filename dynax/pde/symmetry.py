"""What leaves a solution unchanged, and whether an equation and its start do so.

An equation that keeps a symmetry keeps it exactly; a computation that does not lets
round-off, or its own error, into states that may grow far faster than the others.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dynax.pde._float64 import exactly


START = 1e-12  # of its size: what a start may be off by
RATE = 1e-5  # of its size: what a rate may be off by
CHECKED = 32  # points


@dataclasses.dataclass(frozen=True)
class Symmetry:
    """Say what leaves the solution unchanged, all fields alike.

    Args:
        parity: −1 where u(2a − x) = −u(x), "odd"; 1 where it is u(x), "even"; 0: none.
        about: a, in every coordinate; None: the middle of the box.
        copies: u has the period (upper − lower)/copies in every coordinate.
    """

    parity: int = 0
    about: float | None = None
    copies: int = 1

    def __post_init__(self):
        if self.parity not in (-1, 0, 1) or self.copies < 1:
            raise ValueError(
                f"symmetry: given parity {self.parity}, copies {self.copies}; accepted "
                "is parity -1 (odd), 1 (even) or 0, and copies ≥ 1."
            )

    def __str__(self):
        words = {-1: "odd", 0: "", 1: "even"}[self.parity]
        if self.parity and self.about is not None:
            words += f" about {self.about:g}"
        repeats = f"{self.copies} periods" if self.copies > 1 else ""
        return ", ".join(filter(None, (words, repeats))) or "none"

    def images(self, pde) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """(s, A, b): u(Ax + b) = s·u(x), for each of the symmetry's other elements."""
        lower, upper = np.asarray(pde.lower, float), np.asarray(pde.upper, float)
        shifts = (upper - lower) / self.copies
        one = np.eye(len(lower))
        found = [(1, one, i * shifts) for i in range(1, self.copies)]
        if self.parity:
            middle = (lower + upper) / 2
            about = middle if self.about is None else self.about + 0 * middle
            found += [
                (self.parity, -one, 2 * about + i * shifts) for i in range(self.copies)
            ]
        return found


def odd(about: float | None = None) -> Symmetry:
    """Say that the solution is odd.

    u(2a − x) = −u(x); a is the middle of the box unless given.
    """
    return Symmetry(-1, about)


def even(about: float | None = None) -> Symmetry:
    """Say that the solution is even.

    u(2a − x) = u(x); a is the middle of the box unless given.
    """
    return Symmetry(1, about)


def repeated(copies: int) -> Symmetry:
    """Say that the solution repeats itself.

    u is the same after a translation by (upper − lower)/copies.
    """
    return Symmetry(0, None, copies)


def asymmetry(pde, symmetry: Symmetry, initial=None) -> float:
    """By how much a start breaks a symmetry, of its size; 0 if it has it exactly."""
    initial = pde.initial if initial is None else initial
    lower, upper = np.asarray(pde.lower), np.asarray(pde.upper)
    x = np.random.RandomState(0).uniform(lower, upper, (CHECKED, len(lower)))
    with exactly():
        at = lambda x: np.asarray(jax.vmap(initial)(jnp.asarray(x)))
        u = at(x)
        worst = 0.0
        for sign, matrix, shift in symmetry.images(pde):
            image = x @ matrix.T + shift
            if pde.boundary == "periodic":
                image = lower + np.mod(image - lower, upper - lower)
            worst = max(worst, float(np.max(np.abs(at(image) - sign * u))))
    size = float(np.max(np.abs(u)))
    return worst / size if size > 0 else worst
