"""optimistix's least-squares problems for `LevenbergMarquardt`, its minimisations for
`ssbroyden`: to the minimum, in no more steps than twice the peer's own method."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax.newton as newton


optx = pytest.importorskip("optimistix", reason="extra `newton`")
pytestmark = pytest.mark.slow


def bowl(y, args):
    del args
    return jnp.concatenate([y["a"].ravel(), y["b"] * 3])


def rosenbrock(y, args):
    del args
    return jnp.concatenate([10 * (y[1:] - y[:-1] ** 2), 1 - y[:-1]])


def tree_of_exponentials(y, t):
    model = lambda p: p["size"] * jnp.exp(-p["rate"] * t) + p["offset"]
    return model(y) - model({"size": 2.0, "rate": 1.5, "offset": 0.3})


def variably_dimensioned(y, args):
    del args
    s = jnp.sum(jnp.arange(1.0, y.size + 1) * (y - 1))
    return jnp.concatenate([y - 1, s[None], s[None] ** 2])


TIMES = jnp.linspace(0.0, 3.0, 30)
SQUARES = {
    "bowl": (bowl, {"a": jnp.full((3, 2), 2.0), "b": jnp.linspace(-1, 2, 4)}, None),
    "rosenbrock": (rosenbrock, jnp.full(20, -1.2), None),
    "tree": (tree_of_exponentials, {"size": 1.0, "rate": 0.5, "offset": 0.0}, TIMES),
    "variably dimensioned": (
        variably_dimensioned,
        1 - jnp.arange(1.0, 11) / 10,
        None,
    ),
}


@pytest.mark.parametrize("name", SQUARES)
def test_least_squares(name):
    """r = 0 at the minimum of all four."""
    f, start, args = SQUARES[name]
    start = jax.tree.map(jnp.asarray, start)
    ours = newton.LevenbergMarquardt(rtol=1e-10, atol=1e-10)
    theirs = optx.LevenbergMarquardt(rtol=1e-10, atol=1e-10)
    found, peer = (
        optx.least_squares(f, s, start, args, max_steps=500) for s in (ours, theirs)
    )
    assert float(jnp.max(jnp.abs(f(found.value, args)))) < 1e-9
    for a, b in zip(*map(jax.tree.leaves, (found.value, peer.value)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert found.stats["num_steps"] <= 2 * peer.stats["num_steps"]


def himmelblau(x):
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def matyas(x):
    return 0.26 * jnp.sum(x**2) - 0.48 * x[0] * x[1]


def beale(x):
    a, b = x
    return sum((c - a + a * b**k) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625)))


MINIMA = {
    "himmelblau": (himmelblau, [1.0, 1.0]),
    "matyas": (matyas, [1.0, -2.0]),
    "beale": (beale, [2.0, 0.0]),
}


def steps(tx, f, x, limit=200):
    """How many until ‖∇f‖ < 1e-8."""
    value_and_grad = optax.value_and_grad_from_state(f)

    @jax.jit
    def step(x, state):
        value, grad = value_and_grad(x, state=state)
        extra = {"value": value, "grad": grad, "value_fn": f}
        delta, state = tx.update(grad, state, x, **extra)
        return optax.apply_updates(x, delta), state

    state = tx.init(x)
    for k in range(limit):
        if float(jnp.linalg.norm(jax.grad(f)(x))) < 1e-8:
            return k, x
        x, state = step(x, state)
    return limit, x


@pytest.mark.parametrize("name", MINIMA)
def test_minimisation(name):
    f, start = MINIMA[name]
    with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
        ours, x = steps(newton.ssbroyden(), f, jnp.array(start))
        theirs, _ = steps(optax.lbfgs(), f, jnp.array(start))
    assert float(f(x)) < 1e-14
    assert ours <= 2 * theirs
