"""Hyper-parameters are traced: another value never compiles anything again."""

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import dynax as dx
from dynax import kappa as K, material as mat, pde, pinn
from dynax.newton import LevenbergMarquardt


F = jnp.array([[1.1, 0.2], [0.0, 0.9]])


def step(opt):
    x = jnp.ones(3)
    return opt.step(x, opt.init(x), x, 0.1)


CASES = {
    "Lion": (step, [dx.LionKappa(weight_decay=w) for w in (0.1, 2.0)]),
    "Lion's κ": (step, [dx.LionKappa(K.Huber(d), 0.9, 0.99, 1.0) for d in (0.1, 2.0)]),
    "Adam": (step, [dx.Adam(*betas) for betas in ((0.9, 0.999), (0.8, 0.95))]),
    "heavy ball": (step, [dx.HeavyBall(g) for g in (0.5, 1.0)]),
    "material": (
        lambda law: (law.energy(F), law.kirchhoff(F), law.stiffness(F)),
        [mat.NeoHookean(*given) for given in ((1e5, 0.3), (2e4, 0.1))],
    ),
    "plastic material": (
        lambda law: law.update(F, (), 0.1),
        [mat.Elastoplastic(mat.Hencky(1e5, 0.3), mat.VonMises(y)) for y in (5e3, 1e3)],
    ),
    "equation": (
        lambda burgers: burgers.residual(
            lambda t, x: x * jnp.sin(t), jnp.array(0.3), jnp.array([0.4])
        ),
        [pde.Burgers(nu) for nu in (0.01, 0.1)],
    ),
    "annealing": (
        lambda plan: plan.advance(plan.init(), jnp.array(-0.1)),
        [pinn.Annealing((1.0, 10.0), delta) for delta in (0.9, 0.99)],
    ),
    "Levenberg–Marquardt": (
        lambda mu: LevenbergMarquardt(damping=mu).init(
            None, jnp.ones(2), None, {}, None, None, frozenset()
        ),
        [0.1, 1.0],
    ),
}


def traced_once(use):
    def run(value):
        return use(value)

    chex.clear_trace_counter()
    return jax.jit(chex.assert_max_traces(run, n=1))


@pytest.mark.parametrize("name", CASES)
def test_another_value_is_the_same_program(name):
    use, values = CASES[name]
    run = traced_once(use)
    found = [run.lower(value).out_info for value in values]
    chex.assert_trees_all_equal_shapes_and_dtypes(*found)


def test_control_a_static_field_is_another_program():
    class Fixed(eqx.Module):
        scale: float
        factor: float = eqx.field(static=True)

    run = traced_once(lambda law: law.factor * law.scale * F)
    run.lower(Fixed(1.0, 1.0))
    with pytest.raises(AssertionError, match="traced > 1 times"):
        run.lower(Fixed(1.0, 2.0))
