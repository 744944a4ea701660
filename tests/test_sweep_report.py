"""Figures and pages of any sweep: grids, samples, searches; unfinished, failed."""

import html.parser
import itertools
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from dynax.report import (
    heat_map,
    learning_curves,
    point_said,
    scatter_figure,
    sensitivity_figure,
    sweep_best,
    sweep_document,
    sweep_figures,
)
from dynax.report._html import figure_html
from dynax.report._sweep_axes import Scale
from dynax.report._sweep_data import (
    best,
    influence,
    maximized,
    quantiles,
    short,
    summary,
    thinned,
)


xr = pytest.importorskip("xarray")
RATES = np.geomspace(1e-4, 1e-1, 7)


def dataset(dims, *, steps=20, fails=None, **coords):
    """A sweep as `open_sweep` gives it; loss = (log10 rate + 2)² + decay + noise.

    Args:
        dims: dimension → values, or a length where `coords` has columns along it.
        fails: mask of the failed points.
        coords: (dimension, values) of columns.
    """
    shape = tuple(v if isinstance(v, int) else len(v) for v in dims.values())
    at = {d: (d, np.asarray(v)) for d, v in dims.items() if not isinstance(v, int)}
    at |= coords
    ds = xr.Dataset(coords=at)
    rng = np.random.default_rng(0)

    def along(name, default=0.0):
        if name not in ds.coords or ds[name].dtype.kind not in "if":
            return default
        dim = at[name][0]
        order = [-1 if d == dim else 1 for d in dims]
        return np.asarray(at[name][1], float).reshape(order)

    value = (np.log10(along("rate", 1e-2)) + 2) ** 2 + along("decay") ** 2 + 0.1
    value = value * np.exp(0.05 * rng.standard_normal(shape))
    decay = np.exp(-np.linspace(0, 5, steps))
    curve = value[..., None] * (1 + 50 * (decay - decay[-1]))
    status = np.zeros(shape, np.int8)
    if fails is not None:
        status[fails] = 1
        curve[fails] = np.nan
    ds["loss"] = ((*dims, "step"), curve.astype(np.float32), {"units": "J"})
    ds["accuracy"] = (tuple(dims), np.exp(-value).astype(np.float32))
    ds["count"] = (tuple(dims), (10 * value).astype(np.int32))
    ds["constant"] = (tuple(dims), np.zeros(shape, np.int32))
    ds["matrix"] = ((*dims, "i", "j"), np.zeros((*shape, 2, 2)))
    flags = {"flag_values": np.array([-1, 0, 1, 2], np.int8)}
    flags["flag_meanings"] = "not run; done; an output is not finite; raised"
    ds["status"] = (tuple(dims), status, flags)
    ds.attrs = {"run": "run", "seed": 0, "bits": 32, "batch": "64", "begun": "2026"}
    return ds


def grid(**kwargs):
    space = {"rate": RATES, "decay": [0.0, 0.1, 1.0], "seed": np.arange(5)}
    return dataset(space, **kwargs)


def sample(count=40, **kwargs):
    rng = np.random.default_rng(1)
    columns = {
        "rate": ("sample", np.exp(rng.uniform(np.log(1e-4), np.log(1e-1), count))),
        "decay": ("sample", rng.uniform(0, 1, count)),
    }
    return dataset({"sample": count, "seed": np.arange(2)}, **columns, **kwargs)


def search():
    ds = sample(30).rename(sample="trial")
    ds["rate"][20:] = np.nan  # not asked for yet
    ds["status"][20:] = -1
    return ds.assign_attrs(objective="loss", maximize=0)


def static():
    space = {"kind": np.array(["sgd", "lion"]), "width": [32, 64], "rate": RATES}
    return dataset({**space, "decay": [0.0, 0.1], "seed": np.arange(2)})


def spoiled(*, missing=0, failed=0):
    """Points of the grid not run, from the end; failed, from the beginning."""
    mask = np.zeros((7, 3, 5), bool)
    mask.ravel()[:failed] = True
    ds = grid(fails=mask)
    if missing:
        ds["status"].values.ravel()[-missing:] = -1
    return ds


DATASETS = {
    "grid": grid,
    "static": static,
    "table": sample,
    "search": search,
    "some failed": lambda: spoiled(failed=18),
    "failed and unfinished": lambda: spoiled(failed=18, missing=40),
    "all failed": lambda: spoiled(failed=105),
    "none run": lambda: spoiled(missing=105),
    "one point": lambda: dataset({"rate": [0.01]}),
    "one axis": lambda: dataset({"rate": RATES}),
    "seeds alone": lambda: dataset({"seed": np.arange(6)}),
    "names alone": lambda: dataset({"kind": np.array(["a", "b"])}),
    "short curves": lambda: dataset({"rate": RATES}, steps=1),
    "a sample of one": lambda: sample(1),
    "five dimensions": lambda: dataset(
        {"rate": RATES, "decay": [0.0, 1.0], "a": [1, 2], "b": [3.0, 4.0], "seed": [0]}
    ),
}


