"""How results look: one line in a REPL, a table in a notebook.

Nothing here fails on traced, abstract or replaced leaves: they are named by their kind.
"""

import html
import math
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jax.core import Tracer


SHOWN = 5  # rows at either end of a long ledger
COLUMNS = ("step", "energy", "change", "predicted", "defect", "scale")
COLORS = {"holds": "#009e73", "violated": "#d55e00"}


def concrete(tree: Any) -> bool:
    """Whether all leaves are numbers that can be shown."""
    kinds = (jax.Array, np.ndarray, np.generic, int, float)
    known = lambda a: isinstance(a, kinds) and not isinstance(a, Tracer)
    return all(map(known, jax.tree.leaves(tree, is_leaf=lambda a: a is None)))


def kind(leaf: Any) -> str:
    """A leaf in words: `int32[50]`, or the name of its type."""
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    return type(leaf).__name__


def ledger_line(rows: Any) -> str:
    """How many rows, of which steps, what H did, and which checks there are."""
    names = f"; checks: {', '.join(rows.checks) or 'none'}"
    if not concrete(_columns(rows)):
        return f"Ledger(step={kind(rows.step)}, energy={kind(rows.energy)}{names})"
    used = _used(rows)
    if not len(used["step"]):
        return f"Ledger of no rows{names}"
    first, last = ({k: v[i] for k, v in used.items()} for i in (0, -1))
    if np.ndim(rows.step) == 0:
        of = f"row of step {first['step']}: H {_g(first['energy'])}"
        return f"Ledger {of}, change {_g(first['change'])}{names}"
    shape = " × ".join(map(str, np.shape(rows.step)))
    if np.ndim(rows.step) == 1:
        shape = str(len(used["step"]))
    end = last["energy"] + last["change"]
    steps = f"steps {first['step']} to {last['step']}"
    return (
        f"Ledger of {shape} rows, {steps}: H {_g(first['energy'])} → {_g(end)}{names}"
    )


def ledger_table(rows: Any) -> str:
    """The line, and the first and last rows as an HTML table."""
    line = ledger_line(rows)
    if not concrete(_columns(rows)):
        return f"<p>{html.escape(line)}</p>"
    used = _used(rows)
    count = len(used["step"])
    at: list[int | None] = [*range(count)]
    if count > 2 * SHOWN:
        at = [*range(SHOWN), None, *range(count - SHOWN, count)]
    text = lambda name, k: str(used[name][k]) if name == "step" else _g(used[name][k])
    body = [["…" if k is None else text(n, k) for n in used] for k in at]
    return _table(line, used, body)


def tally_line(tally: Any) -> str:
    """How many rows and violations, summed over whatever axes there are."""
    if not concrete(tally):
        return (
            f"Tally(audited={kind(tally.audited)}, checks: {', '.join(tally.counts)})"
        )
    shape = np.shape(tally.audited)
    of = f" in {' × '.join(map(str, shape))} tallies" if shape else ""
    total = lambda a: int(np.sum(np.asarray(a)))
    violations = sum(total(c.violations) for c in tally.counts.values())
    return (
        f"Tally of {total(tally.audited)} rows{of}: {violations} violations of "
        f"{len(tally.counts)} checks; H rose on {total(tally.rises)}"
    )


def tally_table(tally: Any) -> str:
    """The line, and one row a check as an HTML table."""
    line = tally_line(tally)
    if not concrete(tally) or np.shape(tally.audited):
        return f"<p>{html.escape(line)}</p>"
    head = ("check", "rows", "could see", "violations", "worst, in tolerances")
    body = [
        [name, str(c.rows), str(c.seen), str(c.violations), _g(c.worst)]
        for name, c in tally.counts.items()
    ]
    return _table(line, head, body)


def details(status: str, title: str, text: str) -> str:
    """A coloured status and a title; a click opens the text."""
    style = f"background:{COLORS.get(status, '#777')};color:white;padding:1px 6px"
    badge = f'<span style="{style};border-radius:4px">{html.escape(status)}</span>'
    return (
        f"<details><summary>{badge} {html.escape(title)}</summary>"
        f"<pre>{html.escape(text)}</pre></details>"
    )


def _columns(rows: Any) -> dict[str, Any]:
    """The columns that are shown; some ledgers predict nothing, and have no defect."""
    found = {name: getattr(rows, name) for name in COLUMNS}
    return {k: v for k, v in found.items() if v is not None or k in COLUMNS[:3]}


def _used(rows: Any) -> dict[str, np.ndarray]:
    """The same of the rows that were audited."""
    step = np.ravel(np.asarray(rows.step))
    return {k: np.ravel(np.asarray(v))[step >= 0] for k, v in _columns(rows).items()}


def _g(value: Any) -> str:
    return f"{float(value):.4g}"


def _table(title: str, head: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    cells = lambda row, tag: "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in row)
    rows = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    return (
        f"<p>{html.escape(title)}</p><table><thead><tr>{cells(head, 'th')}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def with_error(value: Any, error: Any) -> str:
    """0.902(6): a number, and its error in units of its last digit."""
    value, error = float(value), float(error)
    minus = "−" if math.copysign(1, value) < 0 else ""
    value = abs(value)
    if not (math.isfinite(value) and math.isfinite(error)):
        value = (
            "∞" if math.isinf(value) else "?" if math.isnan(value) else f"{value:.3g}"
        )
        return f"{minus}{value}(?)"
    if error == 0:
        return f"{minus}{value:.6g}(0)"
    places = max(0, -math.floor(math.log10(error)))
    digit = round(error * 10**places)
    if digit == 10:
        places, digit = max(0, places - 1), 1 if places else 10
    return f"{minus}{value:.{places}f}({digit})"
