"""The heavy ball in its own units: a time step and a damping."""

import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_positive
from dynax._types import ScalarLike
from dynax.flow import AbstractBalancedOptimizer, AbstractRatedFlow, AbstractRatedMap
from dynax.optim import _balance
from dynax.optim._common import VelocityState, check_lr, combine, gap, scalars, square


class HeavyBall(AbstractBalancedOptimizer, AbstractRatedFlow, AbstractRatedMap):
    r"""Roll with friction: Polyak's heavy ball with a time step and a damping.

    Flow: ẋ = v,  v̇ = −γv − ∇f(x).   Map, h = learning_rate is the time step:

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
    γ = 2√μ gives (4/3)√μ; γ = 3√(μ/2) the best, √2·√μ.

    Rate of the map, f L-smooth and μ-strongly convex (½‖∇f‖² ≥ μ(f − f*) is enough);
    α = βh² the gradient step, ρ = 1 − αμ:
        V = f − f* + (β/2ρ)‖v‖²,   V₊ ≤ ρV    if β² ≤ (1 − αμ)(1 − αL), so α ≤ 1/L
    αg = βd − d₊ with d = hv turns f₊ ≤ f + ⟨g, d₊⟩ + (L/2)‖d₊‖² into
        f₊ + (1/2α − L/2)‖d₊‖² ≤ f + (β²/2α)‖d‖² − (α/2)‖g‖²,
    and αμ(f − f*) ≤ (α/2)‖g‖². No faster rate of the map is claimed: see `Momentum`.

    Source: Polyak 1964; the rate for γ = 3√(μ/2): Aujol, Dossal, Rondepierre,
    hal-02545245; f − f* ≤ ρᵏ(f₀ − f*) of the map: Ghadimi, Feyzmahdavian, Johansson,
    arXiv:1412.7457 (V: above); the maps' balance: derived here.

    Args:
        damping: γ > 0.
        strong_convexity: μ ≥ 0, used by the rate of the map only.
    """

    damping: ScalarLike = 1.0
    strong_convexity: ScalarLike = 0.0

    def __check_init__(self):
        check_positive(damping=self.damping)
        check_nonnegative(strong_convexity=self.strong_convexity)

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
        return tree.cast(value, tree.result_dtype(x)) + square(state.v) / 2

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

    def potential(self, k, x, state, f, minimum, lr):
        del k
        (weight,) = scalars(x, self._beta(lr) / self._rho(lr))
        return gap(f, x, minimum) + weight / 2 * square(state.v)

    def factor(self, k, lr):
        del k
        return jnp.asarray(self._rho(lr))

    def _beta(self, lr):
        return 1 / (1 + self.damping * lr)

    def _rho(self, lr):
        """1 − αμ."""
        return 1 - self._beta(lr) * lr**2 * self.strong_convexity
