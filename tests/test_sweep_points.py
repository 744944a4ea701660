"""Spaces: which points they have, in which order, and what they refuse."""

import functools
import itertools
import json
import math
import re

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings, strategies as st
from scipy.stats import qmc

from dynax.sweep import (
    Range,
    Search,
    Space,
    Static,
    Table,
    halton,
    integers,
    log_uniform,
    random,
    sobol,
    uniform,
)
from dynax.sweep.parse import FORMS, axis


def narrow(x):
    """A function, as a static value."""


class Wide:
    """A class, as a static value."""


def mixed():
    return {
        "rate": [0.1, 0.2, 0.3],
        "kind": Static([narrow, Wide]),
        "trial": Table({"a": [1.0, 2.0], "b": [10, 20]}),
        "size": Static([8, 16, 32]),
        "seed": range(4),
    }


def test_order_is_that_of_the_product_with_static_dimensions_outermost():
    space = Space(mixed())
    assert list(space.shape.items()) == [
        ("kind", 2),
        ("size", 3),
        ("rate", 3),
        ("trial", 2),
        ("seed", 4),
    ]
    assert space.block == 24 and space.size == 144
    assert space.structures == [
        {"kind": k, "size": s}
        for k, s in itertools.product([narrow, Wide], [8, 16, 32])
    ]
    numbers = itertools.product([0.1, 0.2, 0.3], [(1.0, 10), (2.0, 20)], range(4))
    expected = [(rate, a, b, seed) for rate, (a, b), seed in numbers]
    found = space.columns(0, space.block)
    assert list(found) == ["rate", "a", "b", "seed"] == list(space.numbers)
    assert list(zip(*found.values(), strict=True)) == expected
    other = Space({**mixed(), "seed": [3, 2, 1, 0]}).columns(0, 24)
    assert list(zip(*other.values(), strict=True)) != expected, "control"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
@settings(max_examples=50, deadline=None)
def test_columns_of_a_range_are_those_of_all(shape, data):
    """And number n is NumPy's row-major index n."""
    space = Space({f"x{k}": np.arange(n) + 0.5 for k, n in enumerate(shape)})
    first = data.draw(st.integers(0, space.block - 1))
    count = data.draw(st.integers(0, space.block - first))
    every, some = space.columns(0, space.block), space.columns(first, count)
    at = np.unravel_index(np.arange(space.block), shape)
    for k, name in enumerate(every):
        np.testing.assert_array_equal(every[name], at[k] + 0.5)
        np.testing.assert_array_equal(some[name], every[name][first : first + count])


def test_labels():
    space = Space(mixed())
    assert [space.labels(s) for s in range(6)] == [
        {"kind": k, "size": s} for k in ("narrow", "Wide") for s in (8, 16, 32)
    ]
    assert Space({"x": [1.0]}).labels(0) == {}
    assert Static([1, 2.5]).labels == [1, 2.5]
    assert Static(["a", None, 3]).labels == ["a", "None", "3"]


def test_static_values_may_be_named():
    """Objects whose text tells where in memory they are need a name."""
    half, twice = (functools.partial(narrow, a) for a in (0.5, 2.0))
    static = Static({"half": half, "twice": twice})
    assert static.labels == ["half", "twice"] and static.values == [half, twice]
    assert Space({"g": static}).structures[1] == {"g": twice}
    for bare in ([half], [object()], [(1, narrow)]):
        with pytest.raises(ValueError, match=r"^Static: given .* at 0x.*; accepted is"):
            Static(bare)


