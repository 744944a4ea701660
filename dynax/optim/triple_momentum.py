"""The triple momentum method."""

import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._check import check_positive
from dynax._types import ScalarLike
from dynax.flow import AbstractLyapunovOptimizer, AbstractRatedFlow, AbstractRatedMap
from dynax.optim._common import PointState, combine, gap, point_state, scalars, square
from dynax.optim.nesterov_sc import root_q


class TripleMomentum(AbstractLyapunovOptimizer, AbstractRatedFlow, AbstractRatedMap):
    r"""TMM, the fastest known for smooth strongly convex f. h = learning_rate is the
    time step, so the gradient step is h² = 1/L; q = μh². The parameters are the points
    y at which gradients are taken:

        z₊ = (1−√q)z + √q(y − g/μ),   y₊ = ((1−√q)(y − h²g) + 2√q z₊)/(1 + √q)

    Flow, the parameters called x: ẋ = 2√μ(z − x),  ż = √μ(x − z) − ∇f(x)/√μ,
    which is ẍ + 3√μẋ + 2∇f(x) = 0.

    Certificates:
        flow, any f             H = f + ¼‖ẋ‖²,   Ḣ = −(3/2)√μ‖ẋ‖²
        f μ-strongly convex
            flow   V = f − f* − (μ/2)‖x − x*‖² + μ‖z − x*‖²,        V̇ ≤ −2√μ V
            map    V = f(y) − f* − ½h²‖g‖² + μ/(1−q)·(‖z₊ − x*‖² − ½‖y − h²g − x*‖²),
                   V₊ ≤ (1 − √μ h)²V for h² ≤ 1/L, f L-smooth
    V bounds ‖z − x*‖²: z is the point to report.

    Source: Van Scoy, Freeman, Lynch, IEEE Control Systems Letters 2018; in this form
    with its potential: d'Aspremont, Scieur, Taylor, arXiv:2101.09545; the flow's V:
    derived here.

    Args:
        strong_convexity: μ > 0.
    """

    strong_convexity: ScalarLike = 1.0

    def __check_init__(self):
        check_positive(strong_convexity=self.strong_convexity)

    def init(self, x):
        tree.check_params(x)
        return point_state(x)

    def update(self, x, state, grad, lr):
        r, _, h = root_q(self.strong_convexity, x, lr)
        onward = self._onward(x, state, grad, lr)
        weights = (2 * r / (1 + r), onward), (-(h**2) * (1 - r) / (1 + r), grad)
        return combine(*weights), PointState(tree.add(x, onward))

    def flow(self, t, x, state, grad, lr):
        del t, lr
        (mu,) = scalars(x, self.strong_convexity)
        root, apart = jnp.sqrt(mu), tree.sub(state.z, x)
        dz = combine((-root, apart), (-1 / root, grad))
        return tree.scale(2 * root, apart), PointState(dz)

    def energy(self, t, x, state, value, lr):
        del t, lr
        (mu,) = scalars(x, self.strong_convexity)
        return tree.cast(value, mu.dtype) + mu * square(tree.sub(state.z, x))

    def dissipation(self, t, x, state, grad, lr):
        del t, grad, lr
        (mu,) = scalars(x, self.strong_convexity)
        return 6 * mu * jnp.sqrt(mu) * square(tree.sub(state.z, x))

    def lyapunov(self, t, x, state, f, minimum, lr):
        del t, lr
        (mu,) = scalars(x, self.strong_convexity)
        near, far = (square(tree.sub(a, minimum.x)) for a in (x, state.z))
        return gap(f, x, minimum) - mu / 2 * near + mu * far

    def decay(self, t, x, state, f, minimum, lr):
        (mu,) = scalars(x, self.strong_convexity)
        return 2 * jnp.sqrt(mu) * self.lyapunov(t, x, state, f, minimum, lr)

    def potential(self, k, x, state, f, minimum, lr):
        del k
        r, mu, h = root_q(self.strong_convexity, x, lr)
        grad = jax.grad(f)(x)
        after = tree.add(x, self._onward(x, state, grad, lr))
        off = tree.sub(x, minimum.x)
        near = square(combine((1.0, off), (-(h**2), grad)))
        far = square(tree.sub(after, minimum.x))
        weight = mu / (1 - r**2)
        value = gap(f, x, minimum) - h**2 / 2 * square(grad)
        return value + weight * (far - near / 2)

    def factor(self, k, lr):
        del k
        return (1 - jnp.sqrt(jnp.asarray(self.strong_convexity)) * lr) ** 2

    def _onward(self, x, state, grad, lr):
        """z₊ − y."""
        r, mu, _ = root_q(self.strong_convexity, x, lr)
        return combine((1 - r, tree.sub(state.z, x)), (-r / mu, grad))
