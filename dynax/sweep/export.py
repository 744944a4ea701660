"""A store in the files of others: arrays, tables, and logs of trackers."""

import importlib.util
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from dynax.sweep.dataset import open_sweep
from dynax.sweep.lease import StoreError
from dynax.sweep.part import MEANINGS, MISSING


FORMS = (
    "NAME.nc, NAME.zarr (arrays), NAME.csv, NAME.parquet (a row a point), "
    "NAME.tensorboard, NAME.wandb or NAME.mlflow (a run a point)"
)
NEEDED = {  # suffix → package, extra of dynax
    ".nc": ("h5netcdf", "experiments"),
    ".zarr": ("zarr", "zarr"),
    ".parquet": ("pyarrow", "parquet"),
    ".tensorboard": ("tensorboard", "tensorboard"),
    ".wandb": ("wandb", "wandb"),
    ".mlflow": ("mlflow", "mlflow"),
}


def export(path, to) -> pathlib.Path:
    """Write a store in another format, which the suffix of `to` says.

        NAME.nc, NAME.zarr               arrays with named axes
        NAME.csv, NAME.parquet           a row a point, see `frame`
        NAME.tensorboard                 a folder of event files, a run a point
        NAME.wandb                       runs as of WANDB_MODE=offline, for `wandb sync`
        NAME.mlflow                      a data base of MLflow, an experiment with runs

    Raises:
        StoreError: if `to` exists or ends in something else.
        ImportError: without the package that the format needs.
    """
    to = pathlib.Path(to).absolute()
    writers = {
        ".nc": _netcdf,
        ".zarr": _zarr,
        ".csv": lambda ds, to: frame(ds).to_csv(to, index=False),
        ".parquet": lambda ds, to: frame(ds).to_parquet(to, engine="pyarrow"),
        ".tensorboard": _tensorboard,
        ".wandb": _wandb,
        ".mlflow": _mlflow,
    }
    if to.suffix not in writers:
        raise StoreError(f"to: given {to.name}; accepted is {FORMS}.")
    if to.exists():
        raise StoreError(f"to: given {to}, which exists; accepted is a new path.")
    package, extra = NEEDED.get(to.suffix, ("numpy", ""))
    if importlib.util.find_spec(package) is None:
        raise ImportError(f'{to.suffix} needs pip install "dynax-lab[{extra}]"')
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as folder:
        made = pathlib.Path(folder) / to.name
        writers[to.suffix](open_sweep(path), made)
        os.replace(made, to) if made.is_file() else shutil.move(made, to)
    return to


def frame(ds) -> Any:
    """Make a table of a sweep: a row for each point that was run.

    Columns are the arguments, `status`, and the outputs: of a curve the last entry, of
    any other array nothing.

    Returns:
        A `pandas.DataFrame`.
    """
    import xarray as xr

    outer = ds.status.dims
    kept: dict[str, Any] = {"status": ds.status}
    for name in [k for k in ds.data_vars if k != "status"]:
        inner = [d for d in ds[name].dims if d not in outer]
        if len(inner) < 2:
            kept[name] = ds[name].isel({d: -1 for d in inner}, drop=True)
    coords = {k: v for k, v in ds.coords.items() if set(v.dims) <= set(outer)}
    table: Any = xr.Dataset(kept, coords).to_dataframe().reset_index()
    bare = [d for d in outer if d not in ds.coords]  # no argument: a number of rows
    arguments = [k for k in coords if k not in kept]
    table = table[table.status != MISSING].drop(columns=bare)
    return table[[*arguments, *kept]].reset_index(drop=True)


class Run(NamedTuple):
    """A point, as trackers see it."""

    name: str
    arguments: dict[str, Any]
    status: str
    curves: dict[str, np.ndarray]  # a number is a curve of one entry


def runs(ds) -> Iterator[Run]:
    """The points that were run, one by one, numbers and curves among the outputs."""
    outer = ds.status.dims
    curved = [
        k
        for k, v in ds.data_vars.items()
        if k != "status" and v.ndim <= len(outer) + 1 and v.dtype.kind in "fiub"
    ]
    arrays = {k: ds[k].transpose(*outer, ...).values for k in curved}
    status = ds.status.values
    for number, at in enumerate(np.ndindex(*status.shape)):
        if status[at] == MISSING:
            continue
        point = ds.coords.to_dataset().isel(dict(zip(outer, at, strict=True)))
        given = {k: v.item() for k, v in point.coords.items() if v.ndim == 0}
        said = ",".join(f"{k}={_short(v)}" for k, v in given.items())
        curves = {k: np.atleast_1d(a[at]) for k, a in arrays.items()}
        yield Run(f"{number:06}-{said}", given, MEANINGS[int(status[at])], curves)


def _short(value):
    return f"{value:.6g}" if isinstance(value, float) else value


def _netcdf(ds, to):
    _texts(ds).to_netcdf(to, engine="h5netcdf")


def _zarr(ds, to):
    _texts(ds).to_zarr(to, consolidated=False)


def _texts(ds):
    """Static arguments as text that all readers of Zarr know."""
    for name in [k for k, v in ds.coords.items() if v.dtype.kind in "OU"]:
        ds[name] = ds[name].astype(object)
        ds[name].attrs.setdefault("description", "static argument, by its label")
    return ds


def _tensorboard(ds, to):
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore
    from tensorboard.summary.writer.event_file_writer import EventFileWriter  # pyright: ignore

    for run in runs(ds):
        writer = EventFileWriter(str(to / run.name))
        for name, values in run.curves.items():
            for step, value in enumerate(values.tolist()):
                scalar = Summary.Value(tag=name, simple_value=value)
                event = Event(step=step, summary=Summary(value=[scalar]))
                writer.add_event(event)
        writer.close()


def _wandb(ds, to):
    import wandb  # pyright: ignore

    to.mkdir()
    for run in runs(ds):
        given = {**run.arguments, "status": run.status}
        quiet = wandb.Settings(silent=True, console="off")
        log = wandb.init(
            project=ds.attrs["run"],
            name=run.name,
            config=given,
            dir=to,
            mode="offline",
            settings=quiet,
        )
        for step in range(max(map(len, run.curves.values()))):
            log.log({k: v[step] for k, v in run.curves.items() if step < len(v)})
        log.finish()


def _mlflow(ds, to):
    from mlflow.entities import Metric, Param  # pyright: ignore
    from mlflow.tracking import MlflowClient  # pyright: ignore

    to.mkdir()
    client = MlflowClient(tracking_uri=f"sqlite:///{to / 'mlflow.db'}")
    group = client.create_experiment(ds.attrs["run"], str(to / "artifacts"))
    for run in runs(ds):
        made = client.create_run(group, run_name=run.name).info.run_id
        metrics = [
            Metric(name, value, 0, step)
            for name, values in run.curves.items()
            for step, value in enumerate(values.astype(float).tolist())
        ]
        params = [Param(k, str(v)) for k, v in run.arguments.items()]
        client.log_batch(made, params=[*params, Param("status", run.status)])
        for first in range(0, len(metrics), 1000):  # the most that it takes at a time
            client.log_batch(made, metrics=metrics[first : first + 1000])
        client.set_terminated(made)
