"""One HTML file: no network, no scripts, readable on paper and in the dark."""

import base64
import html
import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.animation import Animation
from matplotlib.figure import Figure

from dynax.lyapunov import Verdict
from dynax.report._css import CSS
from dynax.report._movie import movie_html
from dynax.report._outcome import expected, is_control
from dynax.report._style import STYLE


INKS = {
    "#000000": "ink",
    "#222222": "ink",
    "#333333": "ink",
    "#555555": "soft",
    "#666666": "soft",
    "#e4e4e4": "line",
}
LARGEST_SVG = 500_000  # characters; above, the figure is embedded as a PNG

escape = html.escape


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
    """A verdict that opens on a click: its status and claim, then the whole text.

    That of a control is expected not to hold; one that is not as expected is marked.
    """
    label = f"<b>{escape(name)}</b> " if name else ""
    said, badge = verdict.status, verdict.status.replace(" ", "-")
    if not expected(name, verdict):
        said, badge = f"✗ {said} (unexpected)", "violated"
    elif is_control(name, verdict):
        said, badge = f"{said} (expected)", "expected"
    return (
        f'<details class="verdict"><summary><span class="badge {badge}">'
        f"{escape(said)}</span> {label}{escape(verdict.claim)}</summary>"
        f"<pre>{escape(str(verdict))}</pre></details>"
    )


def figure_html(figure: Figure | Animation, caption: str, prefix: str) -> str:
    """Return a figure with its caption, as an SVG or, if large, a PNG. An animation is
    a GIF.

    `prefix` keeps its ids apart from other figures'.
    """
    moves = isinstance(figure, Animation)
    image = movie_html(figure, caption) if moves else _image(figure, caption, prefix)
    return (
        f'<figure><div class="picture">{image}</div>'
        f"<figcaption>{text_html(caption)}</figcaption></figure>"
    )


def _image(figure, caption, prefix):
    name = escape(caption, quote=True)
    with matplotlib.rc_context(STYLE):
        out = io.StringIO()
        look = {"format": "svg", "metadata": {"Date": None}}
        figure.savefig(out, transparent=True, **look)
        svg = out.getvalue()
        if len(svg) > LARGEST_SVG:
            png = io.BytesIO()
            figure.savefig(png, format="png", dpi=160)
            data = base64.b64encode(png.getvalue()).decode()
            return f'<img alt="{name}" src="data:image/png;base64,{data}">'
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\g<1>#{prefix}-", svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    svg = re.sub(r'\b(d|x|y)="[^"]*"', lambda m: _shorter(m.group()), svg)
    for color, role in INKS.items():  # so that they follow the page into the dark
        svg = re.sub(f"(fill|stroke): {color}", rf"\1: var(--{role})", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)


def _shorter(attribute):
    """Coordinates to a hundredth of a point."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute)


def text_html(text):
    """Text, escaped: `code` as code, and numbers like 1e-9 kept in one piece."""
    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"[−-]?\d[\d.]*e[−-]\d+", r'<span class="w">\g<0></span>', text)
