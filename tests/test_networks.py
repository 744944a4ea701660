"""Networks, conditions met by construction, and states handed between windows.

Oracles: the formulas written out in numpy, functions with known Fourier coefficients,
and the engines of `dynax.pde.derivatives`, which have tests of their own.
"""

from functools import partial
from typing import ClassVar

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import pinn
from dynax.pde import (
    AbstractPDE,
    AllenCahn,
    Derivatives,
    Lorenz,
    nested_grad,
    nested_jvp,
    taylor,
)
from dynax.pinn import networks as nn
from dynax.pinn.ansatz import ExactInitial
from dynax.pinn.interpolant import Constant, Fourier, Sine, interpolate


EPS = np.finfo(np.float64).eps


class Torus(AbstractPDE):
    """uₜ = Δu on a rectangle, periodic: two fields."""

    fields: ClassVar = ("u", "v")
    needs: ClassVar = "t xx yy"
    lower: ClassVar = (0.0, -1.0)
    upper: ClassVar = (2.0, 3.0)
    horizon: ClassVar = 1.0

    def equation(self, t, x, d):
        return d.t - d.xx - d.yy

    def initial(self, x):
        return jnp.stack([jnp.cos(jnp.pi * x[0]), jnp.sin(jnp.pi * x[1] / 2)])


class Rod(AbstractPDE):
    """uₜ = uₓₓ, 0 at both ends."""

    needs: ClassVar = "t xx"
    lower: ClassVar = (0.5,)
    upper: ClassVar = (2.0,)
    boundary: ClassVar = "zero"
    horizon: ClassVar = 1.0

    def equation(self, t, x, d):
        return d.t - d.xx

    def initial(self, x):
        return jnp.sin(2 * jnp.pi * (x - 0.5) / 1.5)


BODIES = {
    "mlp": nn.MLP,
    "modified": nn.ModifiedMLP,
    "factorised pirate": partial(nn.PirateNet, linear=nn.FactorisedLinear),
}


@eqx.filter_jit
def derive(engine, u, t, x, needs):
    """One program instead of one an operation."""
    return engine(u, t, x, needs)


@eqx.filter_jit
def value(u, *at):
    """u(*at), likewise."""
    return u(*at)


@eqx.filter_jit
def field(body, pde, key, dtype=None, random=False):
    z = nn.features(pde, modes=2, t0=0.0, t1=0.5)
    if random:
        z = nn.RandomFourier(z, 3, key=key, dtype=dtype)
    return nn.Field(z, body(z.size, len(pde.fields), 5, 1, key=key, dtype=dtype))


def awake(u):
    """Blocks of a PirateNet that are more than the identity."""
    is_block = lambda n: isinstance(n, nn.PirateBlock)
    wake = lambda n: eqx.tree_at(lambda b: b.alpha, n, n.alpha + 0.3)
    return jax.tree.map(lambda n: wake(n) if is_block(n) else n, u, is_leaf=is_block)


def arrays(tree):
    return [np.asarray(a) for a in jax.tree.leaves(tree)]


# ——— features


@pytest.mark.parametrize("pde", [AllenCahn(), Torus()], ids=["1-d", "2-d"])
def test_periodic_with_all_derivatives(pde, getkey):
    z = nn.features(pde, modes=3)
    assert isinstance(z, nn.Periodic)
    x = jax.random.uniform(getkey(), (len(pde.lower),))
    assert z(jnp.array(0.2), x).shape == (1 + 7 ** len(pde.lower) - 1,) == (z.size,)
    for axis, letter in enumerate("xy"[: len(pde.lower)]):
        period = pde.upper[axis] - pde.lower[axis]
        needs = tuple(letter * k for k in range(1, 5))
        here = derive(taylor, z, jnp.array(0.2), x, ("u", *needs))
        there = derive(taylor, z, jnp.array(0.2), x.at[axis].add(period), ("u", *needs))
        highest = 3 * 2 * np.pi / period
        for order, name in enumerate(("u", *needs)):
            # x + L and its phase are rounded a few times, the k-th derivative moves by
            # highest^(k+1) as much; the phase stays below 6π
            bound = 8 * EPS * highest**order * 6 * np.pi
            np.testing.assert_allclose(here[name], there[name], rtol=0, atol=bound)


