"""Figures survive any ledger; the report is one file that holds all that was found."""

import base64
import html
import html.parser
import io
import json
import re
import shutil
import subprocess

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageSequence

from dynax import Ledger, report, verdict
from dynax.claim import Finding
from dynax.lyapunov import Check

from .figures import faults


def make_ledger(rows=300, *, outside=100, nan_from=None, unused=0, checks=True):
    """A ledger of the shape that Lion-κ fills, contracting from outside by 1/1.05."""
    t = np.arange(rows)
    distance = np.where(t < outside, 3 * 0.9**t, 0.0)
    after = np.append(distance[1:], distance[-1])
    spent = np.exp(-t / 50)
    kept = {
        "balance": Check(np.full(rows, -1e-16), np.full(rows, 1e-14)),
        "contraction": Check(distance / 1.05 - after, np.full(rows, 1e-15)),
    }
    ledger = Ledger(
        step=np.where(t >= rows - unused, -1, t),
        energy=50 * spent,
        change=-spent,
        predicted=-spent,
        defect=np.full(rows, 1e-16),
        scale=spent,
        terms={
            "residual": spent / 10,
            "dissipation_1": np.where(t < 5, -spent, spent),
            "dissipation_2": spent / 3,
            "bregman_conjugate": 0 * spent,
            "an unknown term": spent / 9,
        },
        facts={"outside": t < outside, "distance": distance, "stationarity": spent},
        checks=kept if checks else {},
    )
    if nan_from is None:
        return ledger
    bad = np.where(t >= nan_from, np.nan, 0.0)

    def spoil(a):
        return a + bad if a.dtype.kind == "f" else a

    return ledger._replace(
        energy=spoil(ledger.energy),
        change=spoil(ledger.change),
        defect=spoil(ledger.defect),
        facts={k: spoil(v) for k, v in ledger.facts.items()},
        terms={k: spoil(v) for k, v in ledger.terms.items()},
        checks={k: Check(spoil(c.margin), c.tolerance) for k, c in kept.items()},
    )


def over_early():
    """A ledger of 10,000 rows in which all happens in the first hundred."""
    ledger = make_ledger(10_000)
    spent = np.exp(-np.arange(10_000) / 15)
    return ledger._replace(energy=15 * spent, change=-spent)


LEDGERS = {
    "usual": make_ledger(),
    "over early": over_early(),
    "long": make_ledger(30_000),
    "never outside": make_ledger(outside=0),
    "all outside": make_ledger(outside=300),
    "NaN": make_ledger(nan_from=50),
    "all NaN": make_ledger(nan_from=0),
    "one row": make_ledger(1),
    "unused rows": make_ledger(unused=40),
    "nothing audited": make_ledger(unused=300),
    "no certificate": make_ledger(checks=False),
}


@pytest.mark.parametrize("name", LEDGERS)
@pytest.mark.parametrize("draw", [report.energy_figure, report.phase_figure])
@pytest.mark.filterwarnings("error")
def test_any_ledger_can_be_drawn(name, draw):
    before = dict(matplotlib.rcParams)
    text = report.figure_html(draw(LEDGERS[name], title=name), "caption", "f")
    assert 500 < len(text) < 600_000
    assert dict(matplotlib.rcParams) == before


def line(figure, label):
    found = [
        ln for ax in figure.axes for ln in ax.get_lines() if label in ln.get_label()
    ]
    assert found, label
    return found[0].get_xdata(), found[0].get_ydata()


def test_the_bound_drawn_is_the_one_proved():
    t, bound = line(report.phase_figure(make_ledger()), "proved bound")
    known = np.isfinite(bound)
    assert known.sum() >= 99
    np.testing.assert_allclose(bound[known], 3 / 1.05 ** np.array(t)[known], rtol=1e-12)


def test_control_a_single_violation_in_a_long_run_is_drawn():
    ledger = make_ledger(30_000)
    margin = ledger.checks["balance"].margin.copy()
    margin[12_345] = -1e-3
    tolerance = ledger.checks["balance"].tolerance
    ledger.checks["balance"] = Check(margin, tolerance)
    t, defect = line(report.energy_figure(ledger), "|defect|")
    _, allowed = line(report.energy_figure(ledger), "smallest visible")
    assert list(t[defect > allowed]) == [12_345]


def test_histogram_counts_what_lies_outside():
    weights = np.array([-2.0, -1, 0, 0.5, 1, np.nan])
    figure = report.histogram_figure({"Lion": weights, "none": np.array([])}, 1.0)
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts == [
        "Lion: 20.0% of 5 outside, by at most 1/λ",
        "none: none of 0 outside",
    ]
    assert faults(figure) == []
    assert report.histogram_figure(np.array([np.nan]), 1.0).axes


