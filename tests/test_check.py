"""Parameters are checked by one rule, and every error has one style."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynax as dx
from dynax import kappa, material, mechanics, newton, pde
from dynax._check import check_nonnegative, check_parameter, check_positive, require


INFINITE = [
    lambda v: dx.LionKappa(weight_decay=v),
    lambda v: dx.AdamW(weight_decay=v),
    lambda v: dx.Adam(eps=v),
    lambda v: dx.HeavyBall(strong_convexity=v),
    lambda v: dx.SOAP(eps=v),
    lambda v: dx.ScheduleFree(weight=v),
    lambda v: kappa.Huber(v),
    lambda v: material.NeoHookean(v, 0.3),
    lambda v: material.VonMises(v),
    lambda v: material.WeaklyCompressible(v),
    lambda v: material.Maxwell(material.jelly(), 1.0, v),
    lambda v: mechanics.mpm.Grid((8, 8), v),
    lambda v: newton.LevenbergMarquardt(damping=v),
    lambda v: pde.Heat(diffusion=v),
    lambda v: pde.Burgers(viscosity=v),
]


@pytest.mark.parametrize("value", [jnp.inf, jnp.nan, -1.0, "1"])
@pytest.mark.parametrize("make", INFINITE)
def test_a_parameter_is_a_finite_number(make, value):
    with pytest.raises(ValueError, match=r"^\w+: given .*; accepted is .*\.$"):
        make(value)


def test_an_interval_may_be_infinite():
    """SOAP never renews its bases then: what its flow is refined to."""
    assert dx.SOAP(interval=jnp.inf).interval == jnp.inf
    for wrong in (jnp.nan, 0.5, -jnp.inf):
        with pytest.raises(ValueError, match="interval: given .*or infinity"):
            dx.SOAP(interval=wrong)


def test_a_tracer_passes_and_arrays_are_checked_entry_by_entry():
    jax.jit(lambda v: check_positive(v=v))(-1.0)
    check_nonnegative(v=np.array([0, 1]), w=jnp.array([0.5, 0], jnp.bfloat16))
    with pytest.raises(ValueError, match=r"^w: given .*; accepted is a finite w > 0"):
        check_positive(v=1, w=np.array([1.0, 0.0]))


def test_the_error_names_argument_value_and_what_is_accepted():
    with pytest.raises(ValueError, match="^q: given 3; accepted is q < 2.$"):
        check_parameter("q", 3, lambda q: q < 2, "q < 2")
    with pytest.raises(ValueError, match="^mode: given 'slow'; accepted is 'fast'.$"):
        require(False, "mode", "slow", "'fast'")
