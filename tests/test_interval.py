"""Every rule of interval arithmetic encloses every image: sampled, against mpmath, and
on random expressions; a rule that is broken on purpose is caught.
"""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mpmath import mp

from dynax.certify.interval import Interval, Program, _arithmetic, _functions, _program


def boxes(rng, n, batch, low=-3.0, high=3.0):
    """Boxes of many widths, with ends at 0 and of one point among them."""
    lo = rng.uniform(low, high, (n, batch))
    width = 10.0 ** rng.uniform(-12, 0.5, (n, batch))
    lo = np.where(rng.random((n, batch)) < 0.1, np.clip(0.0, low, high), lo)
    width = np.where(rng.random((n, batch)) < 0.1, 0.0, width)
    return Interval(lo, np.minimum(lo + width, high))


def outside(found, values):
    """How many sampled images lie outside, beyond the error of XLA's own arithmetic."""
    room = 1e-13 * (1 + np.abs(values))  # functions, contraction, order of sums
    lo, hi = (np.broadcast_to(e, values.shape[1:]) for e in (found.lo, found.hi))
    out = (values < lo - room) | (values > hi + room)
    return int(np.sum(out & ~np.isnan(values)))


def escapes(f, box: Interval, rng, samples=20):
    """By output of f: the sampled images that its enclosure misses. One program."""
    found, _ = Program(f, jax.ShapeDtypeStruct(box.lo.shape[:1], np.float64))(box)
    z = box.lo + (box.hi - box.lo) * rng.random((samples, *box.lo.shape))
    z = np.clip(z, box.lo, box.hi)
    values = jax.jit(jax.vmap(jax.vmap(f, in_axes=1, out_axes=-1)))(z)
    counts = lambda found, values: outside(found, np.asarray(values, float))
    return jax.tree.map(
        counts, found, values, is_leaf=lambda a: isinstance(a, Interval)
    )


ANYWHERE = {
    "sum": lambda z: jnp.sum(z * jnp.asarray([1.0, -2.0, 0.5])),
    "difference": lambda z: z[0] - z[1],
    "product": lambda z: z[0] * z[1] * z[2],
    "square": lambda z: z * z,
    "powers": lambda z: jnp.stack([z[0] ** 2, z[0] ** 3, z[1] ** 4, z[1] ** -2]),
    "quotient": lambda z: z[0] / z[1],
    "dot": lambda z: jnp.dot(z, z) - jnp.dot(z, z[::-1]),
    "matrix": lambda z: jnp.arange(6.0).reshape(2, 3) @ z - 7.0,
    "layer": lambda z: (
        jnp.linspace(-2, 1, 40).reshape(8, 5)
        @ jnp.tanh(jnp.linspace(-1, 2, 15).reshape(5, 3) @ z)
    ),
    "outer": lambda z: jnp.outer(z, z) @ z,
    "abs": lambda z: jnp.abs(z),
    "sign": lambda z: jnp.sign(z) * z[::-1],
    "max": lambda z: jnp.maximum(z[0], z[1]) + jnp.min(z),
    "select": lambda z: jnp.where(z[0] > z[1], z[2], -z[2] + 1),
    "clip": lambda z: jnp.clip(z, -0.5, 1.0),
    "safe": lambda z: z / jnp.where(z == 0, 1.0, z),
    "tanh": lambda z: jnp.tanh(z) + jnp.arctan(z),
    "exp": lambda z: jnp.exp(z) + jnp.expm1(-z) + jnp.exp2(z),
    "hyperbolic": lambda z: jnp.cosh(z) - jnp.sinh(z) + jnp.arcsinh(z),
    "circular": lambda z: jnp.sin(3 * z) + jnp.cos(5 * z),
    "logistic": lambda z: jax.nn.sigmoid(z) + jax.nn.softplus(z),
    "erf": lambda z: jax.scipy.special.erf(z) + jax.scipy.special.erfc(z),
    "cbrt": lambda z: jnp.cbrt(z),
    "order": lambda z: jnp.sort(z),
    "largest": lambda z: jax.lax.top_k(z, 2)[0],
    "scatter": lambda z: jnp.zeros(3).at[jnp.argmax(z)].set(jnp.max(z)),
    "gather": lambda z: z[jnp.argmin(z)] + z[jnp.asarray([2, 0])].sum(),
    "keep": lambda z: jnp.zeros(3).at[jax.lax.top_k(jnp.abs(z), 1)[1]].set(1.0) * z,
    "shapes": lambda z: jnp.concatenate(
        [z, jnp.pad(z[:2], 1), z.reshape(1, 3)[0, ::-1]]
    ),
    "loop": lambda z: jax.lax.scan(lambda c, x: (0.5 * c + x, c * x), z[0], z)[1],
    "branch": lambda z: jax.lax.cond(z[0] > 0, lambda: z[1], lambda: z[2] ** 2),
    "floor": lambda z: jnp.floor(z) + jnp.round(2 * z) + jnp.ceil(z),
    "product of all": lambda z: jnp.prod(z),
    "switch by number": lambda z: jnp.float64(z[0] > z[1]) * z[2],
}
POSITIVE = {
    "sqrt": lambda z: jnp.sqrt(z) + jax.lax.rsqrt(z),
    "log": lambda z: jnp.log(z) + jnp.log1p(z),
    "power": lambda z: z**1.7 + z[0] ** z[1],
    "acosh": lambda z: jnp.arccosh(1 + z),
    "reciprocal": lambda z: 1 / z - z / (1 + z),
    "atan2": lambda z: jnp.arctan2(z[0], z[1]),
}