def test_what_is_traced_and_what_is_static():
    """Lists of numbers are axes; of anything else, static. Integers stay integers."""
    given = {
        "a": [1, 2],
        "b": [1, 2.0],
        "c": np.float32([1, 2]),
        "d": ["relu", "tanh"],
        "e": "relu",
        "f": [True, False],
        "g": np.arange(3, dtype=np.uint8),
        "h": (x for x in (1.0, 2.0)),
    }
    space = Space(given)
    kinds = {name: space.kind(name) for name in space.numbers}
    assert kinds == {"a": int, "b": float, "c": float, "g": int, "h": float}
    assert [s["d"] for s in space.structures] == ["relu"] * 2 + ["tanh"] * 2
    assert [s["f"] for s in space.structures] == [True, False] * 2
    assert space.shape["e"] == 1


def test_a_space_with_static_dimensions_only():
    space = Space({"kind": Static([narrow, Wide])})
    assert (space.size, space.block, space.columns(0, 1)) == (2, 1, {})


def test_a_search_is_the_outermost_dimension():
    search = Search(5, "loss", {"lr": log_uniform(1e-3, 1), "width": integers(1, 9)})
    space = Space({"seed": range(3), "trial": search})
    assert list(space.shape.items()) == [("trial", 5), ("seed", 3)]
    assert space.names == {"trial": ("lr", "width"), "seed": ("seed",)}
    assert space.numbers == ("lr", "width", "seed")
    assert [space.kind(n) for n in space.numbers] == [float, int, int]
    assert space.columns(2, 3)["seed"].tolist() == [2, 0, 1]
    assert (search.parallel, len(search)) == (5, 5)


def test_table_of_rows_and_of_columns():
    rows = [{"a": 1.5, "b": 2}, {"b": 4, "a": 3.5}]
    table = Table(rows)
    assert {k: v.tolist() for k, v in table.columns.items()} == {
        "a": [1.5, 3.5],
        "b": [2, 4],
    }
    assert len(table) == 2 and table.columns["b"].dtype == np.int64


# Samples.

RANGES = {"x": uniform(-2, 6), "y": log_uniform(1e-4, 1e-1), "n": integers(3, 7)}


def by_hand(u):
    y = 10 ** (-4 + 3 * u[:, 1])
    return {"x": -2 + 8 * u[:, 0], "y": y, "n": 3 + (5 * u[:, 2]).astype(int)}


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize(
    "ours, theirs",
    [
        (halton, lambda seed: qmc.Halton(3, rng=seed).random(32)),
        (sobol, lambda seed: qmc.Sobol(3, rng=seed).random(32)),
        (random, lambda seed: np.random.default_rng(seed).random((32, 3))),
    ],
)
def test_samples_are_those_of_scipy_and_numpy(ours, theirs, seed):
    """Up to the round-off of exp(log low + u (log high − log low)): 30 ε."""
    found = ours(32, seed=seed, **RANGES).columns
    expected = by_hand(theirs(seed))
    np.testing.assert_array_equal(found["n"], expected["n"])
    assert found["n"].dtype == np.int64
    for name in "xy":
        np.testing.assert_allclose(found[name], expected[name], rtol=30 * 2.3e-16)
    control = by_hand(theirs(seed + 1))
    assert not np.array_equal(found["n"], control["n"])


def test_halton_and_sobol_are_more_even_than_random():
    spread = lambda t: qmc.discrepancy(np.stack(list(t.columns.values()), 1))
    unit = {k: uniform(0, 1) for k in "abc"}
    even = max(spread(make(64, **unit)) for make in (halton, sobol))
    assert even < min(spread(random(64, seed=s, **unit)) for s in range(10)) / 2


def test_distributions():
    """Kolmogorov–Smirnov against the laws named; a wrong law is noticed."""
    drawn = random(2000, seed=3, **RANGES).columns
    p = lambda values, law: scipy.stats.kstest(values, law.cdf).pvalue
    linear, log = scipy.stats.uniform, scipy.stats.loguniform
    assert p(drawn["x"], linear(-2, 8)) > 0.01
    assert p(drawn["y"], log(1e-4, 1e-1)) > 0.01
    assert p(drawn["y"], linear(1e-4, 1e-1)) < 1e-10, "control"
    assert p(drawn["x"], linear(-2, 7)) < 1e-10, "control"