@pytest.mark.filterwarnings("error")
def test_trajectories():
    turn = np.linspace(0, 2 * np.pi, 1000)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    paths = {f"κ{k}": circle * k / 5 for k in range(1, 6)}
    paths["lost"] = np.full((7, 2), np.nan)
    figure = report.trajectory_figure(
        paths,
        level=lambda x, y: x**2 + y,
        outlines={"κ1": circle},
        optima={"κ2": np.zeros(2)},
        title="Six",
    )
    assert len(report.figure_html(figure, "six", "f")) < 200_000
    assert faults(figure) == []


def claims():
    return [
        Finding("2", "a paper", "x < 1 & y", 3.14159e-9, "≤ 1e-8", True),
        Finding("1a", "a paper", "first", 0.5, "≥ 1", False, spread=(0.1, 0.5)),
        Finding("2z", "a paper", "wrong sign", 7.0, "> 1", True, control=True),
        Finding(
            "1z", "a paper", "wrong c", 0.0, "> 1", False, control=True, detail="d"
        ),
    ]


def outcomes():
    figures = {f"figure {k} <&>": report.energy_figure(make_ledger()) for k in "ab"}
    return [
        report.Outcome(
            "one",
            "finished",
            "Title one",
            "arXiv:0000.00000",
            "What it is.\n\n    H = f < ∞\n\nWhat it shows.",
            claims(),
            {"run": verdict(make_ledger(), "the sentence judged")},
            figures,
        ),
        report.Outcome("two", "failed", "Title two", error="ValueError: boom"),
        report.Outcome("three", "not run", error="has no size full"),
    ]


class Parsed(html.parser.HTMLParser):
    """Every attribute of every tag, and that each tag opened is closed."""

    void = {"meta", "img", "source", "link", "br", "path", "use", "rect", "circle"}

    def __init__(self, text):
        super().__init__()
        self.attributes, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, k, v) for k, v in attrs]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open.pop() == tag


def test_report_is_one_sound_file():
    page = report.document(outcomes(), {"Machine": "a <cpu>"})
    parsed = Parsed(page)
    assert parsed.open == []
    for tag, name, value in parsed.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:")), (tag, name, value)
    assert "<script" not in page and "@import" not in page and "url(http" not in page
    ids = [v for _, k, v in parsed.attributes if k == "id"]
    assert len(ids) == len(set(ids))
    for tag, name, value in parsed.attributes:
        if name in ("href", "xlink:href") and value.startswith("#"):
            assert value[1:] in ids, (tag, value)
    images = re.findall(r'<svg role="img" aria-label="([^"]+)"', page)
    assert images.pop(0).startswith("How far each measured number is")
    assert images == ["figure a &lt;&amp;&gt;", "figure b &lt;&amp;&gt;"]


def test_report_holds_everything_found():
    page = report.document(outcomes(), {"Machine": "a <cpu>"})
    for text in ("x &lt; 1 &amp; y", "3.14e-09", "first", "wrong sign", "wrong c"):
        assert text in page
    assert "NOT REJECTED" in page and "ValueError: boom" in page
    assert "has no size full" in page and "a &lt;cpu&gt;" in page
    assert "1 of 2 claims hold; 1 of 2 controls rejected; raised an error: two" in page
    assert "Not everything holds" in page and "All claims hold" not in page
    assert "verdicts: 1 holds" in page and 'class="said">FAILED<' in page
    assert page.count('<details class="experiment wrong" open>') == 2
    assert "<pre>H = f &lt; ∞</pre>" in page and "the sentence judged" in page
    place = [page.index(f'<td class="id">{id}</td>') for id in ("2", "2z", "1a", "1z")]
    assert place == sorted(place)  # each control behind what it guards


def test_a_figure_too_large_becomes_an_image():
    figure, axes = report.new_figure()
    noise = np.random.default_rng(0).standard_normal((200_000, 2))
    axes[0, 0].scatter(*noise[:20_000].T, s=1)
    text = report.figure_html(figure, "many", "f")
    assert '<img alt="many" src="data:image/png;base64,' in text


def rising(frames=5):
    """A movie whose frame k is a line at height k."""
    figure, axes = report.new_figure(size=(3, 2))
    axes[0, 0].set(xlim=(0, 1), ylim=(-1, frames))
    (line,) = axes[0, 0].plot([0, 1], [0, 0], lw=6, color="black")
    return report.movie(figure, lambda k: line.set_ydata([k, k]), frames)


