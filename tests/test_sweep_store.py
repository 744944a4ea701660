"""A store refuses what does not belong to it, and is read as if it were an array.

What kills it, and many processes at once, are in test_sweep_crash and _processes.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

import tests.sweeping as runs
from dynax.sweep import (
    Local,
    Static,
    StoreError,
    Table,
    Worker,
    export,
    open_sweep,
    sweep,
)
from dynax.sweep.engine import missing
from dynax.sweep.files import create, replace
from dynax.sweep.lease import STALE
from dynax.sweep.part import DONE, MISSING, Part
from dynax.sweep.store import Store
from tests.sweeping import rows
from tests.test_sweep_crash import same


SPACE = {
    "kind": Static(["relu", "tanh"]),
    "trial": Table({"rate": [0.1, 0.2, 0.4, 0.8, 1.6], "size": [1, 2, 3, 4, 5]}),
    "seed": range(7),
}
DIMS = {"curve": ["step"], "grid": ["row", "column"]}
UNITS = {"rate": "1/s", "curve": "J"}
OPTIONS = {"batch": 2, "chunk": 4, "dims": DIMS, "units": UNITS}
PARTS = 2 * 9  # 35 points of each structure, four to a part


def run(kind, rate, size, seed, scale=1.0):
    """A number of each kind, a curve and a table that tell where they are from."""
    at = rate * 100 + seed.astype(rate.dtype) + (1000 if kind == "tanh" else 0)
    return {
        "curve": scale * at + jnp.arange(5, dtype=at.dtype) / 8,
        "grid": size * 10 + jnp.arange(6).reshape(2, 3),
        "loss": at,
        "yes": seed > 3,
    }


def renamed(function, name="run"):
    function.__name__ = name
    return function


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store that tests may read, and change nothing in."""
    store = tmp_path_factory.mktemp("finished") / "store"
    sweep(run, SPACE, store, **OPTIONS)
    return store


@pytest.fixture(scope="module")
def loaded(finished):
    return open_sweep(finished).load()


@pytest.fixture
def half(tmp_path):
    """A store with every second part."""
    sweep(run, SPACE, tmp_path / "half", engine=Local(Worker(0, 2)), **OPTIONS)
    return tmp_path / "half"


def files(store):
    """name → what would change if a part were written again."""
    found = {}
    for path in (store / "parts").iterdir():
        facts = path.stat()
        found[path.name] = facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns
    return found


# What it refuses.


