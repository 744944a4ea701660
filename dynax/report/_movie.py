"""Figures that move, as GIFs in the page; on paper, and for readers who want no motion,
their last frame."""

import base64
import html
import io
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.animation import Animation, FuncAnimation, PillowWriter
from matplotlib.figure import Figure

from dynax.report._style import STYLE


RATE = 10  # frames a second
FRAMES = 60  # at most
HELD = 10  # frames for which the last one stays
LARGEST_GIF = 1_500_000  # bytes; above, it is drawn again with fewer dots an inch
DOTS = (110, 80, 60, 40)


def movie(
    figure: Figure, draw: Callable[[int], Any], frames: int, *, first: int = 0
) -> Animation:
    """A figure redrawn by draw(first), draw(first + 1), …: ten frames a second.

    Draw what stays before, and let `draw` change the data of artists that are there, as
    in `line.set_ydata(…)`: axes whose limits move show nothing well.

    Args:
        figure: with all its axes.
        draw: called with the number of the frame.
        frames: how many, 2 to 60.
        first: the number of the first.
    """
    if not 2 <= frames <= FRAMES:
        raise ValueError(f"frames: given {frames}; accepted are 2 to {FRAMES}.")
    draw(first)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # else everything trembles, and is slow
    last = first + frames - 1
    numbers = [*range(first, last), *[last] * HELD]
    return FuncAnimation(figure, draw, numbers, interval=1000 / RATE)  # pyright: ignore


def movie_html(animation: Animation, caption: str) -> str:
    """The animation as an image of at most about 1.5 MB."""
    with matplotlib.rc_context(STYLE), tempfile.TemporaryDirectory() as folder:
        path, writer = pathlib.Path(folder, "movie.gif"), PillowWriter(RATE)
        for dots in DOTS:
            animation.save(path, writer, dpi=dots)
            if path.stat().st_size <= LARGEST_GIF:
                break
        gif, still = path.read_bytes(), io.BytesIO()
        writer.fig.savefig(still, format="png", dpi=110)
    alt = html.escape(caption, quote=True)
    return (
        '<picture><source media="print, (prefers-reduced-motion: reduce)" '
        f'srcset="{_data("png", still.getvalue())}">'
        f'<img alt="{alt}" src="{_data("gif", gif)}"></picture>'
    )


def _data(kind, content):
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
