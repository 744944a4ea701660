"""Files of a store: written whole or not at all, and sealed by a digest.

A sealed file has a digest of its content, and of the facts in its name, in its name.
"""

import contextlib
import functools
import hashlib
import io
import json
import math
import os
import pathlib
import struct
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


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
    """Write `path` atomically unless it is there; whether this call did.

    Without links, of two that create it at the same moment the later one wins.
    """
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
            os.replace(name, path)
        return True
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def archive(arrays: Mapping[str, Any]) -> bytes:
    """A file of arrays, as of `np.savez`."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


class Place(NamedTuple):
    """Where in a file an array is, and what it looks like."""

    offset: int
    size: int
    dtype: np.dtype
    shape: tuple[int, ...]
    order: Any


def arrays(data: bytes) -> dict[str, Place]:
    """name → place, of an archive of NumPy's that is known to be whole."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        for entry in files.infolist():
            at = entry.header_offset
            name, extra = struct.unpack_from("<HH", data, at + 26)
            at += 30 + name + extra
            begin = at + 10 + struct.unpack_from("<H", data, at + 8)[0]
            place = Place(begin, *_header(data[at:begin]))
            found[entry.filename.removesuffix(".npy")] = place
    return found


@functools.lru_cache(256)
def _header(text):
    """(bytes, dtype, shape, order) of an array, as the head of its file says."""
    head = io.BytesIO(text)
    np.lib.format.read_magic(head)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    return dtype.itemsize * math.prod(shape), dtype, shape, "F" if fortran else "C"


def sealed(facts: str, data: bytes) -> str:
    """The name of a file: facts about it, and a digest of them and of its content."""
    return f"{facts}-{digest(facts.encode(), data)}.npz"


def intact(path: pathlib.Path, data: bytes) -> bool:
    """Whether the content of a sealed file, and its name, are what was written."""
    facts, _, _ = path.name.rpartition("-")
    return path.name == sealed(facts, data)


def fields(name: str) -> list[str]:
    """What stands between the dashes of the name of a part or a round."""
    if not name.endswith(".npz"):
        raise ValueError(name)
    return name.removesuffix(".npz").removeprefix("s").split("-")


def digest(*data: bytes) -> str:
    """64 bits that tell contents apart, in hexadecimal digits."""
    found = hashlib.sha256()
    for piece in data:
        found.update(piece)
    return found.hexdigest()[:16]


def to_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"


def plain(value: Any) -> Any:
    """As it comes back from JSON."""
    return json.loads(to_json(value))


def read_json(file: pathlib.Path) -> Any:
    """None where there is nothing, or nothing whole."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
