"""Arrays on disk under a name that says how they were made.

A file is one line of SHA-256, then an npz archive. It appears by one atomic rename, so
any number of processes may write and read; what fails its checksum is never read.
"""

import hashlib
import io
import os
import pathlib
import tempfile
import warnings

import numpy as np


def folder() -> pathlib.Path:
    """$DYNAX_CACHE, or `dynax` in the user's cache directory."""
    chosen = os.environ.get("DYNAX_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(chosen or f"{home}/dynax").expanduser()


def read(name: str) -> dict[str, np.ndarray] | None:
    """The arrays, or None where there are none that can be trusted."""
    try:
        path = folder() / name
        digest, _, body = path.read_bytes().partition(b"\n")
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    if hashlib.sha256(body).hexdigest().encode() != digest:
        _warn(f"{path}: fails its checksum; it is computed anew.")
        return None
    with np.load(io.BytesIO(body), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def write(name: str, arrays: dict[str, np.ndarray]) -> None:
    """Keep the arrays; where that is impossible, warn."""
    body = io.BytesIO()
    np.savez(body, **arrays)  # pyright: ignore[reportArgumentType]
    digest = hashlib.sha256(body.getbuffer()).hexdigest().encode()
    left = None
    try:
        home = folder()
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=home, prefix=".", delete=False) as file:
            left = file.name
            file.write(digest + b"\n")
            file.write(body.getbuffer())
        os.replace(left, home / name)
    except (OSError, RuntimeError) as error:
        _warn(f"DYNAX_CACHE: nothing is kept, {error}.")
        if left is not None:
            pathlib.Path(left).unlink(missing_ok=True)


def _warn(text):
    warnings.warn(text, RuntimeWarning, stacklevel=4)
