"""A folder of results that can be killed, resumed, watched and shared at any moment.

    manifest.json         the experiment: space, seed, precision, platform; and, beside
                          it, where and with what it was begun
    plans/003.json        of each structure: batch, chunk, outputs, fingerprint
    rounds/000.npz        of a search: the trials asked for in each round
    parts/s003-…npz       results of a range of points; never changed once there
    workers/0-of-4.json   how far each worker is

Every file is written under another name and renamed, so that it is there whole or not
at all. A part's name holds its length in bytes and a digest of its content.
"""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import socket
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np


try:
    import fcntl
except ImportError:  # no such locks on this system
    fcntl = None


DONE, NOT_FINITE, RAISED, TIME_LIMIT, MISSING = 0, 1, 2, 3, -1
STALE = 3600.0  # seconds after which a file that nobody renamed is litter
MEANINGS = {
    MISSING: "not run",
    DONE: "done",
    NOT_FINITE: "an output is not finite",
    RAISED: "raised an error",
    TIME_LIMIT: "over the time limit",
}


class StoreError(Exception):
    """A store cannot be used as asked: one sentence that names it and the way out."""


class Part(NamedTuple):
    """The results of points first … first + count − 1 of a structure.

    `batch` is how many of them ran side by side, `failed` how many have no result.
    """

    structure: int
    first: int
    count: int
    batch: int
    failed: int
    path: pathlib.Path

    @property
    def name(self) -> tuple[int, int]:
        return self.structure, self.first


