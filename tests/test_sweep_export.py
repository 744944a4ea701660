"""A store in the files of others, read back by their own readers."""

import numpy as np
import pytest

from dynax.sweep import Loop, Static, export, frame, open_sweep, sweep


xr = pytest.importorskip("xarray")
pd = pytest.importorskip("pandas")


def run(rate, seed, kind):
    def step(x, t):
        x = x - rate * x
        return x, {"loss": x**2}

    power = 1.0 if kind == "a" else 2.0
    return Loop(step, power * (1 + rate), 4, stop=lambda out: out["loss"] < 0.1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "s"
    space = {"kind": Static(["a", "b"]), "rate": [0.25, 0.5, np.nan], "seed": range(2)}
    sweep(run, space, folder)
    return folder


def test_tables(store, tmp_path):
    ds = open_sweep(store)
    table = frame(ds)
    assert list(table.columns) == ["kind", "rate", "seed", "status", "loss", "steps"]
    row = table[(table.kind == "b") & (table.rate == 0.5) & (table.seed == 1)]
    assert len(table) == 12 and float(row.loss.iloc[0]) == float(ds.loss[1, 1, 1, -1])
    assert set(table[table.rate.isna()].status) == {1}
    found = pd.read_csv(export(store, tmp_path / "a.csv"))
    pd.testing.assert_frame_equal(found, table, check_dtype=False)
    pytest.importorskip("pyarrow")
    found = pd.read_parquet(export(store, tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(found, table)


def curves(ds):
    """What a reader should find: name of the run → the curve of the loss."""
    flat = ds.loss.values.reshape(-1, 4)
    return {f"{number:06}": row for number, row in enumerate(flat)}


def test_tensorboard(store, tmp_path):
    name = "tensorboard.backend.event_processing.event_multiplexer"
    reading = pytest.importorskip(name)
    to = export(store, tmp_path / "a.tensorboard")
    reader = reading.EventMultiplexer().AddRunsFromDirectory(str(to)).Reload()
    names = sorted(reader.Runs())
    assert len(names) == 12 and names[0].startswith("000000-") and "kind=a" in names[0]
    for name in names:
        events = reader.Scalars(name, "loss")
        want = np.asarray(curves(open_sweep(store))[name[:6]], np.float32)
        assert [e.step for e in events] == [0, 1, 2, 3]
        assert np.array_equal([e.value for e in events], want, equal_nan=True)


def test_mlflow(store, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    to = export(store, tmp_path / "a.mlflow")
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{to / 'mlflow.db'}")
    group = client.get_experiment_by_name("run")
    found = client.search_runs([group.experiment_id])
    assert len(found) == 12
    made = next(r for r in found if r.info.run_name.startswith("000003"))
    assert made.data.params == {
        "kind": "a",
        "rate": "0.5",
        "seed": "1",
        "status": "done",
    }
    values = [m.value for m in client.get_metric_history(made.info.run_id, "loss")]
    assert np.allclose(values, curves(open_sweep(store))["000003"])


def test_wandb(store, tmp_path):
    datastore = pytest.importorskip("wandb.sdk.internal.datastore")
    messages = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    small = tmp_path / "s"
    sweep(run, {"kind": Static(["a"]), "rate": [0.25], "seed": [0]}, small)
    to = export(small, tmp_path / "a.wandb")
    (file,) = to.rglob("*.wandb")
    reader, found = datastore.DataStore(), []
    reader.open_for_scan(str(file))
    while (data := reader.scan_data()) is not None:
        record = messages.Record()
        record.ParseFromString(data)
        items = record.history.item
        keys = [i.key or i.nested_key[-1] for i in items]
        row = dict(zip(keys, [i.value_json for i in items], strict=True))
        if "loss" in row:
            found.append(float(row["loss"]))
    assert np.allclose(found, open_sweep(small).loss.values.ravel())