@pytest.mark.parametrize(
    "key, changed",
    [
        ("space", {"space": {**SPACE, "seed": range(8)}}),
        ("space", {"space": {**SPACE, "seed": [0, 1, 2, 3, 4, 6, 5]}}),
        ("space", {"space": {**SPACE, "kind": Static(["relu", "tanhh"])}}),
        ("seed", {"seed": 1}),
        ("run", {"run": renamed(lambda kind, rate, size, seed: {}, "other")}),
        ("bits", {"x64": False}),
        ("matmul", {"precision": "highest"}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_another_experiment_is_refused(half, key, changed):
    """In a sentence that names what differs; nothing is written."""
    before = files(half)
    given = {"run": run, "space": SPACE, **OPTIONS, **changed}
    x64, precision = given.pop("x64", True), given.pop("precision", None)
    expected = f"^store: {re.escape(str(half))} holds another experiment: {key} is .* "
    with (
        jax.enable_x64(x64),
        jax.default_matmul_precision(precision),
        pytest.raises(StoreError, match=expected + "there, .* here; accepted") as error,
    ):
        sweep(store=half, **given)
    assert "\n" not in str(error.value) and files(half) == before


def test_the_same_experiment_is_not_refused(half, loaded):
    """Control; and how it is divided or described may change."""
    options = {"batch": 3, "chunk": 30, "units": {"loss": "J"}, "memory": 2**28}
    same(sweep(run, SPACE, half, **options).load(), loaded)


@pytest.mark.parametrize("scale", [np.nextafter(1.0, 2), np.ones(5), jnp.ones(5)])
def test_changed_constants_are_refused(half, scale):
    """Those that `run` closes over, in any form."""

    def changed(kind, rate, size, seed):
        return run(kind, rate, size, seed, scale=scale)

    before = files(half)
    with pytest.raises(StoreError, match="holds results of another `run`.*; accepted"):
        sweep(renamed(changed), SPACE, half, **OPTIONS)
    assert files(half) == before


def test_changed_constants_are_refused_when_nothing_is_left_to_do(finished):
    """Else edited code seems to give the results of the old one."""

    def changed(kind, rate, size, seed):
        return run(kind, rate, size, seed, scale=2.0)

    with pytest.raises(StoreError, match="holds results of another `run`.*; accepted"):
        sweep(renamed(changed), SPACE, finished, **OPTIONS)


def test_code_that_means_the_same_is_not_refused(half, loaded):
    """Control: other names, comments and functions, the same programme."""

    def other(*, seed, size, rate, kind):
        return run(kind, rate, size, seed)

    same(sweep(renamed(other), SPACE, half, **OPTIONS).load(), loaded)


def test_a_foreign_folder_is_refused(tmp_path):
    """But not an empty one, nor what the system hides in it."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="a folder with other files in it; accepted"):
        sweep(run, SPACE, tmp_path, **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(StoreError, match="notes.txt, where no folder can"):
        sweep(run, SPACE, tmp_path / "notes.txt", **OPTIONS)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".DS_Store").touch()
    assert sweep(run, SPACE, tmp_path / "empty", **OPTIONS).attrs["complete"]


def test_what_is_no_store_cannot_be_opened(tmp_path):
    (tmp_path / "manifest.json").write_text('{"experi')
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(StoreError, match="holds no sweep; accepted is the folder"):
            open_sweep(path)


# To what the results belong.


def test_parts_that_nothing_describes_are_refused(half, loaded):
    """Else those of the old space come out under the labels of a new one."""
    manifest, before = half / "manifest.json", files(half)
    text = manifest.read_text()
    other = {**SPACE, "seed": range(10, 17)}
    for spoil in (manifest.unlink, manifest.touch):
        spoil()
        for space in (SPACE, other):
            with pytest.raises(StoreError, match=r"no manifest.json .*; accepted is"):
                sweep(run, space, half, **OPTIONS)
    assert files(half) == before
    manifest.write_text(text)
    same(sweep(run, SPACE, half, **OPTIONS).load(), loaded)


def test_an_empty_manifest_counts_as_none(tmp_path, loaded):
    (tmp_path / "manifest.json").touch()
    same(sweep(run, SPACE, tmp_path, **OPTIONS).load(), loaded)


def test_another_format_is_refused(half):
    manifest = json.loads((half / "manifest.json").read_text())
    del manifest["format"]
    (half / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"is of format 1; accepted is format 2"):
        open_sweep(half)


@pytest.mark.parametrize("what", ["experiment", "programme"])
def test_parts_of_another_store_are_refused(half, tmp_path, what):
    """Those of another space, and those of other code; by whoever looks."""
    other = SPACE if what == "programme" else {**SPACE, "seed": range(10, 17)}

    def changed(kind, rate, size, seed):
        return run(kind, rate, size, seed, scale=2.0)

    code = renamed(changed) if what == "programme" else run
    sweep(code, other, tmp_path / "other", **OPTIONS)
    stray = Store.open(tmp_path / "other").parts()[1].path
    shutil.copy(stray, half / "parts")
    for look in (open_sweep, lambda s: sweep(run, SPACE, s, **OPTIONS)):
        with pytest.raises(StoreError, match=f"{stray.name} belongs to another {what}"):
            look(half)
    (half / "parts" / stray.name).unlink()
    assert sweep(run, SPACE, half, **OPTIONS).attrs["complete"]


def test_a_renamed_part_is_not_what_it_says(half):
    """The name says which points a part holds, and is sealed as the content is."""
    part = Store.open(half).parts()[1]
    assert part.first == 8
    moved = part.path.with_name(part.path.name.replace("-000000000008-", "-12-"))
    part.path.rename(moved)
    with pytest.raises(StoreError, match="does not match its checksum"):
        open_sweep(half).load()
    assert Store.open(half).repair() == [moved.name]


FLAGS = "--xla_cpu_enable_fast_math=true"


def test_options_of_xla_are_of_the_experiment(half, monkeypatch):
    """But for those that change no number; and what differs is named."""
    own = os.environ.get("XLA_FLAGS", "")
    neutral = f"{own} --xla_force_host_platform_device_count=8 --xla_dump_to=/nowhere"
    monkeypatch.setenv("XLA_FLAGS", f"{neutral} {FLAGS}")
    found = rf"XLA_FLAGS is .* there, .*'{FLAGS}'.* here"
    with pytest.raises(StoreError, match=found):
        sweep(run, SPACE, half, **OPTIONS)
    with (
        jax._src.config.exec_time_optimization_effort(-1.0),  # pyright: ignore
        monkeypatch.context() as patch,
    ):
        patch.setenv("XLA_FLAGS", own)
        with pytest.raises(StoreError, match="jax.config is .* there, .* here"):
            sweep(run, SPACE, half, **OPTIONS)
    monkeypatch.setenv("XLA_FLAGS", neutral)
    assert sweep(run, SPACE, half, **OPTIONS).attrs["complete"]


# Plans.


def test_lost_plans_are_made_anew(tmp_path, loaded):
    """Emptied or gone, with other chunks: every point once, none for ever missing."""
    store = tmp_path / "s"
    sweep(run, SPACE, store, **OPTIONS)
    plans = [store / "plans" / f"00{k}.json" for k in (0, 1)]
    for chunk, batch in ((2, 2), (14, 2), (3, 3), (35, 5)):
        for part in Store.open(store).parts()[1::2]:
            part.path.unlink()
        plans[0].write_text("")
        plans[1].unlink()
        with pytest.raises(StoreError, match="no plan that can be read; run the sweep"):
            open_sweep(store)
        found = sweep(run, SPACE, store, dims=DIMS, chunk=chunk, batch=batch)
        assert found.attrs["done"] == 70 and found.attrs["complete"]
        same(found.load(), loaded)
    plans[0].unlink()

    def changed(kind, rate, size, seed):
        return run(kind, rate, size, seed, scale=2.0)

    with pytest.raises(StoreError, match="holds results of another `run`"):
        sweep(renamed(changed), SPACE, store, **OPTIONS)
    same(sweep(run, SPACE, store, **OPTIONS).load(), loaded)
    parts = Store.open(store).parts()
    assert any(p.skip for p in parts) and len({p.count for p in parts}) > 2, "control"


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=9),
    st.integers(1, 5),
)
def test_what_parts_do_not_cover(spans, batch):
    """Each point that is missing, in whole batches, none of them twice."""
    part = Part(0, 0, 0, 1, 0, "", "")
    held = [part._replace(first=a, count=n) for a, n in spans]
    have = {k for a, n in spans for k in range(a, a + n)}
    share = [(0, 4 * batch), (8 * batch, 2 * batch)]
    mine = {k for a, n in share for k in range(a, a + n)}
    found = list(missing(share, held, batch))
    assert all(a % batch == n % batch == 0 for a, n in found)
    todo = [k for a, n in found for k in range(a, a + n)]
    assert len(set(todo)) == len(todo)
    assert mine - have <= set(todo) <= mine
    assert {k // batch for k in todo} == {k // batch for k in mine - have}


# Parts.


def test_parts_never_change(half):
    """Not when the sweep goes on, nor when it is done already."""
    before = files(half)
    assert len(before) == PARTS / 2
    sweep(run, SPACE, half, **OPTIONS)
    after = files(half)
    assert len(after) == PARTS and after.items() > before.items()
    sweep(run, SPACE, half, **OPTIONS)
    assert files(half) == after


def test_parts_are_the_same_files_wherever_they_are_made(finished, half):
    """To the last byte: their names hold a digest. Control: those of another seed."""
    assert set(files(half)) < set(files(finished))


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
    elif how == "truncated":
        data = data[:-1]
    elif how == "emptied":
        data = b""
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "emptied", "flipped"])
def test_damaged_parts(tmp_path, loaded, how):
    """Never read; put aside and computed again, and only they are."""
    store = tmp_path / "s"
    sweep(run, SPACE, store, **OPTIONS)
    victim = Store.open(store).parts()[3].path
    before = files(store)
    damage(victim, how)
    found = open_sweep(store)
    if how == "flipped":
        assert found.attrs["done"] == 70
        with pytest.raises(
            StoreError, match="does not match its checksum .*run the sw"
        ):
            found.load()
    else:
        assert found.attrs["done"] == 66 and not found.attrs["complete"]
        assert (rows(found, "status") == MISSING).nonzero()[0].tolist() == [
            12,
            13,
            14,
            15,
        ]
        assert np.isnan(rows(found, "loss")[12:16]).all()
    told = []
    same(sweep(run, SPACE, store, progress=told.append, **OPTIONS).load(), loaded)
    assert "(1 damaged parts are computed again)" in str(told[0])
    after = files(store)
    aside = after.pop(victim.with_suffix(".damaged").name)
    assert aside[0] == before.pop(victim.name)[0]
    del after[victim.name]
    assert after == before


def test_any_flipped_bit_is_noticed(half):
    """One bit of each byte in turn: never another number, nor another exception."""
    part = Store.open(half).parts()[0]
    data = part.path.read_bytes()
    bits = np.random.default_rng(0).integers(8, size=len(data))
    store, seen = Store.open(half), 0
    with open(part.path, "r+b") as file:
        for at, bit in enumerate(bits):
            os.pwrite(file.fileno(), bytes([data[at] ^ 1 << bit]), at)
            with pytest.raises(StoreError):
                store.read(part, "loss")
            os.pwrite(file.fileno(), data[at : at + 1], at)
            seen += 1
    assert seen > 2000
    assert store.read(part, "loss").tolist() == [10.0, 11.0, 12.0, 13.0], "control"


def test_unfinished_files_are_not_parts(half):
    """What another process is still writing has another name."""
    part = Store.open(half).parts()[0].path
    for name in (".tmp-x", f"{part.name}.tmp", "s-.npz", "notes"):
        (half / "parts" / name).write_bytes(b"half")
    assert len(Store.open(half).parts()) == PARTS / 2
    sweep(run, SPACE, half, **OPTIONS)
    assert open_sweep(half).attrs["complete"]


def test_litter_is_removed_when_it_is_old(half):
    old, new = half / "parts" / ".tmp-old", half / "parts" / ".tmp-new"
    for path in (old, new):
        path.touch()
    os.utime(old, times=(time.time() - 2 * STALE,) * 2)  # pyright: ignore
    with Store.open(half).lease("0-of-1"):
        pass
    assert not old.exists() and new.exists()


def test_atomic_files(tmp_path):
    """`create` leaves what is there, `replace` does not, neither leaves litter."""
    file = tmp_path / "f"
    assert create(file, "one") and not create(file, "two")
    assert file.read_text() == "one"
    replace(file, b"three")
    assert file.read_text() == "three"
    with pytest.raises(TypeError):
        replace(file, "not bytes")  # pyright: ignore
    assert file.read_text() == "three" and os.listdir(tmp_path) == ["f"]


def test_files_are_whole_where_there_are_no_links(tmp_path, monkeypatch, loaded):
    """A stop between opening and writing leaves nothing; control: it is reached."""

    def unknown(*paths):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", unknown)
    assert create(tmp_path / "f", "one") and not create(tmp_path / "f", "two")
    assert (tmp_path / "f").read_text() == "one"
    same(sweep(run, SPACE, tmp_path / "s", **OPTIONS).load(), loaded)

    def stopped(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "g", "one")
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("name", ["file", "link", "a\0b", "a" * 300])
def test_paths_at_which_no_store_can_be(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="where no folder can be made .*; accepted"):
        sweep(run, SPACE, tmp_path / name, **OPTIONS)


def test_a_store_that_is_removed_meanwhile(tmp_path):
    def remove(state):
        shutil.rmtree(tmp_path / "s", ignore_errors=True)

    with pytest.raises(StoreError, match="no longer there, and what was in it is lost"):
        sweep(run, SPACE, tmp_path / "s", progress=remove, **OPTIONS)


# Workers.

HOLD = """
import sys, time
from dynax.sweep.store import Store
with Store.open(sys.argv[1]).lease("0-of-2"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_a_worker(half):
    """The same slot is refused, another is not; a dead process holds nothing."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(half)],
        env=runs.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"  # pyright: ignore
        alive = {w["worker"]: w["alive"] for w in Store.open(half).workers()}
        assert alive == {"0-of-2": True}
        with pytest.raises(StoreError) as error:
            sweep(run, SPACE, half, engine=Local(Worker(0, 2)), **OPTIONS)
        assert re.fullmatch(
            rf"store: worker 0 of 2 is already at work in {re.escape(str(half))} "
            rf"\(process {holder.pid} on \S+\); accepted is to wait for it, or to be "
            r"another worker\.",
            str(error.value),
        )
        other = sweep(run, SPACE, half, engine=Local(Worker(1, 2)), **OPTIONS)
        assert other.attrs["complete"]
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()  # pyright: ignore
    sweep(run, SPACE, half, engine=Local(Worker(0, 2)), **OPTIONS)


def test_what_workers_report(tmp_path):
    """While they work, and after."""
    seen = []

    def look(state):
        seen.extend(Store.open(tmp_path / "s").workers())

    for index in (1, 0):
        engine = Local(Worker(index, 2))
        sweep(run, SPACE, tmp_path / "s", engine=engine, progress=look, **OPTIONS)
    assert {w["worker"] for w in seen if w["alive"]} == {"0-of-2", "1-of-2"}
    after = Store.open(tmp_path / "s").workers()
    assert [(w["worker"], w["alive"]) for w in after] == [
        ("0-of-2", False),
        ("1-of-2", False),
    ]
    assert sum(w["done"] for w in after) == 70
    assert {w["process"] for w in after} == {os.getpid()}
    assert all(
        w["failed"] == 0 and w["batch"] == 2 and w["devices"] == 1 for w in after
    )
    assert all(w["rate"] > 0 and w["updated"] <= time.time() for w in after)


# The dataset.


def test_dims_units_and_coordinates(loaded):
    assert dict(loaded.sizes) == {
        "kind": 2,
        "trial": 5,
        "seed": 7,
        "step": 5,
        "row": 2,
        "column": 3,
    }
    assert loaded.curve.dims == ("kind", "trial", "seed", "step")
    assert loaded.grid.dims == ("kind", "trial", "seed", "row", "column")
    assert loaded.kind.values.tolist() == ["relu", "tanh"]
    assert loaded.rate.dims == ("trial",) and loaded.rate.attrs == {"units": "1/s"}
    assert loaded.curve.attrs == {"units": "J"} and loaded.loss.attrs == {}
    assert loaded["size"].dtype == np.int64
    assert loaded.status.attrs["flag_values"].tolist() == [-2, -1, 0, 1, 2, 3]
    assert loaded.status.attrs["flag_meanings"].count(";") == 5
    assert loaded.attrs["points"] == loaded.attrs["done"] == 70
    assert loaded.attrs["complete"] == 1 and loaded.attrs["run"] == "run"
    assert "jax " + jax.__version__ in loaded.attrs["versions"]
    at = loaded.sel(kind="tanh", seed=5).isel(trial=3)
    assert at.loss.item() == 0.8 * 100 + 5 + 1000
    assert at.yes.item() and at.grid.values.tolist() == [[40, 41, 42], [43, 44, 45]]


def test_an_unfinished_sweep_can_be_read(half, loaded):
    """Missing numbers are NaN, the least integer or False, and their status says so."""
    found = open_sweep(half).load()
    assert found.attrs["done"] == np.sum(found.status.values == DONE) < 70
    there = found.status.values == DONE
    assert set(np.unique(found.status)) == {DONE, MISSING} and 30 < there.sum() < 40
    for name in loaded.data_vars:
        a, b = found[name].values, loaded[name].values
        assert a.dtype == b.dtype
        assert a[there].tobytes() == b[there].tobytes()
    assert np.isnan(found.loss.values[~there]).all()
    assert np.isnan(found.curve.values[~there]).all()
    assert (found.grid.values[~there] == np.iinfo(np.int64).min).all()
    assert not found.yes.values[~there].any()


def test_a_sweep_that_has_just_begun_can_be_read(tmp_path):
    """No part yet, nor a plan."""
    seen = []

    def look(state):
        seen.append(open_sweep(tmp_path / "s").load())

    sweep(run, SPACE, tmp_path / "s", progress=look, **OPTIONS)
    assert set(seen[0].data_vars) == {"status"} and seen[0].attrs["done"] == 0
    assert (seen[0].status == MISSING).all()
    assert seen[0].rate.values.tolist() == [0.1, 0.2, 0.4, 0.8, 1.6]


@pytest.fixture
def reads(monkeypatch):
    """(structure, first) of the parts read since last asked."""
    read, parts = Store.read, []

    def noted(self, part, name):
        parts.append(part.name)
        return read(self, part, name)

    def since():
        found, parts[:] = list(parts), []
        return found

    monkeypatch.setattr(Store, "read", noted)
    return since


def test_only_the_parts_concerned_are_read(finished, reads):
    """Point (trial, seed) is 7 trial + seed of its structure; four points a part."""
    found = open_sweep(finished)
    assert reads() == [], "opening reads none"
    found.isel(kind=0, trial=1, seed=2)
    found.isel(trial=slice(2)).loss.isel(seed=0)
    assert reads() == [], "nor does choosing"
    assert found.loss.isel(kind=0, trial=1, seed=2).item() == 22.0
    assert reads() == [(0, 8)]
    assert found.curve.isel(kind=0, trial=1, seed=2, step=-1).item() == 22.5
    assert reads() == [(0, 8)], "an array at a time"
    assert found.loss.isel(kind=0, trial=1, seed=2).item() == 22.0
    assert reads() == [], "arrays are kept for a while"
    found.loss.isel(kind=1, trial=4).load()
    assert reads() == [(1, 28), (1, 32)]
    found.status.isel(kind=1, trial=4).load()
    assert reads() == [(1, 28), (1, 32)]
    fresh = open_sweep(finished)
    fresh.loss.isel(trial=0, seed=slice(0, 7, 6)).load()
    assert reads() == [(0, 0), (0, 4), (1, 0), (1, 4)]
    fresh = open_sweep(finished)
    points = {
        "trial": xr.DataArray([4, 0], dims="p"),
        "seed": xr.DataArray([6, 0], dims="p"),
    }
    assert fresh.loss.isel(kind=1, **points).values.tolist() == [1166.0, 1010.0]
    assert set(reads()) <= {(1, 32), (1, 0), (1, 4), (1, 28)}
    fresh = open_sweep(finished)
    fresh.isel(kind=0, trial=0, seed=0).load()
    assert set(reads()) == {(0, 0)}, "all outputs of a point are in one part"
    open_sweep(finished).load()
    assert len(reads()) >= PARTS, "control"


INTEGERS = lambda n: st.integers(-n, n - 1)
SLICES = lambda n: st.slices(n)
LISTS = lambda n: st.lists(INTEGERS(n), min_size=0, max_size=6).map(np.array).map(whole)


def whole(a):
    return a.astype(int)


SHAPE = {"kind": 2, "trial": 5, "seed": 7, "row": 2, "column": 3}
NAMES = st.sampled_from(["status", "loss", "curve", "grid", "yes"])


def keys(kind):
    """For each dimension, or not."""
    sizes = {**SHAPE, "step": 5}
    return st.fixed_dictionaries({}, optional={d: kind(n) for d, n in sizes.items()})


def lazily(store, name, key):
    """What `isel` finds in a store just opened, and the place in an array."""
    lazy = open_sweep(store)[name]
    key = {d: k for d, k in key.items() if d in lazy.dims}
    found = lazy.isel(key)
    assert not isinstance(found.variable._data, np.ndarray), "read before it is used"
    return found.values, tuple(key.get(d, slice(None)) for d in lazy.dims)


@given(NAMES, keys(lambda n: st.one_of(INTEGERS(n), SLICES(n))))
@settings(max_examples=60, deadline=None)
def test_basic_indexing_is_that_of_numpy(finished, loaded, name, key):
    """Integers and slices, of negative steps and empty ones too."""
    found, place = lazily(finished, name, key)
    expected = loaded[name].values[place]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@given(NAMES, keys(lambda n: st.one_of(SLICES(n), LISTS(n))))
@settings(max_examples=60, deadline=None)
def test_outer_indexing_is_that_of_numpy(finished, loaded, name, key):
    """Lists along several dimensions, each by itself: `np.ix_`."""
    found, place = lazily(finished, name, key)
    array = loaded[name].values
    each = [np.arange(n)[k] for n, k in zip(array.shape, place, strict=True)]
    np.testing.assert_array_equal(found, array[np.ix_(*each)])


@given(NAMES, st.integers(1, 6), st.data())
@settings(max_examples=60, deadline=None)
def test_pointwise_indexing_is_that_of_numpy(finished, loaded, name, count, data):
    """Arrays of points along some dimensions, slices along the others."""
    lazy = open_sweep(finished)[name]
    some = data.draw(st.lists(st.sampled_from(lazy.dims), min_size=1, unique=True))
    key, place = {}, []
    for dim, n in lazy.sizes.items():
        if dim in some:
            at = data.draw(st.lists(INTEGERS(n), min_size=count, max_size=count))
            key[dim] = xr.DataArray(np.array(at), dims="point")
            place.append(np.array(at))
        else:
            key[dim] = data.draw(SLICES(n))
            place.append(key[dim])
    found = lazy.isel(key)
    outer = [d for d in lazy.dims if d not in some]
    expected = pointwise(loaded[name].values, place)
    np.testing.assert_array_equal(found.transpose("point", *outer), expected)


def pointwise(array, place):
    """One row for each point, NumPy's own way of indexing for a single point."""
    count = next(len(k) for k in place if isinstance(k, np.ndarray))
    at = lambda j: tuple(k if isinstance(k, slice) else int(k[j]) for k in place)
    return np.stack([array[at(j)] for j in range(count)])


def test_selecting_by_value_and_masking(finished, loaded):
    """What people do with it."""
    lazy = open_sweep(finished)
    np.testing.assert_array_equal(
        lazy.loss.sel(seed=[6, 2], kind="tanh"), loaded.loss.values[1][:, [6, 2]]
    )
    best = lazy.loss.where(lazy.status == DONE).argmin(...)
    assert {k: int(v) for k, v in best.items()} == {"kind": 0, "trial": 0, "seed": 0}
    assert float(lazy.loss.mean()) == float(loaded.loss.mean())
    frame = lazy[["loss"]].to_dataframe()
    assert len(frame) == 70 and frame.loc[("tanh", 3, 5), "loss"] == 1085.0


# Files for others.


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_export(finished, loaded, tmp_path, suffix):
    """Values, dtypes, coordinates and attributes are those of the dataset."""
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    target = tmp_path / "new" / f"results{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert export(finished, target) == target
    found = (
        xr.open_dataset(target, engine="h5netcdf")
        if suffix == ".nc"
        else xr.open_zarr(target, consolidated=False)
    ).load()
    xr.testing.assert_equal(found, loaded)
    for name in loaded.data_vars:
        assert found[name].dtype == loaded[name].dtype
        assert found[name].dims == loaded[name].dims
    assert found.curve.attrs["units"] == "J" and found.rate.attrs["units"] == "1/s"
    assert found.attrs == loaded.attrs
    assert list(found.status.attrs["flag_values"]) == [-2, -1, 0, 1, 2, 3]
    assert [p.name for p in target.parent.iterdir()] == [target.name], "litter"
    other = loaded.copy(deep=True)
    other.loss[0, 0, 0] += 1e-9
    with pytest.raises(AssertionError):
        xr.testing.assert_equal(found, other)


def test_export_of_an_unfinished_sweep(half, tmp_path):
    export(half, tmp_path / "a.nc")
    found = xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf").load()
    xr.testing.assert_equal(found, open_sweep(half).load())
    assert np.isnan(found.loss).any() and (found.status == MISSING).any()


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_export_of_odd_kinds(tmp_path, suffix):
    """Complex, half precision, unsigned: to the last bit, or refused in a sentence."""

    def odd(x):
        return {
            "complex": jax.lax.complex(x, 2 * x),
            "half": x.astype(jnp.float16),
            "brain": x.astype(jnp.bfloat16),
            "whole": x.astype(jnp.uint32),
        }

    found = sweep(odd, {"x": [1.0, 2.0, 0.1]}, tmp_path / "s").load()
    export(tmp_path / "s", tmp_path / f"a{suffix}")
    engine: dict[str, Any] = (
        {"engine": "h5netcdf"}
        if suffix == ".nc"
        else {"engine": "zarr", "consolidated": False}
    )
    back = xr.open_dataset(tmp_path / f"a{suffix}", **engine).load()
    for name in found.data_vars:
        np.testing.assert_array_equal(back[name], found[name])
    assert float(found.brain[2]) == float(jnp.bfloat16(0.1)), "control: it is cut"


def test_export_refuses(finished, tmp_path):
    for name in ("there.nc", "there.zarr"):
        (tmp_path / name).mkdir()
        with pytest.raises(StoreError, match=r"^to: given .*, which exists; accepted"):
            export(finished, tmp_path / name)
    for name in ("results.txt", "results"):
        with pytest.raises(
            StoreError, match=rf"^to: given {name}; accepted is NAME.nc"
        ):
            export(finished, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there.nc", "there.zarr"]


# Many points.

MANY = """
import json, re, time
import numpy as np, jax.numpy as jnp
from dynax.sweep import open_sweep, sweep

def run(a, b):
    return {"y": a * jnp.arange(16) + b}

def peak():  # in MB; not ru_maxrss, which begins with that of the parent
    status = open("/proc/self/status").read()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024

def swept(n):
    space = {"a": np.linspace(0, 1, n), "b": np.arange(n) / n}
    sweep(run, space, f"FOLDER/{n}", batch=64, chunk=16_000)
    return peak()

few, many = swept(32), swept(1000)
begun = time.perf_counter()
found = open_sweep("FOLDER/1000")
opened = time.perf_counter() - begun
y = found.y.isel(a=500, b=[3, -1]).values
looked = peak()
found.y.load()
print(json.dumps({"swept": many - few, "looked": looked - few, "loaded": peak() - few,
                  "opened": opened, "y": y.tolist(), "attrs": found.attrs}))
"""


def test_memory_does_not_grow_with_the_points(tmp_path):
    """10⁶ points, 64 MB of results, in parts of 1 MB: below 32 MB more than for 10³.

    A part is held by the device, the host twice over, and as a file in the making:
    ten parts at most, and the rest is the allocator's. Loading all exceeds that.
    """
    found = runs.child(MANY.replace("FOLDER", str(tmp_path)))
    assert found["attrs"]["complete"] and found["attrs"]["done"] == 10**6
    assert found["swept"] < 32 and found["looked"] < 32
    assert found["loaded"] > 61, "control"
    assert found["opened"] < 0.5
    a, b = np.linspace(0, 1, 1000)[500], np.arange(1000)[[3, -1]] / 1000
    expected = a * np.arange(16.0) + b[:, None]
    np.testing.assert_allclose(found["y"], expected, rtol=4 * 2.0**-24)


def test_manifest(finished):
    """What it says of how the results came about."""
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["experiment"]["bits"] == 64 and manifest["dims"] == DIMS
    begun = manifest["begun"]
    assert begun["versions"]["jax"] == jax.__version__
    assert begun["machine"]["devices"] == 1 and begun["host"]
    root = pathlib.Path(__file__).parents[1]
    if (root / ".git").exists():
        assert re.match(r"[0-9a-f]{40}( with local changes)?$", begun["commit"])
