"""All studies, read without running them: what is claimed, by which bound, and why."""

import json
import math
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import dynax as dx
from dynax.claim import (
    Claim,
    Control,
    Measured,
    at_least,
    at_most,
    equals,
    largest,
    smallest,
)
from dynax.lyapunov import Check, ledger_row
from dynax.study import Results, Study, studies
from experiments.pinn import _study


FOLDER = pathlib.Path(__file__).parents[1] / "experiments"


@pytest.mark.parametrize(
    "bound, met, missed, text",
    [
        (at_most(1e-9, "round-off"), [0, 1e-9, -5], [1.1e-9, math.nan], "≤ 1e-09"),
        (at_least(3, "published"), [3, math.inf], [2.9, -math.inf, math.nan], "≥ 3"),
        (equals(0, "a count"), [0, -0.0], [1e-300, 5.0, math.nan], "= 0"),
    ],
)
def test_bounds(bound, met, missed, text):
    assert all(bound.met(v) for v in met)
    assert not any(bound.met(v) for v in missed)
    assert str(bound) == text and bound.why
    with pytest.raises(ValueError, match="given NaN"):
        at_most(math.nan, "no number")


def example(runs):
    def part(name, value):
        def compute(results):
            runs.append(name)
            results.tell(0.5, f"half of {name}")
            return value if name != "c" else results["a"] + value

        return compute

    measured = Measured(2.0, "of b", (1.0, 2.0))
    return Study(
        title="Three parts",
        source="a paper",
        sizes={"quick": None},
        parts={"a": part("a", 1.0), "b": part("b", 2.0), "c": part("c", 3.0)},
        claims=[
            Claim("1", "a is one", equals(1, "by definition"), lambda r: r["a"]),
            Claim("2", "b is small", at_most(1, "a model"), lambda r: measured),
            Control("2x", "c", at_least(4, "twice b"), lambda r: r["c"], of="2"),
        ],
        name="three",
    )


def test_only_what_is_read_is_run():
    """Listing runs nothing; a claim runs the parts it reads, each once."""
    runs, told = [], []
    study = example(runs)
    assert [c.id for c in study.listed(None)] == ["1", "2", "2x"] and not runs
    results = Results(study, None, lambda share, text: told.append((share, text)))
    [found] = study.judge(results, lambda id: id == "1")
    assert runs == ["a"] and found.holds and found.source == "a paper"
    one, two, control = study.judge(results)
    assert runs == ["a", "c"] and set(results.found) == {"a", "c"}
    assert not two.holds and two.verdict == "FAILS" and two.spread == (1.0, 2.0)
    assert control.holds and control.control and control.of == "2"
    assert control.verdict == "rejected (expected)"
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    assert (two.threshold, two.why, two.detail) == ("≤ 1", "a model", "of b")
    assert json.loads(json.dumps(control.to_dict()))["verdict"] == control.verdict


def test_a_module_has_a_study_or_says_so(tmp_path):
    module = type(sys)("anything")
    module.__file__ = str(tmp_path / "anything.py")
    with pytest.raises(TypeError, match="STUDY: given none; accepted is"):
        studies(module)
    module.STUDY = [example([]), "no study"]
    with pytest.raises(TypeError, match="STUDY: given list"):
        studies(module)


def test_a_ledger_that_cannot_be_judged_is_a_check_that_fails():
    """A march that never got there has a ledger of NaN: nothing is violated in it."""

    def judged(energy):
        checks = {"conserved": Check(1 + 0 * energy, 1e-6 + 0 * energy)}
        rows = ledger_row(jnp.arange(3), energy, 0 * energy, checks)
        return {"E, network": dx.verdict(rows, "E is conserved")}

    assert _study.failing(judged(jnp.ones(3)), "network").value == 0
    assert _study.failing(judged(jnp.full(3, jnp.nan)), "network").value == 1


CODE = """
import json, pathlib, sys, time
from dynax.cli import _experiments
begun = time.monotonic()
rows = []
for place, study, _ in _experiments.catalogue(pathlib.Path(sys.argv[1])):
    for size, config in study.sizes.items():
        for claim in study.listed(config):
            rows.append([
                place.name, size, claim.id, getattr(claim, "of", ""),
                claim.statement, claim.bound.value, claim.bound.why, claim.bound.loose,
            ])
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def listed():
    """Every claim at every size, read in a process of its own."""
    command = [sys.executable, "-c", CODE, str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_claim_is_one_that_can_fail(listed):
    """Unique ids, a reason for each bound, a control for each claim of a study."""
    wrong = []
    owner = {}
    for name, _, id, _, statement, value, why, _ in listed:
        if owner.setdefault(id, name) != name:
            wrong.append(f"{id} is in {owner[id]} and in {name}")
        if not statement or not why or math.isnan(value):
            wrong.append(f"{name}, {id}: no statement, bound or reason")
    for name, size in {(row[0], row[1]) for row in listed}:
        rows = [row for row in listed if row[:2] == [name, size]]
        ids = [row[2] for row in rows]
        claims = {row[2] for row in rows if not row[3]}
        if len(set(ids)) < len(ids):
            wrong.append(f"{name}, {size}: an id twice")
        wrong += [
            f"{name}, {size}: {row[2]} guards {row[3]}, which is not a claim of it"
            for row in rows
            if row[3] and row[3] not in claims
        ]
        stem = lambda id: id.rstrip("abcdefghijklmnopqrstuvwxyz")
        guarded = {stem(row[3]) for row in rows if row[3]}
        wrong += [
            f"{name}, {size}: nothing guards {id}"
            for id in claims
            if stem(id) not in guarded
        ]
    assert not wrong, "\n".join(wrong)


def test_bounds_are_near_what_is_measured(listed):
    """A bound a factor 10⁴ from the recorded value would not see a bug; or says why."""
    record = json.loads((FOLDER / "record.json").read_text(encoding="utf-8"))
    last = {
        (c["experiment"], run["size"], c["id"]): c["measured"]
        for run in record["runs"]
        for c in run["claims"]
    }
    wrong = []
    for name, size, id, _, _, value, _, loose in listed:
        measured = last.get((name, size, id))
        if measured in (None, 0) or value == 0 or loose:
            continue
        if (
            np.sign(measured) == np.sign(value)
            and abs(math.log10(measured / value)) > 4
        ):
            wrong.append(f"{name}, {size}, {id}: {measured:.1e} against {value:.1e}")
    assert not wrong, "\n".join(wrong)


def test_extremes():
    """Of arrays, and of arrays by name; a NaN is not passed over."""
    found = largest({"a": np.ones((2, 2)), "b": [0.0, 3.0]}, "of two")
    assert found == Measured(3.0, "at b; of two", (0.0, 3.0))
    assert smallest(np.array([2.0, 1.0])) == Measured(1.0, "", (1.0, 2.0))
    assert math.isnan(float(largest([1.0, math.nan, 2.0]).value))
