"""Lion-κ among optax's own: the same map, bit for bit, under all its wrappers."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx
from dynax import kappa as K

from . import laws


@pytest.mark.parametrize("mask", [{"w": True, "b": False}, lambda p: {"w": 1, "b": 0}])
def test_mask(mask):
    f, x = laws.problem()
    opt = dx.LionKappa(weight_decay=0.5, decay_mask=mask)
    twin = optax.lion(1e-2, weight_decay=0.5, mask={"w": True, "b": False})
    _same_run(dx.as_optax(opt, 1e-2), twin, f, x)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("lam", [0.0, 0.5])
@pytest.mark.parametrize("mu_dtype", [None, jnp.bfloat16])
def test_equals_optax(dtype, lam, mu_dtype):
    f, x = laws.problem(dtype)
    schedule = optax.linear_schedule(1e-2, 1e-3, 20)
    opt = dx.LionKappa(weight_decay=lam, momentum_dtype=mu_dtype)
    twin = optax.lion(schedule, weight_decay=lam, mu_dtype=mu_dtype)
    _same_run(dx.as_optax(opt, schedule), twin, f, x)


@pytest.mark.parametrize(
    "kappa, mode",
    [
        (K.L1(), {"mode": "hard"}),
        (K.LogCosh(3.0), {"mode": "smooth", "smooth_beta": 3.0}),
        (K.Huber(1.0), {"mode": "refined"}),
    ],
)
def test_equals_optax_modes(kappa, mode):
    f, x = laws.problem()
    twin = optax.chain(
        optax.scale_by_lion(**mode),
        optax.add_decayed_weights(0.5),
        optax.scale_by_learning_rate(1e-2),
    )
    ours = dx.as_optax(dx.LionKappa(kappa, weight_decay=0.5), 1e-2)
    _same_run(ours, twin, f, x, rtol=1e-12)


def _same_run(ours, twin, f, x, steps=50, rtol=0.0):
    """Bit for bit the same map (rtol = 0)."""

    def train(tx):
        def body(carry, _):
            p, s = carry
            with jax.numpy_dtype_promotion("standard"):
                delta, s = tx.update(jax.grad(f)(p), s, p)
                return (optax.apply_updates(p, delta), s), None

        return jax.jit(
            lambda p: jax.lax.scan(body, (p, tx.init(p)), length=steps)[0][0]
        )(x)

    for a, b in zip(*map(jax.tree.leaves, (train(ours), train(twin))), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=0)


@pytest.mark.parametrize("every", [0, 1, 2])
def test_optax_laws(every):
    laws.works_as_optax(lambda: dx.LionKappa(weight_decay=0.5), every)


def test_sharded_ledger_equals_unsharded():
    """On a 2 × 4 mesh of virtual devices, in a process of its own."""
    script = pathlib.Path(__file__).with_name("sharded.py")
    flags = "--xla_force_host_platform_device_count=8"
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    run = [sys.executable, script]
    done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout == "ok\n", done.stderr[-2000:]