def test_control_scaled_coordinates_are_not_periodic(getkey):
    x = jax.random.uniform(getkey(), (1,))
    z = nn.Box((-1.0,), (1.0,))
    assert abs(z(0.0 * x[0], x + 2) - z(0.0 * x[0], x)).max() > 1


def test_values_of_features():
    t, x = jnp.array(0.75), jnp.array([0.3, 1.2])
    np.testing.assert_allclose(
        nn.Box((0.0, -1.0), (2.0, 3.0), 0.5, 1.5)(t, x), [-0.5, -0.7, 0.1], atol=4 * EPS
    )
    a, b = np.pi * 0.3, np.pi / 2 * 2.2
    first = np.array([1, np.cos(a), np.sin(a)])
    second = np.array([1, np.cos(b), np.sin(b)])
    expected = np.concatenate([[-0.5], np.outer(first, second).ravel()[1:]])
    z = nn.Periodic((0.0, -1.0), (2.0, 3.0), 1, 0.5, 1.5)
    np.testing.assert_allclose(z(t, x), expected, atol=8 * EPS)


def test_an_ordinary_equation_has_the_time_alone(getkey):
    u = nn.mlp_field(Lorenz(), getkey())
    assert isinstance(u.features, nn.Box)
    assert u(jnp.array(1.0), jnp.zeros(0)).shape == (3,)


def test_random_features(getkey):
    pde, key = AllenCahn(), getkey()
    inner = nn.features(pde)
    z = nn.RandomFourier(inner, 4000, sigma=2.0, key=key)
    # the deviation of N samples is off by 1/√(2N); five of those
    b = z.frequencies
    assert abs(jnp.std(b) / 2 - 1) < 5 / np.sqrt(2 * b.size)
    at = jnp.array(0.3), jnp.array([0.4])
    phase = np.asarray(b @ inner(*at))
    expected = np.concatenate([np.cos(phase), np.sin(phase)])
    np.testing.assert_allclose(z(*at), expected, rtol=0, atol=8 * EPS)


def test_one_program_for_all_windows(getkey):
    u = ExactInitial(nn.mlp_field(AllenCahn(), getkey()), AllenCahn().initial)
    point = jnp.array(2.5), jnp.array([0.3])

    @eqx.filter_jit
    @chex.assert_max_traces(n=1)
    def at(u, t0, t1):
        return nn.with_window(u, t0, t1)(*point)

    found = [at(u, jnp.array(t0), jnp.array(t0 + 1)) for t0 in (1.0, 2.0, 3.0)]
    z = nn.Periodic((-1.0,), (1.0,), 2, 2.0, 3.0)
    other = ExactInitial(nn.Field(z, u.network.body), AllenCahn().initial)
    np.testing.assert_allclose(found[1], other(*point), rtol=0, atol=16 * EPS)
    assert abs(found[0] - found[1]) > 1e-6


def test_windows_and_states_are_not_parameters(getkey):
    pde = AllenCahn(jnp.array(1e-4), jnp.array(5.0))
    network = nn.mlp_field(pde, getkey(), width=20, depth=3, modes=2)
    for initial in (pde.initial, interpolate(pde, network, 0.0, modes=4)):
        u = ExactInitial(network, initial, jnp.array(0.0), jnp.array(1.0), pde)
        parameters, rest = nn.split(u)
        sizes = [a.size for a in jax.tree.leaves(parameters)]
        assert sum(sizes) == 5 * 20 + 20 + 2 * (20 * 20 + 20) + 20 + 1 == 981
        at = jnp.array(0.3), jnp.array([0.4])
        assert eqx.combine(parameters, rest)(*at) == u(*at)


