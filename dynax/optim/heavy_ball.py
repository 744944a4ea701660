"""The heavy ball in its own units: a time step and a damping."""

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.flow import AbstractBalancedOptimizer, AbstractRatedFlow
from dynax.optim import _balance
from dynax.optim._common import (
    VelocityState,
    check_lr,
    combine,
    gap,
    positive,
    scalars,
    square,
)


class HeavyBall(AbstractBalancedOptimizer, AbstractRatedFlow):
    r"""Flow: ẋ = v,  v̇ = −γv − ∇f(x).   Map, h = learning_rate is the time step:

        v₊ = (v − hg)/(1 + γh),   x₊ = x + hv₊

    which is `optax.sgd(βh², momentum=β)` with β = 1/(1 + γh): Polyak's heavy ball.
    `Momentum` is the same map in optax's units.

    Certificates, any f, H = f + ½‖v‖² in both:
        flow  Ḣ = −γ‖v‖²
        map   H₊ − H = −γh‖v₊‖² − ½‖v₊ − v‖² + r,  r = f(x₊) − f(x) − ⟨g, x₊ − x⟩
    The map's line is an equality for any vector g; r ≤ (L/2)‖x₊ − x‖² if f is L-smooth
    and g = ∇f(x), so H falls at every step if h ≤ 2γ/L.

    Rate of the flow, f μ-strongly convex and γ ≤ 3√(μ/2), λ = 2γ/3:
        V = f − f* + ½‖v + λ(x − x*)‖² − (λ²/4)‖x − x*‖²,   V̇ ≤ −λV
    γ = 2√μ gives (4/3)√μ; γ = 3√(μ/2) the best, √2·√μ. Of the map no rate is claimed:
    see `Momentum` for why.

    Source: Polyak 1964; the rate for γ = 3√(μ/2): Aujol, Dossal, Rondepierre,
    hal-02545245; the maps' balance: derived here.

    Args:
        damping: γ > 0.
    """

    damping: ScalarLike = 1.0

    def __check_init__(self):
        positive("damping", self.damping)

    def init(self, x):
        tree.check_params(x)
        return VelocityState(tree.zeros_like(x))

    def update(self, x, state, grad, lr):
        check_lr(lr)
        h, gamma = scalars(x, lr, self.damping)
        shrink = 1 / (1 + gamma * h)
        v = combine((shrink, state.v), (-shrink * h, grad))
        return tree.scale(h, v), VelocityState(v)

    def flow(self, t, x, state, grad, lr):
        del t, lr
        return state.v, VelocityState(combine((-self.damping, state.v), (-1.0, grad)))

    def energy(self, t, x, state, value, lr):
        del t, lr
        return tree.cast(value, tree.widest(x)) + square(state.v) / 2

    def dissipation(self, t, x, state, grad, lr):
        del t, grad, lr
        (gamma,) = scalars(x, self.damping)
        return gamma * square(state.v)

    def balance(self, step, smoothness=None):
        h, gamma = scalars(step.x, step.lr, self.damping)
        v, after = step.state.v, step.state_next.v
        jump = _balance.Change(after, v)
        spent = {"damping": (gamma * h, after, after), "jump": (0.5, jump, jump)}
        change = _balance.kinetic(1.0, v, after)
        return _balance.ledger(step, square(v) / 2, change, spent, smoothness)

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, lr
        (rate,) = scalars(x, 2 * self.damping / 3)
        off = tree.sub(x, minimum.x)
        pull = square(combine((1.0, state.v), (rate, off))) / 2
        return gap(f, x, minimum) + pull - rate**2 / 4 * square(off)

    def decay(self, t, x, state, f, minimum, lr):
        (rate,) = scalars(x, 2 * self.damping / 3)
        return rate * self.lyapunov(t, x, state, f, minimum, lr)
