"""`dynax sweep`: exit codes, one sentence for bad input, stores that go on."""

import contextlib
import html.parser
import io
import json
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from dynax.cli import main
from dynax.cli._script import Script
from dynax.sweep import Static, open_sweep


pytest.importorskip("xarray")

# Ctrl-C is heard even if whoever runs the tests does so in the background.
COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from dynax.cli import main; sys.exit(main())",
    "sweep",
]
SCRIPT = '''
"""Descent on a bowl: diverges for rate > 2; a curve, a number, units."""
import jax, jax.numpy as jnp
import numpy as np
from dynax.sweep import Static

class Plain:
    sign = False

class Sign:
    sign = True

SPACE = {"rate": np.array([0.1, 0.5, 1.5]), "seed": range(2)}
DIMS = {"loss": ["step"]}
UNITS = {"loss": "J", "rate": "1/s"}

def run(rate, seed=0, momentum=0.0, kind=Plain):
    start = jax.random.normal(jax.random.key(seed), (3,))
    def step(carry, _):
        x, m = carry
        g = jnp.sign(x) if kind.sign else x
        m = momentum * m + g
        x = x - rate * m
        return (x, m), jnp.sum(x**2)
    _, loss = jax.lax.scan(step, (start, 0 * start), None, length=400)
    return {"loss": loss, "score": -loss[-1]}

def noisy(rate, key):
    return {"loss": rate * jax.random.normal(key, (), jnp.result_type(rate))}

def loses(rate):
    kind = jax.ShapeDtypeStruct((), rate.dtype)
    return {"loss": jax.pure_callback(raising, kind, rate, vmap_method="sequential")}

def raising(rate):
    raise RuntimeError("out of luck")

def branches(rate, seed):
    if rate > 1:
        return {"loss": rate}
    return {"loss": 0.0}

def words(rate, seed):
    return {"loss": "high"}

def nothing(rate, seed):
    return rate

def slow(rate, seed):
    def wait(x):
        import time
        time.sleep(0.25)
        return x
    kind = jax.ShapeDtypeStruct((), jnp.result_type(rate))
    return {"loss": jax.pure_callback(wait, kind, rate, vmap_method="sequential")}

number = 3
'''
BATCH = ["--batch", "2", "--chunk", "2"]
GRID = ["--axis", "rate=0.1,0.5,1.5,3", "--seeds", "3"]


