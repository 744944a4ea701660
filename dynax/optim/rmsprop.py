"""RMSprop."""

from dynax import _tree as tree
from dynax._check import check_nonnegative
from dynax._types import ScalarLike
from dynax.optim._averages import approach, average, check_betas, sqrt, square
from dynax.optim._squares import AbstractSquares


class RMSprop(AbstractSquares):
    r"""Divide each gradient entry by the root of an average of its squares.

    RMSprop: v₊ = βv + (1−β)g²,

        x₊ = x − ε g/(√(v₊ + e_r) + e)

    optax's `eps` is e_r with `eps_in_sqrt` (its default), else e.

    Flow at ε (b = (1−β)/ε): v̇ = b(g² − v),  ẋ = −g/D,  D = √(ṽ + e_r) + e, with the
    ṽ = v + εv̇ that the map looks ahead to; as ε → 0 at a given b, ṽ → v.

    Certificate, V = f:
        flow  V̇ = −Σ g²/D
        map   f₊ − f = −ε Σ g²/D + r,   r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g; f L-smooth: r ≤ (L/2)‖x₊ − x‖².

    Source: Tieleman, Hinton, Lecture 6.5 (2012); V: arXiv:1810.13108.
    Twin: optax.rmsprop without `momentum` and `centered`.

    Args:
        beta: in [0, 1).
        eps, eps_root: e and e_r, ≥ 0.
        initial: v before the first step.
    """

    beta: ScalarLike = 0.9
    eps: ScalarLike = 0.0
    eps_root: ScalarLike = 1e-8
    initial: ScalarLike = 0.0

    def __check_init__(self):
        check_betas(beta=self.beta)
        check_nonnegative(eps=self.eps, eps_root=self.eps_root, initial=self.initial)

    def accumulate(self, v, g):
        return average(self.beta, v, square(g))

    def rate(self, v, g, lr):
        return approach((1 - self.beta) / lr, v, square(g))

    def scaled(self, v, g):
        root = sqrt(v + tree.cast(self.eps_root, v.dtype))
        return tree.safe_divide(g, root + tree.cast(self.eps, v.dtype))