@functools.cache
def seen(kind):
    """Escapes of every function of a table, from one compiled program."""
    table, low = (ANYWHERE, -3.0) if kind == "anywhere" else (POSITIVE, 0.0)
    rng = np.random.default_rng(1)
    together = lambda z: {name: f(z) for name, f in table.items()}
    return escapes(together, boxes(rng, 3, 500, low), rng)


@pytest.mark.parametrize("name", [*ANYWHERE, *POSITIVE])
def test_every_image_lies_inside(name):
    assert seen("anywhere" if name in ANYWHERE else "positive")[name] == 0


def test_functions_err_by_less_than_stated():
    """NumPy's and SciPy's ends against mpmath, in units in the last place."""
    rng = np.random.default_rng(0)
    with mp.workprec(140):
        for name, low, high in [
            ("exp", -600, 600), ("exp", -1e-3, 1e-3), ("expm1", -30, 5), ("log", 0, 10),
            ("log", 0.99, 1.01), ("log1p", -0.9, 10), ("tanh", -8, 8), ("sinh", -9, 9),
            ("cosh", -9, 9), ("asinh", -9, 9), ("acosh", 1, 9), ("atanh", -1, 1),
            ("atan", -9, 9), ("asin", -1, 1), ("sin", -50, 50), ("cos", -50, 50),
            ("erf", -4, 4), ("erfc", -4, 5), ("logistic", -30, 30), ("cbrt", -9, 9),
        ]:  # fmt: skip
            x = rng.uniform(low, high, 300)
            found = _functions.FUNCTIONS[name](Interval(x, x))
            exact = {
                "logistic": lambda t: 1 / (1 + mp.exp(-t)),
                "cbrt": lambda t: mp.sign(t) * mp.cbrt(abs(t)),
            }.get(name) or getattr(mp, name)
            truth = [exact(mp.mpf(float(t))) for t in x]
            for lo, hi, t in zip(found.lo, found.hi, truth, strict=True):
                assert lo <= t <= hi, name

    # the room is not idle: the computed ends themselves miss the truth
    x = rng.uniform(-3, 3, 300)
    with mp.workprec(140):
        assert any(mp.mpf(float(np.tanh(t))) != mp.tanh(mp.mpf(float(t))) for t in x)


def test_signs_are_exact():
    """A dissipation is a sum of squares that touches 0: its lower end is 0 itself."""
    box = Interval(
        np.array([[-1.0, 0.0], [-2.0, 0.0]]), np.array([[1.0, 0.0], [2.0, 0.0]])
    )
    spec = jax.ShapeDtypeStruct((2,), np.float64)
    for f in [
        lambda z: 0.3 * jnp.dot(z, z),
        lambda z: jnp.sum(z**2) / 7,
        lambda z: (z[0] * z[0] + z[1] ** 4) * 0.1,
        lambda z: jnp.sum(jnp.abs(z) * 3),
    ]:
        found, _ = Program(f, spec)(box)
        assert np.all(found.lo == 0) and found.hi[1] == 0
    found, _ = Program(lambda z: z[0] * z[1], spec)(box)
    assert found.lo[0] == pytest.approx(-2) and found.hi[1] == 0