class Page(html.parser.HTMLParser):
    """Whether tags are closed in order, what is linked, and the text."""

    VOID = {"meta", "img", "br", "link", "path", "use", "rect", "image"}

    def __init__(self, text):
        super().__init__()
        self.stack, self.links, self.ids, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.links += [
            v for k, v in attrs if k in ("src", "href", "xlink:href") and v is not None
        ]
        self.ids += [named["id"]] if "id" in named else []
        assert tag != "script"
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.filterwarnings("error")
def test_a_page_is_whole_and_needs_nothing_else(name):
    before = dict(matplotlib.rcParams)
    ds = DATASETS[name]()
    flat = ds["status"].values.ravel()
    failures = [(int(k), "raised an error", "a < b") for k in np.flatnonzero(flat > 0)]
    text = sweep_document(ds, failures=failures, facts={"Command": "dynax <sweep>"})
    assert dict(matplotlib.rcParams) == before
    figures = re.findall("<figure>.*?</figure>", text, flags=re.S)
    assert len(figures) <= 12 and all(500 < len(f) < 600_000 for f in figures)
    assert bool(figures) == (name != "none run")
    page = Page(text)
    assert page.stack == []
    assert len(set(page.ids)) == len(page.ids)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    done, failed = int((flat >= 0).sum()), int((flat > 0).sum())
    assert f"{done:,} of {flat.size:,} points have been run" in page.text
    assert f"{failed:,} of them failed" in page.text or not failed
    assert ("Not complete" in page.text) == (done < flat.size)
    assert ("banner good" in text) == (done == flat.size and not failed)
    assert "the same to the last bit" in page.text and "Batch size64" in page.text
    assert "dynax <sweep>" in page.text
    assert ("a < b" in page.text) == (failed > 0)


def test_dollars_in_names_and_units_are_dollars():
    r"""Even those that TeX would take for a formula, in every kind of figure.

    Control: to matplotlib alone they are.
    """
    odd = [r"$\foo$", "$1", r"a\$b$", "${"]
    dims = {"kind": np.array(odd), "rate": RATES, "decay": [0.0, 1.0]}
    ds = dataset({**dims, "seed": np.arange(2)})
    for name in ("loss", "rate", "decay"):
        ds[name].attrs["units"] = r"$\frac{1$"
    figures = sweep_figures(ds)
    drawn = "".join(figure_html(f, "", f"f{k}") for k, f in enumerate(figures.values()))
    assert len(figures) > 5
    for text in odd + [r"loss [$\frac{1$]"]:
        assert f">{text}<" in drawn.replace("&lt;", "<"), text
    assert "\\$" not in drawn.replace(r"a\$b$", ""), "escapes are not seen"
    figure = Figure()
    figure.text(0, 0, odd[0])
    with pytest.raises(ValueError, match="Unknown symbol"):
        figure_html(figure, "", "f")


# ------------------------------------------------------------------ what is drawn is so


def colors(figure):
    (mesh,) = [c for c in figure.axes[0].collections if "QuadMesh" in type(c).__name__]
    return np.ma.filled(mesh.get_array().astype(float), np.nan)


def notes(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]


def test_heat_map_shows_medians_and_rings_the_least():
    ds = grid()
    figure = heat_map(ds, "loss", "rate", "decay")
    median = ds["loss"].isel(step=-1).median("seed").values
    np.testing.assert_allclose(colors(figure), median.T, rtol=1e-6)
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_title(loc="left") == ("loss at the end, median over seed")
    at = np.unravel_index(np.argmin(median), median.shape)
    said = f"best: {short(median[at])} at rate = {short(RATES[at[0]])}, decay = 0"
    assert notes(figure) == [said]
    (worst,) = notes(heat_map(ds, "loss", "rate", "decay", maximize=True))
    assert short(median.max()) in worst
    assert not heat_map(ds, "count", "rate", "decay").legends  # neither is better


def test_control_a_cell_in_which_half_failed_is_not_coloured():
    mask = np.zeros((7, 3, 5), bool)
    mask[4, 0, :3] = True  # the best cell: two survivors of five
    mask[3, 0, :2] = True
    figure = heat_map(grid(fails=mask), "loss", "rate", "decay")
    found = colors(figure)
    assert np.isnan(found[0, 4]) and np.isfinite(found).sum() == 20
    said = notes(figure)
    assert "half or more failed (1 cell)" in said
    assert "×n: n failed points are left out (2 in all)" in said
    assert not said[0].endswith("rate = 0.01, decay = 0")
    share = heat_map(grid(fails=mask), "status", "rate", "decay")
    np.testing.assert_allclose(colors(share)[0, 3:5], [0.4, 0.6])


