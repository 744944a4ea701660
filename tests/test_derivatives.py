"""Derivative engines against closed forms and one another."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from dynax.pde import Derivatives, derivatives, nested_grad, nested_jvp, taylor
from tests.waves import exactly, random_points, random_waves


ENGINES = {e.__name__: e for e in (nested_jvp, taylor, derivatives, nested_grad)}
PURE = "t", "tt", "ttt", "x", "xx", "xxx", "xxxx", "y", "yy", "z", "zzz"
MIXED = "tx", "xt", "xyz", "yxx", "ttxx", "xxyy", "xyxz"
ALL = ("u", *PURE, *MIXED)
EPS = float(jnp.finfo(jnp.float64).eps)


def point(d, dtype=jnp.float64):
    return random_points(1, (0.0,) * d, (1.0,) * d, dtype=dtype)


def compare(given, exact, u, name, eps, slack=40):
    """Each wave is a product of numbers that are as exact as its angle, of which the
    largest is about 30; `slack` is that and a few operations more."""
    letters = name.strip("u")
    largest = jnp.maximum(1, jnp.max(jnp.abs(u.k), initial=0))
    scale = jnp.sum(jnp.abs(u.amplitude)) * largest ** len(letters)
    assert given[name].shape == exact[name].shape
    assert given[name].dtype == exact[name].dtype
    assert jnp.max(jnp.abs(given[name] - exact[name])) <= slack * eps * scale, name


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_closed_form(engine):
    u = random_waves(0, (0.0,) * 3, (2.0, 3.0, 4.0), fields=2)
    t, x = point(3)
    given = jax.jit(lambda u, t, x: engine(u, t, x, ALL))(u, t, x)
    assert {*given} == {*ALL}
    exact = jax.jit(lambda u, t, x: exactly(u, t, x, ALL))(u, t, x)
    for name in ALL:
        compare(given, exact, u, name, EPS)


def test_engines_agree_on_a_network():
    """A network has no closed form. Order 4 of tanh grows by 4! from layer to layer."""
    net = eqx.nn.MLP(3, 2, 8, 2, jnp.tanh, dtype=jnp.float64, key=jax.random.key(0))
    u = lambda t, x: net(jnp.concatenate([t[None], x]))
    t, x = point(2)
    needs = "u", "t", "x", "tx", "yy", "xxx", "xxxx", "xxy"
    found = [jax.jit(lambda e=e: e(u, t, x, needs))() for e in ENGINES.values()]
    for a, b in itertools.combinations(found, 2):
        for name in needs:
            assert jnp.allclose(a[name], b[name], rtol=0, atol=1e3 * EPS)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_one_precision_and_no_space(engine):
    u = random_waves(0, (), (), fields=3, dtype=jnp.float32)
    t, x = point(0, jnp.float32)
    needs = "tt", "u", "t"
    given = jax.jit(lambda u, t, x: engine(u, t, x, needs))(u, t, x)
    exact = exactly(u, t, x, needs)
    for name in needs:
        compare(given, exact, u, name, float(jnp.finfo(jnp.float32).eps))


def test_loops_have_forward_mode():
    """sin five times over, by `scan`."""

    def looped(t, x):
        sine = lambda y, _: (jnp.sin(y), None)
        return jax.lax.scan(sine, t * x, length=5)[0]

    def plain(t, x):
        y = t * x
        for _ in range(5):
            y = jnp.sin(y)
        return y

    t, x = point(1)
    needs = "t", "x", "xxx"
    a = jax.jit(lambda: nested_jvp(looped, t, x, needs))()
    b = jax.jit(lambda: nested_grad(plain, t, x, needs))()
    for name in needs:
        assert jnp.allclose(a[name], b[name], rtol=0, atol=100 * EPS)


def test_fifth_order_is_taylor():
    u = random_waves(0, (0.0,), (2.0,), fields=1)
    t, x = point(1)
    needs = "x", "xxxxx"
    jaxpr = jax.make_jaxpr(lambda: derivatives(u, t, x, needs))()
    assert str(jaxpr) == str(jax.make_jaxpr(lambda: taylor(u, t, x, needs))())
    given = jax.jit(lambda: derivatives(u, t, x, needs))()
    for name in given:
        compare(given, exactly(u, t, x, (name,)), u, name, EPS)


def test_a_name_not_asked_for():
    d = Derivatives({"u": 1, "t": 2})
    assert d.t == 2
    with pytest.raises(AttributeError, match="needs: xx is read but not asked for"):
        _ = d.xx


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("name", ["y", "xy", "ux", "q", ""])
def test_a_coordinate_that_is_not_there(engine, name):
    """Out of bounds JAX clips or drops: a derivative of 0, or that of another axis."""
    u = lambda t, x: t * x
    with pytest.raises(
        ValueError, match="needs: given .* accepted is u, or letters of"
    ):
        engine(u, *point(1), ("u", name))


def test_control_a_wrong_derivative_is_found():
    u = random_waves(0, (0.0,), (2.0,), fields=1)
    t, x = point(1)
    wrong = {"xx": -u.derivative(t, x, "xx")}
    with pytest.raises(AssertionError):
        compare(wrong, exactly(u, t, x, ("xx",)), u, "xx", EPS)
