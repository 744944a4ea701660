"""Stores that grow: nothing is computed twice, and what is there stays as it is."""

import hashlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax.sweep import Static, StoreError, Table, open_sweep, sweep
from dynax.sweep.blocks import stores
from dynax.sweep.store import Store


pytest.importorskip("xarray")
ASKED = []  # what the callback of `counted` was called with


def counted(rate, seed, decay=0.0, kind="a"):
    """A function of its point that counts its calls; `kind` shapes the program."""
    size, dtype = 1.0 if kind == "a" else 3.0, rate.dtype

    def call(*point):
        rate, seed, decay = map(float, point)
        ASKED.append((rate, seed, decay, kind))
        return np.asarray(100 * rate + seed - size * decay, dtype)

    like = jax.ShapeDtypeStruct((), dtype)
    asked = rate, seed, jnp.asarray(decay, dtype)
    return {"y": jax.pure_callback(call, like, *asked, vmap_method="sequential")}


def digests(folder):
    files = sorted(pathlib.Path(folder).glob("parts/*.npz"))
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def truth(ds):
    size = 1.0 if "kind" not in ds.dims else (ds.kind == "a") * -2.0 + 3.0
    decay = ds.decay if "decay" in ds.dims else 0.0
    return ds.rate * 100 + ds.seed - size * decay


def grown(space, store, fresh, run=counted):
    """The store after `space` was asked for, which ran `fresh` points and no other."""
    ASKED.clear()
    before = digests(store)
    ds = sweep(run, space, store, extend=True, batch=2)
    assert {k: v for k, v in digests(store).items() if k in before} == before
    # a batch is filled up with a point of its own
    assert len(set(ASKED)) == fresh
    return ds


def test_axes_get_values_and_new_axes(tmp_path):
    store = tmp_path / "s"
    ds = grown({"rate": [0.5, 1.0], "seed": range(2)}, store, 4)
    assert ds.sizes == {"rate": 2, "seed": 2} and np.all(ds.y == truth(ds))
    # one value between the others, two more seeds
    space = {"rate": [0.5, 0.75, 1.0], "seed": range(4)}
    ds = grown(space, store, 12 - 4)
    assert ds.rate.values.tolist() == [0.5, 0.75, 1.0] and np.all(ds.y == truth(ds))
    assert ds.complete == 1 and ds.points == 12
    grown(space, store, 0)
    # a new axis: the points there have the default of `run`
    space |= {"decay": [0.0, 0.1]}
    ds = grown(space, store, 12)
    assert ds.sizes["decay"] == 2 and np.allclose(ds.y, truth(ds), rtol=1e-6)
    # another, that shapes the program, and not everywhere
    space |= {"kind": Static(["a", "b"]), "rate": [0.5], "decay": [0.1]}
    ds = grown(space, store, 4)
    assert ds.sizes == {"kind": 2, "rate": 3, "seed": 4, "decay": 2}
    there = ds.status == 0
    assert int(there.sum()) == 24 + 4 == ds.done and ds.complete == 1
    assert bool((there.sel(kind="b") == ((ds.rate == 0.5) & (ds.decay == 0.1))).all())
    assert float(abs(ds.y - truth(ds)).where(there).max()) < 1e-12
    # piece by piece, as the whole says
    one = open_sweep(store).y.sel(kind="a", rate=0.75, seed=[3, 1], decay=0.0)
    assert one.values.tolist() == [78.0, 76.0]


def test_values_that_differ_by_rounding_are_the_same(tmp_path):
    few, many = [0.1, 0.3], [0.1, 0.1 + 0.2, 0.5, 0.7]
    assert set(few) - set(many)
    sweep(counted, {"rate": few, "seed": [0]}, tmp_path / "s", batch=2)
    ds = grown({"rate": many, "seed": [0]}, tmp_path / "s", 2)
    assert ds.sizes["rate"] == 4 and np.allclose(ds.rate, many, rtol=1e-15)


def test_rows_are_added_to_a_table(tmp_path):
    rows = [{"rate": 0.5, "decay": 0.0}, {"rate": 1.0, "decay": 0.1}]
    grown({"point": Table(rows), "seed": range(3)}, tmp_path / "s", 6)
    rows = [{"decay": 0.3, "rate": 0.5}, *rows]
    ds = grown({"point": Table(rows), "seed": range(3)}, tmp_path / "s", 3)
    assert ds.decay.values.tolist() == [0.3, 0.0, 0.1]
    assert np.allclose(ds.y, ds.rate * 100 + ds.seed - ds.decay)


