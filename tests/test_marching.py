"""Marches in windows of their own choice: modes, time, residual, errors, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dynax import pde, pinn, report
from dynax.pde.etdrk4 import Torus
from dynax.pinn import networks
from dynax.pinn.marching.ansatz import found_degree
from dynax.pinn.marching.space import Modes
from dynax.pinn.marching.window import residual


# Modes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "most", "symmetry", "size"),
    [
        ((16,), 5, pde.Symmetry(), 11),
        ((16,), 5, pde.odd(), 5),
        ((16,), 5, pde.even(), 6),
        ((16,), 6, pde.repeated(3), 5),
        ((12, 10), 3, pde.Symmetry(), 49),
        ((12, 10), 3, pde.odd(), 24),
    ],
)
def test_numbers_of_a_field(n, most, symmetry, size):
    """There and back; |z|² is the mean square; and every field has the symmetry."""
    d = len(n)
    torus = Torus((0.0,) * d, (1.0,) * d, n)
    modes = Modes(torus, most, symmetry)

    @jax.jit
    def there_and_back(z):
        u = modes.unpack(z)
        grid = torus.to_grid(u)
        return grid, modes.pack(torus.to_modes(grid)), modes.numbers(modes.pairs(z))

    z = np.random.RandomState(0).standard_normal((2, modes.size))
    grid, back, same = (np.asarray(a) for a in there_and_back(jnp.asarray(z)))
    assert modes.size == size == len(modes.highest)
    np.testing.assert_allclose(back, z, atol=1e-13)
    np.testing.assert_array_equal(same, z)
    np.testing.assert_allclose(np.mean(grid**2, (1, 2)[:d]), np.sum(z**2, 1))
    axes = tuple(range(1, d + 1))
    if symmetry.parity:
        mirrored = np.roll(np.flip(grid, axes), (1,) * d, axes)
        np.testing.assert_allclose(mirrored, symmetry.parity * grid, atol=1e-13)


def test_degrees_are_found():
    """Of u³, a product of gradients in the plane, a linear equation, no space."""
    degrees = {
        pde.AllenCahn(): 3,
        pde.NavierStokes(): 2,
        pde.Heat(): 1,
        pde.Lorenz(): 1,
    }
    for problem, degree in degrees.items():
        assert found_degree(problem) == degree, problem


def test_legendre_functions_are_integrals():
    """By NumPy's own polynomials."""
    time, tau = networks.Legendre(6), np.linspace(0, 1, 7)
    found = np.asarray(jax.vmap(lambda s: time((), s))(jnp.asarray(tau)))
    for p in range(6):
        line = np.polynomial.Legendre.basis(p, domain=[0, 1]).integ(lbnd=0)
        np.testing.assert_allclose(found[:, p], line(tau), atol=1e-15)


# Networks -----------------------------------------------------------------------------


def test_a_symmetric_network_is_so_whatever_it_learned():
    problem = pde.KuramotoSivashinsky()
    plain = networks.mlp_field(problem, jax.random.key(0), width=5, depth=1)
    t, x = jnp.asarray(0.3), jnp.asarray([0.37])
    for symmetry, image, sign in [
        (pde.odd(), -x, -1),
        (pde.even(0.25), 0.5 - x, 1),
        (pde.repeated(2), x + 1, 1),
    ]:
        u = networks.Symmetric(problem, plain, symmetry)
        np.testing.assert_allclose(u(t, image), sign * u(t, x), atol=1e-14)
        assert abs(float(plain(t, image)[0] - sign * plain(t, x)[0])) > 1e-3
    assert networks.Symmetric(problem, plain).images[0][0] == -1  # the equation's own