class Store:
    """The folder at `path`; `Store.create` or `Store.open` makes one."""

    def __init__(self, path: pathlib.Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest

    @classmethod
    def create(cls, path, manifest: Mapping[str, Any]) -> "Store":
        """A new store, or the one there if it holds the same experiment.

        Raises:
            StoreError: if it holds another one, or something that is not a store.
        """
        path = pathlib.Path(path).absolute()
        file = path / "manifest.json"
        if not file.exists() and path.is_dir() and any(_foreign(path)):
            raise StoreError(
                f"store: given {path}, a folder with other files in it; accepted is a "
                "new folder, an empty one or a store."
            )
        with _explained(path):
            for name in ("", "parts", "plans", "rounds", "workers"):
                (path / name).mkdir(parents=True, exist_ok=True)
            create(file, _json(manifest))
        found = cls.open(path)
        given, there = manifest["experiment"], found.manifest["experiment"]
        for key in given:
            if _plain(given[key]) != there.get(key):
                raise StoreError(
                    f"store: {path} holds another experiment: {key} is "
                    f"{_short(there.get(key))} there, {_short(given[key])} here; "
                    "accepted is the same experiment or another folder."
                )
        shown = {k: _plain(manifest[k]) for k in ("dims", "units") if manifest.get(k)}
        if any(found.manifest.get(k) != names for k, names in shown.items()):
            found.manifest |= shown
            with _explained(path):
                replace(file, _json(found.manifest).encode())
        return found

    @classmethod
    def open(cls, path) -> "Store":
        """The store at `path`, as it is.

        Raises:
            StoreError: if there is none.
        """
        path = pathlib.Path(path).absolute()
        manifest = _read_json(path / "manifest.json")
        if not isinstance(manifest, dict) or "experiment" not in manifest:
            raise StoreError(
                f"store: given {path}, which holds no sweep; accepted is the folder "
                "given to `sweep` as its store."
            )
        return cls(path, manifest)

    def plan(self, structure: int) -> dict[str, Any] | None:
        return _read_json(self.path / "plans" / f"{structure:03}.json")

    def set_plan(self, structure: int, plan: Mapping[str, Any]) -> dict[str, Any]:
        """The plan of a structure: this one, or that of whoever came first."""
        file = self.path / "plans" / f"{structure:03}.json"
        with _explained(self.path):
            create(file, _json(plan))
        return self.plan(structure) or dict(plan)

    def drop_plan(self, structure: int) -> None:
        """Forget a plan, as of a structure that could not be compiled."""
        (self.path / "plans" / f"{structure:03}.json").unlink(missing_ok=True)

    def parts(self) -> list[Part]:
        """The whole parts, in order, one for each range; a truncated one is not."""
        found: dict[tuple[int, int], Part] = {}
        with (
            contextlib.suppress(FileNotFoundError),
            os.scandir(self.path / "parts") as entries,
        ):
            for entry in sorted(entries, key=lambda e: e.name):
                with contextlib.suppress(ValueError, FileNotFoundError):
                    s, first, count, batch, failed, size, _ = entry.name[1:].split("-")
                    whole = entry.stat().st_size == int(size)
                    if whole and entry.name.endswith(".npz"):
                        path = pathlib.Path(entry.path)
                        numbers = [int(n) for n in (s, first, count, batch, failed)]
                        part = Part(*numbers, path=path)  # pyright: ignore
                        found.setdefault(part.name, part)
        return sorted(found.values())

    def write(self, structure: int, first: int, values: Mapping[str, Any]) -> None:
        """Add the part whose rows are those of `values`, a status among them."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **values)
        data = buffer.getvalue()
        status = values["status"]
        facts = f"{first:012}-{len(status):09}-{values['@batch']}"
        failed = np.count_nonzero(status)
        check = f"{len(data)}-{_digest(data)}"
        name = f"s{structure:03}-{facts}-{failed}-{check}.npz"
        with _explained(self.path):
            replace(self.path / "parts" / name, data)

    def read(self, part: Part, name: str) -> np.ndarray:
        """An array of a part.

        Raises:
            StoreError: if it is not what was written.
        """
        try:
            with np.load(part.path, allow_pickle=False) as arrays:
                return arrays[name]
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise StoreError(
                f"store: {part.path} does not match its checksum ({error}); run "
                "the sweep again on this store, and the part is computed anew."
            ) from error

    def repair(self) -> list[str]:
        """Put aside what is not whole; the names. For a worker, before it starts."""
        aside = []
        # listed first: a part that another worker adds meanwhile is left alone
        files = sorted((self.path / "parts").glob("s*.npz"))
        whole = {part.path.name for part in self.parts()}
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # put aside by another worker
                if file.name in whole and _digest(file.read_bytes()) in file.name:
                    continue
                file.rename(file.with_suffix(".damaged"))
                aside.append(file.name)
        return aside

    def add_round(self, number: int, columns: Mapping[str, np.ndarray]):
        """The trials of a round of a search, unless they are there already."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **columns)
        with _explained(self.path):
            create(self.path / "rounds" / f"{number:06}.npz", buffer.getvalue())

    def rounds(self) -> list[dict[str, np.ndarray]]:
        found = []
        for file in sorted((self.path / "rounds").glob("*.npz")):
            with np.load(file, allow_pickle=False) as arrays:
                found.append(dict(arrays))
        return found

    @contextlib.contextmanager
    def lease(self, worker: str) -> Iterator[None]:
        """Only one process at a time works as `worker`, "0-of-4" say.

        Raises:
            StoreError: if another one does.
        """
        path = self.path / "workers" / f"{worker}.lock"
        with _explained(self.path):
            lock = open(path, "a+")  # noqa: SIM115
        with lock:
            if fcntl is not None:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.seek(0)
                    at, _, count = worker.partition("-of-")
                    raise StoreError(
                        f"store: worker {at} of {count} is already at work in "
                        f"{self.path} ({lock.read() or 'starting'}); accepted is to "
                        "wait for it, or to be another worker."
                    ) from None
                except OSError:
                    pass  # a file system without locks; parts stay whole all the same
            with _explained(self.path):
                lock.truncate(0)
                lock.write(f"process {os.getpid()} on {socket.gethostname()}")
                lock.flush()
            for file in self.path.glob("**/.tmp-*"):  # of writers that were killed
                with contextlib.suppress(OSError):
                    if time.time() - file.stat().st_mtime > STALE:
                        file.unlink()
            yield

    def report(self, worker: str, **facts: Any) -> None:
        """What `status` shows of this worker."""
        facts |= {
            "worker": worker,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "updated": time.time(),
        }
        with _explained(self.path):
            file = self.path / "workers" / f"{worker}.json"
            replace(file, _json(facts).encode(), durable=False)

    def workers(self) -> list[dict[str, Any]]:
        """The latest reports; `alive` tells whether its process is still there."""
        found = []
        for file in sorted((self.path / "workers").glob("*-of-*.json")):
            report = _read_json(file)
            if report:
                report["alive"] = _locked(file.with_suffix(".lock"))
                found.append(report)
        return found


def missing(dtype: np.dtype) -> Any:
    """What stands for the output of a point without a result."""
    if dtype.kind in "fcV":  # V: bfloat16 …
        return np.nan
    return np.iinfo(dtype).min if dtype.kind == "i" else dtype.type(0)


def replace(path: pathlib.Path, data: bytes, *, durable: bool = True) -> None:
    """Write `path` atomically, over whatever is there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(handle)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def create(path: pathlib.Path, data: str | bytes) -> bool:
    """Write `path` atomically unless it is there; whether this call did."""
    data = data.encode() if isinstance(data, str) else data
    if path.exists():
        return False
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.chmod(name, 0o644)
        try:
            os.link(name, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links, as of mounted buckets
            try:
                with open(path, "xb") as file:
                    file.write(data)
            except FileExistsError:
                return False
        return True
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


@contextlib.contextmanager
def _explained(path):
    """Trouble with the disk as one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"store: cannot write to {path} ({error.strerror or error}); what is "
            "finished is safe, and the same sweep started again goes on from there."
        ) from error


def _digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def _json(value):
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"


def _plain(value):
    return json.loads(_json(value))


def _short(value):
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 120 else text[:117] + "…"


def _read_json(file):
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _foreign(path):
    """What is in a folder besides a store that is just being made by someone else."""
    known = {"parts", "plans", "rounds", "workers", "manifest.json"}
    return [p for p in path.iterdir() if p.name not in known and p.name[0] != "."]


def _locked(path):
    if fcntl is None or not path.exists():
        return None
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        return False
