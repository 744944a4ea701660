import itertools
import os
import pathlib
import zlib


# XLA takes its own cached programmes for those of another machine, loudly.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# see dynax/cli/__init__.py: else LAPACK calls at once may wait forever for one another
os.environ.setdefault("PJRT_NPROC", "32")

# Two compilers on the same two cores are slower than each on its own.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if _worker and "sched_setaffinity" in dir(os):
    _cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_cores[int(_worker[2:]) % len(_cores)]})

import jax  # noqa: E402
import pytest  # noqa: E402


jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Compiled programmes are kept between runs, the many small ones too.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _root = pathlib.Path(__file__).parents[1]
    jax.config.update("jax_compilation_cache_dir", str(_root / ".cache" / "jax"))


finished = itertools.count(1)


def pytest_runtest_logfinish(nodeid, location):
    """A compiled programme holds maps of memory, of which a process may have 65 530."""
    del nodeid, location
    maps = pathlib.Path("/proc/self/maps")
    if next(finished) % 20 == 0 and maps.exists():
        with maps.open() as lines:
            if sum(1 for _ in lines) > 30_000:
                jax.clear_caches()


@pytest.fixture
def getkey(request):
    """`getkey()` gives a new key each time: the same ones in every run of a test."""
    seed = zlib.crc32(request.node.nodeid.encode())
    keys = (jax.random.fold_in(jax.random.key(seed), i) for i in itertools.count())
    return lambda: next(keys)


@pytest.fixture
def quick_compilation():
    """For hundreds of small programmes, each run once: most of their time is XLA's."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
