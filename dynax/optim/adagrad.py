"""AdaGrad."""

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.optim._averages import sqrt, square
from dynax.optim._squares import AbstractSquares


class AdaGrad(AbstractSquares):
    r"""Divide each gradient entry by the root of the sum of its squares so far.

    AdaGrad: v₊ = v + g²,    x₊ = x − ε g/√(v₊ + e_r).

    Flow at ε: v̇ = g²/ε,  ẋ = −g/√(ṽ + e_r), with the ṽ = v + εv̇ that the map looks
    ahead to.

    Certificate, V = f:
        flow  V̇ = −Σ g²/√(ṽ + e_r)
        map   f₊ − f = −ε Σ g²/√(v₊ + e_r) + r,   r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g; f L-smooth: r ≤ (L/2)‖x₊ − x‖².

    Source: Duchi, Hazan, Singer, JMLR 12 (2011) 2121; V: arXiv:1810.13108.
    Twin: optax.adagrad.

    Args:
        eps_root: e_r ≥ 0, optax's `eps`.
        initial: v before the first step, optax's `initial_accumulator_value`.
    """

    eps_root: ScalarLike = 1e-7
    initial: ScalarLike = 0.1

    def __check_init__(self):
        check_nonnegative(eps_root=self.eps_root, initial=self.initial)

    def accumulate(self, v, g):
        return v + square(g).astype(v.dtype)

    def rate(self, v, g, lr):
        return (square(g) / tree.cast(lr, g.dtype)).astype(v.dtype)

    def scaled(self, v, g):
        return tree.safe_divide(g, sqrt(v + tree.cast(self.eps_root, v.dtype)))