def test_the_residual_and_the_slopes_of_a_sampled_network():
    """Of û at places that are moved; J by the chain rule through the transform."""
    problem = pde.KuramotoSivashinsky()
    net = networks.mlp_field(problem, jax.random.key(0), 4, 1, 2, t0=-1.0, t1=1.0)
    ansatz = networks.Sampled(problem, net, places=16, times=3)
    y = ansatz.init(None, None)
    tau, offset = jnp.array([0.1, 0.5, 0.9]), jnp.array([[0.2], [0.7], [0.4]])
    root, one = jnp.array([1.0, 0.5, 2.0]), jnp.ones(1)

    @jax.jit
    def seen(y):
        start, _ = ansatz.space.sample(problem.initial, tau.dtype)
        args = start, jnp.asarray(0.1), one, tau, offset, root
        flat, unravel = ravel_pytree(y)

        def rows(flat):
            at = lambda tau, offset: residual(
                ansatz, unravel(flat), *args[:3], tau, offset
            )
            return jnp.ravel(jax.vmap(at)(tau, offset) * root[:, None, None])

        u = start + ansatz.displacement(y, tau[1], offset[1])
        x = jnp.array([0.123])
        inside = ansatz.space.value(u, x), ansatz.value(start, y, tau[1], x)
        return (
            rows(flat),
            jax.jacfwd(rows)(flat),
            ansatz.jacobian(None, y, args),
            inside,
        )

    r, J, (r_found, J_found), (series, network) = seen(y)
    np.testing.assert_allclose(r_found, r, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(J_found, J, rtol=1e-9, atol=1e-10)
    # few periods are in the net, so that sixteen places know it between them, almost
    np.testing.assert_allclose(series, network, atol=1e-3)


# Marches ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def regular():
    """Kuramoto–Sivashinsky to t = 0.2, and its reference."""
    problem = pde.KuramotoSivashinsky()
    out = pinn.march(
        networks.Spectral(problem, 24, networks.Legendre(8)), (0, 0.2), 1e-7
    )
    return out, pde.reference(problem, np.linspace(0, 0.2, 401), 64, accuracy=1e-9)


def test_a_march_reaches_its_end(regular):
    out, truth = regular
    assert out.holds and out.status == "reached" and out.reached == pytest.approx(0.2)
    assert all(w.residual <= out.rtol for w in out.windows)
    edges = [w.t0 for w in out.windows] + [out.reached]
    assert edges[0] == 0 and np.all(np.diff(edges) > 0)
    assert [w.t1 for w in out.windows] == pytest.approx(edges[1:])
    # windows are not as long as each other: the solution is not as fast everywhere
    assert max(np.diff(edges)) > 2 * min(np.diff(edges))
    error = pde.relative_l2(out.solution, truth)
    assert error.overall < 1e-6
    # the estimate, which knows nothing of the reference; it is the largest at any time
    assert error.overall < error.largest[0] < 2 * out.error
    assert out.error < 1e-6
    assert np.isnan(out.solution(jnp.asarray(0.3), jnp.zeros(1)))


def test_a_symmetry_is_kept_to_the_last_bit(regular):
    solution = regular[0].solution
    x = jnp.linspace(0.1, 0.9, 5)[:, None]
    at = jax.jit(jax.vmap(lambda x: solution(jnp.asarray(0.15), x)))
    # of sines of x and −x, that is: of their sum's own rounding
    np.testing.assert_allclose(at(x), -at(-x), atol=1e-14 * 5)


def test_what_a_march_says(regular):
    out = regular[0]
    said = str(out)
    assert said.startswith("REACHED t = 0.2 in") and "accumulated" in said
    assert f"{out.windows[-1].error:.1e}" in said
    figure = report.plot(out)
    assert len(figure.axes) == 2


def test_the_residual_is_that_of_the_equation(regular):
    """By automatic derivatives in space, which the march does not use."""
    out, problem = regular[0], pde.KuramotoSivashinsky()
    r = jax.jit(lambda t, x: problem.residual(out.solution, t, x))
    size = jax.jit(lambda t, x: jnp.abs(jax.jacfwd(out.solution)(t, x)))
    t, x = jnp.asarray(0.13), jnp.asarray([0.3])
    assert abs(float(r(t, x)[0])) < 1e-3 * float(size(t, x)[0])


def test_too_few_modes_are_refused_as_space():
    """A shock forms; 20 sines hold it until t = 0.22."""
    few = networks.Spectral(pde.Burgers(), 20, networks.Legendre(6))
    out = pinn.march(few, (0, 1.0), 1e-4, most_modes=20)
    assert out.status == "space" and 0.2 < out.reached < 0.25
    assert "more modes are needed" in str(out)
    assert out.tried[-1].share > 0.7


@pytest.mark.slow
def test_modes_grow_where_they_are_missing():
    few = networks.Spectral(pde.Burgers(), 20, networks.Legendre(6))
    more = pinn.march(few, (0, 0.23), 1e-4, most_modes=30)
    assert more.holds and (more.windows[0].modes, more.windows[-1].modes) == (20, 30)


def test_control_a_fixed_window_fails():
    """One as long as the first that the controller would never dare."""
    ansatz = networks.Spectral(pde.Lorenz(), time=networks.Legendre(6))
    out = pinn.march(ansatz, (0, 1.0), 1e-8, pinn.Fixed(0.5))
    assert not out.holds and out.status == "time" and out.reached == 0
    assert "too short" in str(out)
    out = pinn.march(ansatz, (0, 1.0), 1e-8)
    assert out.holds and len(out.windows) > 5
    truth = pde.reference(pde.Lorenz(), np.linspace(0, 1.0, 11))
    assert 1 / 3 < out.error / pde.relative_l2(out.solution, truth).overall < 3


def test_lengths_follow_their_rules():
    by = pinn.Adaptive(grow=1.5, shrink=0.5, least=1e-3, most=0.4)
    assert by.first(span=2.0, pace=1.0) == 0.1 and by.first(2.0, 10.0) == 0.4
    assert by.first(span=0.05, pace=1.0) == 0.05
    assert by.accepted(0.1, effort=0.2, ratio=9.0) == pytest.approx(0.15)
    assert by.accepted(0.1, effort=0.3, ratio=9.0) == pytest.approx(0.1)
    assert by.accepted(0.1, effort=0.2, ratio=0.1) == pytest.approx(0.05)
    assert by.accepted(0.3, effort=0.2, ratio=9.0) == 0.4
    assert by.refused(0.1, span=2.0) == 0.05
    assert by.refused(0.003, span=2.0) is None


@pytest.mark.slow
def test_a_network_of_time_marches():
    problem = pde.Lorenz()
    ansatz = networks.Spectral(problem, time=networks.TimeNetwork(8, 6))
    y = ansatz.init(jax.random.key(0), jnp.zeros(()).dtype)
    y["a"] = jnp.ones_like(y["a"])
    zero = ansatz.displacement(y, jnp.zeros(()), jnp.zeros(0))
    np.testing.assert_array_equal(zero, 0)
    out = pinn.march(ansatz, (0, 0.2), 1e-5)
    truth = pde.reference(problem, np.linspace(0, 0.2, 5))
    assert out.holds and pde.relative_l2(out.solution, truth).overall < 1e-4


@pytest.mark.slow
def test_a_network_in_space_marches():
    problem = pde.KuramotoSivashinsky()
    net = networks.mlp_field(problem, jax.random.key(0), 12, 2, 2, t0=-1.0, t1=1.0)
    out = pinn.march(networks.Sampled(problem, net, places=32), (0, 0.02), 1e-3)
    truth = pde.reference(problem, np.linspace(0, 0.02, 5), accuracy=1e-8)
    assert out.holds and pde.relative_l2(out.solution, truth).overall < 3e-3


def kdv(*given, **named):
    return networks.Spectral(pde.KdV(), *given, **named)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: kdv(8, symmetry=pde.odd()),
            ValueError,
            "start",
        ),
        (
            lambda: kdv(8, symmetry=pde.even()),
            ValueError,
            "makes",
        ),
        (lambda: kdv(), ValueError, "modes: given 0"),
        (lambda: networks.Spectral(pde.Lorenz(), 3), ValueError, "modes: given 3"),
        (lambda: networks.Spectral(pde.Wave(), 3), TypeError, "pde: given Wave"),
        (lambda: pde.Symmetry(2), ValueError, "symmetry: given"),
        (lambda: pinn.Adaptive(grow=0.5), ValueError, "grow: given 0.5"),
        (lambda: pinn.Fixed(0.0), ValueError, "length: given 0.0"),
    ],
)
def test_bad_ansatz(make, error, words):
    with pytest.raises(error, match=words):
        make()


