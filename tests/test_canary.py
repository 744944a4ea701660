"""Does the installed jaxlib compute what it is told to?

jaxlib 0.10.2 does not: on CPU, `jit(vmap(x ↦ ‖Px‖²))` over many points, which is every
quadratic Lyapunov function, comes out wrong without a word (jax-ml/jax#39103).
"""

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest


P = np.array([[2.0, -1.0, 0.5], [0.3, 1.7, -0.4], [-0.6, 0.2, 1.1]])


def points(n, dtype):
    return np.random.default_rng(0).normal(size=(n, 3)).astype(dtype)


def quadratic_form(x):
    x = jax.device_put(x, jax.devices("cpu")[0])
    p = jnp.asarray(P, x.dtype)
    return jax.jit(jax.vmap(lambda x: jnp.sum((p @ x) ** 2)))(x)


def wrong_entries(values, x):
    """How many of `values` are further from ‖Px‖² than round-off can take them.

    Each component of Px is off by at most 2·eps·(|P||x|), counting the rounding of P;
    squaring and adding three of them keeps the sum within 8·eps·‖|P||x|‖².
    """
    exact = np.sum((x.astype("float64") @ P.T) ** 2, axis=1)
    scale = np.sum((np.abs(x).astype("float64") @ np.abs(P).T) ** 2, axis=1)
    error = np.abs(np.asarray(values, "float64") - exact)
    return int(np.sum(~(error <= 8 * np.finfo(x.dtype).eps * scale)))


CASES = pytest.mark.parametrize(
    "n, dtype", [(20_000, "float64"), (40_000, "float32")], ids=["float64", "float32"]
)


@CASES
def test_jaxlib_computes_a_quadratic_form(n, dtype):
    x = points(n, dtype)
    wrong = wrong_entries(quadratic_form(x), x)
    assert wrong == 0, (
        f"jaxlib {jaxlib.__version__} computes wrong numbers on this machine "
        f"({wrong} of {n} entries of a quadratic form), so install another one: "
        'pip install "jax!=0.10.2" "jaxlib!=0.10.2"'
    )


@CASES
def test_control_a_perturbed_result_is_found(n, dtype):
    x = points(n, dtype)
    values = np.array(quadratic_form(x))
    values[::10] *= 1 + 1000 * np.finfo(dtype).eps
    assert wrong_entries(values, x) > n // 20
    values[0] = np.nan
    assert wrong_entries(values, x) > n // 20
