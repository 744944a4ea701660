"""The report on all experiments: what holds first, the details folded."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dynax.report._html import (
    banner,
    escape,
    figure_html,
    page,
    text_html,
    verdict_html,
)
from dynax.report._margins import margins_figure
from dynax.report._outcome import Outcome, Summary, arrange, is_control, number


GUIDE = """<p class="guide">Each line below the figure is an experiment; click it for
its details. A <b>claim</b> is a sentence of a paper with a threshold. It holds if the
measured number meets the threshold. A <b>control</b> is a claim made wrong on purpose.
It must be rejected: otherwise the check could not fail. A <b>verdict</b> says whether
every audited step of one run keeps the claimed balance of energy. The verdict of a
control is expected not to hold. <i>Undecided</i> means that the numbers could not have
shown an error.</p>"""
HERO = (
    "How far each measured number is from its threshold. Claims belong to the left of "
    "the line and controls to the right of it."
)


def document(
    outcomes: Sequence[Outcome],
    facts: Mapping[str, Any],
    *,
    title: str = "dynax report",
) -> str:
    """Write the whole report as one string of HTML.

    Args:
        outcomes: one per experiment, in the order they are shown.
        facts: what the footer lists: machine, versions, commit, date, duration.
        title: of the page.
    """
    summary = Summary.of(outcomes)
    headline = "All claims hold" if summary.good else "Not everything holds"
    hero = ""
    if any(o.claims for o in outcomes):
        hero = figure_html(margins_figure(outcomes), HERO, "margins")
    sections = "\n".join(_experiment(o, k) for k, o in enumerate(outcomes))
    head = banner(headline, f"{summary}.", summary.good)
    return page(title, head, f"{GUIDE}\n{hero}\n{sections}", facts)


def _experiment(outcome, index):
    """One line; a click, or a failure, opens what is behind it."""
    mark, mood, said = "–", "absent", outcome.mark[2:]
    if outcome.status != "not run":
        one = Summary.of([outcome])
        mark, mood = ("✓", "ok") if one.good else ("✗", "wrong")
        said = str(one) if outcome.status == "finished" else said
    counts = [said, *_counts(outcome)]
    title = escape(outcome.title or outcome.name)
    return (
        f'<details class="experiment {mood}"{" open" * (mood == "wrong")}>'
        f'<summary><span class="v">{mark}</span> <b>{title}</b> '
        f'<span class="said">{escape("; ".join(counts))}</span></summary>'
        f'<section id="experiment-{index}">{_details(outcome, index)}</section>'
        "</details>"
    )


def _counts(outcome):
    for control in (False, True):
        named = outcome.verdicts.items()
        found = [v.status for name, v in named if is_control(name, v) == control]
        counts = [f"{found.count(s)} {s}" for s in dict.fromkeys(found)]
        if counts:
            of = "verdicts on controls" if control else "verdicts"
            yield f"{of}: {', '.join(counts)}"


def _details(outcome, index):
    figures = "".join(
        figure_html(figure, caption, f"f{index}-{k}")
        for k, (caption, figure) in enumerate(outcome.figures.items())
    )
    verdicts = "".join(verdict_html(v, name) for name, v in outcome.verdicts.items())
    if verdicts:
        verdicts = f"<h3>Verdicts</h3>{verdicts}"
    error = (
        f'<p class="banner bad">{escape(outcome.error)}</p>' if outcome.error else ""
    )
    source = f'<p class="source">{text_html(outcome.source)}</p>'
    return (
        f"{source if outcome.source else ''}{_prose(outcome.summary)}{error}"
        f"{_table(outcome)}{figures}{verdicts}"
        f'<p class="took">{escape(outcome.file or outcome.name)}: '
        f"{outcome.seconds:.1f} s</p>"
    )


def _table(outcome):
    if not outcome.claims:
        return ""
    rows = "".join(map(_row, arrange(outcome.claims)))
    return f"""<table class="claims">
<thead><tr><th>Claim</th><th>Statement</th><th class="n">Measured</th>
<th>Threshold</th><th>Verdict</th></tr></thead>
<tbody>{rows}</tbody></table>"""


def _row(claim):
    mood = ("ok" if claim.holds else "wrong") + (" control" if claim.control else "")
    mark = "✓" if claim.holds else "✗"
    spread = ""
    if claim.spread is not None:
        low, high = map(number, claim.spread)
        spread = f'<span class="spread">{low} … {high}</span>'
    label = '<span class="tag">control</span> ' if claim.control else ""
    detail = f'<span class="detail">{text_html(claim.detail)}</span>'
    return (
        f'<tr class="{mood}"><td class="id">{escape(claim.id)}</td>'
        f'<td class="s">{label}{text_html(claim.statement)}'
        f"{detail if claim.detail else ''}</td>"
        f'<td class="n">{number(claim.measured)}{spread}</td>'
        f'<td class="t">{text_html(claim.threshold)}</td>'
        f'<td class="v">{mark}&nbsp;{escape(claim.verdict)}</td></tr>'
    )


def _prose(text):
    """A docstring: paragraphs, and indented blocks kept as they stand."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text)) if text.strip() else []
    return "".join(
        f"<pre>{escape(inspect.cleandoc(block))}</pre>"
        if re.match(r"[ \t]", block)
        else f"<p>{text_html(block)}</p>"
        for block in (b.strip("\n") for b in blocks)
    )
