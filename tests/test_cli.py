"""The command line: exit codes, one sentence for bad input, files that are whole."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import Any

import jax
import pytest

import dynax
from dynax.cli import _targets, main
from dynax.cli._experiments import matches
from dynax.cli._targets import kappa_names, make_kappa
from dynax.kappa import AbstractKappa, Support


ROOT = pathlib.Path(__file__).parents[1]

SCRIPT = """
import equinox as eqx
import jax.numpy as jnp
import dynax

class Descent(dynax.AbstractOptimizer):
    def init(self, x):
        return dynax.LionState(0 * x)

    def update(self, x, state, grad, lr):
        return -lr * grad, state

    def flow(self, t, x, state, grad, lr):
        return -grad, dynax.LionState(0 * x)

class Claimed(dynax.AbstractLyapunovOptimizer):
    rate: float = eqx.field(static=True)

    init, update, flow = Descent.init, Descent.update, Descent.flow

    def energy(self, t, x, state, value, lr):
        return value

    def dissipation(self, t, x, state, grad, lr):
        return self.rate * jnp.sum(grad**2)

def loss(x):
    return jnp.sum(x**2) / 2

def broken_loss(x):
    return jnp.sqrt(jnp.sum(x) - 1e6)

start = jnp.ones(2)
right = dynax.System(Claimed(1.0), loss, start, horizon=None)
wrong = dynax.System(Claimed(0.9), loss, start, horizon=None)
silent = dynax.System(Descent(), loss, start, horizon=None)

def lost():
    return dynax.System(Claimed(1.0), broken_loss, start, horizon=None)

number = 3
def raises():
    raise RuntimeError("no\\nluck")
def vector():
    return dynax.System(Claimed(1.0), lambda x: x, start)
def integers():
    return dynax.System(Claimed(1.0), loss, jnp.arange(3))
"""

EXPERIMENT = '''
"""Two sentences. The second one.

    H = 0
"""
import dataclasses
import numpy as np
from dynax.claim import Claim, Control, Measured, at_least, at_most
from dynax.report import new_figure
from dynax.study import Study

@dataclasses.dataclass(frozen=True)
class Config:
    seeds: tuple = (0, 1)

SIZES = {{"quick": Config(), "long": Config((0,))}}

def value(results):
    results.tell(0.5, "half way")
    {body}
    results.tell(1.0, "done")
    return np.float32(0.25)

def other(results):
    raise RuntimeError("only claim o reads this part")

def claims(config):
    endless = Measured(np.inf, spread=(0.0, 1.0))
    limit = at_least({least}, "above")
    return [
        Claim("{id}a", "x | y", at_most({most}, "a model"), lambda r: r["value"]),
        Claim("{id}b", "endless", at_least(1, "a model"), lambda r: endless),
        Control("{id}z", "c × 0.9", limit, lambda r: 2.0, of="{id}a"),
    ]

def figures(results):
    figure, axes = new_figure()
    axes[0, 0].plot([0, results["value"]])
    return {{"a line": figure}}

PARTS = {{"value": value, "other": other}}
STUDY = Study("Title of {name}", "a paper", SIZES, PARTS, claims, figures)
'''


def add(folder, name, id="1", *, body="pass", holds=True, reject=True):
    folder.mkdir(exist_ok=True)
    most, least = 1.0 if holds else 0.1, 1.0 if reject else 3.0
    values = {"name": name, "id": id, "body": body, "most": most, "least": least}
    (folder / f"{name}.py").write_text(EXPERIMENT.format(**values), encoding="utf-8")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and no width of a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


@pytest.fixture
def script(here):
    (here / "mine.py").write_text(SCRIPT, encoding="utf-8")
    return here / "mine.py"


def strict(path):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def sentence(capsys):
    """The one line on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("dynax: "), err
    return lines[0]


# ------------------------------------------------------------------------- verify


