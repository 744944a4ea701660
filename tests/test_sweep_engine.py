"""The numbers of a sweep are those of a loop, on whatever it runs and whatever fails.

Oracles: closed forms, `run` at one point after another, and sweeps in which nothing
went wrong, compared bit by bit.
"""

import json
import re
import time
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynax.sweep.executor
import tests.sweeping as runs
from dynax.sweep import (
    Local,
    Progress,
    Search,
    Space,
    Static,
    StoreError,
    Table,
    Worker,
    halton,
    open_sweep,
    sweep,
    uniform,
)
from dynax.sweep.dataset import failures
from dynax.sweep.executor import Executor
from dynax.sweep.local import make_job
from dynax.sweep.part import DONE, MISSING, NOT_FINITE, RAISED, TIME_LIMIT
from dynax.sweep.program import Program
from dynax.sweep.store import Store
from dynax.sweep.watch import _overdue as overdue
from tests.sweeping import descent, grid, loop, rough, rows
from tests.test_sweep_crash import same


EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module")
def reference():
    """One device, one worker, four points at a time."""
    return sweep(rough, grid(), batch=4)


# The right numbers, at the right places.

SPACES = {
    "grid": {"rate": np.linspace(0.01, 0.5, 5), "start": [0.5, -2.0, 3.0]},
    "turned": {"start": [0.5, -2.0, 3.0], "rate": np.linspace(0.01, 0.5, 5)},
    "table": {"trial": halton(13, rate=uniform(0.01, 0.5), start=uniform(-3, 3))},
    "static": {"start": [1.0, 2.0], "width": Static([2, 8, 3]), "rate": [0.1, 0.4]},
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_closed_form(space):
    """Within the stated round-off; another rate at a point would be noticed."""
    found = sweep(descent, space, dims={"curve": ["step"]})
    assert found.status.dims == tuple(Space(space).shape)
    loss = found.curve.isel(step=-1)
    assert loss.identical(found.loss.rename("curve"))
    cells = Space(space).shape
    for at in np.ndindex(*cells.values()):
        cell = found.isel(dict(zip(cells, at, strict=True)))
        given = {k: cell[k].item() for k in ("rate", "start")}
        given["width"] = cell.width.item() if "width" in cell else 8
        exact = runs.descent_exactly(**given)
        bound = runs.descent_bound(EPS, given["width"])
        np.testing.assert_allclose(cell.curve, exact, rtol=bound)
        control = runs.descent_exactly(**{**given, "rate": given["rate"] * (1 + 1e-9)})
        assert not np.allclose(cell.curve, control, rtol=bound, atol=0)


def keyed(rate, key, width=3):
    """The bits of the key, and what is not elementwise."""
    u = jax.random.uniform(key, (width,), rate.dtype)
    return {"bits": jax.random.bits(key, (4,)), "y": jnp.sum(u) * rate}


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(
    "space",
    [
        {"rate": np.linspace(0.1, 0.9, 9)},
        {"trial": Table({"rate": [0.5, 0.1, 0.7]}), "repeat": range(3)},
        {"rate": [0.1, 0.2], "width": Static([1, 4, 2])},
    ],
    ids=["grid", "table", "static"],
)
def test_equals_a_loop(space, seed):
    """Random bits exactly; a sum of w numbers in (0, 1) and a product to w + 1 ε."""

    def run(rate, key, width=3, repeat=0):
        return keyed(rate, key, width)

    found, oracle = sweep(run, space, seed=seed), loop(run, space, seed=seed)
    np.testing.assert_array_equal(rows(found, "bits"), oracle["bits"])
    np.testing.assert_allclose(rows(found, "y"), oracle["y"], rtol=2 * 5 * EPS)
    control = loop(run, space, seed=seed + 1)
    assert not (control["bits"] == oracle["bits"]).any()
    assert len(np.unique(oracle["bits"])) == oracle["bits"].size, "keys differ"


@pytest.mark.parametrize(
    "options",
    [{"batch": 1}, {"batch": 3}, {"batch": 5, "chunk": 10}, {"chunk": 2}, {}],
    ids=str,
)
def test_keys_depend_on_number_and_seed_only(tmp_path, options):
    """Not on batches, chunks or which of several workers comes first."""
    space = {"rate": np.linspace(0.1, 0.9, 31)}
    keys = [jax.random.fold_in(jax.random.key(5), n) for n in range(31)]
    bits = np.stack([jax.random.bits(key, (4,)) for key in keys])
    for index in (2, 0, 1):
        engine = Local(Worker(index, 3))
        found = sweep(
            keyed, space, tmp_path / "store", seed=5, engine=engine, **options
        )
    np.testing.assert_array_equal(found.bits, bits)


def test_a_key_in_the_space_is_an_argument_like_others():
    found = sweep(lambda key: {"y": 2 * key}, {"key": [3, 4]})
    assert found.y.values.tolist() == [6, 8]


def test_arguments_with_defaults_need_not_be_given():
    found = sweep(lambda x, y=5.0, **rest: {"z": x + y}, {"x": [1.0, 2.0]})
    assert found.z.values.tolist() == [6.0, 7.0]


@pytest.mark.parametrize("x64", [True, False])
def test_precision(x64):
    """Floats and integers are as wide as jax has them, for arguments and outputs."""
    eps = np.finfo(np.float64 if x64 else np.float32).eps
    with jax.enable_x64(x64):
        space = {"rate": np.linspace(0.01, 0.5, 9), "start": [1.0, 2.0]}
        found = sweep(descent, space)
        oracle = loop(descent, space, keyed=False)
        whole = sweep(lambda n, x: {"m": n, "y": x}, {"n": [3], "x": [0.1]})
    assert found.attrs["bits"] == (64 if x64 else 32)
    assert found.loss.dtype == (np.float64 if x64 else np.float32)
    assert whole.m.dtype == (np.int64 if x64 else np.int32)
    assert whole.y.item() == (0.1 if x64 else np.float32(0.1))
    bound = runs.descent_bound(eps)
    np.testing.assert_allclose(rows(found, "curve"), oracle["curve"], rtol=2 * bound)
    exact = np.array([runs.descent_exactly(0.01, s) for s in (1.0, 2.0)])
    error = np.max(np.abs(found.curve.values[0] / exact - 1))
    assert error <= bound
    assert x64 or error > runs.descent_bound(EPS), "control: float32 is that of float64"


@pytest.mark.parametrize("value", [2**40, 1e300, -1e39, 1e-60], ids=str)
def test_numbers_that_32_bits_would_change_are_refused(value):
    """As they would keep their labels. Control: with 64 bits they fit."""
    space = {"n": [1 if isinstance(value, int) else 1.0, value]}
    table = {"t": Table({"n": space["n"]})}
    with jax.enable_x64(False):
        for given in (space, table):
            with pytest.raises(
                ValueError, match="^n: given .*32 bits.*, or jax_enable"
            ):
                sweep(lambda n: {"m": n}, given)
    make_job(lambda n: {"m": n}, space)


def test_the_largest_and_the_least_of_32_bits_are_accepted():
    """To the bit; and infinities, that are asked for."""
    info = np.finfo(np.float32)
    x = [float(info.max), float(info.tiny), -0.0, np.inf]
    with jax.enable_x64(False):
        found = sweep(lambda x: {"y": x}, {"x": x})
    assert found.y.values.tobytes() == np.float32(x).tobytes()


# The same bits, however the work is divided.


@pytest.mark.parametrize("chunk", [1, 4, 12, 50, 1000])
def test_chunks_do_not_change_a_bit(reference, chunk, tmp_path):
    same(sweep(rough, grid(), tmp_path / "s", batch=4, chunk=chunk).load(), reference)
    parts = Store.open(tmp_path / "s").parts()
    assert len(parts) == -(-77 // max(chunk, 4))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_workers_do_not_change_a_bit(reference, count, tmp_path):
    """One after another, the last one first; each adds its share."""
    for index in reversed(range(count)):
        found = sweep(
            rough,
            grid(),
            tmp_path / "s",
            batch=4,
            chunk=8,
            engine=Local(worker=Worker(index, count)),
        )
        assert found.attrs["complete"] == (index == 0)
    same(found.load(), reference)
    shares = [w["done"] for w in Store.open(tmp_path / "s").workers()]
    assert len(shares) == count and sum(shares) == 77


DEVICES = """
import json, re, sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P
from dynax.sweep import Local, sweep
from dynax.sweep.executor import Executor
from dynax.sweep.local import make_job
from tests.sweeping import endless, grid, rough

devices, folder = jax.devices(), sys.argv[1]
subsets = {"all": None}
if len(devices) == 8:
    subsets |= {"middle": devices[2:5], "two": [devices[6], devices[1]]}
for name, some in subsets.items():
    for batch in (4, 2):
        where = f"{folder}/{name}-{len(devices)}-{batch}"
        sweep(rough, grid(), where, batch=batch, engine=Local(devices=some))
job = make_job(endless, {"x": np.linspace(0.0, 1.0, 64)})
ours = Executor(job).program(0, 4)._call.as_text()
mesh = Mesh(np.array(devices), ("points",), axis_types=(AxisType.Auto,))
over = NamedSharding(mesh, P("points"))
x = jax.ShapeDtypeStruct((8 * len(devices),), jnp.result_type(float), sharding=over)
naive = jax.jit(jax.vmap(endless)).lower(x).compile().as_text()
pattern = r"all-(?:reduce|gather|to-all)|collective-\\w+|reduce-scatter|send|recv"
print(json.dumps({k: sorted(set(re.findall(pattern, text)))
                  for k, text in {"ours": ours, "naive": naive}.items()}))
"""


@pytest.fixture(scope="module", params=[8, 3])
def devices(request, tmp_path_factory):
    """Sweeps in a process with that many devices; and collectives found in it."""
    folder = tmp_path_factory.mktemp("devices")
    found = runs.child(
        DEVICES.replace("sys.argv[1]", repr(str(folder))),
        XLA_FLAGS=f"--xla_force_host_platform_device_count={request.param}",
        JAX_ENABLE_X64="1",
    )
    return request.param, folder, found


def test_devices_do_not_change_a_bit(reference, devices):
    """8, 3, and some of 8; control: another batch does, in some of them."""
    count, folder, _ = devices
    stores = sorted(folder.glob("*-4"))
    assert len(stores) == (3 if count == 8 else 1)
    for store in stores:
        found = open_sweep(store).load()
        assert found.attrs["complete"] and found.attrs["batch"] == "4"
        same(found, reference)
        used = {"all": count, "middle": 3, "two": 2}[store.name.partition("-")[0]]
        assert Store.open(store).workers()[0]["devices"] == used


def test_no_communication_between_devices(devices):
    """Control: a bare `jit(vmap(run))` over a sharded axis has some in its loop."""
    found = devices[2]
    assert found["ours"] == []
    assert "all-reduce" in found["naive"]


@pytest.mark.parametrize("batch", [1, 3, 64, None])
def test_other_batches_are_equal_to_round_off(reference, batch):
    """Twice `rough_bound`, which float32 exceeds; and not bit by bit, for one of them.

    |‖x̂‖² − ‖x‖²| ≤ 2 ‖x₀‖ δ + (n + 2) ε ‖x₀‖² for ‖x̂ − x‖ ≤ δ.
    """
    found = sweep(rough, grid(), batch=batch).load()
    size = np.sqrt(reference.curve.values.max()) / (1 - 1e-9)
    size = max(size, np.sqrt(reference.start.values.max()) * 2)
    delta = runs.rough_bound(EPS, size)
    curve = 2 * (2 * size * delta + (runs.WIDTH + 2) * EPS * size**2)

    def errors(a):
        x = np.linalg.norm(a.x.values - reference.x.values, axis=-1).max()
        return x, np.abs(a.curve.values - reference.curve.values).max()

    x, c = errors(found)
    assert x <= 2 * delta and c <= curve
    np.testing.assert_array_equal(found.bits, reference.bits)
    if batch == 1:
        assert x > 0, "control: this problem's bits do depend on the batch"
        with jax.enable_x64(False):
            x, c = errors(sweep(rough, grid()))
        assert x > 2 * delta and c > curve, "control"


# Compiling.


@pytest.fixture
def compilations(caplog):
    """How often XLA compiled the programme of a structure since last asked."""

    def count():
        made = sum(
            "Finished XLA compilation of jit(shard)" in record.getMessage()
            for record in caplog.records
        )
        caplog.clear()
        return made

    with jax.log_compiles(True):
        yield count


def test_numbers_are_never_compiled_anew(compilations):
    """Control: the same values as static ones are, each once."""

    def run(rate, width):
        return {"y": rate * width}

    rates = np.linspace(0.1, 0.9, 9)
    sweep(run, {"rate": rates, "width": Static([2, 3, 4])}, batch=2, chunk=2)
    assert compilations() == 3
    sweep(run, {"rate": Static(rates), "width": [2.0, 3.0, 4.0]}, batch=2)
    assert compilations() == 9
    sweep(lambda x: {"y": x}, {"trial": halton(50, x=uniform(0, 1))}, batch=3)
    assert compilations() == 1


def test_what_is_traced_is_what_runs(compilations, tmp_path):
    """Once, so that the fingerprint is of the numbers; else of those of another trace.

    A function that is not pure is another one when it is resumed, and refused.
    """
    traced = []

    def run(x):
        traced.append(x)
        return {"y": len(traced) * x}

    found = sweep(run, {"x": np.arange(40.0)}, tmp_path / "s", batch=2, chunk=4)
    assert len(traced) == 1 and compilations() == 1
    np.testing.assert_array_equal(found.y, np.arange(40.0))
    with pytest.raises(StoreError, match="the code or its data has changed"):
        sweep(run, {"x": np.arange(40.0)}, tmp_path / "s")


def test_a_finished_sweep_is_not_even_compiled(compilations, tmp_path):
    sweep(keyed, {"rate": [0.1]}, tmp_path / "s")
    assert compilations() == 1
    sweep(keyed, {"rate": [0.1]}, tmp_path / "s")
    assert compilations() == 0


def test_the_fingerprint_is_of_the_programme_only(monkeypatch):
    """Callbacks get no address into it; constants, of any kind, do."""

    def fingerprint(run):
        return Executor(make_job(run, {"x": [1.0, 2.0]})).point(0).fingerprint

    def calling(c=1.0):
        def run(x):
            y = jax.pure_callback(lambda v: v, x, x, vmap_method="sequential")
            return {"y": eqx.error_if(c * y, y < 0, "negative")}

        return run

    code = """
import json, equinox as eqx, jax
from dynax.sweep.executor import Executor
from dynax.sweep.local import make_job
jax.jit(lambda x: jax.pure_callback(lambda v: v, x, x))(1.0)
def run(x):
    y = jax.pure_callback(lambda v: v, x, x, vmap_method="sequential")
    return {"y": eqx.error_if(1.0 * y, y < 0, "negative")}
print(json.dumps(Executor(make_job(run, {"x": [1.0, 2.0]})).point(0).fingerprint))
"""
    assert fingerprint(calling()) == runs.child(code, JAX_ENABLE_X64="1")
    assert fingerprint(calling()) != fingerprint(calling(2.0)), "control"
    last = np.zeros(9000)
    last[-1] = 1e-300
    for a, b in [
        (1.0, np.nextafter(1, 2)),
        (np.zeros(9000), last),
        (jnp.zeros(9000), jnp.asarray(last)),
    ]:
        one, other = (lambda x, c=c: {"y": jnp.sum(c) * x} for c in (a, b))
        assert fingerprint(one) != fingerprint(other)
    before = fingerprint(calling())
    monkeypatch.setattr("jax.__version__", "0.0")
    assert fingerprint(calling()) != before, "another jax makes other numbers of it"


def test_calls_to_python_are_told(tmp_path):
    """In the store, as what is called is not compared; control: there are none."""
    BAD.clear()
    space = {"rate": [0.5], "seed": [1]}
    assert sweep(touchy, space).attrs["host_callbacks"] == 1
    assert sweep(rough, space).attrs["host_callbacks"] == 0


# What goes wrong at a point stays there.


def judged(rate, seed, key):
    """`rough`, which raises for a negative rate."""
    out = rough(rate, seed, key)
    return eqx.error_if(out, rate < 0, "the rate is negative")


BAD: set[float] = set()


def touchy(rate, seed, key):
    """`rough`, with a callback that raises for the rates in BAD."""

    def call(r):
        if float(r) in BAD:
            raise ValueError(f"the rate {r:.2f} is bad")
        return r

    checked = jax.pure_callback(call, rate, rate, vmap_method="sequential")
    return rough(checked, seed, key)


def spoilt(places, value):
    """The grid with another rate at some places."""
    rate = np.array(grid()["rate"])
    rate[places] = value
    return {**grid(), "rate": rate}


CASES = {
    "nan": (rough, np.nan, NOT_FINITE, ""),
    "inf": (rough, 1e200, NOT_FINITE, ""),
    "error_if": (judged, -0.5, RAISED, "the rate is negative"),
}


@pytest.mark.parametrize(
    "case, batch, places",
    [
        ("nan", 1, [3, 6]),
        ("nan", 4, [0]),
        ("nan", 64, [0, 1, 2, 3, 4, 5, 6]),
        ("inf", 4, [3, 6]),
        ("error_if", 1, [6]),
        ("error_if", 4, [0, 3]),
        ("error_if", 64, [3, 6]),
        ("error_if", 16, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_bad_points_are_marked_and_the_others_untouched(case, batch, places, tmp_path):
    """Bit by bit: those of a sweep in which these points are good ones."""
    run, value, code, says = CASES[case]
    good = sweep(run, grid(), batch=batch).load()
    bad = sweep(run, spoilt(places, value), tmp_path / "s", batch=batch).load()
    assert set(np.unique(good.status)) == {DONE}, "control"
    expected = np.zeros((7, 11), int)
    expected[places] = code
    np.testing.assert_array_equal(bad.status, expected)
    same_elsewhere(good, bad, expected == 0)
    said = failures(tmp_path / "s")
    assert [number for number, *_ in said] == np.flatnonzero(expected).tolist()
    assert all(says in text and "\n" not in text for *_, text in said)
    assert bad.attrs["complete"]


def same_elsewhere(good, bad, where):
    for name in good.data_vars:
        a, b = good[name].values[where], bad[name].values[where]
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), name


@pytest.mark.parametrize("batch", [1, 5])
def test_a_callback_that_raises(batch, tmp_path, capfd, caplog):
    """The programme is the same: only Python knows which points are bad.

    It is told in a line for each in the store, not in pages; and may be run again.
    """
    BAD.clear()
    good = sweep(touchy, grid(), batch=batch).load()
    assert set(np.unique(good.status)) == {DONE}, "control"
    rates = grid()["rate"]
    try:
        BAD.update(float(rates[k]) for k in (2, 5))
        bad = sweep(touchy, grid(), tmp_path / "s", batch=batch).load()
    finally:
        BAD.clear()
    expected = np.zeros((7, 11), int)
    expected[[2, 5]] = RAISED
    np.testing.assert_array_equal(bad.status, expected)
    same_elsewhere(good, bad, expected == 0)
    said = {text for *_, text in failures(tmp_path / "s")}
    assert len(said) == 2
    assert all(f"{rates[k]:.2f} is bad" in "".join(said) for k in (2, 5))
    assert "Traceback" not in "".join([*capfd.readouterr(), caplog.text])
    assert sweep(touchy, grid(), tmp_path / "s").attrs["failed"] == 22, "as it was"
    again = sweep(touchy, grid(), tmp_path / "s", retry_failed=True)
    same(again.load(), good)


def test_points_that_raise_and_that_are_not_finite(tmp_path):
    """Together in a batch, each keeps its own code; the former have no numbers."""
    rate = grid()["rate"].copy()
    rate[[1, 4]] = -0.5, np.nan
    found = sweep(judged, {**grid(), "rate": rate}, batch=16).load()
    assert np.isnan(found.x[1]).all() and not np.isnan(found.x[[0, 2, 3]]).any()
    assert np.isfinite(found.start[4]).all(), "control: not finite, but a result"
    expected = np.zeros((7, 11), int)
    expected[1], expected[4] = RAISED, NOT_FINITE
    np.testing.assert_array_equal(found.status, expected)


def test_outputs_that_are_not_finite_are_named(tmp_path):
    run = lambda x: {"a": x, "b": 1 / x, "c": jnp.stack([jnp.exp(800 * x), x])}
    sweep(run, {"x": [1.0, 0.0, 0.5, np.nan]}, tmp_path / "s")
    said = [(at, text) for at, _, text in failures(tmp_path / "s")]
    assert said == [(0, "c"), (1, "b"), (3, "a, b, c")]


@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16, jnp.complex64])
def test_not_finite_in_other_kinds_of_floats(kind):
    x = [1.0, np.nan, 2.0, 1e300]
    found = sweep(lambda x: {"y": x.astype(kind), "n": jnp.int32(3)}, {"x": x})
    assert found.status.values.tolist() == [DONE, NOT_FINITE, DONE, NOT_FINITE]
    assert found.y.values[[0, 2]].astype(complex).tolist() == [1, 2]


# Structures that cannot be compiled.


def fussy(size, x, error=ValueError):
    if size < 0:
        raise error(f"size: given {size}")
    return {"y": x * size}


def test_a_structure_that_cannot_be_traced_does_not_stop_the_others(tmp_path):
    space = {"size": Static([2, -1, 3]), "x": [1.0, 2.0]}
    found = sweep(fussy, space, tmp_path / "s").load()
    assert found.status.values.tolist() == [[0, 0], [MISSING, MISSING], [0, 0]]
    assert found.y.values[[0, 2]].tolist() == [[2.0, 4.0], [3.0, 6.0]]
    assert np.isnan(found.y.values[1]).all() and not found.attrs["complete"]
    number, meaning, text = failures(tmp_path / "s")[0]
    assert (number, meaning) == (2, "could not be compiled")
    assert "size: given -1" in text


def test_a_structure_that_is_mended_is_computed_when_resumed(tmp_path):
    space = {"size": Static([2, -1]), "x": [1.0, 2.0]}
    sweep(fussy, space, tmp_path / "s")

    def mended(size, x):
        return {"y": x * size}

    mended.__name__ = "fussy"
    found = sweep(mended, space, tmp_path / "s").load()
    assert found.y.values.tolist() == [[2.0, 4.0], [-1.0, -2.0]]
    assert found.attrs["complete"]


@pytest.mark.parametrize(
    "error", [ValueError, FileNotFoundError, KeyError, MemoryError]
)
def test_when_none_can_be_compiled_the_error_is_raised(error):
    """The very one, whatever it is: not made into trouble with the store."""

    def run(size, x):
        return fussy(size, x, error)

    with pytest.raises(error, match="size: given -3") as caught:
        sweep(run, {"size": Static([-3, -4]), "x": [1.0]})
    assert type(caught.value) is error


def test_an_error_of_progress_is_not_blamed_on_the_store():
    """As of a pipe that was closed."""

    def progress(state):
        raise BrokenPipeError("nobody reads this")

    with pytest.raises(BrokenPipeError):
        sweep(keyed, {"rate": [0.1]}, progress=progress)


# Memory.


def full(above, monkeypatch):
    """Make a call with more than `above` points a batch run out of memory."""
    start, met = Program.start, []

    def limited(self, index, numbers):
        if self.batch > above:
            met.append(self.batch)
            raise jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Out of memory allocating 1099511627776 bytes."
            )
        return start(self, index, numbers)

    monkeypatch.setattr(Program, "start", limited)
    return met


@pytest.mark.parametrize("chunk", [32, None])
def test_out_of_memory_halves_the_batch(monkeypatch, chunk, reference, tmp_path):
    """And goes on: not all over again, and with the bits of the smaller batch."""
    met = full(4, monkeypatch)
    found = sweep(rough, grid(), tmp_path / "s", batch=32, chunk=chunk).load()
    same(found, reference)
    store = Store.open(tmp_path / "s")
    assert {p.batch for p in store.parts()} == {4}
    assert 3 <= len(met) <= 8


def test_out_of_memory_at_a_single_point(monkeypatch, tmp_path):
    """There is no smaller batch: the points are marked."""
    full(0, monkeypatch)
    found = sweep(rough, grid(), tmp_path / "s", batch=4, chunk=40)
    assert set(np.unique(found.status)) == {RAISED}
    assert "RESOURCE_EXHAUSTED" in failures(tmp_path / "s")[0][2]


def test_out_of_memory_and_a_point_that_raises(monkeypatch):
    full(4, monkeypatch)
    found = sweep(judged, spoilt([3], -0.5), batch=8)
    assert found.status.sum("seed").values.tolist() == [0, 0, 0, 11 * RAISED, 0, 0, 0]


def test_out_of_memory_when_compiling(monkeypatch, reference, tmp_path):
    made = []

    class Small(Program):
        def __init__(self, *args, batch, **options):
            made.append(batch)
            if batch > 4:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: too large")
            super().__init__(*args, batch=batch, **options)

    monkeypatch.setattr(dynax.sweep.executor, "Program", Small)
    same(sweep(rough, grid(), tmp_path / "s", batch=32).load(), reference)
    assert made == [32, 16, 8, 4]
    assert Store.open(tmp_path / "s").plan(0)["batch"] == 4


def test_another_runtime_error_does_not_halve_the_batch(monkeypatch, tmp_path):
    """Control."""
    start = Program.start

    def failing(self, index, numbers):
        if index[0] == 0:
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")
        return start(self, index, numbers)

    monkeypatch.setattr(Program, "start", failing)
    found = sweep(rough, grid(), tmp_path / "s", batch=4)
    assert Store.open(tmp_path / "s").plan(0)["batch"] == 4
    assert found.status.values.ravel().tolist() == [RAISED] + 76 * [DONE]


REAL = """
import json, re, resource
import jax, jax.numpy as jnp, numpy as np
from dynax.sweep import sweep
from dynax.sweep.store import Store

def run(x):
    m = jnp.full((1000, 1000), x)  # 4 MB
    m = jax.lax.fori_loop(0, 2, lambda i, m: m.T + 1, m)
    return {"y": m[3, 4]}

space = {"x": np.arange(64.0)}
run(1.0), sweep(run, space, batch=1)
size = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1])
limit = size * 1024 + 200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = sweep(run, space, STORE, batch=64, memory=2**40)
store = Store.open(STORE)
print(json.dumps({
    "planned": store.plan(0)["memory_bytes"],
    "batch": [p.batch for p in store.parts()],
    "y": found.y.values.tolist(),
}))
"""


def test_really_out_of_memory(tmp_path):
    """In a process that may have 200 MB more, when 64 points need twice that."""
    found = runs.child(REAL.replace("STORE", repr(str(tmp_path / "s"))))
    assert found["planned"] > 400 * 2**20
    assert all(8 <= b < 64 for b in found["batch"])
    assert found["y"] == [x + 2 for x in range(64)]


def hungry(x):
    m = jnp.full((64, 64), x)
    return {"y": jnp.linalg.norm(jnp.sin(m) @ m @ m)}


def test_memory_is_respected(tmp_path):
    """Control: without the limit, the same sweep takes more, and a larger batch."""
    space, limit = {"x": np.linspace(0, 1, 512)}, 600_000
    free = sweep(hungry, space, tmp_path / "free").load()
    kept = sweep(hungry, space, tmp_path / "kept", memory=limit).load()
    plan, other = (Store.open(tmp_path / s).plan(0) for s in ("kept", "free"))
    assert plan["memory_bytes"] <= limit < other["memory_bytes"]
    assert plan["memory_limit_bytes"] == limit
    assert 1 < plan["batch"] < other["batch"] == 64
    np.testing.assert_allclose(
        kept.y, free.y, rtol=1e3 * EPS
    )  # 3 · 64 roundings, n = 64


def test_a_point_beyond_the_memory_limit_is_told(tmp_path):
    """And run; control: not of one that fits."""
    told: list[Progress] = []
    with pytest.warns(UserWarning, match="memory: the limit is 10 KiB, one point"):
        sweep(hungry, {"x": [1.0]}, memory=10 * 2**10, progress=told.append)
    assert "the limit is 10 KiB, one point needs" in str(told[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep(hungry, {"x": [1.0]}, memory=10 * 2**20, progress=told.append)
    assert "the limit is" not in str(told[-1])


def test_chunks_are_whole_batches(tmp_path):
    """Else lanes of each batch are computed for nothing."""
    sweep(rough, grid(), tmp_path / "s", chunk=10)
    plan = Store.open(tmp_path / "s").plan(0)
    assert plan["chunk"] % plan["batch"] == 0


# Arguments and outputs.


@pytest.mark.parametrize(
    "made, says",
    [
        (lambda x: x, "returned .*Tracer; accepted is a dict of arrays"),
        (lambda x: [x], "returned list; accepted is a dict of arrays"),
        (lambda x: None, "returned NoneType; accepted is a dict"),
        (lambda x: {}, "returned dict; accepted is a dict of arrays"),
        (lambda x: {"y": "text"}, "returned str as y; accepted is an array"),
        (lambda x: {"y": None}, "returned NoneType as y; accepted is an array"),
        (lambda x: {"y": {"z": x}}, "returned dict as y; accepted is an array"),
        (lambda x: {"y": jax.random.key(0)}, "returned key<fry.* as y; accepted are"),
    ],
)
def test_outputs_of_the_wrong_kind_are_refused(made, says):
    with pytest.raises(Exception, match=f"^run: {says}") as caught:
        sweep(made, {"x": [1.0, 2.0]})
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, jax.errors.JAXTypeError)


@pytest.mark.parametrize("name", ["status", "x", "kind", "@batch", "file", "a/b"])
def test_outputs_of_names_that_are_taken_are_refused(name):
    """Else the results are lost when they are read, or take the place of the status."""
    space = {"x": [1.0, 2.0], "kind": Static(["a", "b"])}
    with pytest.raises(Exception, match=f"^run: returned .*{name}.*; accepted"):
        sweep(lambda x, kind: {name: x}, space)


def test_axes_that_would_be_called_as_an_argument_are_refused(tmp_path):
    """Before the work; else what is computed cannot be read. Others may be given."""

    def run(loss_0, x=1.0):
        return {"loss": loss_0 * jnp.ones(3), "loss_0_0": 2 * loss_0}

    space = {"loss_0": [1.0, 2.0, 3.0]}
    with pytest.raises(ValueError, match="^dims: by default .*loss_0.* for loss; acc"):
        sweep(run, space, tmp_path / "s")
    assert not Store.open(tmp_path / "s").parts()
    found = sweep(run, space, tmp_path / "s", dims={"loss": ["step"]})
    assert found.loss.dims == ("loss_0", "step")
    with pytest.raises(ValueError, match="axes, along 1 of the space; accepted are 32"):
        sweep(lambda x: {"y": jnp.zeros((1,) * 32) + x}, {"x": [1.0]})


def test_xarray_is_looked_for_before_the_work(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"sweep needs xarray: pip install"):
        sweep(rough, grid(), tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "dims",
    [
        {"y": ["a", "b"]},
        {"y": []},
        {"y": ["x"]},
        {"y": ["w"]},
        {"y": ["a"], "z": ["a"]},
        {"z": ["a", "a"]},
        {"v": ["a"]},
    ],
    ids=str,
)
def test_dims_that_do_not_fit_are_refused(tmp_path, dims):
    """Before anything is computed; and others may be given."""

    def run(x):
        return {"y": x * jnp.ones(3), "z": x * jnp.ones((2, 3)), "w": x}

    space = {"x": [1.0, 2.0]}
    with pytest.raises(ValueError, match="^dims: given .*; accepted"):
        sweep(run, space, tmp_path / "s", dims=dims)
    assert not Store.open(tmp_path / "s").parts()
    found = sweep(run, space, tmp_path / "s", dims={"y": ["a"], "z": ["b", "a"]})
    assert found.y.dims == ("x", "a") and found.z.dims == ("x", "b", "a")
    again = sweep(run, space, tmp_path / "s", units={"y": "m"})
    assert again.y.dims == ("x", "a") and again.y.attrs == {"units": "m"}


def test_structures_must_return_the_same(tmp_path):
    def run(x, kind):
        return {"y": x, "z": x} if kind == "b" else {"y": x}

    with pytest.raises(Exception, match="^run: returns y: float64.* for .*; accepted"):
        sweep(run, {"x": [1.0], "kind": Static(["a", "b"])}, tmp_path / "s")

    def ragged(x, n):
        return {"y": x * jnp.ones(n)}

    with pytest.raises(Exception, match=r"^run: returns y: float64\[3\] for"):
        sweep(ragged, {"x": [1.0], "n": Static([2, 3])})


def test_outputs_of_all_kinds():
    """Numbers, booleans, Python's own, lists; of size none as well."""

    def run(x):
        return {
            "i8": x.astype(jnp.int8),
            "u32": x.astype(jnp.uint32),
            "f32": x.astype(jnp.float32),
            "c128": x + 1j,
            "yes": x > 1,
            "one": 1,
            "list": [x, 2 * x],
            "none": jnp.zeros((0, 2)),
            "deep": jnp.ones((1, 2, 3)) * x,
        }

    with jax.numpy_dtype_promotion("standard"):
        found = sweep(run, {"x": [1.0, 2.0, 3.0]}, batch=2)
    assert {k: v.dtype for k, v in found.data_vars.items()} == {
        "status": np.int8,
        "i8": np.int8,
        "u32": np.uint32,
        "f32": np.float32,
        "c128": np.complex128,
        "yes": np.bool_,
        "one": np.int64,
        "list": np.float64,
        "none": np.float64,
        "deep": np.float64,
    }
    assert found.none.shape == (3, 0, 2) and found.deep.shape == (3, 1, 2, 3)
    assert found.c128.values.tolist() == [1 + 1j, 2 + 1j, 3 + 1j]
    assert found.list.values.tolist() == [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]
    assert found.yes.values.tolist() == [False, True, True]


@pytest.mark.parametrize(
    "options, says",
    [
        ({"batch": 0}, "batch: given 0; accepted is an integer >= 1"),
        ({"batch": 2.5}, "batch: given 2.5; accepted"),
        ({"chunk": -1}, "chunk: given -1; accepted"),
        ({"memory": 0}, "memory: given 0; accepted"),
        ({"time_limit": 0}, "time_limit: given 0; accepted is seconds > 0"),
        ({"time_limit": float("nan")}, "time_limit: given nan; accepted"),
        ({"run": 3}, "run: given int; accepted is a function"),
        ({"space": {"z": [1]}}, "space: given z, which run does not take; accepted"),
        ({"space": {"seed": [1]}}, "space: none given for x, for which run has no"),
        ({"seed": 0.5}, "seed: given 0.5; accepted is an integer"),
        ({"time_limit": 3}, "time_limit: given with what cannot be sent .*; accepted"),
        (
            {"space": {"x": np.arange(2**17), "seed": np.arange(2**16)}},
            "space: given 8,589,934,592 points; accepted",
        ),
        (
            {
                "space": {"trial": Search(2, "y", {"x": uniform(0, 1)})},
                "retry_failed": True,
            },
            "retry_failed: given with a search, .*; accepted",
        ),
        ({"engine": Local(Worker(3, 3))}, "orker.*given .*; accepted"),
        ({"engine": Local(Worker(-1, 3))}, "orker.*given .*; accepted"),
    ],
)
def test_arguments_are_checked(options, says):
    def run(x, seed=0):
        return {"y": x}

    given = {"run": run, "space": {"x": [1.0]}, **options}
    with pytest.raises((TypeError, ValueError), match=says):
        sweep(**given)


def test_progress_is_told(tmp_path):
    """From none to all, and what is said in a line."""
    told: list[Progress] = []
    sweep(rough, grid(), tmp_path / "s", batch=4, chunk=8, progress=told.append)
    assert (told[0].done, told[-1].done) == (0, 77) and told[-1].points == 77
    assert [p.done for p in told] == sorted(p.done for p in told)
    assert str(told[-1]).startswith("77 of 77 points (100%), ")
    assert "points/s" in str(told[-1]) and "points/s" not in str(told[0])
    assert "unknown time left" in str(told[0])
    again: list[Progress] = []
    sweep(rough, grid(), tmp_path / "s", batch=4, chunk=8, progress=again.append)
    assert {p.done for p in again} == {77}
    told.clear()
    bad = {**grid(), "rate": np.append(grid()["rate"][:-1], np.nan)}
    for _ in range(2):
        sweep(rough, bad, tmp_path / "b", batch=4, chunk=8, progress=told.append)
        assert told[-1].failed == 11 and "11 failed" in str(told[-1])


def test_no_rate_is_claimed_while_compiling():
    told: list[Progress] = []
    space = {"size": Static([1, 2, 3]), "x": np.arange(4.0)}
    sweep(lambda x, size: {"y": x * size}, space, progress=told.append)
    between = [p for p in told if "compiling" in p.note]
    assert [p.note for p in between] == ["compiling 2 of 3", "compiling 3 of 3"]
    assert [p.done for p in between] == [4, 8] and not any(p.rate for p in between)
    assert told[-1].rate > 0, "control"


# Time limits.


def test_clocks_that_are_set_do_not_end_a_batch(monkeypatch, tmp_path):
    """The limit is of a clock that only goes on; control: that it does is noticed."""
    noted = lambda at: (tmp_path / "now").write_text(json.dumps([0, 0, [0], at]))
    noted(time.monotonic())
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert not overdue(tmp_path / "now", 60.0)
    noted(time.monotonic() - 61)
    assert overdue(tmp_path / "now", 60.0)


@pytest.fixture(scope="module")
def unlimited():
    return sweep(runs.endless, {"x": [0.0, 1.0, 2.0, 7.0, 4.0, 5.0]}, batch=2).load()


def test_points_without_an_end_are_given_up(unlimited, tmp_path):
    """One such point among six, two to a batch."""
    space = {"x": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]}
    found = sweep(runs.endless, space, tmp_path / "s", batch=2, time_limit=1.0).load()
    assert found.status.values.tolist() == [0, 0, 0, TIME_LIMIT, 0, 0]
    same_elsewhere(unlimited, found, np.arange(6) != 3)
    assert failures(tmp_path / "s") == [(3, "over the time limit", "took over 1 s")]
    notes = tmp_path / "s" / "workers" / "0-of-1.bad"
    assert notes.exists()
    options = {"batch": 2, "time_limit": 0.7, "retry_failed": True}
    again = sweep(runs.endless, space, tmp_path / "s", **options)
    assert again.status.values.tolist() == found.status.values.tolist()
    said = failures(tmp_path / "s")
    assert said == [(3, "over the time limit", "took over 0.7 s")], "it was run again"


def test_points_that_kill_their_process(tmp_path):
    """Marked, with what the process died of."""
    space = {"x": [0.0, 1.0, 2.0, 4.0, 5.0]}
    found = sweep(runs.deadly, space, tmp_path / "s", batch=1, time_limit=30).load()
    assert found.status.values.tolist() == [0, 0, RAISED, 0, RAISED]
    assert found.y.values[[0, 1, 3]].tolist() == [0.0, 2.0, 8.0]
    said = [text for *_, text in failures(tmp_path / "s")]
    assert said == ["the process died (signal 9)", "the process died (exit code 7)"]


def test_the_time_limit_is_of_running_not_of_compiling(tmp_path):
    """A batch that is done is not given up while the next structure is compiled."""
    space = {"size": Static([1, 2]), "x": [1.0, 2.0]}
    found = sweep(runs.slow_to_trace, space, tmp_path / "s", time_limit=0.5)
    assert found.y.values.tolist() == [[1.0, 2.0], [2.0, 4.0]]
    assert not list(tmp_path.glob("s/workers/*.bad"))


def test_errors_come_back_from_the_process(tmp_path):
    with pytest.raises(ValueError, match="no such thing"):
        sweep(runs.broken, {"x": [1.0]}, time_limit=30)


def test_a_search_with_a_time_limit_is_refused_or_limited():
    """Not begun without the limit."""
    space = {"trial": Search(2, "y", {"x": uniform(0, 1)})}
    with pytest.raises(ValueError, match="time_limit.*accepted"):
        sweep(runs.endless, space, time_limit=1.0)


def test_regular_expression_of_collectives():
    """Control of a control: the names in the pattern are those of HLO."""
    pattern = re.search(r'pattern = r"(.*)"', DEVICES)[1].replace("\\\\", "\\")
    for name in ("all-reduce", "all-gather", "collective-permute", "all-to-all"):
        assert re.fullmatch(pattern, name)


def test_an_engine_compiles_a_program_once(tmp_path, monkeypatch):
    """Two sweeps of one program and batch by one engine, and by two."""
    from dynax.sweep import Local, executor

    made = []
    real = executor.Program

    def program(*args, **options):
        made.append(options["batch"])
        return real(*args, **options)

    monkeypatch.setattr(executor, "Program", program)
    run = lambda x: {"y": 3.0 * x}
    engine = Local()
    for number, values in enumerate(([1.0, 2.0], [3.0, 4.0, 5.0])):
        store = tmp_path / str(number)
        found = sweep(run, {"x": values}, store, batch=2, engine=engine)
        assert found.y.values.tolist() == [3 * v for v in values]
    assert made == [2]
    sweep(run, {"x": [1.0, 2.0]}, tmp_path / "b", batch=2, engine=Local())
    assert made == [2, 2]