@given(st.integers(-50, 50), st.integers(1, 40), st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_integers_are_evenly_likely_both_ends_included(low, span, times):
    n = (span + 1) * times
    values = integers(low, low + span).at((np.arange(n) + 0.5) / n)
    found, counts = np.unique(values, return_counts=True)
    assert found.tolist() == list(range(low, low + span + 1))
    assert set(counts) == {times}


ENDS = st.floats(1e-12, 1e12)


@given(ENDS, ENDS, st.floats(0, 1, exclude_max=True))
@settings(max_examples=100, deadline=None)
def test_draws_stay_within_their_range(a, b, u):
    """But for round-off: an ε of the ends, and of exp's argument, ≤ 30, for a log."""
    low, high = sorted([a, b])
    if not low < high:
        return
    u, eps = np.array(u), np.finfo(float).eps
    assert low <= uniform(low, high).at(u) <= high * (1 + 2 * eps)
    slack = 100 * eps
    assert low * (1 - slack) <= log_uniform(low, high).at(u) <= high * (1 + slack)
    n = integers(math.floor(low), math.ceil(high) + 1).at(u)
    assert math.floor(low) <= n <= math.ceil(high) + 1


# The manifest.


def described():
    return [
        mixed(),
        {"x": np.geomspace(1e-300, 1e300, 7), "n": [-(2**62), 2**62]},
        {"x": [0.1 + 0.2, 1 / 3, 5e-324, np.nextafter(1, 2)]},
        {"trial": halton(16, **RANGES), "seed": range(3)},
        {"trial": Search(9, "loss", RANGES, parallel=3, maximize=True)},
        {"kind": ["relu", "größe"]},
    ]


@pytest.mark.parametrize("space", described())
def test_describe_survives_json(space):
    """To the last bit, as the store compares it."""
    made = Space(space)
    found = made.describe()
    assert json.loads(json.dumps(found)) == found
    again = json.loads(json.dumps(found))
    for name, values in made.dims.items():
        if isinstance(values, np.ndarray):
            back = np.array(again[name]["values"])
            assert back.dtype == values.dtype
            assert back.tobytes() == values.tobytes()


def test_descriptions_differ_where_spaces_do():
    base = {"x": [0.5, 1.0], "k": Static([1, 2]), "t": Table({"a": [1.0]})}
    others = [
        {**base, "x": [0.5, np.nextafter(1.0, 2)]},
        {**base, "x": [1.0, 0.5]},
        {**base, "k": Static([1, 3])},
        {**base, "t": Table({"a": [2.0]})},
        {**base, "t": Table({"b": [1.0]})},
        {**base, "y": [1.0]},
    ]
    texts = [json.dumps(Space(s).describe()) for s in [base, *others]]
    assert len(set(texts)) == len(texts)
    searches = [
        Search(8, "loss", {"x": uniform(0, 1)}),
        Search(9, "loss", {"x": uniform(0, 1)}),
        Search(8, "error", {"x": uniform(0, 1)}),
        Search(8, "loss", {"x": uniform(0, 2)}),
        Search(8, "loss", {"x": log_uniform(0.5, 2)}),
        Search(8, "loss", {"x": uniform(0.5, 2)}),
        Search(8, "loss", {"x": uniform(0, 1)}, parallel=4),
        Search(8, "loss", {"x": uniform(0, 1)}, maximize=True),
    ]
    texts = [json.dumps(Space({"t": s}).describe()) for s in searches]
    assert len(set(texts)) == len(texts)


# What is refused: each names the argument, what was given and what is accepted.

SEARCH = Search(2, "loss", {"x": uniform(0, 1)})
REFUSED = [
    (lambda: Space.of(3), TypeError, r"space: given 3; accepted is a mapping"),
    (lambda: Space.of({}), TypeError, r"space: given \{\}; accepted"),
    (lambda: Space({"a b": [1]}), ValueError, r"space: given the name 'a b'; accepted"),
    (lambda: Space({3: [1]}), ValueError, r"space: given the name 3; accepted"),
    (
        lambda: Space({"x": uniform(0, 1)}),
        ValueError,
        r"range for x; accepted .*halton",
    ),
    (lambda: Space({"lr": 0.1}), (TypeError, ValueError), r"lr: given 0.1; accepted"),
    (lambda: Space({"x": []}), ValueError, r"given no values; accepted"),
    (
        lambda: Space({"x": [1], "t": Table({"x": [2]})}),
        ValueError,
        r"x of the dimension t elsewhere too; accepted is each argument once",
    ),
    (
        lambda: Space({"s": Table({"x": [1]}), "t": Table({"x": [2]})}),
        ValueError,
        r"x of the dimension t elsewhere too",
    ),
    (
        lambda: Space({"s": SEARCH, "t": SEARCH}),
        ValueError,
        r"search along \['s', 't'\].*accepted is one search",
    ),
    (
        lambda: Space({"s": SEARCH, "kind": Static([1, 2])}),
        ValueError,
        r"search along \['s'\] and static dimensions \['kind'\]; accepted",
    ),
    (lambda: Static([]), ValueError, r"Static: given no values; accepted"),
    (lambda: Static([1, 1]), ValueError, r"Static: given .*\[1, 1\]; accepted.*differ"),
    (
        lambda: Static([lambda: 0, lambda: 1]),
        ValueError,
        r"Static: given .*<lambda>.*; accepted",
    ),
    (lambda: Table([]), ValueError, r"Table: given rows .*\[\]; accepted are one or"),
    (lambda: Table({}), ValueError, r"Table: given columns .*\{\}; accepted are one"),
    (lambda: Table([{"a": 1}, {"b": 1}]), ValueError, r"Table: given rows .*\('a',\)"),
    (
        lambda: Table({"a": [1], "b": [1, 2]}),
        ValueError,
        r"Table: given columns .*'a': 1, 'b': 2\}; accepted",
    ),
    (
        lambda: Table({"a": ["x"]}),
        ValueError,
        r"a: given <U1 .*; accepted is a list of",
    ),
    (lambda: Table({"a": [[1, 2]]}), ValueError, r"a: given int64 of shape \(1, 2\)"),
    (lambda: Table({"a": [1j]}), ValueError, r"a: given complex128 .*; accepted"),
    (lambda: uniform(1, 1), ValueError, r"range: given 1.0 … 1.0; accepted is low < h"),
    (lambda: uniform(0, math.inf), ValueError, r"range: given 0.0 … inf; accepted"),
    (lambda: uniform(math.nan, 1), ValueError, r"range: given nan … 1.0; accepted"),
    (
        lambda: integers(1.5, 3.2),
        ValueError,
        r"range: given integers 1.5 … 3.2; accepted are whole numbers",
    ),
    (
        lambda: Search(4, "l", {"x": Range(0.0, -100.0)}),
        ValueError,
        r"range: given 0.0 … -100.0; accepted is low < high",
    ),
    (
        lambda: Search(4, "l", {"x": Range(2, 12, log=True, integer=True)}),
        ValueError,
        r"range: given integers 2 … 12, logarithmic; accepted",
    ),
    (
        lambda: random(4, x=Range(math.nan, 1.0)),
        ValueError,
        r"range: given nan … 1.0; accepted is low < high",
    ),
    (
        lambda: Space({"status": [1]}),
        ValueError,
        r"space: given the name 'status', .*; accepted is another one",
    ),
    (
        lambda: Space({"t": Table({"status": [1]})}),
        ValueError,
        r"given the name 'status'",
    ),
    (
        lambda: Space({f"x{k}": [1] for k in range(33)}),
        ValueError,
        r"space: given 33 dimensions; accepted are at most 32",
    ),
    (lambda: integers(3, 2), ValueError, r"range: given 3 … 2; accepted"),
    (lambda: log_uniform(0, 1), ValueError, r"range: given low = 0.0; accepted is > 0"),
    (
        lambda: sobol(12, x=uniform(0, 1)),
        ValueError,
        r"sobol: given count = 12; accept",
    ),
    (
        lambda: sobol(0, x=uniform(0, 1)),
        ValueError,
        r"sobol: given count = 0; accepted",
    ),
    (lambda: Search(0, "l", {}), ValueError, r"Search: given count = 0, .*; accepted"),
    (lambda: Search(3, "l", {}, parallel=0), ValueError, r"parallel = 0; accepted"),
    (
        lambda: Search(3, "l", {"x": [1, 2]}),
        TypeError,
        r"Search: given x = \[1, 2\]; accepted is uniform",
    ),
]


@pytest.mark.parametrize("make, error, says", REFUSED, ids=[r[2] for r in REFUSED])
def test_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize("draw", [random, halton, sobol])
def test_a_range_for_an_argument_called_seed_is_refused(draw):
    """It would be taken for the seed of the sampler, and the argument be lost."""
    with pytest.raises((TypeError, ValueError), match="seed"):
        draw(4, x=uniform(0, 1), seed=integers(0, 9))


# The command line.


@pytest.mark.parametrize(
    "text, values",
    [
        ("x=log:1e-4:1e-1:4", np.geomspace(1e-4, 1e-1, 4)),
        ("x=linear:0:1:5", np.linspace(0, 1, 5)),
        ("x=linear:1:0:2", np.array([1.0, 0.0])),
        ("x=range:4", np.arange(4)),
        ("x=range:2:4", np.arange(2, 4)),
        ("x=range:8:0:-3", np.arange(8, 0, -3)),
        ("x=0,1,2", np.array([0, 1, 2])),
        ("x=0,0.1,1e-3", np.array([0, 0.1, 1e-3])),
        ("x=-1", np.array([-1])),
    ],
)
def test_parsed_numbers(text, values):
    name, found = axis(text)
    assert name == "x" and isinstance(found, np.ndarray)
    assert found.dtype == values.dtype and found.tolist() == values.tolist()


@pytest.mark.parametrize(
    "text, values",
    [
        ("x=static:32,64", [32, 64]),
        ("x=static:relu", ["relu"]),
        ("x=relu,tanh", ["relu", "tanh"]),
        ("x=1,a", [1, "a"]),
        ("x=https://host:80", ["https://host:80"]),
    ],
)
def test_parsed_static_values(text, values):
    _, found = axis(text)
    assert isinstance(found, Static) and found.values == values


@pytest.mark.parametrize(
    "text, found",
    [
        ("lr=log:1e-4:1e-1", Range(1e-4, 1e-1, log=True)),
        ("lr=linear:0:1", Range(0.0, 1.0)),
        ("lr=int:1:9", Range(1, 9, integer=True)),
    ],
)
def test_parsed_ranges(text, found):
    assert axis(text) == ("lr", found)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x=",
        "=1",
        "a b=1",
        "x=log:0:1:3",
        "x=log:-1:1:3",
        "x=log:0:1",
        "x=log:1:2:0",
        "x=log:1:2:3:4",
        "x=log:1:2:1.5",
        "x=linear:a:1:2",
        "x=linear:1",
        "x=linear:1:0",
        "x=int:0:8:3",
        "x=int:8:0",
        "x=range:",
        "x=range:0.5:3",
        "x=range:0:8:0",
        "x=range:5:0",
        "x=static:1,1",
        "x=static:",
        "x=0,",
    ],
)
def test_parse_refuses(text):
    """Naming what was given, and the accepted forms."""
    with pytest.raises(ValueError, match=re.escape(f"given {text!r}")) as error:
        axis(text)
    assert FORMS in str(error.value)
