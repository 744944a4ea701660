import gc
import importlib.metadata
import itertools
import os
import pathlib
import zlib


# XLA takes its own cached programmes for those of another machine, loudly.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# see dynax/cli/__init__.py: else LAPACK calls at once may wait forever for one another
os.environ.setdefault("PJRT_NPROC", "32")

# Compiling is most of the suite's time; what is compiled runs for milliseconds. With
# JAX_DISABLE_MOST_OPTIMIZATIONS=0 all is tested with XLA's own settings.
QUICK = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1"
# XLA's older code generator, in one piece, takes a quarter to a half of the time. The
# options are unknown to other versions, which would not start.
OWN = {
    "xla_cpu_use_fusion_emitters": True,
    "xla_cpu_parallel_codegen_split_count": 32,
}
OLDER = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
if QUICK and importlib.metadata.version("jaxlib").startswith(("0.9.", "0.10.")):
    os.environ["XLA_FLAGS"] = f"{OLDER} {os.environ.get('XLA_FLAGS', '')}".strip()

# Two compilers on the same two cores are slower than each on its own.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if _worker and "sched_setaffinity" in dir(os):
    _cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_cores[int(_worker[2:]) % len(_cores)]})

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402
from jax._src import compiler  # noqa: E402


jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Compiled programs are kept between runs; to read one takes as long as to compile the
# smallest, which are most.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.03)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _root = pathlib.Path(__file__).parents[1]
    jax.config.update("jax_compilation_cache_dir", str(_root / ".cache" / "jax"))


# --- how many programs the suite compiles ------------------------------------------
#
# Compiling is most of the suite's time. A program counts once for each time that a
# process asks for it, out of the cache or not: the same in a cold run and a warm one.
# What child processes compile is not counted.

COMPILE = "/jax/core/compile/backend_compile_duration"
programs = {"here": 0, "workers": 0}


def _count(event, duration, **kwargs):
    del duration, kwargs
    programs["here"] += event == COMPILE


jax.monitoring.register_event_duration_secs_listener(_count)


def pytest_addoption(parser):
    text = "how many programs the tests may compile in all; 0: any number"
    parser.addini("programs", text, default="0")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """A worker of xdist has ended."""
    del error
    programs["workers"] += getattr(node, "workeroutput", {}).get("programs", 0)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["programs"] = programs["here"]
    elif _over_budget(session.config) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    found, budget = sum(programs.values()), config.getini("programs")
    terminalreporter.write_line(f"programs compiled: {found} (budget: {budget})")
    if _over_budget(config):
        terminalreporter.write_line("FAILED: more programs than the budget", red=True)


def _over_budget(config):
    budget = int(config.getini("programs"))
    return budget > 0 and sum(programs.values()) > budget


# --- what tests share --------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """One worker has all tests of a member, or of a fixture of their module."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None and (name := _shares(item)):
            item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}-{name}"))


def pytest_collection_finish(session):
    """What lives to the end need not be looked through at each collection."""
    del session
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _shares(item):
    member = item.callspec.params.get("name") if hasattr(item, "callspec") else None
    if member and hasattr(item.module, "seen"):
        return member
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    return "fixture" if any(f[-1].scope == "module" for f in fixtures) else None


slow = False
_options = compiler.get_compile_options


def _compile_options(*args, **kwargs):
    found = _options(*args, **kwargs)
    if slow and OLDER in os.environ.get("XLA_FLAGS", ""):
        found.env_option_overrides = [*found.env_option_overrides, *OWN.items()]
    return found


compiler.get_compile_options = _compile_options


def pytest_runtest_setup(item):
    """Programs of the slow tests run for long: XLA optimizes those alone."""
    global slow
    slow = item.get_closest_marker("slow") is not None
    jax.config.update("jax_disable_most_optimizations", QUICK and not slow)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(QUICK and not slow))


finished = itertools.count(1)


def pytest_runtest_logfinish(nodeid, location):
    """A compiled programme holds maps of memory, of which a process may have 65 530."""
    del nodeid, location
    maps = pathlib.Path("/proc/self/maps")
    if next(finished) % 20 == 0 and maps.exists():
        with maps.open() as lines:
            if sum(1 for _ in lines) > 30_000:
                jax.clear_caches()


@pytest.fixture(autouse=True)
def types_of_what_is_right(request):
    """Under `--jaxtyping-packages` a wrong type is an error of the checker.

    A test that expects an error wants the one that a user sees, who has no checker.
    """
    raises = "raises" in request.function.__code__.co_names
    jaxtyping.config.update("jaxtyping_disable", raises)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def getkey(request):
    """`getkey()` gives a new key each time: the same ones in every run of a test."""
    name, *_ = request.node.nodeid.partition("@")  # which xdist puts before a group
    seed = zlib.crc32(name.encode())
    keys = (jax.random.fold_in(jax.random.key(seed), i) for i in itertools.count())
    return lambda: next(keys)
