"""What a reader cannot see or read in a figure, found by comparing boxes."""

import re

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox


NUMBER = re.compile(r"(\$\\mathdefault\{)?[−-]?\d")  # as matplotlib writes a tick
NEAR = 0.5  # pixels: what is closer than this touches


def faults(figure: Figure) -> list[str]:
    """Name every fault of a figure: legends over what is drawn or beyond its edge, axes
    without a label, markers cut off by the frame."""
    figure.canvas.draw_idle()
    figure.draw_without_rendering()
    found = []
    for k, ax in enumerate(figure.axes):
        if ax.axison:
            name = f"axes {k} ({ax.get_title(loc='left') or ax.get_label()})"
            texts = [*_covered(ax), *_beyond(ax), *_unlabelled(ax), *_cut(ax)]
            found += [f"{name}: {text}" for text in texts]
    return found


def _box(artist):
    return artist.get_window_extent()


def _covered(ax):
    """What is drawn beneath the legend, its titles and texts."""
    legend = ax.get_legend()
    if legend is None:
        return
    box = _box(legend).padded(-NEAR)
    within = Bbox.intersection(box, ax.bbox)  # where lines are not clipped
    for line in ax.get_lines():
        path = line.get_path().transformed(line.get_transform())
        room = within if line.get_clip_on() else box
        if room is None or not line.get_visible() or not len(path.vertices):
            continue
        marked = any(room.contains(*v) for v in path.vertices)
        drawn = line.get_linestyle() != "None"
        if marked or (drawn and path.intersects_bbox(room, filled=False)):
            yield f"the legend covers the line {line.get_label()!r}"
    for text in ax.texts:
        if text.get_text() and text.get_visible() and box.overlaps(_box(text)):
            yield f"the legend covers the text {text.get_text()!r}"
    for dots in ax.collections:
        if isinstance(dots, PathCollection):
            points = dots.get_offset_transform().transform(dots.get_offsets())
            if any(box.contains(*p) for p in np.atleast_2d(points)):
                yield f"the legend covers the markers {dots.get_label()!r}"
    for bar in ax.patches:
        whole = isinstance(bar, Rectangle) and bar.get_height() == 1  # a band
        seen = Bbox.intersection(_box(bar), ax.bbox)
        if not whole and seen is not None and box.overlaps(seen):
            yield f"the legend covers the bar {bar.get_label()!r}"


def _beyond(ax):
    """A legend or a title that the edge of the figure cuts off."""
    edge = ax.figure.bbox.padded(2)
    for what in (ax.get_legend(), ax.title, ax._left_title):
        box = _box(what) if what is not None and what.get_visible() else None
        if box and box.width and not (edge.x0 <= box.x0 and box.x1 <= edge.x1):
            yield "the edge of the figure cuts a legend or a title"


def _unlabelled(ax):
    """Axes that show numbers and no name of what they are."""
    above = ax.figure.get_supxlabel(), ax.figure.get_supylabel()
    for name, axis, common in zip("xy", (ax.xaxis, ax.yaxis), above, strict=True):
        shown = [t.get_text() for t in axis.get_ticklabels() if t.get_visible()]
        numbers = [t for t in shown if NUMBER.match(t)]
        if numbers and axis.get_visible() and not (axis.get_label_text() or common):
            yield f"the {name} axis has numbers ({', '.join(numbers[:3])}) and no label"


def _cut(ax):
    """Markers that the frame cuts in two."""
    drawn = []
    for line in ax.get_lines():
        if line.get_marker() not in ("None", "", " ", None, ",") and line.get_clip_on():
            points = line.get_transform().transform(line.get_xydata())
            size = line.get_markersize() if line.get_marker() != "." else 0
            drawn.append((line, points, size / 2))
    for dots in ax.collections:
        if isinstance(dots, PathCollection) and dots.get_clip_on():
            points = dots.get_offset_transform().transform(dots.get_offsets())
            drawn.append(
                (dots, points, np.sqrt(np.max(dots.get_sizes(), initial=0)) / 2)
            )
    scale, box = ax.figure.dpi / 72, ax.bbox
    for artist, points, radius in drawn:
        points = np.asarray(points, float).reshape(-1, 2)
        points = points[np.all(np.isfinite(points), axis=1)]
        low, high = points - [box.x0, box.y0], [box.x1, box.y1] - points
        room = np.minimum(low, high).min(axis=1)
        cut = (room > -NEAR) & (room < 0.6 * radius * scale)
        if np.any(cut):
            label = artist.get_label()
            yield f"{int(cut.sum())} markers {label!r} are cut off by the frame"
