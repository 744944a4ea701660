"""One call draws a result; progress and callbacks of the loops that make it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynax import pde, pinn
from dynax.pinn import networks


def marched(problem, *given, **more):
    return pinn.march(networks.Spectral(problem, *given), (0, 0.1), 1e-4, **more)


def test_a_march():
    told, seen = [], []
    tell = lambda share, text: told.append((share, text))
    controller = pinn.Adaptive(most=0.03)
    more = {"controller": controller, "progress": tell, "callback": seen.append}
    out = marched(pde.Heat(), 4, networks.Legendre(4), **more)
    assert out.holds and seen == out.tried and len(seen) >= 4
    assert "error about" in told[0][1] and "left" in told[-1][1]

    figure = pinn.plot(out)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    wanted = ["Solution", "Residual", "Spectrum", "Windows", "Errors"]
    assert titles[:5] == wanted
    image = figure.axes[0].images[0].get_array()
    (a,), (b,) = pde.Heat.lower, pde.Heat.upper
    x = a + (b - a) * np.arange(128)[:, None] / 128
    true = jax.vmap(pde.Heat().exact, (None, 0))(jnp.asarray(0.1), jnp.asarray(x))
    np.testing.assert_allclose(np.asarray(image)[:, -1], true[:, 0], atol=1e-3)

    more = {"controller": controller, "callback": lambda w: True}
    short = marched(pde.Heat(), 4, networks.Legendre(4), **more)
    assert short.status == "callback" and len(short.tried) == 1
    assert "the callback asked for it" in short.summary


def test_a_training():
    problem, key, one = pde.Pendulum(), jax.random.key(0), jnp.ones(())
    trainer = pinn.Trainer(
        pinn.Objective(8, 1, 4), optax.sgd(1e-3), pinn.Annealing((1.0,))
    )
    model = pinn.Model(pinn.mlp_field(problem, key, width=4, depth=1), problem)
    window, told = pinn.Window(0 * one, one, problem.initial), []
    stop = lambda out: len(out.records.loss) >= 4
    tell = lambda share, text: told.append(text)
    more = {"block": 2, "progress": tell, "callback": stop}
    out = pinn.train(trainer, model, window, key, 8, **more)
    assert len(out.records.loss) == 4
    assert "error about" in told[1]
    titles = [ax.get_title(loc="left") for ax in pinn.plot(out, trainer, window).axes]
    assert {"Causal weights", "Residuals", "Causality"} <= set(titles)
    with pytest.raises(ValueError, match="trainer, window: given none"):
        pinn.plot(out)
    with pytest.raises(TypeError, match="result: given int"):
        pinn.plot(3)  # pyright: ignore
