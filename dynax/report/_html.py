"""One HTML file: no network, no scripts, readable on paper and in the dark."""

import base64
import html
import inspect
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.animation import Animation
from matplotlib.figure import Figure

from dynax.lyapunov import Verdict
from dynax.report._css import CSS
from dynax.report._movie import movie_html
from dynax.report._outcome import Outcome, Summary, arrange, number
from dynax.report._style import STYLE


LARGEST_SVG = 500_000  # characters; above, the figure is embedded as a PNG

escape = html.escape


def document(
    outcomes: Sequence[Outcome],
    facts: Mapping[str, Any],
    *,
    title: str = "dynax report",
) -> str:
    """The whole report as one string.

    Args:
        outcomes: one per experiment, in the order they are shown.
        facts: what the footer lists: machine, versions, commit, date, duration.
        title: of the page.
    """
    summary = Summary.of(outcomes)
    sections = "\n".join(_section(o, k) for k, o in enumerate(outcomes))
    headline = "All claims hold" if summary.good else "Not everything holds"
    return page(
        title,
        banner(headline, f"{summary}.", summary.good),
        f"{_overview(outcomes)}\n{_table(outcomes)}\n{sections}",
        facts,
    )


def page(title: str, head: str, body: str, facts: Mapping[str, Any]) -> str:
    """The frame of every page.

    Args:
        title: as text.
        head: what stands right below it, as HTML.
        body: the rest, as HTML.
        facts: what the footer lists.
    """
    rows = "".join(
        f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
<main>
<header>
<h1>{escape(title)}</h1>
{head}
</header>
{body}
<footer><h2>How this was made</h2><dl>{rows}</dl></footer>
</main>
</body>
</html>
"""


def banner(headline: str, rest: str, good: bool) -> str:
    """What the page comes to, in a coloured box."""
    mood = "good" if good else "bad"
    said = f"<strong>{escape(headline)}.</strong> {escape(rest)}"
    return f'<p class="banner {mood}">{said}</p>'


def verdict_html(verdict: Verdict, name: str = "") -> str:
    """A verdict that opens on a click: its status and claim, then the whole text."""
    label = f"<b>{escape(name)}</b> " if name else ""
    badge = verdict.status.replace(" ", "-")
    return (
        f'<details class="verdict"><summary><span class="badge {badge}">'
        f"{escape(verdict.status)}</span> {label}{escape(verdict.claim)}</summary>"
        f"<pre>{escape(str(verdict))}</pre></details>"
    )


def figure_html(figure: Figure | Animation, caption: str, prefix: str) -> str:
    """A figure with its caption, as an SVG or, if large, a PNG; an animation as a GIF.

    `prefix` keeps its ids apart from other figures'.
    """
    moves = isinstance(figure, Animation)
    image = movie_html(figure, caption) if moves else _image(figure, caption, prefix)
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _image(figure, caption, prefix):
    with matplotlib.rc_context(STYLE):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
        svg = out.getvalue()
        if len(svg) > LARGEST_SVG:
            png = io.BytesIO()
            figure.savefig(png, format="png", dpi=160)
            data = base64.b64encode(png.getvalue()).decode()
            alt = escape(caption, quote=True)
            return f'<img alt="{alt}" src="data:image/png;base64,{data}">'
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\g<1>#{prefix}-", svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    svg = re.sub(r'\b(d|x|y)="[^"]*"', lambda m: _shorter(m.group()), svg)
    name = escape(caption, quote=True)
    opening = f'<svg role="img" aria-label="{name}"'
    return svg.replace("<svg", opening, 1)


def _shorter(attribute):
    """Coordinates to a hundredth of a point."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute)


def _text(text):
    """Escaped, `code` as code, and numbers like 1e-9 kept in one piece."""
    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"[−-]?\d[\d.]*e[−-]\d+", r'<span class="w">\g<0></span>', text)


def _overview(outcomes):
    """One line an experiment, for those who read no further."""
    lines = []
    for k, outcome in enumerate(outcomes):
        mark, mood, parts = "–", "absent", [outcome.mark[2:]]
        if outcome.status != "not run":
            one = Summary.of([outcome])
            mark, mood = ("✓", "ok") if one.good else ("✗", "wrong")
            parts = [str(one)] if outcome.status == "finished" else parts
        for control in (False, True):
            named = outcome.verdicts.items()
            found = [v.status for name, v in named if ("control" in name) == control]
            counts = [f"{found.count(s)} {s}" for s in dict.fromkeys(found)]
            if counts:
                of = "verdicts on controls" if control else "verdicts"
                parts.append(f"{of}: {', '.join(counts)}")
        lines.append(
            f'<li class="{mood}"><span class="v">{mark}</span> '
            f'<a href="#experiment-{k}">{escape(outcome.title or outcome.name)}</a> '
            f'<span class="said">{escape("; ".join(parts))}</span></li>'
        )
    return f'<ul class="overview">{"".join(lines)}</ul>'


def _table(outcomes):
    rows = "".join(
        row for k, o in enumerate(outcomes) for row in _rows(o, f"experiment-{k}")
    )
    return f"""<div class="scroll"><table>
<thead><tr><th>Claim</th><th>Statement</th><th class="n">Measured</th>
<th>Threshold</th><th>Verdict</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _rows(outcome, anchor):
    title = escape(outcome.title or outcome.name)
    yield f'<tr class="group"><th colspan="5"><a href="#{anchor}">{title}</a></th></tr>'
    for claim in arrange(outcome.claims):
        mood = ("ok" if claim.holds else "wrong") + (
            " control" if claim.control else ""
        )
        mark = "✓" if claim.holds else "✗"
        spread = ""
        if claim.spread is not None:
            low, high = map(number, claim.spread)
            spread = f'<span class="spread">{low} … {high}</span>'
        label = '<span class="tag">control</span> ' if claim.control else ""
        detail = f'<span class="detail">{_text(claim.detail)}</span>'
        yield (
            f'<tr class="{mood}"><td class="id">{escape(claim.id)}</td>'
            f"<td>{label}{_text(claim.statement)}{detail if claim.detail else ''}</td>"
            f'<td class="n">{number(claim.measured)}{spread}</td>'
            f'<td class="t">{_text(claim.threshold)}</td>'
            f'<td class="v">{mark}&nbsp;{escape(claim.verdict)}</td></tr>'
        )
    if outcome.status != "finished":
        mood = "absent" if outcome.status == "not run" else "wrong"
        yield (
            f'<tr class="{mood}"><td></td><td colspan="3">{escape(outcome.error)}</td>'
            f'<td class="v">{outcome.mark}</td></tr>'
        )


def _section(outcome, index):
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
    source = f'<p class="source">{_text(outcome.source)}</p>' if outcome.source else ""
    return (
        f'<section id="experiment-{index}">'
        f"<h2>{escape(outcome.title or outcome.name)}</h2>{source}"
        f"{_prose(outcome.summary)}{error}{figures}{verdicts}"
        f'<p class="took">{escape(outcome.name)}: {outcome.seconds:.1f} s</p></section>'
    )


def _prose(text):
    """A docstring: paragraphs, and indented blocks kept as they stand."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text)) if text.strip() else []
    return "".join(
        f"<pre>{escape(inspect.cleandoc(block))}</pre>"
        if re.match(r"[ \t]", block)
        else f"<p>{_text(block)}</p>"
        for block in (b.strip("\n") for b in blocks)
    )
