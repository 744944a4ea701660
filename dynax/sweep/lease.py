"""Who works in a store: one process as each worker, and trouble with its disk."""

import contextlib
import os
import pathlib
import socket
from collections.abc import Iterator


try:
    import fcntl
except ImportError:  # no such locks on this system
    fcntl = None


STALE = 24 * 3600.0  # seconds after which a file that nobody renamed is litter


class StoreError(Exception):
    """The error of a store that cannot be used as asked: one sentence that names it and
    the way out.
    """


@contextlib.contextmanager
def explained(path):
    """Trouble with the disk as one sentence."""
    try:
        yield
    except OSError as error:
        if not path.is_dir():
            raise StoreError(
                f"store: {path} is no longer there, and what was in it is lost; "
                "accepted is to start the sweep again."
            ) from error
        raise StoreError(
            f"store: cannot write to {path} ({error.strerror or error}); what is "
            "finished is safe, and the same sweep started again goes on from there."
        ) from error


@contextlib.contextmanager
def lease(path: pathlib.Path, worker: str) -> Iterator[None]:
    """Only one process at a time works as `worker`, "0-of-4" say.

    Raises:
        StoreError: if another one does.
    """
    with explained(path):
        lock = open(path / "workers" / f"{worker}.lock", "a+")  # noqa: SIM115
    with lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                at, _, count = worker.partition("-of-")
                raise StoreError(
                    f"store: worker {at} of {count} is already at work in "
                    f"{path} ({lock.read() or 'starting'}); accepted is to "
                    "wait for it, or to be another worker."
                ) from None
            except OSError:
                pass  # a file system without locks; parts stay whole all the same
        with explained(path):
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()}")
            lock.flush()
        present = os.fstat(lock.fileno()).st_mtime  # by the clock of the files
        for file in path.glob("**/.tmp-*"):  # of writers that were killed
            with contextlib.suppress(OSError):
                if present - file.stat().st_mtime > STALE:
                    file.unlink()
        yield


def locked(path):
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
