"""With 8 virtual devices: a window trained on all of them is that trained on one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType

from dynax import pde, pinn
from dynax.newton import LevenbergMarquardt
from dynax.pinn.cycle import Cycle


jax.config.update("jax_enable_x64", True)


def main():
    assert jax.device_count() == 8, jax.device_count()
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    problem, key = pde.Advection(), jax.random.key(0)
    model = pinn.Model(pinn.mlp_field(problem, key, width=6, depth=1), problem)
    one = jnp.ones(())
    window = pinn.Window(0 * one, one, problem.initial)
    t, x = jnp.linspace(0.1, 0.9, 5), jnp.linspace(0.1, 0.9, 5)[:, None]
    data = pinn.Data(t, x, jax.vmap(problem.exact)(t, x), 0.1)
    objective = pinn.Objective(
        16, 4, 8, data=data, ansatz=pinn.penalised_initial, initial_weight=10.0
    )
    annealing = pinn.Annealing((1.0, 10.0), patience=3)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)

    trainer = pinn.Trainer(objective, optax.adam(1e-2), annealing)
    go = lambda mesh: pinn.train(trainer, model, window, key, 6, block=3, mesh=mesh)
    many, few = go(mesh), go(None)
    assert len(jax.tree.leaves(many.state.params)[0].devices()) == 8
    jax.tree.map(close, many.records, few.records)

    # Gauss–Newton: the rows of J lie where their times do
    trainer = pinn.Trainer(objective, LevenbergMarquardt(), annealing)
    cycle, params = Cycle.of(trainer, model, window, mesh)
    alone, _ = Cycle.of(trainer, model, window)
    batch = objective.sample(key, problem, window)
    slopes = eqx.filter_jit(cycle._slopes)(params, batch)
    jax.tree.map(close, slopes, eqx.filter_jit(alone._slopes)(params, batch))
    for name, both in slopes.items():
        share = 8 if name == "equation" else 1
        for rows in both:
            assert len(rows.addressable_shards[0].data) == len(rows) // share, name

    uneven = eqx.tree_at(lambda t: t.objective, trainer, pinn.Objective(12, 4, 4))
    try:
        pinn.train(uneven, model, window, key, 1, mesh=mesh)
    except ValueError as error:
        assert "mesh: given 8 devices for 12 times" in str(error), error
    else:
        raise AssertionError("12 times on 8 devices")
    print("ok")


if __name__ == "__main__":
    main()