def test_verify_holds(here, capsys):
    arguments = "verify lion-kappa --kappa l1 --dimension 3 --steps 40 --json v.json"
    assert main(arguments.split()) == 0
    out = capsys.readouterr().out
    assert "HOLDS: LionKappa: exact energy balance" in out
    assert out.rstrip().endswith(str(here / "v.json"))
    found = strict(here / "v.json")
    assert found["status"] == "holds" and found["exit_code"] == 0
    assert found["options"]["dimension"] == [3] and found["versions"]["jax"]
    assert found["verdicts"]["map"]["audited"] == 40


@pytest.mark.parametrize(
    "name, code, status",
    [
        ("right", 0, "holds"),
        ("wrong", 1, "violated"),
        ("lost", 3, "undecided"),
        ("silent", 3, "no certificate"),
    ],
)
def test_verify_script(script, capsys, name, code, status):
    x64 = jax.config.read("jax_enable_x64")
    assert main(["verify", f"mine.py:{name}", "--steps", "5"]) == code
    assert jax.config.read("jax_enable_x64") == x64
    [path] = (script.parent / "runs").iterdir()
    assert re.fullmatch(rf"verify-{name}-\d{{8}}-\d{{6}}\.json", path.name)
    assert strict(path)["status"] == status
    assert capsys.readouterr().out.split("\n\n")[-1].startswith(status)


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        ("adam", 0, "HOLDS: Adam: its hyper-parameters are those of the proof"),
        ("adam:0.99,beta2=0.9", 1, "VIOLATED: Adam: its hyper-parameters"),
        ("adamw:weight_decay=0.1", 3, "no certificate"),
        ("nesterov-sc --problem quadratic", 0, "measured/proved ≥ 1."),
        ("nesterov-sc:0.2 --problem quadratic", 1, "VIOLATED: NesterovSC: V₊ ≤ ρV"),
        ("schedule-free", 3, "A rate is proved for it, to a minimum: give"),
        ("cautious-decay:opt=signum,weight_decay=0.5", 0, "HOLDS: CautiousDecayLyap"),
        ("frank-wolfe:kappa=nuclear", 0, "HOLDS: FrankWolfe: exact"),
    ],
)
def test_verify_methods(here, capsys, arguments, code, words):
    rate = "0.5" if "quadratic" in arguments else "0.01"
    shape = "3 2" if "nuclear" in arguments else "3"
    words_ = f"verify {arguments} --dimension {shape} --steps 40 --learning-rate {rate}"
    assert main(words_.split()) == code
    assert words in capsys.readouterr().out


def test_verify_knows_every_optimizer():
    """What has no name here needs a function or has options of its own."""
    kind = dynax.AbstractOptimizer
    found = {
        v
        for k, v in vars(dynax.optim).items()
        if isinstance(v, type) and issubclass(v, kind) and k[0] != "_"
    }
    named = {v for v in _targets.optimizer_names().values() if isinstance(v, type)}
    assert {c.__name__ for c in found - named} == {
        "LionKappa",
        "Mixed",
        "OnlineSubspaceDescent",
        "Partition",
        "CautiousDecay",
        "CautiousDecayAdam",
        "CautiousDecayLyapunov",
    }