def test_cells_not_run_are_told_apart_from_failed_ones():
    said = notes(heat_map(spoiled(missing=30, failed=20), "loss", "rate", "decay"))
    assert "half or more failed (4 cells)" in said and "not run yet (6 cells)" in said


def test_sensitivity_is_the_median_with_its_band():
    ds = grid()
    figure = sensitivity_figure(ds, "loss", "rate", "decay")
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["0", "0.1", "1"]
    last = ds["loss"].isel(step=-1)
    for k, line in enumerate(lines):
        median = last.isel(decay=k).median("seed")
        np.testing.assert_allclose(line.get_ydata(), median, rtol=1e-6)
    assert len(figure.axes) == 1
    failing = sensitivity_figure(spoiled(failed=18), "loss", "rate")
    share = failing.axes[1].get_lines()[0].get_ydata()
    np.testing.assert_allclose(share, [1, 0.2, 0, 0, 0, 0, 0])


def test_learning_curves_are_medians_over_the_seeds():
    ds = grid(steps=1000)
    figure = learning_curves(ds, "loss", by="rate")
    lines = figure.axes[0].get_lines()
    assert len(lines) == 7 and len(lines[0].get_xdata()) <= 201
    x, y = lines[2].get_data()
    median = ds["loss"].isel(rate=2).median(["decay", "seed"])
    np.testing.assert_allclose(y, median.values[np.asarray(x)], rtol=1e-6)


def test_one_that_diverged_does_not_flatten_the_others():
    ds = grid()
    ds["loss"][6] *= np.float32(1e30)
    for figure in (
        sensitivity_figure(ds, "loss", "rate", "decay"),
        learning_curves(ds, "loss", by="rate"),
    ):
        assert figure.axes[0].get_ylim()[1] < 1e6
    (mesh,) = [
        c
        for c in heat_map(ds, "loss", "rate", "decay").axes[0].collections
        if "QuadMesh" in type(c).__name__
    ]
    assert mesh.norm.vmax < 1e6


def test_search_shows_the_best_so_far():
    ds = search()
    figure = scatter_figure(ds, "loss")
    best_so_far = figure.axes[0].get_lines()[1].get_ydata()
    median = ds["loss"].isel(step=-1).median("seed").values[:20]
    np.testing.assert_allclose(
        best_so_far[:20], np.minimum.accumulate(median), rtol=1e-6
    )
    least = ds["rate"].values[np.argmin(median)]
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert f"best at {short(least)}" in titles


def test_columns_of_a_sample_are_drawn_as_dots():
    ds = sample()
    figure = heat_map(ds, "loss", "rate", "decay")
    assert len(figure.axes[0].collections[0].get_offsets()) == 40
    assert notes(figure)[0].startswith("best: ")