def test_keys_are_of_the_number_of_a_point(tmp_path):
    run = lambda x, key: {"bits": jax.random.bits(key, (2,))}
    sweep(run, {"x": [0.0, 1.0]}, tmp_path / "s")
    ds = sweep(run, {"x": [0.0, 1.0, 2.0, 3.0]}, tmp_path / "s", extend=True)
    assert len(np.unique(ds.bits.values[:, 0])) == 4
    whole = sweep(run, {"x": [0.0, 1.0, 2.0, 3.0]})
    assert np.array_equal(ds.bits, whole.bits)


def test_killed_in_the_middle_it_goes_on(tmp_path):
    space = {"rate": [0.5, 1.0], "seed": range(2)}
    sweep(counted, space, tmp_path / "s", batch=2)
    space = {"rate": [0.5, 0.75, 1.0], "seed": range(6)}

    def stop(state):
        if state.done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(counted, space, tmp_path / "s", batch=2, extend=True, progress=stop)
    there = open_sweep(tmp_path / "s")
    assert there.complete == 0 and 4 < there.done < 18
    ds = grown(space, tmp_path / "s", 18 - there.done)
    assert ds.complete == 1 and np.all(ds.y == truth(ds))


def other(rate, seed, decay=0.0):
    return {"y": rate + decay}


def bare(rate, seed, width):
    return {"y": rate + width}


other.__name__ = bare.__name__ = "counted"
SPACE = {"rate": [0.5, 1.0], "seed": range(2)}


@pytest.mark.parametrize(
    ("run", "space", "text"),
    [
        (counted, {"rate": [1.5]}, "none given for seed"),
        (counted, {**SPACE, "seed": [0.5]}, "seed is of integers there, of floats"),
        (counted, {**SPACE, "rate": Static([1, 2])}, "rate is of values there, of st"),
        (other, {**SPACE, "rate": [0.5, 2.0]}, "holds results of another `run`"),
        (bare, {**SPACE, "width": [1.0]}, "run has no default for width|another `run`"),
    ],
)
def test_another_experiment_is_refused(tmp_path, run, space, text):
    sweep(counted, SPACE, tmp_path / "s", batch=2)
    before = sorted(tmp_path.rglob("*.npz"))
    with pytest.raises((StoreError, ValueError), match=text) as told:
        sweep(run, space, tmp_path / "s", batch=2, extend=True)
    assert "\n" not in str(told.value)
    assert sorted(tmp_path.rglob("*.npz")) == before
    assert not (tmp_path / "s" / "blocks").exists()
    with pytest.raises(StoreError, match="`extend` to add points"):
        sweep(counted, {**SPACE, "seed": range(3)}, tmp_path / "s")
    with pytest.raises(StoreError, match="extension that changes .* seed is 0 there"):
        sweep(counted, SPACE, tmp_path / "s", seed=1, extend=True)
    sweep(counted, {**SPACE, "decay": [0.1]}, tmp_path / "t", batch=2)
    with pytest.raises(StoreError, match="it has an axis decay, of which nothing is"):
        sweep(counted, SPACE, tmp_path / "t", extend=True)


def test_failed_points_are_run_again_and_their_reasons_stay(tmp_path):
    away = [True]

    def call(x):
        if away[0] and x > 1:
            raise OSError("the file system is away")
        return 2 * x

    run = lambda x: {"y": jax.pure_callback(call, x, x, vmap_method="sequential")}
    sweep(run, {"x": [0.0, 1.0]}, tmp_path / "s", batch=1)
    space = {"x": [0.0, 1.0, 2.0, 3.0]}
    ds = sweep(run, space, tmp_path / "s", batch=1, extend=True)
    assert ds.failed == 2 and ds.status.values.tolist() == [0, 0, 2, 2]
    away[0] = False
    ds = sweep(run, space, tmp_path / "s", batch=1, extend=True, retry_failed=True)
    assert ds.failed == 0 and ds.y.values.tolist() == [0.0, 2.0, 4.0, 6.0]
    (block,) = stores(Store.open(tmp_path / "s"))[1:]
    ((text, count),) = block.retried().items()
    assert count == 2 and "the file system is away" in text