def test_verify_in_single_precision(script):
    arguments = "verify mine.py:right --steps 5 --precision 32 --json v.json"
    assert main(arguments.split()) == 0
    assert "float32" in strict(script.parent / "v.json")["verdicts"]["map"]["origin"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("vrfy", "command: given 'vrfy'; did you mean verify? accepted are"),
        ("verify", "TARGET: none given; accepted is lion-kappa, adam …, or FILE"),
        ("verify lion-kappa --stpes 3", "--stpes: not an argument of `dynax verify`"),
        ("verify lion-kappa --steps many", "--steps: given 'many'; accepted is INT"),
        ("verify lion-kappa --steps 0", "--steps: given 0; accepted is >= 1"),
        ("verify lion-kappa --precision 16", "--precision: given '16'; accepted"),
        ("verify lion-kappa --beta1 1.5", "--beta1: given 1.5; accepted is 0"),
        ("verify lion-kappa --weight-decay -1", "--weight-decay: given -1.0; accept"),
        ("verify lion-kappa --learning-rate 2", "accepted is ελ < 1 with decay="),
        ("verify lion-kappa --dimension 0", "--dimension: given (0,); accepted are"),
        ("verify lion-kappa --kappa hubert", "given 'hubert'; did you mean huber? acc"),
        ("verify lion", "given 'lion'; did you mean lion-kappa? accepted are"),
        ("verify adam --box 1", "--box: given '1'; accepted is LOW,HIGH"),
        ("verify adam --box 0,1", "--box: lower: given 1 numbers"),
        ("verify adam --class mu=1", "--class: given 'mu=1'; accepted is mu="),
        ("verify adam --class mu=1,L=9", "--class: opt: given Adam, whose update"),
        (
            "verify lion-kappa --kappa huber:-1",
            "--kappa: given 'huber:-1'; delta: given",
        ),
        ("verify lion-kappa --kappa huber:a=1", "accepted after : is delta"),
        ("verify lion-kappa --kappa l1:3", "accepted after : is none"),
        ("verify lion-kappa --kappa top-k:0", "k: given 0; accepted is an int >= 1"),
        (
            "verify lion-kappa --kappa log-sum-exp --weight-decay 0",
            "--weight-decay: given 0 with κ = LogSumExp",
        ),
        ("verify mine", "target: given 'mine'; accepted are accelerated-mirror, adag"),
        ("verify adam:b=1", "target: given 'adam:b=1'; accepted after : is beta1, b"),
        ("verify adam:1.5", "target: given 'adam:1.5'; beta1: given 1.5; accepted"),
        ("verify cautious:opt=x", "target: given 'x'; accepted are accelerated-mirro"),
        ("verify adam --kappa l1:1", "--kappa: given l1:1 with adam; accepted only"),
        ("verify gone.py:x", "target: given gone.py, which is not a file; accepted"),
        ("verify mine.py:gone", "mine.py has no attribute 'gone'; accepted: right,"),
        ("verify mine.py:number", "number of mine.py is a int; accepted is a dynax.S"),
        ("verify mine.py:raises", "raised RuntimeError: no (mine.py, line"),
        ("verify mine.py:vector", "raised ValueError: f(x): given"),
        ("verify mine.py:integers", "start: given int64; accepted are real floating"),
        ("verify mine.py:right --beta1 0.5", "--beta1: given 0.5 with mine.py:right"),
        ("verify bad.py:x", "importing bad.py raised SyntaxError"),
        ("verify lion-kappa --json mine.py", "--json: given mine.py, which exists"),
        ("claims --dir gone", "--dir: given gone, not a folder"),
        ("claims --dir empty", "--dir: given empty, which has none"),
        (
            "claims --dir lab --only 7",
            "--only: given 7; accepted are the claims and names",
        ),
        ("claims --dir lab --long --full", "--full: given with --long"),
        ("claims --dir lab --json mine.py", "--json: given mine.py, which exists"),
        (
            "report",
            "--dir: given experiments, not a folder; accepted is a folder of experim",
        ),
        ("report --out mine.py", "--out: given mine.py, which exists; accepted is"),
    ],
)
def test_bad_input_is_one_sentence(script, capsys, arguments, words):
    (script.parent / "bad.py").write_text("x = (\n")
    (script.parent / "empty").mkdir()
    add(script.parent / "lab", "good")
    kept = script.read_text(encoding="utf-8")
    assert main(arguments.split()) == 2
    assert words in sentence(capsys)
    assert script.read_text(encoding="utf-8") == kept
    assert not (script.parent / "runs").exists()


