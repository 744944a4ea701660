"""What optax asks of every optimizer, asked of ours: one program a member.

The cases are those of optax's common tests: shapes and dtypes that stay, schedules,
injected hyper-parameters, `MultiSteps`, masks, partitions, `tree.map_params`, zero
gradients; and runs on a parabola and on Rosenbrock's function (slow).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx

from ..laws import same_structure
from .members import MEMBERS


every_member = pytest.mark.parametrize("name", MEMBERS)

LR = 1e-2
OTHERS = jnp.float16, jnp.float32, jnp.float64
DECAY = {  # x₊ = x − ελx without a gradient
    "adamw": 1e-4,
    "cautious-decay": 1e-4 + 1e-3,
    "cautious-decay-lyapunov": 1e-3,
    "cautious-decay-adam": 1e-3,
}
MOVING = {"frank-wolfe", "stochastic-frank-wolfe"}  # x₊ = x + γ(s − x), whatever g is


def params(dtype=jnp.float32):
    """A matrix, a vector, a number; and a matrix that no loss below depends on."""
    return {
        "w": jnp.sin(1.7 * jnp.arange(12, dtype=dtype) ** 2).reshape(4, 3),
        "b": jnp.linspace(0.5, -0.25, 5, dtype=dtype),
        "s": jnp.asarray(0.75, dtype),
        "unused": jnp.full((3, 3), 0.5, dtype),
    }


def parabola(x):
    target = 0.3
    used = (x["w"], x["b"], x["s"])
    return sum(jnp.sum((a - jnp.asarray(target, a.dtype)) ** 2) for a in used) / 2


@functools.cache
def seen(name):
    """Everything observed of one member, in one program."""
    opt = MEMBERS[name]

    def program(x):
        grads = jax.grad(parabola)(x)
        tx = dx.as_optax(opt, LR)
        rate = optax.constant_schedule(LR)
        out = {"start": x, "grads": grads}

        def first(tx, g=grads):
            return tx.update(g, tx.init(x), x)

        still, state = first(tx, jax.tree.map(jnp.zeros_like, x))
        still_twice, _ = tx.update(jax.tree.map(jnp.zeros_like, x), state, x)
        out["still"] = still, still_twice
        out["schedule"] = first(dx.as_optax(opt, rate))
        inject = optax.inject_hyperparams(
            lambda learning_rate: dx.as_optax(opt, learning_rate)
        )
        delta, state = first(inject(learning_rate=LR))
        out["injected"] = delta, state.inner_state
        delta, half = first(
            optax.MultiSteps(tx, 2), jax.tree.map(lambda g: g / 2, grads)
        )
        multi = optax.MultiSteps(tx, 2)
        rest = jax.tree.map(lambda g: g * 1.5, grads)
        out["multi"] = delta, multi.update(rest, half, x)[0]
        frozen = {"w": "on", "b": "off", "s": "off", "unused": "on"}
        parted = {"on": tx, "off": optax.set_to_zero()}
        out["parted"] = first(optax.partition(parted, frozen))[0]
        alone = {"w": x["w"], "unused": x["unused"]}
        part = {k: grads[k] for k in alone}
        out["alone"] = tx.update(part, tx.init(alone), alone)[0]

        def body(carry, _):
            x, state = carry
            value, grads = jax.value_and_grad(parabola)(x)
            delta, state = tx.update(grads, state, x)
            return (optax.apply_updates(x, delta), state), (value, delta)

        (out["end"], _), (out["values"], deltas) = jax.lax.scan(
            body, (x, tx.init(x)), length=80
        )
        out["first"] = jax.tree.map(lambda a: a[0], deltas)
        return out

    with jax.numpy_dtype_promotion("standard"):
        return jax.device_get(jax.jit(program)(params()))


@every_member
def test_zero_gradients_leave_x_where_it_is(name):
    """Finite and *still*: of many subgradients at 0, the least is taken."""
    x, stills = seen(name)["start"], seen(name)["still"]
    for step in stills:
        for key, move in step.items():
            assert np.all(np.isfinite(move))
            if name not in MOVING:
                drift = -LR * DECAY.get(name, 0.0) * x[key]
                np.testing.assert_allclose(move, drift, rtol=1e-6, atol=0)


@every_member
def test_a_leaf_without_gradient_stays(name):
    if name in MOVING | DECAY.keys():
        return
    np.testing.assert_array_equal(seen(name)["end"]["unused"], params()["unused"])


@every_member
def test_schedules_and_injected_hyper_parameters(name):
    (delta, state), (injected, inner) = seen(name)["schedule"], seen(name)["injected"]
    same_structure(inner, state)
    _close(delta, seen(name)["first"], 1e-6)
    _close(injected, seen(name)["first"], 1e-5)


@every_member
def test_multi_steps_are_one_step_on_the_mean(name):
    waiting, stepped = seen(name)["multi"]
    _close(waiting, jax.tree.map(np.zeros_like, waiting), 0)
    _close(stepped, seen(name)["first"], 2e-5)


@every_member
def test_partition_is_the_optimizer_on_its_part(name):
    parted, alone = seen(name)["parted"], seen(name)["alone"]
    assert not np.any(parted["b"]) and not np.any(parted["s"])
    _close({k: parted[k] for k in alone}, alone, 1e-6)


@every_member
def test_parabola_falls(name):
    values = seen(name)["values"]
    assert np.all(np.isfinite(values)) and values[-1] < values[0]


@every_member
@pytest.mark.parametrize(
    "dtype",
    [jnp.bfloat16, *(pytest.param(d, marks=pytest.mark.slow) for d in OTHERS)],
)
def test_shapes_and_dtypes_stay(name, dtype):
    """Traced only: updates in the dtype of x, a state that `lax.cond` may carry."""
    x = params(dtype)

    def run(every):
        tx = dx.as_optax(MEMBERS[name], LR, every=every)
        given = {"value": parabola(x), "value_fn": parabola} if every else {}
        state = tx.init(x)
        step = lambda: tx.update(x, state, x, **given)
        delta, new = jax.lax.cond(state.count < 1, step, lambda: (x, state))
        same_structure(delta, x)
        return state, new

    for every in (0, 1):
        before, after = jax.eval_shape(functools.partial(run, every))
        same_structure(after, before)
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
            assert a.weak_type == b.weak_type


@every_member
@pytest.mark.parametrize("every", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_map_params(name, every):
    """optax's way to every array of a state that is shaped like the parameters."""
    x = {"w": jnp.ones((3, 2)), "b": jnp.ones(4)}
    tx = optax.chain(
        optax.clip(1.0), dx.as_optax(MEMBERS[name], LR, every=every), optax.identity()
    )
    state = jax.eval_shape(tx.init, x)
    same_structure(optax.tree.map_params(tx, lambda v: v, state), state)
    seen = []
    optax.tree.map_params(tx, lambda v: seen.append(v.shape), state)
    assert len(seen) % 2 == 0 or "shampoo" in name
    masked = optax.masked(tx, {"w": False, "b": False})
    jax.eval_shape(masked.init, x)


