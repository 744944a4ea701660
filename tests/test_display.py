"""What a REPL and a notebook show of results, and rows collected from a loop."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx


def loss(x):
    return jnp.sum((x - 2.0) ** 2)


@pytest.fixture(scope="module")
def seen():
    """The state after 50 audited steps, and their rows stacked by a scan."""
    tx = dx.as_optax(dx.LionKappa(weight_decay=0.5), 1e-2, every=1)

    def step(carry, _):
        x, state = carry
        value, grad = jax.value_and_grad(loss)(x)
        update, state = tx.update(grad, state, x, value=value, value_fn=loss)
        return (x + update, state), optax.tree.get(state, "ledger")

    def run(x):
        (_, state), rows = jax.lax.scan(step, (x, tx.init(x)), length=50)
        return state, rows

    return jax.jit(run)(jnp.zeros(5))


def at(rows, index):
    return jax.tree.map(lambda a: a[index], rows)


def test_one_line_each(seen):
    state, rows = seen
    verdict = dx.verdict(rows, "Lion: exact energy balance")
    row = at(rows, 3)
    result = dx.verify.__globals__["Result"]({"map": verdict}, rows)
    shown = [repr(r) for r in (rows, row, state.tally, verdict, result)]
    for text in shown:
        assert "\n" not in text and len(text) < 300, text
    assert re.match(
        r"Ledger of 50 rows, steps 0 to 49: H \S+ → \S+; checks: ", shown[0]
    )
    assert shown[1].startswith("Ledger row of step 3: H ")
    assert shown[2].startswith("Tally of 50 rows: 0 violations of 9 checks")
    assert shown[3].startswith("<Verdict holds: 'Lion: exact energy balance'; 50 rows")
    assert shown[4].startswith("<Result holds: map (map holds)")
    start, end = (float(n) for n in re.findall(r"H (\S+) → (\S+);", shown[0])[0])
    assert np.isclose(start, float(rows.energy[0]), rtol=1e-3) and end < start


def test_a_notebook_gets_html(seen):
    state, rows = seen
    verdict = dx.verdict(rows, "a < b & c")
    page = verdict._repr_html_()
    assert "holds" in page and "a &lt; b &amp; c" in page and "<b &" not in page
    assert rows._repr_html_().count("<tr>") == 1 + 11  # head, 5 + … + 5
    assert len(rows._repr_html_()) < 4000 and "defect" in rows._repr_html_()
    bare = rows._replace(predicted=None, defect=None)  # as of a field
    assert "<tr>" in bare._repr_html_() and "defect" not in bare._repr_html_()
    assert state.tally._repr_html_().count("<tr>") == 1 + len(state.tally.counts)


def test_nothing_fails_on_what_is_no_number(seen):
    state, rows = seen
    texts = []

    @jax.jit
    def traced(rows, tally):
        texts.extend([repr(rows), rows._repr_html_(), repr(tally), tally._repr_html_()])
        return rows.step

    traced(rows, state.tally)
    jax.vmap(lambda r: texts.append(repr(r)) or r.step)(rows)
    for tree in (rows, state.tally):
        for kind in (
            lambda a: None,
            lambda a: "x",
            lambda a: jax.ShapeDtypeStruct((2,), int),
        ):
            other = jax.tree.map(kind, tree)
            texts += [repr(other), other._repr_html_()]
    assert all(texts) and texts[0].startswith("Ledger(step=int")
    none = at(rows, slice(0))
    assert repr(none).startswith("Ledger of no rows") and none._repr_html_()
    many = jax.tree.map(lambda a: jnp.stack([a, a]), (rows, state.tally))
    assert repr(many[0]).startswith("Ledger of 2 × 50 rows")
    assert repr(many[1]).startswith("Tally of 100 rows in 2 tallies")


def test_a_recorder_has_the_rows_of_the_loop(seen):
    state, rows = seen
    recorder = dx.Recorder()
    for k in range(49):
        recorder.add(at(rows, k))
    recorder.add({"nested": (optax.EmptyState(), state)})  # its last row is number 49
    assert len(recorder) == 50 and repr(recorder) == "Recorder of 50 rows"
    leaves = zip(*map(jax.tree.leaves, (recorder.ledger, rows)), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in leaves)


def test_repeats_are_left_out(seen):
    _, rows = seen
    kept = jnp.repeat(jnp.arange(0, 50, 10), 10)  # as of a state with every=10
    recorder = dx.Recorder()
    recorder.add(at(rows, kept))
    recorder.add(at(rows, kept[-1]))
    assert list(recorder.ledger.step) == [0, 10, 20, 30, 40]
    assert dx.verdict(recorder.ledger, "thinned").audited == 5
    assert dx.verdict(at(rows, kept), "with repeats").audited == 50


def test_what_a_recorder_refuses(seen):
    state, rows = seen
    recorder = dx.Recorder()
    with pytest.raises(ValueError, match="given no row"):
        recorder.ledger  # noqa: B018
    with pytest.raises(ValueError, match="without a ledger; accepted is the state of"):
        recorder.add(optax.sgd(0.1).init(jnp.zeros(3)))
    with pytest.raises(ValueError, match=r"shape \(2, 50\)"):
        recorder.add(jax.tree.map(lambda a: jnp.stack([a, a]), rows))
    recorder.add(state)
    with pytest.raises(ValueError, match="accepted are rows in order"):
        recorder.add(rows)


def test_plot_shows_itself(seen):
    pytest.importorskip("matplotlib")
    state, rows = seen
    recorder = dx.Recorder()
    recorder.add(rows)
    for what in (rows, recorder):
        figure = dx.plot(what, title="H of Lion")
        assert figure._repr_png_().startswith(b"\x89PNG")
        assert figure.axes[0].get_title(loc="left") == "H of Lion"
    with pytest.raises(TypeError, match="given Tally; accepted is a Ledger"):
        dx.plot(state.tally)


def test_importing_dynax_needs_no_matplotlib():
    code = """
import sys, dynax as dx
assert not any(m.split(".")[0] == "matplotlib" for m in sys.modules)
sys.modules["matplotlib"] = None  # as if it were not installed
print(dx.Recorder())
try:
    dx.plot
except ImportError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = "dx.plot: needs matplotlib; run: pip install 'dynax-lab[cli]'"
    assert done.stdout.splitlines() == ["Recorder of 0 rows", said]