@pytest.mark.parametrize("command", ["", "verify", "claims", "report"])
def test_help_teaches(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert f"\n  dynax {command or 'verify lion-kappa --kappa huber:0.3'}" in out


def test_text_fits_a_narrow_terminal(monkeypatch, capsys, here):
    add(here, "good")
    monkeypatch.setenv("COLUMNS", "44")
    assert main(["sweep", "--help"]) == main(["claims", "--dir", ".", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 60
    prose = [line for line in lines if not re.match(r"usage|  dynax|      --", line)]
    assert max(map(len, prose)) <= 44


@pytest.mark.parametrize("command", ["", "verify", "claims", "report", "sweep"])
def test_help_is_plain(command, capsys):
    """Sentences of at most 25 words, none joined to the next by a semicolon."""
    assert main([*command.split(), "--help"]) == 0
    text = re.sub(r"^  .*|^usage.*|[│╭╰─╮╯]", "", capsys.readouterr().out, flags=re.M)
    for paragraph in re.split(r"\n\s*\n|^\s*--\S+.*$", text, flags=re.M):
        for sentence in re.split(r"(?<=[.:])\s", " ".join(paragraph.split())):
            assert ";" not in sentence and len(sentence.split()) <= 25, sentence


def test_every_kappa_can_be_named():
    assert {"l1", "linf", "top-k", "ky-fan", "group-l2", "support"} <= set(
        kappa_names()
    )
    for name in kappa_names():
        assert isinstance(make_kappa(name), AbstractKappa)
    made: Any = make_kappa
    assert made("huber:0.3").delta == 0.3
    assert made("top-k:k=3,scope=tree").scope == "tree"
    assert made("orthogonally-invariant:huber:0.3").vector_kappa.delta == 0.3


def test_support_from_a_file(here):
    (here / "sets.py").write_text("def ball(g):\n    return -g / abs(g)\n")
    assert isinstance(make_kappa("support:sets.py:ball"), Support)


# ------------------------------------------------------------------------- claims


def claims(here, *arguments, jobs=1):
    path = here / f"c{len(list(here.glob('c*.json')))}.json"
    command = ["claims", "--dir", "lab", "--json", str(path), "--jobs", str(jobs)]
    return main([*command, *arguments]), path


def test_claims_hold(here, capsys):
    add(here / "lab", "good")
    code, path = claims(here)
    assert code == 0
    out, err = capsys.readouterr()
    assert "2 of 2 claims hold; 1 of 1 controls rejected." in out
    assert re.search(r"└ 1z +control: c × 0.9", out)
    assert "good: started (1 of 1)" in err and "finished after" in err
    found = strict(path)
    [experiment] = found["experiments"]
    assert [c["measured"] for c in experiment["claims"]] == [0.25, None, 2.0]
    assert experiment["claims"][1]["spread"] == [0, 1]
    assert found["good"] is True and experiment["seeds"] == [0, 1]
    assert {"cpu", "cores", "device"} <= found["machine"].keys()
    assert "commit" in found and found["size"] == "quick"


@pytest.mark.parametrize("wrong", [{"holds": False}, {"reject": False}])
def test_claims_fail(here, capsys, wrong):
    add(here / "lab", "good")
    add(here / "lab", "worse", "2", **wrong)
    assert claims(here)[0] == 1
    assert ("✗ FAILS" if "holds" in wrong else "✗ NOT REJECTED") in capsys.readouterr()[
        0
    ]


def test_one_that_raises_does_not_stop_the_rest(here, capsys):
    add(here / "lab", "a_broken", body="raise ValueError('[boom]\\nmore')")
    add(here / "lab", "b_good", "2")
    (here / "lab" / "c_no_import.py").write_text("import not_a_package\n")
    (here / "lab" / "_shared.py").write_text("raise SystemExit\n")
    code, path = claims(here)
    assert code == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "a_broken.py: ValueError: [boom] (a_broken.py, line" in out
    assert "✗ FAILED" in out and "ModuleNotFoundError: No module" in out
    found = strict(path)
    assert [e["status"] for e in found["experiments"]] == [
        "failed",
        "finished",
        "failed",
    ]
    assert "Traceback" in found["experiments"][0]["traceback"]
    assert found["hold"] == 2


def test_side_by_side(here, capsys):
    """As one by one, each on a core of its own; an interrupt ends all."""
    cores = "import os, pathlib; pathlib.Path('{}').write_text(repr({}))"
    for name in "ac":
        where = cores.format(f"core-{name}", "getattr(os, 'sched_getaffinity')(0)")
        add(here / "lab", name, "1" if name == "a" else "3", body=where)
    add(here / "lab", "b", "2", body="raise ValueError('boom')")
    code, path = claims(here, jobs=2)
    out, err = capsys.readouterr()
    assert code == 1 and "b.py: ValueError: boom" in out
    assert re.findall(r"started \((\d) of 3\)", err) == ["1", "2", "3"]
    found = strict(path)
    statuses = [(e["name"], e["status"]) for e in found["experiments"]]
    assert statuses == [("a", "finished"), ("b", "failed"), ("c", "finished")]
    assert found["hold"] == 4 and found["rejected"] == 2
    assert all(len(eval((here / f"core-{n}").read_text())) == 1 for n in "ac")
    assert claims(here, jobs=-1)[0] == 2
    assert "--jobs: given -1" in capsys.readouterr().err


def test_interrupt_keeps_what_is_finished(here, capsys):
    add(here / "lab", "a_good")
    add(here / "lab", "b_long", "2", body="raise KeyboardInterrupt")
    add(here / "lab", "c_good", "3")
    (here / "README.md").write_text("<!-- results:begin --><!-- results:end -->")
    code, path = claims(here, "--record")
    assert code == 130
    out, err = capsys.readouterr()
    assert "not run: b_long, c_good" in out and "not recorded" in err
    found = strict(path)
    statuses = [e["status"] for e in found["experiments"]]
    assert statuses == ["finished", "interrupted", "not run"]
    assert len(found["experiments"][0]["claims"]) == 3 and found["good"] is False
    assert not (here / "lab" / "record.json").exists()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interrupt_of_the_process(here, jobs):
    add(here / "lab", "a_good")
    wait = "import threading, time; threading.Thread(target=time.sleep, args=(99,))"
    add(here / "lab", "b_long", "2", body=f"{wait}.start(); time.sleep(99)")
    code = "from dynax.cli import main; raise SystemExit(main())"
    where = ["--dir", "lab", "--json", "c.json", "--jobs", jobs]
    command = [sys.executable, "-c", code, "claims", *where]
    # a job in the background has Ctrl-C ignored, and its children with it
    listen = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, preexec_fn=listen, **pipes)
    assert process.stderr is not None
    for text in process.stderr:
        if "b_long: half way" in text or "b_long: started" in text:
            break
    time.sleep(0.5 if jobs == "1" else 4)  # a_good has ended
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)  # though a thread of it sleeps on
    assert process.returncode == 130 and "not run: b_long" in out
    assert strict(here / "c.json")["hold"] == 2


def test_only(here, capsys):
    add(here / "lab", "one", "1")
    add(here / "lab", "two", "12")
    code, path = claims(here, "--only", "1a", "1z")
    assert code == 0
    found = strict(path)["experiments"]
    assert [(e["name"], [c["id"] for c in e["claims"]]) for e in found] == [
        ("one", ["1a", "1z"])
    ]
    code, path = claims(here, "--only", "two", "1")
    found = strict(path)["experiments"]
    assert [len(e["claims"]) for e in found] == [3, 3]
    add(here / "lab", "three", "3", body='"two, three and four"')
    _, path = claims(here, "--only", "two")  # the file, not what speaks of it
    assert [e["name"] for e in strict(path)["experiments"]] == ["two"]
    assert matches("2a", "2") and matches("2", "2") and not matches("20", "2")


def test_a_size_an_experiment_lacks_is_not_run(here, capsys):
    add(here / "lab", "good")
    code, path = claims(here, "--full")
    assert code == 1  # nothing was measured
    assert "has no size full (it has quick, long)" in capsys.readouterr().out
    assert strict(path)["experiments"][0]["status"] == "not run"


def test_nothing_is_overwritten(here):
    add(here / "lab", "good")
    for _ in range(3):  # within a second
        assert main(["claims", "--dir", "lab"]) == 0
    written = list((here / "runs").iterdir())
    assert len(written) == 3 and all(strict(p)["good"] for p in written)


def test_record_and_pages(here, capsys):
    add(here / "lab", "good")
    (here / "docs" / "reference").mkdir(parents=True)
    head, tail = "# Mine\n\nkept\n\n", "\n\nkept too\n"
    readme, page = here / "README.md", here / "docs" / "reference" / "results.md"
    old = "<!-- results:begin 1a -->\noutdated\n<!-- results:end -->"
    readme.write_text(head + old + tail, encoding="utf-8")
    assert claims(here, "--record")[0] == 0
    text = readme.read_text(encoding="utf-8")
    assert "| [1a](experiments/good.py): x \\| y | ✓ 0.25 (quick) | ≤ 1 |" in text
    add(here / "lab", "good", holds=False)
    assert claims(here, "--record", "--long")[0] == 1

    record = strict(here / "lab" / "record.json")
    assert [run["size"] for run in record["runs"]] == ["quick", "long"]
    first = record["runs"][0]
    assert (
        first["claims"][0]["seeds"] == [0, 1] and first["claims"][0]["spread"] is None
    )
    assert {"machine", "versions", "commit", "date", "seconds"} <= first.keys()

    text = readme.read_text(encoding="utf-8")
    assert text.startswith(head + "<!-- results:begin 1a -->") and text.endswith(tail)
    assert "outdated" not in text and "✗ 0.25 (long)" in text
    text = page.read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert rows[0] == "| Claim | Statement | Threshold | long | Detail |"
    link = "[1a](../../experiments/good.py)"
    assert f"| {link} | x \\| y | ≤ 1 | ✓ 0.25 [2] |  |" in rows
    assert f"| {link} | x \\| y | ≤ 0.1 |  | ✗ **FAILS** 0.25 [1] |" in rows
    control = [row for row in rows if row.startswith("| ↳ [1z]")]
    assert "| *control:* c × 0.9 | ≥ 1 | ✓ 2 [2] | ✓ 2 [1] |" in control[0]
    assert "- [1] size long, " in text and "- [2] size quick, " in text

    # an experiment that is no longer there leaves the pages, not the record
    (here / "lab" / "good.py").unlink()
    add(here / "lab", "other", "5")
    readme.write_text("no place for a table", encoding="utf-8")
    capsys.readouterr()
    assert claims(here, "--record")[0] == 0
    assert "not renewed: " in capsys.readouterr().out
    assert readme.read_text(encoding="utf-8") == "no place for a table"
    text = page.read_text(encoding="utf-8")
    assert "other.py" in text and "good.py" not in text


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_table_fits_the_terminal(here, capsys, monkeypatch, columns):
    add(here / "lab", "good")
    monkeypatch.setenv("COLUMNS", str(columns))
    assert claims(here)[0] == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if "written to" not in line]
    assert max(map(len, table)) <= columns
    assert sum("✓" in line for line in table) == 3