@pytest.fixture(scope="module", autouse=True)
def one_device():
    """The command would make one of each core, for all tests of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_NUM_CPU_DEVICES", "1")
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep_cli")
    (folder / "sweep_toy.py").write_text(SCRIPT, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def script(folder):
    return str(folder / "sweep_toy.py")


def call(*words):
    """(exit code, stdout, stderr)"""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["sweep", *map(str, words)])
    return code, out.getvalue(), err.getvalue()


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def finished(folder, script):
    """A store in which 3 of 12 points failed, and what was said of it."""
    store = folder / "finished"
    return store, call(script, *GRID, *BATCH, "--store", store)


@pytest.fixture
def store(finished, tmp_path):
    """A copy of it, to be spoiled."""
    shutil.copytree(finished[0], tmp_path / "a")
    return tmp_path / "a"


def part(store, k=0):
    return sorted((store / "parts").glob("s*.npz"))[k]


def same(a, b):
    a, b = open_sweep(a).load(), open_sweep(b).load()
    return a.equals(b)


# ---------------------------------------------------------------------------- a sweep


def test_a_sweep_is_what_run_returns(finished, script):
    store, (code, out, _) = finished
    assert code == 1
    assert f"12 of 12 points are in {store}." in out
    assert "3 failed: an output is not finite" in out
    assert "point 9 (rate = 3, seed = 0)" in out
    assert f"Next: dynax sweep show {store}" in out
    ds = open_sweep(store)
    assert ds.loss.dims == ("rate", "seed", "step")
    assert ds.loss.dtype == np.float32 and ds.attrs["bits"] == 32
    assert ds.loss.attrs["units"] == "J" and ds.rate.attrs["units"] == "1/s"
    run = Script(script, "run", 32)
    with jax.enable_x64(False):
        for i, j in np.ndindex(3, 3):
            direct = run(rate=float(ds.rate[i]), seed=int(ds.seed[j]))
            np.testing.assert_allclose(ds.loss[i, j], direct["loss"], 1e-4, 1e-30)


def test_space_of_the_file_and_axes_instead(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def dims(*words):
        code, out, _ = call(script, *words, "--dry-run", "--json")
        assert code == 0
        return strict(out)

    assert dims()["dims"] == {"rate": 3, "seed": 2}
    assert dims("--axis", "rate=log:1e-3:1:9")["dims"] == {"rate": 9, "seed": 2}
    found = dims("--axis", "momentum=0,0.9", "--seeds", "5")
    assert found["dims"] == {"rate": 3, "seed": 5, "momentum": 2}
    assert found["points"] == 30 and found["structures"] == 1
    assert dims("--axis", "kind=static:1,2")["structures"] == 2
    drawn = dims("--axis", "rate=log:1e-3:1", "--sample", "halton:16:3")
    assert drawn["dims"] == {"sample": 16, "seed": 2}
    assert drawn["arguments"]["sample"] == ["rate"]
    assert not list(tmp_path.iterdir())


def test_dry_run_says_how_many(script):
    code, out, _ = call(script, "--axis", "kind=static:1,2", "--dry-run")
    assert code == 0
    assert out == "12 points: kind 2 × rate 3 × seed 2\n2 programs to compile\n"


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_points_from_a_file(script, tmp_path, suffix):
    file = tmp_path / f"points.{suffix}"
    rows = [{"rate": 0.1, "momentum": 0.5}, {"rate": 1.0, "momentum": 0.0}]
    lines = "rate,momentum\n0.1,0.5\n1,0.0\n"
    file.write_text(lines if suffix == "csv" else json.dumps(rows))
    store = tmp_path / "a"
    code, out, _ = call(script, "--points", file, "--store", store)
    assert code == 0, out
    ds = open_sweep(store)
    assert dict(ds.sizes) == {"point": 2, "seed": 2, "step": 400}
    np.testing.assert_array_equal(ds.rate, [0.1, 1.0])
    np.testing.assert_array_equal(ds.momentum, [0.5, 0.0])


def test_search(script, tmp_path):
    pytest.importorskip("optuna")
    store = tmp_path / "a"
    words = ["--axis", "rate=linear:0.1:1.9", "--search", "6", "--parallel", "3"]
    objective = ["--objective", "score", "--maximize"]
    code, out, err = call(script, *words, *objective, "--store", store)
    assert code == 0, err
    ds = open_sweep(store)
    assert dict(ds.sizes) == {"trial": 6, "seed": 2, "step": 400}
    assert ds.attrs["objective"] == "score" and ds.attrs["maximize"] == 1
    assert call("resume", store)[0] == 0


def test_json_and_64_bits(script, tmp_path):
    store = tmp_path / "a"
    words = ["--run", "noisy", "--axis", "rate=1.0,2.0", "--precision", "64", "--json"]
    code, out, _ = call(script, *words, "--store", store)
    found = strict(out)
    assert code == found["exit_code"] == 0
    assert (found["points"], found["done"], found["failed"]) == (2, 2, 0)
    assert found["complete"] is True and found["batch_sizes"] == [2]
    assert open_sweep(store).loss.dtype == np.float64


def test_what_a_point_raises_is_told(script, tmp_path):
    words = ["--run", "loses", "--axis", "rate=1,2", "--store", tmp_path / "a"]
    code, out, _ = call(script, *words)
    assert code == 1
    assert "2 failed: raised an error" in out and "out of luck" in out


def test_seeds_are_keys_where_run_takes_a_key(script, tmp_path):
    """N of them for each of the other points; control: without, one."""
    words = ["--run", "noisy", "--axis", "rate=1.0,2.0", "--store"]
    assert call(script, "--seeds", "3", *words, tmp_path / "a")[0] == 0
    assert call(script, *words, tmp_path / "b")[0] == 0
    loss = open_sweep(tmp_path / "a").loss
    assert dict(loss.sizes) == {"rate": 2, "seed": 3}
    assert len(np.unique(loss)) == 6
    assert dict(open_sweep(tmp_path / "b").sizes) == {"rate": 2}


SWITCH = """
import os, pathlib
import jax
from dynax.sweep import Static

