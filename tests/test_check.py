"""Parameters are checked by one rule, and every error has one style."""

import ast
import pathlib
import re

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


def said(node):
    """The text of a message in the source, with what it is filled with in braces."""
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(map(said, node.values))
        case ast.BinOp():
            return said(node.left) + said(node.right)
        case ast.FormattedValue():
            return "{" + ast.unparse(node.value) + "}"
    return None


def messages(source):
    """(line, text) of each ValueError and TypeError that a module raises."""
    raised = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Raise))
    for node in raised:
        match node.exc:
            case ast.Call(ast.Name("ValueError" | "TypeError"), [given, *_]):
                if text := said(given):
                    yield node.lineno, text


STYLE = r"[^:]+: (none given|given|{given}) [^;]+;.* accepted\b.* (is|are) .*\.(\)\.)?"
# what these raise is completed, or caught, by their callers
INNER = ("dynax/cli", "dynax/sweep/parse.py", "dynax/sweep/store.py")


def test_every_error_says_what_was_given_and_what_is_accepted():
    root = pathlib.Path(__file__).parents[1]
    for path in (root / "dynax").rglob("*.py"):
        name = path.relative_to(root).as_posix()
        for line, text in messages(path.read_text("utf-8")):
            inner = name.startswith(INNER)
            assert inner or re.fullmatch(STYLE, text), f"{name}:{line}: {text}"


def test_control_an_error_of_another_style_is_noticed():
    source = 'def f(x):\n    raise ValueError(f"x: {x} is too large; 3 is best")\n'
    ((line, text),) = messages(source)
    assert line == 2 and text == "x: {x} is too large; 3 is best"
    assert not re.fullmatch(STYLE, text)
    assert re.fullmatch(STYLE, "x: given {x}; accepted is x < 3.")