def test_command_without_its_extra(tmp_path):
    """A fresh process in which tyro cannot be imported."""
    block = "import sys; sys.modules['tyro'] = None; sys.argv = ['dynax', '--help']"
    code = f"{block}; from dynax.__main__ import main; raise SystemExit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert 'pip install "dynax-lab[cli]"' in done.stderr


def test_version_and_bare_command(capsys):
    assert main(["--version"]) == 0
    assert re.match(r"dynax \d+\.\d+", capsys.readouterr().out)
    assert main([]) == 0
    assert "dynax verify lion-kappa" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, words",
    [
        ("[]", "is not a record; accepted is"),
        (
            '{"runs": [{"size": "quick"}]}',
            "another version of dynax, without 'machine'",
        ),
    ],
)
def test_a_broken_or_old_record_is_left_alone(here, capsys, text, words):
    add(here / "lab", "good")
    (here / "lab" / "record.json").write_text(text)
    assert claims(here, "--record")[0] == 2
    assert words in sentence(capsys)
    assert (here / "lab" / "record.json").read_text() == text


# ------------------------------------------------------------------------- report


def test_an_old_report_is_kept(here, capsys, monkeypatch):
    """A new report beside it, and one sentence where it would be overwritten."""
    monkeypatch.chdir(here)
    monkeypatch.setenv("TERM", "dumb")  # no colour either
    add(here / "lab", "good")
    old = here / "reports" / "old.html"
    old.parent.mkdir()
    old.write_text("old")
    assert main(["report", "--dir", "lab"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and old.read_text() == "old"
    assert pathlib.Path(out.splitlines()[-1].removeprefix("Report: ")).is_file()
    assert main(["report", "--dir", "lab", "--out", str(old)]) == 2
    assert "which exists" in sentence(capsys)


def test_report(here, capsys):
    add(here / "experiments", "good")
    assert main(["report"]) == 0
    out = capsys.readouterr().out
    name = out.rstrip().splitlines()[-1].removeprefix("Report: ")
    path = pathlib.Path(name)
    assert path.is_absolute() and path.parent == here / "reports"
    page = path.read_text(encoding="utf-8")
    assert "Title of good" in page and "Two sentences. The second one." in page
    assert 'aria-label="a line"' in page and "All claims hold" in page
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_report_of_failures(here, capsys):
    add(here / "experiments", "bad", body="raise ValueError('boom')")
    assert main(["report", "--out", "r.html"]) == 1
    page = (here / "r.html").read_text(encoding="utf-8")
    assert "ValueError: boom" in page and "Not everything holds" in page
    assert capsys.readouterr().out.rstrip().endswith(f"Report: {here / 'r.html'}")


def test_verify_certifies_a_box_and_a_class(tmp_path, monkeypatch, capsys):
    """The same target with other evidence; the file of verdicts says which."""
    monkeypatch.chdir(tmp_path)
    box = ["verify", "heavy-ball", "--dimension", "1", "--box=-1,1;-1,1"]
    assert main([*box, "--json", "box.json"]) == 0
    found = json.loads((tmp_path / "box.json").read_text())
    assert found["verdicts"]["box"]["evidence"] == "box"
    assert found["verdicts"]["box"]["covered"] == 1
    rate = ["verify", "gradient-descent", "--learning-rate", "0.1"]
    assert main([*rate, "--class", "mu=1,L=10"]) == 0
    assert "0.9000" in capsys.readouterr().out
    # a step that is too long for the class: nothing is found, nothing is claimed
    assert main([*rate[:2], "--learning-rate", "0.3", "--class", "mu=1,L=10"]) == 3


NOISY = """
import jax, jax.numpy as jnp, dynax as dx
rows = jax.random.normal(jax.random.key(0), (200, 8, 2)) + 1.0
far = lambda x, rows: jnp.sqrt(1 + jnp.sum((rows - x[None]) ** 2, axis=-1))
system = lambda f, **more: dx.System(dx.GradientDescent(), f, jnp.zeros(2), **more)
noisy = system(lambda x, rows: jnp.mean(far(x, rows)), batches=rows)
worst = system(lambda x, rows: jnp.max(far(x, rows)), batches=rows)
plain = system(lambda x: jnp.sum(x**2))
"""


def test_verify_certifies_in_expectation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(NOISY)
    assert main(["verify", "my.py:noisy", "--sequential", "--json", "v.json"]) == 0
    found = json.loads((tmp_path / "v.json").read_text())
    assert found["verdicts"]["sequential"]["evidence"] == "sequential"
    assert main(["verify", "my.py:plain", "--sequential"]) == 2
    assert "given no batches" in capsys.readouterr().err
    assert main(["verify", "my.py:worst", "--sequential"]) == 2
    assert "in the mean over its examples" in capsys.readouterr().err
    assert main(["verify", "my.py:noisy", "--sequential", "--box", "0,1"]) == 2
    assert "accepted is one of the two" in capsys.readouterr().err