def pictures(text):
    """The images embedded, decoded: the still one, and the frames of the moving one."""
    still, moving = re.findall(r'(?:srcset|src)="data:image/\w+;base64,([^"]*)"', text)
    opened = lambda data: Image.open(io.BytesIO(base64.b64decode(data)))
    still, moving = opened(still), opened(moving)
    assert (still.format, moving.format) == ("PNG", "GIF")
    frames = [
        (np.asarray(frame.convert("L"), float), frame.info["duration"])
        for frame in ImageSequence.Iterator(moving)
    ]
    return np.asarray(still.convert("L"), float), frames


def height(picture):
    """In which row from below the darkest pixels are, of the picture's height."""
    return 1 - np.argmin(picture[:, picture.shape[1] // 2]) / len(picture)


@pytest.mark.filterwarnings("error")
def test_an_animation_becomes_a_gif_with_its_last_frame_for_paper():
    before = dict(matplotlib.rcParams)
    text = report.figure_html(rising(), 'a <line> "rises"', "f")
    assert dict(matplotlib.rcParams) == before
    assert '<picture><source media="print, (prefers-reduced' in text
    assert 'alt="a &lt;line&gt; &quot;rises&quot;"' in text
    assert "<figcaption>a &lt;line&gt;" in text
    still, frames = pictures(text)
    heights = [height(picture) for picture, _ in frames]
    assert len(heights) == 5 and heights == sorted(heights)
    assert heights[-1] - heights[0] > 0.4  # 4 of 6 units, less the margins
    assert abs(height(still) - heights[-1]) < 0.05  # a pixel, and the line's width
    assert frames[-1][1] > 5 * frames[0][1] > 0  # the last one is held


def test_an_animation_too_large_is_drawn_smaller(monkeypatch):
    gif = lambda text: text[text.index("image/gif") :]
    whole = gif(report.figure_html(rising(), "a line", "f"))
    limit = len(whole) // 2  # base64 adds a third, so this is below its bytes
    monkeypatch.setattr("dynax.report._movie.LARGEST_GIF", limit)
    smaller = report.figure_html(rising(), "a line", "f")
    assert len(gif(smaller)) < 4 / 3 * limit + 200  # and the caption
    _, frames = pictures(smaller)
    assert len(frames) == 5 and frames[0][0].shape[1] < 3 * 110


def test_a_report_may_move():
    outcome = report.Outcome(
        "one", "finished", claims=claims(), figures={"it moves": rising()}
    )
    page = report.document([outcome], {})
    parsed = Parsed(page)
    assert parsed.open == []
    kinds = [(tag, v[:15]) for tag, k, v in parsed.attributes if k in ("src", "srcset")]
    assert kinds == [("source", "data:image/png;"), ("img", "data:image/gif;")]


@pytest.mark.parametrize("frames", [1, 61])
def test_a_movie_is_short(frames):
    with pytest.raises(ValueError, match=f"frames: given {frames}; accepted are 2 to"):
        report.movie(report.new_figure()[0], lambda k: None, frames)


def test_summary_is_good_only_if_everything_is():
    right = [c for c in claims() if c.holds]
    good = report.Outcome("one", "finished", claims=right)
    assert report.Summary.of([good]).good
    for status in ("failed", "interrupted"):
        assert not report.Summary.of([good, report.Outcome("x", status)]).good
    assert report.Summary.of([good, report.Outcome("x", "not run")]).good
    assert not report.Summary.of([]).good
    assert not report.Summary.of(outcomes()).good
    silent = report.Outcome("one", "finished", claims=claims()[3:])
    assert not report.Summary.of([good, silent]).good
    failing = report.Outcome("one", "finished", claims=claims()[:2])
    assert not report.Summary.of([good, failing]).good
    found = report.Summary.of([good, *outcomes()])
    assert (found.hold, found.claims, found.rejected, found.controls) == (2, 3, 2, 3)


@pytest.mark.parametrize(
    "value, text",
    [
        (3.14159e-9, "3.14e-09"),
        (0, "0"),
        (12_000.0, "12,000"),
        (1e300, "1e+300"),
        (float("inf"), "inf"),
        (float("nan"), "not a number"),
        (np.float32(0.25), "0.25"),
    ],
)
def test_number(value, text):
    assert report.number(value) == text


def judged(status):
    """A verdict of that status."""
    margin = {"violated": -1e-3}.get(status, -1e-16)
    ledger = make_ledger(1 if status == "undecided" else 20, outside=0)
    check = ledger.checks["balance"]
    seen = 1.0 if status == "undecided" else None
    ledger.checks["balance"] = Check(0 * check.margin + margin, check.tolerance, seen)
    found = verdict(ledger, "a claim")
    assert found.status == status
    return found


def test_an_unexpected_verdict_does_not_stand_under_a_tick():
    good = [c for c in claims() if c.holds]
    named = {
        "run": judged("holds"),
        "small": judged("undecided"),
        "control: wrong c": judged("violated"),
    }
    right = report.Outcome("one", "finished", claims=good, verdicts=named)
    page = report.document([right], {})
    assert report.Summary.of([right]).good and "All claims hold" in page
    assert "violated (expected)" in page and "unexpected" not in page
    for name, status, said in (
        ("Huber", "violated", "Huber is violated"),
        ("control: wrong sign", "holds", "control: wrong sign holds"),
    ):
        verdicts = {**named, name: judged(status)}
        wrong = report.Outcome("one", "finished", claims=good, verdicts=verdicts)
        page = report.document([wrong], {})
        assert not report.Summary.of([wrong]).good
        assert f"unexpected verdicts: {said}" in page and "All claims hold" not in page
        assert f"✗ {status} (unexpected)" in page


def test_the_picture_of_all_claims_has_each_on_its_side():
    figure = report.margins_figure(outcomes())
    (ax,) = figure.axes
    drawn = {c.get_label(): c.get_offsets()[:, 0] for c in ax.collections}
    assert drawn["claim holds"] == pytest.approx(np.log10(3.14159e-9 / 1e-8))
    assert drawn["claim fails"] == pytest.approx(np.log10(2))
    assert drawn["control is rejected"] == pytest.approx(np.log10(7))
    assert drawn["control is not rejected"] < 0
    assert faults(figure) == []


@pytest.mark.parametrize("name", LEDGERS)
@pytest.mark.parametrize("draw", [report.energy_figure, report.phase_figure])
def test_figures_of_ledgers_can_be_read(name, draw):
    assert faults(draw(LEDGERS[name], title=name)) == []


def test_control_faults_of_a_figure_are_seen():
    figure, axes = report.new_figure()
    ax = axes[0, 0]
    ax.plot([0, 1, 2], [0, 1, 2], "o-", label="dots")
    ax.axhline(1.9, label="a line")
    ax.set(xlim=(0, 2), ylabel="y")
    ax.legend(loc="upper right")
    found = "; ".join(faults(figure))
    assert "the legend covers the line 'dots'" in found
    assert "the legend covers the line 'a line'" in found
    assert "the x axis has numbers" in found and "the y axis" not in found
    assert "2 markers 'dots' are cut off" in found and "the edge" not in found
    ax.set_title("a long title " * 20)
    assert "the edge of the figure cuts" in "; ".join(faults(figure))


def test_what_is_over_early_is_drawn_on_a_logarithmic_axis():
    scale = lambda name: report.energy_figure(LEDGERS[name]).axes[0].get_xscale()
    assert (scale("over early"), scale("long"), scale("usual")) == (
        "symlog",
        "symlog",
        "linear",
    )


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MEASURE = """<script>onload = () => {
  const box = e => e.getBoundingClientRect();
  const all = (d, q) => [...d.querySelectorAll(q)];
  const seen = all(document, 'iframe').map(f => { const d = f.contentDocument; return {
    wide: d.documentElement.scrollWidth, across: f.clientWidth,
    verdicts: all(d, 'td.v').map(box).map(b => [b.left, b.right, b.height]),
    text: Math.min(...all(d, 'figure text').map(t => box(t).height))}});
  document.body.textContent = 'found' + JSON.stringify(seen) + 'end'; }</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_verdicts_are_on_screen_at_any_width(tmp_path):
    page = html.escape(report.document(outcomes(), {"Machine": "a <cpu>"}))
    frames = "".join(
        f'<iframe srcdoc="{page}" style="width:{wide}px;height:900px"></iframe>'
        for wide in (1400, 400)
    )
    file = tmp_path / "frames.html"
    file.write_text(f"<body>{frames}{MEASURE}</body>", encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1500,2000"]
    done = subprocess.run(
        [CHROMIUM, *flags, file.as_uri()], capture_output=True, text=True, timeout=300
    )
    for found in json.loads(re.findall("found(.*)end", done.stdout)[-1]):
        assert len(found["verdicts"]) == 4
        for left, right, height in found["verdicts"]:
            assert 0 <= left < right <= found["across"] and height > 10
        assert found["wide"] <= found["across"]  # nothing is beyond the edge
        assert found["text"] >= 7  # pixels: figures scroll, and are not shrunk