def test_map_params_with_a_mask_of_decay():
    x = {"w": jnp.ones((3, 2)), "b": jnp.ones(4)}
    opt = dx.LionKappa(weight_decay=0.1, decay_mask={"w": True, "b": False})
    tx = dx.as_optax(opt, LR, every=1)
    state = tx.init(x)
    doubled = optax.tree.map_params(tx, lambda v: v + 1, state)
    np.testing.assert_array_equal(doubled.inner.state.m["w"], 1)
    same_structure(doubled, state)


def _close(a, b, rtol):
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(p, q, rtol=rtol, atol=rtol * LR)


# --- convergence (slow) -----------------------------------------------------------

RATES = {
    "sign-sgd": 1e-2,
    "adagrad": 1.0,
    "shampoo": 0.5,
}
TIMES = {  # their learning rate is a time step
    "heavy-ball",
    "cautious-hamiltonian",
    "thresholded-cautious",
    "cautious-decay-lyapunov",
    "nesterov-sc",
    "nesterov-c",
    "triple-momentum",
    "high-resolution-sc",
    "high-resolution-c",
    "high-resolution-heavy-ball",
    "accelerated-mirror",
    "bregman",
    "hamiltonian-descent",
}


@pytest.mark.slow
@every_member
def test_parabola_converges(name):
    """To the minimum, with steps that shrink: a sign's steps do not by themselves."""
    steps = 3000
    peak = RATES.get(name, 0.3 if name in TIMES else 0.05)
    rate = optax.linear_schedule(peak, peak * 1e-4, steps)
    if name in ("nesterov-sc", "high-resolution-sc", "triple-momentum"):
        rate = peak
    f, tx = parabola, dx.as_optax(MEMBERS[name], rate)

    def body(carry, _):
        x, state = carry
        delta, state = tx.update(jax.grad(f)(x), state, x)
        return (optax.apply_updates(x, delta), state), None

    x = params()
    with jax.numpy_dtype_promotion("standard"):
        run = jax.jit(lambda c: jax.lax.scan(body, c, length=steps)[0][0])
        assert float(f(run((x, tx.init(x))))) < 1e-3