# ——— bodies


def test_mlp(getkey):
    body = nn.MLP(3, 2, 5, 2, key=getkey())
    body = jax.tree.map(lambda a: a + 0.1, body)
    z = np.array([0.3, -0.2, 0.7])
    w1, b1, w2, b2, w3, b3 = arrays(body)
    expected = w3 @ np.tanh(w2 @ np.tanh(w1 @ z + b1) + b2) + b3
    np.testing.assert_allclose(body(jnp.asarray(z)), expected, rtol=1e-14)


@pytest.mark.parametrize("linear", [nn.Linear, nn.FactorisedLinear])
def test_glorot(linear, getkey):
    layer = linear(300, 100, key=getkey())
    w = layer.matrix()
    assert w.shape == (100, 300) and not layer.bias.any()
    # five deviations of the sample deviation and of the mean
    assert abs(jnp.std(w) / np.sqrt(2 / 400) - 1) < 5 / np.sqrt(2 * w.size)
    assert abs(jnp.mean(w)) < 5 * np.sqrt(2 / 400 / w.size)


def test_modified_mlp(getkey):
    body = nn.ModifiedMLP(3, 2, 5, 2, key=getkey())
    body = jax.tree.map(lambda a: a + 0.1, body)
    z = np.array([0.3, -0.2, 0.7])
    wu, bu, wv, bv, w1, b1, w2, b2, w3, b3 = arrays(body)
    u, v = np.tanh(wu @ z + bu), np.tanh(wv @ z + bv)
    h = z
    for w, b in ((w1, b1), (w2, b2)):
        f = np.tanh(w @ h + b)
        h = f * u + (1 - f) * v
    np.testing.assert_allclose(body(jnp.asarray(z)), w3 @ h + b3, rtol=1e-14)


def test_pirate_block(getkey):
    block = nn.PirateBlock(3, 5, key=getkey())
    block = jax.tree.map(lambda a: a + 0.1, block)
    x, (u, v) = np.array([0.3, -0.2, 0.7]), np.random.default_rng(0).normal(size=(2, 5))
    w1, b1, w2, b2, w3, b3, alpha = arrays(block)
    f = np.tanh(w1 @ x + b1)
    g = np.tanh(w2 @ (f * u + (1 - f) * v) + b2)
    h = np.tanh(w3 @ (g * u + (1 - g) * v) + b3)
    found = block(*map(jnp.asarray, (x, u, v)))
    np.testing.assert_allclose(found, alpha * h + (1 - alpha) * x, rtol=1e-14)


def test_pirate_net_starts_linear_and_can_leave(getkey):
    body = nn.PirateNet(6, 2, 9, 3, key=getkey())
    z = jax.random.normal(getkey(), (6,))
    np.testing.assert_array_equal(body(z), body.last(z))
    assert abs(awake(body)(z) - body.last(z)).max() > 1e-3
    grad = jax.jit(jax.grad(lambda body: jnp.sum(body(z))))(body)
    assert all(block.alpha != 0 for block in grad.blocks)


def test_factorised_is_linear_at_first(getkey):
    key, z = getkey(), jax.random.normal(getkey(), (30,))
    plain = nn.Linear(30, 20, key=key)
    factorised = nn.FactorisedLinear(30, 20, key=key, mean=0.5, spread=0.1)
    # division and multiplication by eˢ: two roundings a weight
    scale = jnp.abs(plain.weight) @ jnp.abs(z)
    assert jnp.all(jnp.abs(plain(z) - factorised(z)) < 32 * EPS * scale)
    assert abs(jnp.mean(factorised.log_scale) - 0.5) < 5 * 0.1 / np.sqrt(20)
    # one more s makes one more e: the unit's slope is e times as steep
    steeper = eqx.tree_at(lambda l: l.log_scale, factorised, replace_fn=lambda s: s + 1)
    np.testing.assert_allclose(steeper(z), np.e * factorised(z), rtol=1e-13)
    again = factorised.set(plain.weight + 1, plain.bias + 2)
    np.testing.assert_allclose(again.matrix(), plain.weight + 1, rtol=4 * EPS)
    assert jnp.all(again.bias == 2)


