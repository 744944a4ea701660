"""One HTML file about a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynax.report._html import banner, escape, figure_html, page
from dynax.report._sweep import sweep_figures
from dynax.report._sweep_axes import Scale
from dynax.report._sweep_data import (
    arguments,
    best,
    check,
    influence,
    label,
    maximized,
    outputs,
    plain,
    point_said,
    replicates,
    shape,
    short,
    space,
    summary,
)


if TYPE_CHECKING:
    import xarray as xr


BEST = 10  # settings in the table
KINDS = 10  # of failures in the table
BITS = (
    "With the same batch size the results are the same to the last bit, whatever the "
    "number of devices, of workers and of interruptions. Another batch size changes "
    "them by round-off."
)
CALLS = (
    "The program calls back to Python. What is called is not compared when a sweep is "
    "resumed: these results may be of more than one version of it."
)


def sweep_document(
    ds: xr.Dataset,
    *,
    output: str | None = None,
    maximize: bool | None = None,
    failures: Sequence[tuple[int, str, str]] = (),
    facts: Mapping[str, Any] | None = None,
    title: str = "",
) -> str:
    """The page as one string.

    Args:
        ds: as `dynax.sweep.open_sweep` returns, finished or not.
        output, maximize: as of `sweep_figures`.
        failures: (number of the point, what happened, what it said) of some points, as
            `dynax.sweep.failures` returns.
        facts: more for the footer: machine, command.
        title: of the page.
    """
    if output is not None:
        check("output", output, outputs(ds))
    small = summary(ds)
    have = [n for n in outputs(ds) if bool(small[n].notnull().any())]
    output = output or (have[0] if have else None)
    if maximize is None and output:
        maximize = bool(maximized(ds, output))
    effect = influence(small, output) if output else {}
    figures = sweep_figures(ds, output, maximize=maximize)
    drawn = "".join(
        figure_html(figure, f"{caption}.", f"f{k}")
        for k, (caption, figure) in enumerate(figures.items())
    )
    codes, counts = np.unique(ds["status"].values, return_counts=True)
    codes = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    points, run = ds["status"].size, ds["status"].size - codes.get(-1, 0)
    failed = sum(n for code, n in codes.items() if code > 0)
    body = [
        _section("The space", _space(ds, effect, output)),
        _section("The best settings", _best(ds, small, output, maximize)),
        _section("Figures", drawn or "<p>Nothing has been run yet.</p>"),
        _section("All outputs", _outputs(ds, small)),
    ]
    if small["status"].size < points:
        words = (
            f"Figures and tables are of {small['status'].size:,} points of {points:,}."
        )
        body[2:2] = [f"<p>{words}</p>"]
    if failed or failures:
        body[2:2] = [_section("What failed", _failures(ds, codes, failures))]
    words = [f"{run:,} of {points:,} points have been run"]
    words += [f"{failed:,} of them failed" if failed else "none of them failed"]
    done = run == points
    headline = "Complete" if done and not failed else "Not everything succeeded"
    head = banner(headline if done else "Not complete", f"{', '.join(words)}.", done)
    if done and failed:
        head = banner(headline, f"{', '.join(words)}.", False)
    about = {**_provenance(ds), **(facts or {})}
    name = title or f"Sweep of {ds.attrs.get('run', 'a function')}"
    return page(name, head, "\n".join(body), about)


def _section(head, inner):
    return f"<section><h2>{head}</h2>{inner}</section>"


def _table(head: Sequence[str], rows, numeric=()) -> str:
    """Cells of `rows` are HTML already."""

    def cells(row, tag):
        return "".join(
            f'<{tag} class="n">{c}</{tag}>' if k in numeric else f"<{tag}>{c}</{tag}>"
            for k, c in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (
        '<div class="scroll"><table class="plain"><thead>'
        f"<tr>{cells(map(escape, head), 'th')}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _space(ds, effect, output):
    rows = []
    for dim in space(ds):
        for name in arguments(ds, dim) or [dim]:
            share = f"{effect[name]:.0%}" if name in effect else "–"
            where = "" if name == dim else f" along {escape(dim)}"
            head = f"<b>{escape(label(ds, name))}</b>{where}"
            size = f"{ds.sizes[dim]:,}"
            rows.append([head, size, escape(_values(ds, name)), share])
    product = " × ".join(f"{d} {n:,}" for d, n in shape(ds).items())
    text = f"<p>{ds['status'].size:,} points: {escape(product)}."
    if effect:
        text += (
            f" <i>Explains</i> is the share of the differences in "
            f"<code>{escape(output)}</code> that an argument explains by itself "
            f"(of the variance of the ranks)."
        )
    head = ["Argument", "Count", "Values", "Explains"]
    return f"{text}</p>{_table(head, rows, (1, 3))}"


def _values(ds, name):
    """Of a grid `1e-4, 1e-3 … 0.1, evenly in the logarithm`, of a table its ends."""
    if name not in ds.coords:
        return ""
    v = ds[name].values
    scale = Scale.of(v)
    if name not in ds.dims:
        v = v[np.isfinite(v)].astype(float) if v.dtype.kind == "f" else v
        return f"{short(float(v.min()))} … {short(float(v.max()))}" if v.size else ""
    if len(v) <= 8:
        return ", ".join(scale.labels)
    how = {"log": ", logarithmic", "linear": "", "even": ""}[scale.kind]
    return f"{', '.join(scale.labels[:2])} … {scale.labels[-1]}{how}"


def _best(ds, small, output, maximize):
    if output is None or not bool(small[output].notnull().any()):
        return "<p>No point has a result.</p>"
    found = best(small, output, BEST, maximize=maximize)
    if not found.place:
        return "<p>Everywhere half of the points or more failed.</p>"
    over = " and ".join(d for d in replicates(ds) if ds.sizes[d] > 1)
    others = [n for n in outputs(ds) if n != output][:4]
    names = list(found.arguments[0])
    how = f", median and 10–90 % over {over}" if over else ""
    text = (
        f"<p>By <code>{escape(output)}</code>{escape(how)}: the "
        f"{'greatest' if maximize else 'least'} first. Where half of the points or "
        "more failed, a setting is left out.</p>"
    )
    rows = []
    for k, given in enumerate(found.arguments):
        row = [_cell(given[n]) for n in names] + [
            f"<b>{_cell(found.medians[k][output])}</b>"
        ]
        if over:
            row.append(f"{_cell(found.low[k])} … {_cell(found.high[k])}")
        row += [_cell(found.medians[k][n]) for n in others]
        rows.append([*row, f"{found.failed[k]} of {found.run[k]}"])
    head = [*names, output, *(["10–90 %"] if over else []), *others, "Failed"]
    return text + _table(head, rows, range(len(head)))


def _outputs(ds, small):
    rows = []
    for name in [str(k) for k in ds.data_vars if k != "status"]:
        own = [f"{d} {ds.sizes[d]:,}" for d in ds[name].dims if d not in space(ds)]
        row = [f"<b>{escape(label(ds, name))}</b>", escape(str(ds[name].dtype))]
        row += [escape(" × ".join(own)) or "a number"]
        v = small[name].values if name in small else np.array([])
        v = v[np.isfinite(v)]
        if v.size:
            row += [_cell(x) for x in (v.min(), np.median(v), v.max())]
        else:
            row += ["–"] * 3
        rows.append(row)
    text = "<p>Curves count by their last value. Failed points are left out.</p>"
    head = ["Output", "Type", "Each point", "Least", "Median", "Greatest"]
    return text + _table(head, rows, (3, 4, 5))


def _failures(ds, codes, failures):
    attrs = ds["status"].attrs
    said = dict(
        zip(
            np.atleast_1d(attrs.get("flag_values", [])).tolist(),
            str(attrs.get("flag_meanings", "")).split("; "),
            strict=False,
        )
    )
    counts = "; ".join(
        f"{n:,} × {said.get(code, code)}" for code, n in codes.items() if code > 0
    )
    groups: dict[tuple[str, str], list[int]] = {}
    for number, meaning, text in failures:
        groups.setdefault((meaning, text), []).append(number)
    rows = []
    for (meaning, text), numbers in sorted(groups.items(), key=lambda g: -len(g[1])):
        given = point_said(ds, numbers[0])
        cells = f"{len(numbers):,}", meaning, text, f"{numbers[0]:,}: {given}"
        rows.append([escape(cell) for cell in cells])
    some, failed = "", sum(n for code, n in codes.items() if code > 0)
    if 0 < len(failures) < failed:
        some = f" The table is of the first {len(failures):,} of them."
    head = ["Points", "What happened", "What it said", "As at point"]
    table = _table(head, rows[:KINDS], (0,)) if rows else ""
    text = f"<p>{escape(counts)}.{some}</p>" if counts else ""
    return text + table


def _provenance(ds):
    a = ds.attrs
    facts = {
        "Begun": str(a.get("begun", "")).replace("T", " "),
        "Numbers": f"{a.get('bits', '?')}-bit floats, keys from seed {a.get('seed')}",
        "Calls to Python": CALLS if a.get("host_callbacks") else "",
        "Batch size": a.get("batch") or "none yet",
        "Reproducible": BITS,
        "Versions": a.get("versions", ""),
        "Commit": a.get("commit") or "not in a git checkout",
        "Store": a.get("store", ""),
    }
    return {k: v for k, v in facts.items() if v}


def _cell(value):
    return escape(plain(value))