class Refuses(pinn.Adaptive):
    """Stops a march before anything is compiled for it."""

    def first(self, span, pace):
        raise RuntimeError("not here")


def test_what_the_modes_cut_off_is_seen():
    """sin 3πx in two modes: all of it, though the residual would see none."""
    space = networks.Spectral(pde.Heat(), 2).space

    @jax.jit
    def seen():
        start = lambda x: jnp.sin(jnp.pi * x) + jnp.sin(3 * jnp.pi * x)
        near, off = space.sample(start, jnp.zeros(()).dtype)
        return space.pack(near), off

    z, off = seen()
    np.testing.assert_allclose(off, 0.5**0.5)
    np.testing.assert_allclose(jnp.sum(z**2), 0.5)


def test_bad_march():
    ansatz = networks.Spectral(pde.Lorenz())
    with pytest.raises(ValueError, match="span: given"):
        pinn.march(ansatz, (1.0, 0.0), 1e-3)
    with pytest.raises(ValueError, match="rtol: given 1e-20"):
        pinn.march(ansatz, (0.0, 1.0), 1e-20)
    odd = networks.Spectral(pde.Burgers(), 8)
    with pytest.raises(ValueError, match="initial: given a start that breaks"):
        pinn.march(odd, (0.0, 1.0), 1e-3, initial=lambda x: jnp.cos(jnp.pi * x))
    steep = lambda x: jnp.sin(9 * jnp.pi * x)
    told = pytest.warns(RuntimeWarning, match="modes: given 8, which cut 1.0e")
    with told, pytest.raises(RuntimeError, match="not here"):
        pinn.march(odd, (0.0, 1.0), 1e-3, Refuses(), initial=steep)