@pytest.mark.parametrize("name", ["factorised pirate", "mlp"])
def test_last_layer_fits_what_is_in_its_span(name, getkey):
    u = field(BODIES[name], AllenCahn(), getkey())
    x = jnp.linspace(-1, 1, 40)[:, None]
    if name == "mlp":
        basis = lambda x: u.body.hidden(u.features(jnp.array(0.1), x))
        initial = lambda x: 2 * basis(x)[:1] - basis(x)[1:2] + 3
    else:
        initial = lambda x: 3 + jnp.cos(jnp.pi * x) - 2 * jnp.sin(2 * jnp.pi * x)

    @eqx.filter_jit
    def seen(u):
        fitted = nn.fit_last_layer(u, initial, 0.1, x)
        at = jax.vmap(lambda x: (fitted(jnp.array(0.1), x), u(jnp.array(0.1), x)))
        return *at(x), jax.vmap(initial)(x)

    found, before, expected = seen(u)
    assert abs(before - expected).max() > 0.1
    # least squares by SVD: backward stable, 40 rows, coefficients of order 1–10
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_last_layer_of_a_stranger():
    stranger = nn.Field(nn.Box((0.0,), (1.0,)), lambda z: z)
    with pytest.raises(TypeError, match="field: given a body of type function"):
        nn.fit_last_layer(stranger, lambda x: x, 0.0, jnp.ones((2, 1)))


@pytest.mark.parametrize("name", BODIES)
def test_engines_agree(name, getkey):
    """Every body can be differentiated by jvp, jet and grad."""
    pde = AllenCahn()
    network = awake(field(BODIES[name], pde, getkey(), random="pirate" in name))
    u = ExactInitial(network, pde.initial, 0.0, 0.5, pde)
    at = jnp.array(0.3), jnp.array([0.4])
    exact = derive(nested_grad, u, *at, ("u", "t", "xx"))
    exact |= derive(nested_jvp, u, *at, ("xxx",))
    found = derive(taylor, u, *at, tuple(exact))
    for name in exact:
        # sums of ~100 products of numbers up to the derivative's size
        scale = max(1, abs(exact[name]).max())
        np.testing.assert_allclose(found[name], exact[name], atol=1e-12 * scale)


@pytest.mark.parametrize("name", ["mlp", "factorised pirate"])
def test_single_precision(name, getkey):
    pde = AllenCahn()
    network = awake(field(BODIES[name], pde, getkey(), jnp.float32, random=True))
    at = jnp.array(0.3, jnp.float32), jnp.array([0.4], jnp.float32)
    state = interpolate(pde, network, at[0], modes=4)
    u = ExactInitial(network, state, 0.3, 0.5, pde)
    found = derive(taylor, u, *at, ("u", "t", "xxxx"))
    assert {a.dtype for a in found.values()} == {jnp.dtype(jnp.float32)}
    assert all(jnp.isfinite(a).all() for a in found.values())


# ——— separable