@pytest.mark.parametrize(
    "draw, said",
    [
        (lambda ds: heat_map(ds, "los", "rate", "decay"), "output: given 'los'"),
        (lambda ds: heat_map(ds, "matrix", "rate", "decay"), "output: given 'matrix'"),
        (
            lambda ds: heat_map(ds, "loss", "rat", "decay"),
            "x: given 'rat'; accepted",
        ),
        (lambda ds: heat_map(ds, "loss", "rate", "rate"), "y: given 'rate'"),
        (lambda ds: sensitivity_figure(ds, "loss", "step"), "along: given 'step'"),
        (lambda ds: sensitivity_figure(ds, "loss", "rate", "x"), "by: given 'x'"),
        (
            lambda ds: learning_curves(ds, "count"),
            "output: given 'count'; acc",
        ),
        (lambda ds: scatter_figure(ds, "loss"), "along: given ''; accepted are none"),
        (lambda ds: sweep_figures(ds, "los"), "output: given 'los'"),
        (lambda ds: sweep_document(ds, output="los"), "output: given 'los'"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_not_there_is_refused(draw, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        draw(grid())


# --------------------------------------------------------------------- the small parts


def test_quantiles_are_those_of_numpy():
    a = np.random.default_rng(0).standard_normal((6, 11))
    a[2, 3:] = np.nan
    a[4] = np.nan
    a[5, 0] = np.inf
    finite = [row[np.isfinite(row)] for row in a]
    for q, found in zip((0.1, 0.5, 0.9), quantiles(a), strict=True):
        known = [np.quantile(row, q) if row.size else np.nan for row in finite]
        np.testing.assert_allclose(found, known)


def test_influence_names_what_matters():
    effect = influence(grid(), "loss")
    assert effect["rate"] > 0.5 > effect["decay"] > effect["seed"]
    assert all(0 <= v <= 1 for v in effect.values())
    assert list(effect) == ["rate", "decay", "seed"]
    drawn = influence(sample(400), "loss")
    assert drawn["rate"] > 0.3 > drawn["seed"]
    assert influence(grid(), "constant") == dict.fromkeys(effect, 0.0)


def test_the_best_leave_out_those_that_half_failed():
    mask = np.zeros((7, 3, 5), bool)
    mask[4, 0, :3] = True
    mask[4, 1, :2] = True
    found = best(grid(fails=mask), "loss", 3, maximize=False)
    assert found.place[0] == {"rate": 4, "decay": 1}
    assert found.failed[0] == 2 and found.run[0] == 5
    assert found.arguments[0] == {"rate": RATES[4], "decay": 0.1}
    scores = [row["loss"] for row in found.medians]
    assert scores == sorted(scores)
    rows = sweep_best(grid(fails=mask), count=3)
    assert rows == [a | b for a, b in zip(found.arguments, found.medians, strict=True)]
    worst = sweep_best(grid(), "loss", count=1, maximize=True)
    assert worst[0]["loss"] > scores[-1]


def test_what_is_better_is_taken_from_the_name():
    ds = search()
    assert [maximized(ds, k) for k in ("loss", "accuracy", "count")] == [
        False,
        True,
        None,
    ]
    assert maximized(ds.assign_attrs(maximize=1), "loss") is True


@pytest.mark.parametrize(
    "values, kind",
    [
        (np.geomspace(1e-4, 1e-1, 5), "log"),
        ([1, 2, 4, 8, 16], "log"),
        ([0.1, 1.0, 3.0, 10.0], "log"),
        ([0.0, 0.1, 1.0], "even"),
        ([0.0, 0.5, 0.9, 0.97], "even"),
        ([0.0, 1.0, 2.0], "linear"),
        ([-1.0, 0.0, 2.0], "linear"),
        ([3, 1, 2], "linear"),
        ([1.0, 1.0], "even"),
        ([7.0], "even"),
        (["a", "b"], "even"),
    ],
)
def test_scales(values, kind):
    scale = Scale.of(np.asarray(values))
    assert scale.kind == kind
    edges = scale.edges()
    assert len(edges) == len(values) + 1 and np.all(np.diff(edges) > 0)
    inside = (edges[:-1] < scale.at) & (scale.at < edges[1:])
    assert inside.all()


@pytest.mark.parametrize(
    "value, text",
    [(1e-4, "1e-4"), (0.00316, "0.00316"), (2.37e-4, "2.37e-4"), (0, "0"), (12, "12")],
)
def test_short_numbers(value, text):
    assert short(value) == text


def test_point_said():
    assert point_said(grid(), 7) == "rate = 1e-4, decay = 0.1, seed = 2"
    assert "kind = lion" in point_said(static(), 56)


class Counting(xr.backends.BackendArray):
    """An array of a gigabyte that counts what is read of it."""

    def __init__(self, shape):
        self.shape, self.dtype, self.read = shape, np.dtype(np.float32), 0

    def __getitem__(self, key):
        from xarray.core import indexing

        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self.take)

    def take(self, key):
        full = [np.arange(n)[k] for n, k in zip(self.shape, key, strict=True)]
        values = np.ones([k.size for k in full if k.ndim], np.float32)
        self.read = max(self.read, values.nbytes)
        return values


def test_a_gigabyte_of_curves_is_not_loaded():
    from xarray.core import indexing

    lazy = Counting((50, 100, 50, 1000))
    data = indexing.LazilyIndexedArray(lazy)
    dims = ("rate", "decay", "seed")
    ds = xr.Dataset(
        {
            "loss": xr.Variable((*dims, "step"), data),
            "status": (dims, np.zeros(lazy.shape[:3], np.int8)),
        },
        {d: (d, np.arange(1, n + 1)) for d, n in zip(dims, lazy.shape, strict=False)},
    )
    assert np.prod(lazy.shape) * 4 == 1e9
    figures = sweep_figures(ds)
    assert any("curve" in caption for caption in figures)
    assert lazy.read <= 5e7


def test_of_very_many_points_some_are_taken_and_the_page_says_so(monkeypatch):
    ds = grid()
    assert thinned(ds, 30).sizes["rate"] < 7
    few = thinned(ds, 30)["status"].size
    assert few <= 30
    assert thinned(ds, 30, keep=["rate"]).sizes["rate"] == 7
    monkeypatch.setattr("dynax.report._sweep_data.POINTS", 30)
    monkeypatch.setattr(thinned, "__defaults__", (30, ()))
    assert summary(ds)["status"].size == few
    assert f"of {few} points of 105" in sweep_document(ds)


def test_captions_hold_the_rest_at_the_best():
    captions = list(sweep_figures(static()))
    assert captions[0].startswith("loss over rate and ")
    assert "kind = " in captions[0] and "width = " in captions[0]
    for a, b in itertools.combinations(captions, 2):
        assert a != b
