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
def test_equals_optax(dtype, lam):
    f, x = laws.problem(dtype)
    schedule = optax.linear_schedule(1e-2, 1e-3, 20)
    twin = optax.lion(schedule, weight_decay=lam)
    _same_run(dx.as_optax(dx.LionKappa(weight_decay=lam), schedule), twin, f, x)


@pytest.mark.parametrize("kappa", [K.L1(), K.SoftAbs(0.2), K.nuclear()])
def test_bfloat16_momentum(kappa):
    """Audited as tightly as any; H₊ − H by definition, the rounding of m₊ included."""
    f, x = laws.problem(jnp.float32)
    opt = dx.LionKappa(kappa, weight_decay=0.5, momentum_dtype=jnp.bfloat16)
    _, rows = dx.iterate(opt, f, x, 1e-2, steps=100)
    v = dx.verdict(rows, "bfloat16")
    assert v.status == "holds" and v.resolution < 1e-3, str(v)
    np.testing.assert_allclose(rows.change[:-1], jnp.diff(rows.energy), atol=5e-6)
    assert np.max(np.abs(rows.terms["rounding"])) > 1e-4


def test_optax_rounds_beta2_with_a_bfloat16_momentum():
    """optax multiplies β₂ into mu in bfloat16: 0.99 becomes 0.98828, and is noticed."""
    f, x = laws.problem(jnp.float32)
    tx = optax.lion(1e-2, weight_decay=0.5, mu_dtype=jnp.bfloat16)

    def audited(beta2):
        claim = dx.LionKappa(beta2=beta2, weight_decay=0.5)
        audit = dx.audit(tx, claim, 1e-2, read=dx.LionState.from_optax)
        p, s = x, audit.init(x)
        for _ in range(5):
            delta, s = audit.update(jax.grad(f)(p), s, p, value=f(p), value_fn=f)
            p = optax.apply_updates(p, delta)
        return dx.verdict(s.tally, f"β₂ = {beta2}")

    with jax.numpy_dtype_promotion("standard"):
        v = audited(0.99)
    assert v.status == "violated", str(v)
    assert [k for k, c in v.checks.items() if c["violations"]] == ["momentum"], str(v)


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


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("every", [0, 2])
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