@pytest.mark.parametrize("pde", [Rod(), Torus()], ids=["box", "torus"])
def test_separable_on_a_grid(pde, getkey):
    z, c = nn.features(pde), len(pde.fields)
    u = eqx.filter_jit(nn.Separable)(z, c, 5, 2, 3, key=getkey())
    t = jnp.array([0.1, 0.7])
    x = tuple(jnp.linspace(a, b, 3) for a, b in zip(pde.lower, pde.upper, strict=True))
    more = ("xx", "xxxx") if len(x) == 1 else ("xx", "yy", "xy")
    needs = ("u", "t", "tx", *more)
    found = eqx.filter_jit(u.on_grid)(t, x, needs)
    places = jnp.stack(jnp.meshgrid(*x, indexing="ij"), -1)
    at = lambda t, x: nested_jvp(u, t, x, needs)
    for _ in x:
        at = jax.vmap(at, (None, 0))
    expected = jax.jit(jax.vmap(at, (0, None)))(t, places)
    for name in needs:
        assert found[name].shape == (2, *(3 for _ in x), c)
        scale = max(1, abs(expected[name]).max())
        np.testing.assert_allclose(found[name], expected[name], atol=1e-13 * scale)

    wanted = tuple(pde.needs.split())
    times = jnp.broadcast_to(t.reshape(-1, *(1 for _ in x)), (2, *places.shape[:-1]))
    derivatives = Derivatives(eqx.filter_jit(u.on_grid)(t, x, wanted))
    residual = pde.equation(times, places, derivatives)
    one = eqx.filter_jit(pde.residual)(u, t[1], places[(1,) * len(x)])
    found = residual[(1,) * (len(x) + 1)]
    np.testing.assert_allclose(found, one, atol=1e-13 * max(1, abs(one).max()))


# ——— hard conditions


def test_initial_state_exactly(getkey):
    pde = Torus()
    network = field(nn.MLP, pde, getkey())
    u = ExactInitial(network, pde.initial, 0.25, 0.5, pde)
    start = lambda t, x: pde.initial(x)
    for x in jax.random.uniform(getkey(), (5, 2)):
        t0 = jnp.array(0.25)
        np.testing.assert_array_equal(value(u, t0, x), value(pde.initial, x))
        d = derive(nested_jvp, u, t0, x, ("t", "xx"))
        exact = derive(nested_jvp, start, t0, x, ("xx",))
        np.testing.assert_allclose(d["t"], value(network, t0, x) / 0.5, rtol=1e-14)
        np.testing.assert_array_equal(d["xx"], exact["xx"])
        assert (value(u, t0 + 0.1, x) != value(pde.initial, x)).all()


def test_zero_boundary_exactly(getkey):
    pde = Rod()
    network = field(nn.MLP, pde, getkey())
    u = ExactInitial(network, lambda x: 0 * x, 0.0, 0.5, pde)
    for a in (0.5, 2.0):
        assert u(jnp.array(0.3), jnp.array([a])) == 0
    middle = jnp.array([1.25])
    expected = 0.3 / 0.5 * network(jnp.array(0.3), middle)  # g = 1 there
    np.testing.assert_allclose(u(jnp.array(0.3), middle), expected, rtol=1e-14)
    free = ExactInitial(network, lambda x: 0 * x, 0.0, 0.5)
    assert free(jnp.array(0.3), jnp.array([2.0])) != 0  # the control


# ——— interpolants


def band(x):
    """Wave numbers up to 5."""
    return jnp.sin(5 * jnp.pi * x) + 0.3 * jnp.cos(2 * jnp.pi * x) - 0.7


def band_2d(x):
    a, b = jnp.pi * x[0], jnp.pi * x[1] / 2
    u = jnp.cos(3 * a) * jnp.sin(2 * b) + 0.2
    return jnp.stack([u, jnp.sin(a) + jnp.cos(4 * b)])


def band_sine(x):
    s = jnp.pi * (x - 0.5) / 1.5
    return jnp.sin(s) - 0.4 * jnp.sin(5 * s)