def random_expression(rng, depth):
    """A random function of z ∈ ℝ³ of at most `depth` operations one in another."""
    if depth == 0 or rng.random() < 0.1:
        k, c = int(rng.integers(3)), float(rng.normal())
        return (lambda z: z[k]) if rng.random() < 0.8 else (lambda z: c)
    one = [jnp.tanh, jnp.sin, jnp.abs, jnp.square, lambda a: a / (1 + a * a), jnp.cos,
           lambda a: jnp.exp(-jnp.abs(a)), lambda a: jnp.sqrt(1 + a * a), jnp.sign,
           lambda a: jnp.log1p(a * a), lambda a: -0.7 * a]  # fmt: skip
    two = [jnp.add, jnp.subtract, jnp.multiply, jnp.maximum, jnp.minimum,
           lambda a, b: a / (2 + jnp.sin(b)),
           lambda a, b: jnp.where(a > b, a, 2 * b)]  # fmt: skip
    a = random_expression(rng, depth - 1)
    if rng.random() < 0.4:
        f = one[rng.integers(len(one))]
        return lambda z: f(a(z))
    b, g = random_expression(rng, depth - 1), two[rng.integers(len(two))]
    return lambda z: g(a(z), b(z))


def test_random_expressions():
    """40 expressions of depth ≤ 6 in one compiled program."""
    rng = np.random.default_rng(7)
    parts = [random_expression(rng, int(rng.integers(2, 7))) for _ in range(40)]
    f = lambda z: jnp.stack([jnp.asarray(p(z), float) for p in parts])
    assert escapes(f, boxes(rng, 3, 400), rng, samples=50) == 0


@pytest.mark.parametrize(
    "place, name, wrong",
    [
        (_program.PLAIN, "mul", lambda a, b: Interval(a.lo * b.lo, a.hi * b.hi)),
        (_program.PLAIN, "tanh", lambda a: Interval(np.tanh(a.hi), np.tanh(a.lo))),
        (_program.PLAIN, "sin", lambda a: Interval(np.sin(a.lo), np.sin(a.hi))),
        (
            _program.JUMPS,
            "sign",
            lambda mark, a: Interval(np.sign(a.hi), np.sign(a.hi)),
        ),
        (_program.PLAIN, "abs", lambda a: Interval(np.abs(a.lo), np.abs(a.hi))),
    ],
)
def test_control_a_broken_rule_is_caught(monkeypatch, place, name, wrong):
    monkeypatch.setitem(place, name, wrong)
    f = {
        "mul": ANYWHERE["product"], "tanh": jnp.tanh, "sin": jnp.sin,
        "sign": ANYWHERE["sign"], "abs": jnp.abs,
    }[name]  # fmt: skip
    rng = np.random.default_rng(3)
    assert escapes(f, boxes(rng, 3, 300), rng) > 100


def test_control_rounding_inwards_is_caught():
    """Most rounded sums are off the true one; an enclosure must hold the truth."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 2000)) * 10.0 ** rng.integers(-8, 8, (2, 2000))

    def misses(add):
        found = add(Interval(a, a), Interval(b, b))
        truth = [Fraction(p) + Fraction(q) for p, q in zip(a, b, strict=True)]
        rows = zip(found.lo, truth, found.hi, strict=True)
        return sum(not Fraction(lo) <= t <= Fraction(hi) for lo, t, hi in rows)

    assert misses(_arithmetic.add) == 0
    assert misses(lambda p, q: Interval(p.lo + q.lo, p.hi + q.hi)) > 500


@pytest.mark.parametrize(
    "f, what",
    [
        (lambda z: jnp.linalg.eigvalsh(jnp.outer(z, z))[0], "eigh.*test_interval.py"),
        (lambda z: jnp.sum(z.astype(jnp.float32)), "float32"),
        (
            lambda z: jax.lax.while_loop(
                lambda c: c < 1, lambda c: c + z[0] ** 2, z[1]
            ),
            "while",
        ),
    ],
)
def test_what_has_no_rule_is_named(f, what):
    with pytest.raises(NotImplementedError, match=what):
        Program(f, jax.ShapeDtypeStruct((2,), np.float64))


def test_a_jump_is_marked():
    """Where a choice is undecided the mean-value form is unsound: boxes are marked."""
    box = Interval(np.array([[-1.0, 0.5]]), np.array([[1.0, 1.0]]))
    spec = jax.ShapeDtypeStruct((1,), np.float64)
    marked = lambda f: Program(f, spec)(box)[1].tolist()
    assert marked(lambda z: jnp.sign(z[0]) - 0.5) == [True, False]
    assert marked(lambda z: jnp.where(z[0] > 0, z[0], 0.0)) == [True, False]
    assert marked(lambda z: 1.0 / z[0]) == [True, False]
    assert marked(lambda z: jnp.abs(z[0]) + jnp.maximum(z[0], 0.1)) == [False, False]
