"""A folder of results that can be killed, resumed, watched and shared at any moment.

    manifest.json         the experiment: space, seed, precision; and, beside it, where
                          and with what it was begun
    plans/003.json        of each structure: batch, chunk, outputs, fingerprint
    rounds/000000-….npz   of a search: the trials asked for in each round
    parts/s003-….npz      results of a range of points; never changed once there
    workers/0-of-4.json   how far each worker is
    notes.json            what people noted
    blocks/001/…          points that were added, or that came to a rung: a store

Every file is written under another name and renamed, so that it is there whole or not
at all. The name of a part says which points it holds, the digest of the experiment and
the fingerprint of the programme that it belongs to, its length, and a digest of all of
this and of its content, which is checked when it is read.
"""

import collections
import contextlib
import io
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dynax.sweep.files import (
    Place,
    archive,
    arrays,
    create,
    digest,
    fields,
    intact,
    plain,
    read_json,
    replace,
    sealed,
    to_json,
)
from dynax.sweep.lease import StoreError, explained, lease, locked
from dynax.sweep.part import Part


FORMAT = 2  # of the files in a store
FOLDERS = "parts", "plans", "rounds", "workers"


class Store:
    """The folder at `path`; `Store.create` or `Store.open` makes one.

    Attributes:
        experiment: a digest of what is to be computed, which all parts carry.
    """

    def __init__(self, path: pathlib.Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest
        given = json.dumps(manifest["experiment"], sort_keys=True)
        self.experiment = digest(given.encode())
        self._programs: dict[int, str] = {}
        self._places: dict[str, dict[str, Place]] = {}

    @classmethod
    def create(cls, path, manifest: Mapping[str, Any]) -> "Store":
        """A new store, or the one there if it holds the same experiment.

        Raises:
            StoreError: if it holds another one, or something that is not a store.
        """
        path = pathlib.Path(path).absolute()
        file = path / "manifest.json"
        try:
            _refuse_foreign(path)
            for name in FOLDERS:
                (path / name).mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"store: given {_short(str(path))}, where no folder can be made "
                f"({getattr(error, 'strerror', None) or error}); accepted is the path "
                "of a folder that is there or can be made."
            ) from error
        with explained(path):
            made = {"format": FORMAT, **manifest}
            if not create(file, to_json(made)) and read_json(file) is None:
                replace(file, to_json(made).encode())  # it was never whole
        found = cls.open(path)
        given, there = manifest["experiment"], found.manifest["experiment"]
        for key in given:
            if plain(given[key]) != there.get(key):
                more = ", `extend` to add points to it" if key == "space" else ""
                raise StoreError(
                    f"store: {path} holds another experiment: {key} is "
                    f"{_short(there.get(key))} there, {_short(given[key])} here; "
                    f"accepted is the same experiment{more} or another folder."
                )
        shown = {k: plain(manifest[k]) for k in ("dims", "units") if manifest.get(k)}
        if any(found.manifest.get(k) != names for k, names in shown.items()):
            found.manifest |= shown
            with explained(path):
                replace(file, to_json(found.manifest).encode())
        return found

    @classmethod
    def open(cls, path) -> "Store":
        """The store at `path`, as it is.

        Raises:
            StoreError: if there is none, or one of another format.
        """
        path = pathlib.Path(path).absolute()
        manifest = read_json(path / "manifest.json")
        if not isinstance(manifest, dict) or "experiment" not in manifest:
            raise StoreError(
                f"store: given {_short(str(path))}, which holds no sweep; accepted is "
                "the folder given to `sweep` as its store."
            )
        if manifest.get("format") != FORMAT:
            raise StoreError(
                f"store: {path} is of format {manifest.get('format', 1)}; accepted is "
                f"format {FORMAT}, or the version of dynax that wrote it, or another "
                "folder."
            )
        return cls(path, manifest)

    def plan(self, structure: int) -> dict[str, Any] | None:
        """The plan of a structure; None if there is none that can be read."""
        plan = read_json(self._plan(structure))
        needed = {"batch", "first", "chunk", "outputs", "fingerprint"}
        whole = isinstance(plan, dict) and ("error" in plan or needed <= set(plan))
        return plan if whole else None

    def set_plan(self, structure: int, plan: Mapping[str, Any]) -> dict[str, Any]:
        """The plan of a structure: this one, or that of whoever came first."""
        file = self._plan(structure)
        with explained(self.path):
            if not create(file, to_json(plan)) and self.plan(structure) is None:
                replace(file, to_json(plan).encode())
        return self.plan(structure) or dict(plan)

    def drop_plan(self, structure: int) -> None:
        """Forget a plan, as of a structure that could not be compiled."""
        self._programs.pop(structure, None)
        self._plan(structure).unlink(missing_ok=True)

    def _plan(self, structure):
        return self.path / "plans" / f"{structure:03}.json"

    def _program(self, structure):
        """The fingerprint in the plan, "" if there is none."""
        if structure not in self._programs:
            found = (self.plan(structure) or {}).get("fingerprint", "")
            if not found:
                return ""
            self._programs[structure] = found
        return self._programs[structure]

    def parts(self) -> list[Part]:
        """The whole parts, in order; a truncated one is not.

        Where parts overlap, the later ones skip what those before them hold, and one
        that adds nothing is left out: no point is counted twice.

        Raises:
            StoreError: if one belongs to another experiment or programme.
        """
        found: list[Part] = []
        for _, part, experiment in self._listed():
            if part is not None:
                if experiment != self.experiment:
                    raise StoreError(_foreign_part(part.path, "experiment"))
                known = self._program(part.structure)
                if part.program != (known or part.program):
                    raise StoreError(_foreign_part(part.path, "programme"))
                found.append(part)
        found.sort(key=lambda p: (p.structure, p.first, -p.count, p.file))
        useful, end = [], (-1, 0)
        for part in found:
            reached = end[1] if end[0] == part.structure else 0
            skip = max(0, reached - part.first)
            if skip < part.count:
                useful.append(part._replace(skip=skip))
                end = part.structure, part.span[1]
        return useful

    def torn(self) -> list[str]:
        """The files of parts that are not as long as they ought to be."""
        return [name for name, part, _ in self._listed() if part is None]

    def _listed(self) -> Iterator[tuple[str, Part | None, str]]:
        """(name, part, experiment) of each file of a part; no part if it is torn."""
        folder = self.path / "parts"
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                try:
                    *numbers, experiment, program, size, _ = fields(entry.name)
                    numbers = map(int, numbers)
                    part = Part(*numbers, program, entry.path)  # pyright: ignore
                    whole = entry.stat().st_size == int(size)
                except (ValueError, TypeError, FileNotFoundError):
                    continue  # no part, or put aside by another worker
                yield entry.name, part if whole else None, experiment

    def write(self, structure: int, first: int, values: Mapping[str, Any]) -> None:
        """Add the part whose rows are those of `values`, a status among them.

        Its `@program` is the fingerprint of what computed it.
        """
        program = values.get("@program", self._program(structure))
        data = archive(values)
        status = values["status"]
        failed = np.count_nonzero(status)
        facts = (
            f"s{structure:03}-{first:012}-{len(status):09}-{values['@batch']}-{failed}-"
            f"{self.experiment}-{program}-{len(data)}"
        )
        with explained(self.path):
            replace(self.path / "parts" / sealed(facts, data), data)

    def read(self, part: Part, name: str) -> np.ndarray:
        """An array of a part, which is checked against its digest the first time.

        Raises:
            StoreError: if it is not what was written.
        """
        places = self._places.get(part.file)
        try:
            with open(part.file, "rb") as file:
                if places is None:
                    data = file.read()
                    if not intact(part.path, data):
                        raise ValueError("the digests differ")
                    places = arrays(data)
                    self._places[part.file] = places
                place = places[name]
                file.seek(place.offset)
                data = bytearray(file.read(place.size))
                return np.ndarray(place.shape, place.dtype, data, order=place.order)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"store: {part.path} does not match its checksum ({error}); run "
                "the sweep again on this store, and the part is computed anew."
            ) from error

    def set_aside(self, part: Part, why: str) -> None:
        """Count a part no longer: its file stays, as NAME.why."""
        with contextlib.suppress(FileNotFoundError):  # done by another worker
            part.path.rename(part.path.with_suffix(f".{why}"))

    def retried(self) -> collections.Counter[str]:
        """What points said that failed and were run again, and how many said so."""
        found: collections.Counter[str] = collections.Counter()
        for file in sorted((self.path / "parts").glob("*.retried")):
            with np.load(file, allow_pickle=False) as part:
                found.update(part["@said"].tolist())
        return found

    def repair(self) -> list[str]:
        """Put aside what is not whole; the names. For a worker, before it starts."""
        aside = []
        # listed first: a part that another worker adds meanwhile is left alone
        files = [*(self.path / "parts").glob("s*.npz"), *self._rounds()]
        for file in sorted(files):
            with contextlib.suppress(FileNotFoundError):  # put aside by another worker
                if not intact(file, file.read_bytes()):
                    file.rename(file.with_suffix(".damaged"))
                    aside.append(file.name)
        return aside

    def add_round(self, number: int, columns: Mapping[str, np.ndarray]):
        """The trials of a round of a search, unless they are there already."""
        data = archive(columns)
        name = sealed(f"{number:06}-{self.experiment}", data)
        with explained(self.path):
            create(self.path / "rounds" / name, data)

    def rounds(self) -> list[dict[str, np.ndarray]]:
        """The trials asked for, round by round, as far as none is missing.

        Raises:
            StoreError: if a round is damaged, or of another experiment.
        """
        found = []
        for number, file in enumerate(self._rounds()):
            if not file.name.startswith(f"{number:06}-"):
                break
            data = file.read_bytes()
            if not intact(file, data) or fields(file.name)[1] != self.experiment:
                raise StoreError(
                    f"store: {file} does not match its checksum; run the sweep again "
                    "on this store, and the round is asked for anew."
                )
            with np.load(io.BytesIO(data), allow_pickle=False) as there:
                found.append(dict(there))
        return found

    def _rounds(self):
        return sorted((self.path / "rounds").glob("*.npz"))

    def lease(self, worker: str) -> contextlib.AbstractContextManager[None]:
        """Only one process at a time works as `worker`, "0-of-4" say.

        Raises:
            StoreError: if another one does.
        """
        return lease(self.path, worker)

    def note(self, *notes: str, tags: Iterable[str] = ()) -> None:
        """Add notes and tags, which `open_sweep` has among its attributes."""
        said = {"date": time.strftime("%Y-%m-%dT%H:%M:%S"), "notes": [*notes]}
        with explained(self.path):
            file = self.path / "notes.json"
            replace(file, to_json([*self.notes(), said | {"tags": [*tags]}]).encode())

    def notes(self) -> list[dict[str, Any]]:
        """What was noted, in order."""
        return read_json(self.path / "notes.json") or []

    def report(self, worker: str, **facts: Any) -> None:
        """What `status` shows of this worker."""
        facts |= {
            "worker": worker,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "updated": time.time(),
        }
        with explained(self.path):
            file = self.path / "workers" / f"{worker}.json"
            replace(file, to_json(facts).encode(), durable=False)

    def workers(self) -> list[dict[str, Any]]:
        """The latest reports; `alive` tells whether its process is still there."""
        found = []
        for file in sorted((self.path / "workers").glob("*-of-*.json")):
            report = read_json(file)
            if report:
                report["alive"] = locked(file.with_suffix(".lock"))
                found.append(report)
        return found


def _short(value):
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
    )
    return text if len(text) < 120 else text[:117] + "…"


def _refuse_foreign(path):
    """Refuse a folder with files that are no store, or parts that nothing describes.

    A store that is just being made by someone else has empty folders only.
    """
    if not path.is_dir():
        return
    left = [p.name for n in FOLDERS for p in (path / n).glob("[!.]*")]
    other = {p.name for p in path.iterdir() if p.name[0] != "."} - set(FOLDERS)
    if read_json(path / "manifest.json") is not None:
        return
    if left:
        raise StoreError(
            f"store: {path} holds results ({left[0]} …) but no manifest.json that can "
            "be read, so nobody knows what they are of; accepted is to put the "
            "manifest back, to delete the folder, or another folder."
        )
    if other - {"manifest.json"}:
        raise StoreError(
            f"store: given {path}, a folder with other files in it; accepted is a "
            "new folder, an empty one or a store."
        )


def _foreign_part(path, what):
    return (
        f"store: {path} belongs to another {what} than the rest of this store; "
        "accepted is to move it away, or another folder."
    )