@pytest.mark.parametrize(
    "pde, kind, exact, letter",
    [
        (AllenCahn(), Fourier, band, "x"),
        (Torus(), Fourier, band_2d, "x"),
        (Torus(), Fourier, band_2d, "y"),
        (Rod(), Sine, band_sine, "x"),
    ],
    ids=["periodic", "torus x", "torus y", "rod"],
)
def test_interpolant_of_a_band_limited_state(pde, kind, exact, letter, getkey):
    u = lambda t, x: (1 + t) * exact(x)
    state = interpolate(pde, u, 1.0, modes=6)
    assert isinstance(state, kind)
    assert jnp.all(state.error < 64 * EPS)
    lower, upper = jnp.array(pde.lower), jnp.array(pde.upper)
    needs = ("u", letter, letter * 2, letter * 4)
    still = lambda t, x: state(x)
    for x in jax.random.uniform(getkey(), (3, len(pde.lower))):
        x = lower + (upper - lower) * x
        found = derive(taylor, still, jnp.array(0.0), x, needs)
        truth = derive(nested_jvp, u, jnp.array(1.0), x, needs)
        for name, order in zip(needs, (0, 1, 2, 4), strict=True):
            # coefficients are good to some ε, the sixth counts (6ω)^order of that
            bound = 256 * EPS * (6 * np.pi) ** order
            np.testing.assert_allclose(found[name], truth[name], rtol=0, atol=bound)


def test_interpolant_says_what_it_cuts_off():
    extra = lambda t, x: band(x) + 0.01 * jnp.cos(9 * jnp.pi * x)
    state = interpolate(AllenCahn(), extra, 0.0, modes=6)
    np.testing.assert_allclose(state.error, 0.01, rtol=1e-12)
    x = jnp.array([0.123])
    np.testing.assert_allclose(state(x), band(x), rtol=0, atol=64 * EPS)


def test_interpolant_of_an_ordinary_equation():
    state = interpolate(Lorenz(), lambda t, x: t * jnp.arange(3.0), 2.0)
    assert isinstance(state, Constant) and not state.error.any()
    np.testing.assert_array_equal(state(jnp.zeros(0)), [0, 2, 4])


def test_one_program_for_all_states():
    @eqx.filter_jit
    @chex.assert_max_traces(n=1)
    def at(state):
        return state(jnp.array([0.3]))

    for c in (1.0, 2.0):
        at(interpolate(AllenCahn(), lambda t, x, c=c: c * band(x), 0.0, modes=6))


# ——— bad input


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.Periodic((), ()), "lower: given"),
        (lambda: nn.Periodic((0.0,), (1.0,), 0), "modes: given 0"),
        (lambda: nn.Box((0.0,), (0.0,)), "lower, upper: given"),
        (lambda: nn.Box((0.0,), (1.0, 2.0)), "lower, upper: given"),
        (lambda: interpolate(Rod(), lambda t, x: x, 0.0, modes=0), "modes: given 0"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("pde", [AllenCahn(), Rod()], ids=["periodic", "walls"])
def test_diffused_start_solves_the_heat_equation(pde, getkey):
    """u(t₀) = u₀, and with a network of zero uₜ = νΔu, to round-off."""
    exact = band if pde.boundary == "periodic" else band_sine
    t0 = jnp.array(0.25)
    start = interpolate(pde, lambda t, x: exact(x), t0, 8)
    window = pinn.Window(t0, t0 + 0.5, start)
    network = field(nn.MLP, pde, getkey())
    x, later, nu = jnp.array([0.7]), jnp.array(0.4), 1e-2
    u = pinn.HeatKernelInitial(nu)(pde, network, window)
    np.testing.assert_allclose(u(t0, x), exact(x), atol=1e-13)
    silent = pinn.HeatKernelInitial(nu)(pde, lambda t, x: 0 * x, window)
    d = derive(nested_jvp, silent, later, x, ("t", "xx"))
    np.testing.assert_allclose(d["t"], nu * d["xx"], rtol=1e-11)
    assert abs(silent(later, x) - exact(x)).max() > 1e-3  # the control: it moves


def test_diffused_start_wants_a_series():
    window = pinn.Window(jnp.zeros(()), jnp.ones(()), AllenCahn().initial)
    with pytest.raises(TypeError, match=r"window\.initial: .* pinn\.interpolate"):
        pinn.HeatKernelInitial(1.0)(AllenCahn(), lambda t, x: x, window)