class Plain:
    factor = 1.0

class Double:
    factor = 2.0

SPACE = {"x": [1.0, 2.0, 3.0], "kind": Static([Plain, Double]), "width": Static([2, 4])}

def run(x, kind, width):
    there = pathlib.Path(__file__).with_name("away")
    def read(x):
        if there.exists() and x == 2:
            raise OSError("the disk is away")
        return kind.factor * x
    y = jax.pure_callback(read, x, x, vmap_method="sequential")
    return {"y": y + len([0] * width)}
"""


def test_failed_points_are_run_again(tmp_path, capfd):
    """When asked to, and only they and their parts; the rest stays. And few lines."""
    file, store = tmp_path / "switch.py", tmp_path / "a"
    file.write_text(SWITCH, encoding="utf-8")
    (tmp_path / "away").touch()
    words = [file, "--axis=width=3", "--axis=kind=Double", "--store", store]
    code, out, err = call(*words, "--batch=1", "--chunk=1")
    assert code == 1 and "OSError: the disk is away" in out
    assert len((err + capfd.readouterr().err).splitlines()) < 10
    (tmp_path / "away").unlink()
    before = {p.name for p in (store / "parts").iterdir()}
    assert call("resume", store)[0] == 1
    assert "resume " + str(store) + " --retry-failed" in call("status", store)[1]
    assert call("resume", store, "--retry-failed")[0] == 0
    assert open_sweep(store).y.values.ravel().tolist() == [5.0, 7.0, 9.0]
    after = {p.name for p in (store / "parts").iterdir()}
    assert sorted(pathlib.Path(p).suffix for p in after - before) == [
        ".npz",
        ".retried",
    ]
    assert call("resume", store, "--retry-failed")[0] == 0, "nothing is left to retry"
    assert {p.name for p in (store / "parts").iterdir()} == after


def test_axes_of_static_arguments_stay_static(script, tmp_path):
    """Numbers, and classes by their names in SPACE; what is neither is refused."""
    file = tmp_path / "switch.py"
    file.write_text(SWITCH, encoding="utf-8")
    axis = lambda text: [file, "--axis", text, "--dry-run", "--json"]
    found = strict(call(*axis("width=8,16,32"))[1])
    assert found["structures"] == 6 and found["dims"]["width"] == 3
    assert strict(call(*axis("kind=Plain"))[1])["structures"] == 2
    assert "given kind=Triple; accepted are Plain, Double" in sentence(
        *axis("kind=Triple")
    )
    assert "given a range for width, which is static" in sentence(
        *axis("width=int:1:9")
    )


def test_workers_share_and_each_ends_well(script, finished, tmp_path):
    store = tmp_path / "a"
    words = [script, *GRID, *BATCH, "--store", store]
    code, out, _ = call(*words, "--worker", "0/2")
    assert code == 0 and "the share of this worker is done" in out
    assert call("status", store)[0] == 3
    assert call(*words, "--worker", "1/2")[0] == 0
    assert call("status", store)[0] == 1
    assert same(store, finished[0])


def test_a_script_can_be_sent_to_another_process(script, tmp_path):
    sent = tmp_path / "sent.pickle"
    run = Script(script, "run", 32)
    sent.write_bytes(pickle.dumps((run, Static([run.function.__globals__["Sign"]]))))
    code = (
        "import pickle, sys\n"
        "run, kinds = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(run(rate=0.5, kind=kinds.values[0])['loss'].shape, run.__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, sent], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "(400,) run\n", done.stderr


# --------------------------------------------------------------- stores that are there


def test_resume_of_a_complete_store_changes_nothing(store, finished):
    before = {p.name: p.stat().st_mtime_ns for p in (store / "parts").iterdir()}
    code, out, _ = call("resume", store)
    assert code == 1 and "12 of 12 points" in out
    after = {p.name: p.stat().st_mtime_ns for p in (store / "parts").iterdir()}
    assert before == after


def test_resume_computes_what_is_missing_or_damaged(store, finished):
    part(store, 3).unlink()
    damaged = part(store, 1)
    damaged.write_bytes(damaged.read_bytes()[:-20])
    code, out, _ = call("status", store)
    assert code == 3
    assert "8 of 12 points" in out and "damaged parts: 1" in out
    assert f"Next: dynax sweep resume {store}" in out
    assert call("resume", store, "--json")[0] == 1
    assert same(store, finished[0])


def test_status(store):
    part(store).unlink()
    code, out, _ = call("status", store)
    assert code == 3
    assert "worker 0-of-1" in out and "not at work" in out
    assert "run of sweep_toy.py" in out and "batch sizes: 2" in out
    code, out, _ = call("status", store, "--json")
    found = strict(out)
    assert code == 3
    assert (found["done"], found["missing"], found["points"]) == (10, 2, 12)
    assert found["failures"] == {"an output is not finite": 3}
    assert found["messages"][0]["point"] == 9
    assert [w["worker"] for w in found["workers"]] == ["0-of-1"]
    assert found["workers"][0]["at_work"] is False


def test_status_of_what_cannot_be_compiled(script, tmp_path):
    """A static value at which run raises does not stop the others."""
    text = SCRIPT.replace("g = jnp", "assert kind.sign is not None; g = jnp").replace(
        "sign = True", "sign = None"
    )
    space = 'SPACE = {"kind": Static([Plain, Sign]), "rate": [0.5]}\n'
    (tmp_path / "half.py").write_text(text + space, encoding="utf-8")
    store = tmp_path / "a"
    code, out, _ = call(tmp_path / "half.py", "--store", store)
    assert code == 1
    assert "1 failed: could not be compiled" in out
    assert "point 1 (kind = Sign, rate = 0.5): AssertionError" in out
    assert call("status", store)[0] == 1


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.depth, self.text = [], 0, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        links = [named.get("src"), named.get("href"), named.get("xlink:href")]
        self.links += [link for link in links if link]

    def handle_data(self, data):
        self.text += data


def test_show(store, tmp_path):
    part(store, 2).unlink()
    out = tmp_path / "a.html"
    code, said, err = call("show", store, "--out", out)
    assert code == 0 and said == f"Report: {out}\n", err
    page = Page(out.read_text(encoding="utf-8"))
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "10 of 12 points have been run" in page.text
    assert "the same to the last bit" in page.text
    assert "3 × an output is not finite" in page.text
    assert "dynax sweep" in page.text and "--seeds=3" in page.text
    code, _, err = call("show", store, "--out", tmp_path / "b.html", "--output", "los")
    assert code == 2 and err.count("\n") == 1
    assert "--output: given 'los'; accepted are loss, score" in err


def test_export(store, tmp_path):
    import xarray as xr

    code, said, _ = call("export", store, tmp_path / "a.nc")
    assert code == 0 and said == f"written to {tmp_path / 'a.nc'}\n"
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as ds:
        np.testing.assert_array_equal(ds.loss, open_sweep(store).loss)
        assert ds.loss.attrs["units"] == "J"


def test_lapack_on_several_devices_comes_to_an_end(tmp_path):
    """With the threads of two cores, these eigenvalues mostly wait forever."""
    file = pathlib.Path(__file__).parents[1] / "experiments"
    file = file / "landscape" / "sgd_stability.py"
    subprocess.run(
        [
            *COMMAND,
            file,
            "--axis=kind=static:two outputs",
            "--seeds=64",
            f"--store={tmp_path}/a",
        ],
        env={k: v for k, v in os.environ.items() if k != "PJRT_NPROC"}
        | {"JAX_NUM_CPU_DEVICES": "4"},
        timeout=120,
        check=True,
    )
    assert open_sweep(tmp_path / "a").attrs["complete"]


@pytest.mark.parametrize("devices", [None, "1"])
def test_ctrl_c_says_how_to_go_on(folder, script, tmp_path, devices):
    """Of one device the callback runs in the main thread, and hears it there."""
    store = tmp_path / "a"
    words = ["--run", "slow", *GRID, "--batch", "1", "--chunk", "1", "--store", store]
    env = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    child = subprocess.Popen(
        [*COMMAND, script, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env | ({"JAX_NUM_CPU_DEVICES": devices} if devices else {}),
    )
    try:
        end = time.monotonic() + 120
        while not list((store / "parts").glob("s*.npz")):
            assert child.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130, err
    last = err.strip().splitlines()[-1]
    assert last.startswith("dynax: stopped: ") and "of 12 points are in" in last
    assert last.endswith(f"`dynax sweep resume {store}` goes on.")
    report = json.loads((store / "workers" / "0-of-1.json").read_text())
    assert report["devices"] == int(devices or len(os.sched_getaffinity(0)))
    there = len(list((store / "parts").glob("s*.npz")))
    assert 0 < there < 12
    assert call("resume", store)[0] == 0
    assert bool((open_sweep(store).status == 0).all())


# -------------------------------------------------------------------------- bad input


def sentence(*words):
    code, out, err = call(*words)
    assert code == 2 and out == ""
    lines = [line for line in err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1 and lines[0].startswith("dynax: "), err
    return lines[0]


@pytest.mark.parametrize(
    "words, said",
    [
        (["--axis", "rat=1,2"], "rat, which run does not take; accepted are rate"),
        (["--axis", "rate"], "--axis: given 'rate'; accepted is NAME=VALUES"),
        (["--axis", "rate=log:1:x:3"], "--axis: given 'rate=log:1:x:3'"),
        (["--axis", "rate=log:1:2"], "neither --sample nor --search"),
        (["--axis", "rate=log:1:2", "--sample", "halton:8", "--search", "8"], "and"),
        (["--sample", "halton:8"], "without a range to draw from"),
        (["--axis", "rate=log:1:2", "--sample", "halton"], "halton:COUNT"),
        (["--axis", "rate=log:1:2", "--sample", "sobol:9"], "power of two"),
        (["--axis", "rate=log:1:2", "--search", "8"], "--objective: none given"),
        (["--objective", "loss"], "--objective: given without --search"),
        (["--seeds", "0"], "--seeds: given 0; accepted is an integer >= 1"),
        (["--seeds", "3", "--axis", "seed=1"], "--seeds: given 3"),
        (["--points", "nowhere.csv"], "--points: given nowhere.csv (No such file"),
        (["--run", "runn"], "--run: given 'runn', which is no function of"),
        (["--run", "number"], "accepted are run, noisy"),
        (["--run", "loses", "--seeds", "2"], "seed, which run does not take"),
        (["--run", "noisy", "--seeds", "2", "--axis", "seed=1"], "--seeds: given 2"),
        (["--run", "branches"], "branches: sweep_toy.py raised TracerBoolConv"),
        (["--run", "words"], "run: returned str as loss; accepted is an array"),
        (["--run", "nothing"], "accepted is a dict of arrays"),
        (["--batch", "0"], "--batch: given 0; accepted is an integer >= 1"),
        (["--memory", "much"], "--memory: given 'much'; accepted is a size"),
        (["--time-limit", "0"], "--time-limit: given 0"),
        (["--worker", "4/4"], "--worker: given '4/4'; accepted is I/N"),
        (["--worker", "0/4", "--store="], "--store"),
        (["--worker", "0/4", "--submitit", "2"], "--submitit: given with --worker"),
        (["--cpus", "2"], "--cpus: given 2; accepted is >= 0, with --ray or"),
        (["--tpus", "4"], "--tpus: given 4; accepted is >= 0, with --ray"),
        (["--submitit", "0"], "--submitit: given 0; accepted is >= 1"),
        (["--learning-rate", "1"], "--learning-rate: not an argument of `dynax sweep`"),
        (["--precision", "16"], "--precision: given"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_one_sentence_for_bad_input(script, tmp_path, words, said):
    given = words if "--store=" in words else [*words, "--store", tmp_path / "a"]
    assert said in sentence(script, *[w for w in given if w != "--store="])


def test_the_line_at_fault_is_named(script, tmp_path):
    said = sentence(script, "--run", "branches", "--store", tmp_path / "a")
    line = next(k for k, t in enumerate(SCRIPT.splitlines(), 1) if "rate > 1:" in t)
    assert said.endswith(f"(sweep_toy.py, line {line}).")


def test_one_sentence_for_bad_files(script, tmp_path, store):
    assert "FILE: given nowhere.py" in sentence("nowhere.py")
    assert "accepted is the path of a FILE.py" in sentence(store)
    (tmp_path / "wrong.py").write_text("import jax\nraise OSError('no')\n")
    said = sentence(tmp_path / "wrong.py")
    assert "raised OSError: no (wrong.py, line 2)" in said
    (tmp_path / "bare.py").write_text("def run(x):\n    return {'y': x}\n")
    assert "has no SPACE" in sentence(tmp_path / "bare.py")
    (tmp_path / "p.csv").write_text("rate\n1\nfast\n")
    assert "--points: given" in sentence(script, "--points", tmp_path / "p.csv")
    for verb in ("status", "resume", "show"):
        assert "STORE: given" in sentence(verb, tmp_path)
    assert "TO: given a.txt; accepted is NAME.nc" in sentence("export", store, "a.txt")
    assert sentence("status") == (
        "dynax: STORE: none given; see `dynax sweep status --help`."
    )
    assert "FILE.py: none given" in sentence()
    assert "given 'stats'; did you mean status? Accepted" in sentence("stats", store)
    fields = part(store).name.split("-")
    fields[5] = "0" * 16
    part(store).rename(store / "parts" / "-".join(fields))
    for verb in ("status", "show"):
        assert "belongs to another experiment" in sentence(verb, store)
    assert "--wach: not an argument of `dynax sweep status`" in sentence(
        "status", store, "--wach"
    )


def test_stores_of_something_else(script, tmp_path, store):
    said = sentence(script, "--axis", "rate=1,2", "--store", store)
    assert "holds another experiment: space is" in said
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    assert "with other files in it" in sentence(script, "--store", tmp_path / "b")
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["command"] = None
    (store / "manifest.json").write_text(json.dumps(manifest))
    assert "was not begun by `dynax sweep`" in sentence("resume", store)


def test_a_store_in_use(script, store):
    from dynax.sweep.store import Store

    with Store.open(store).lease("0-of-1"):
        assert "worker 0 of 1 is already at work" in sentence("resume", store)
        assert strict(call("status", store, "--json")[1])["workers"][0]["at_work"]


@pytest.mark.parametrize("verb", ["", "status", "resume", "show", "export"])
def test_help(verb, capsys):
    assert main(["sweep", *verb.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "dynax sweep " + verb in text
    assert "Exit codes" in text or verb in ("show", "export")
