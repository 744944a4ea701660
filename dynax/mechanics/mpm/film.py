"""Pictures of a motion of material points, as a notebook shows them."""

import dataclasses
import os
from typing import Any

import numpy as np

from dynax.mechanics.mpm.body import Body


OBLIQUE = np.array([0.35, 0.25])  # where z goes in the picture, which is into the page


@dataclasses.dataclass(frozen=True)
class Film:
    """An animation, which a notebook shows and `save` keeps.

    Args:
        animation: of matplotlib.
    """

    animation: Any

    def save(self, path: str | os.PathLike) -> None:
        """Write a GIF."""
        self.animation.save(path, writer="pillow", dpi=110)

    def _repr_html_(self) -> str:
        from dynax.report import movie_html

        return movie_html(self.animation, "Material points, coloured by speed")


def film(motion, frames: int = 40) -> Film:
    """Show a motion, its points coloured by their speed.

    Of a run that failed, what it reached is shown. Needs matplotlib.

    Args:
        motion: of `simulate`, whose states are whole (no `observe`).
        frames: at most so many, evenly chosen, 2 to 60.

    Raises:
        TypeError: the motion saved something else.
        ValueError: fewer than 2 states, or frames.
    """
    from dynax.report import movie

    x, speed, t = _reached(motion)
    chosen = np.linspace(0, len(t) - 1, min(frames, len(t))).round().astype(int)
    figure, (ax,), dots = _drawn(x, speed, 1)

    def draw(k):
        now = chosen[k]
        _show(dots[0], x[now], speed[now])
        ax.set_title(f"t = {t[now]:.3g} s")

    return Film(movie(figure, draw, len(chosen)))


def plot(motion, panels: int = 4):
    """Draw a motion as a row of pictures, from its start to its end.

    Raises:
        TypeError, ValueError: as `film`.
    """
    x, speed, t = _reached(motion)
    chosen = np.linspace(0, len(t) - 1, min(panels, len(t))).round().astype(int)
    figure, axes, dots = _drawn(x, speed, len(chosen))
    for k, ax, dot in zip(chosen, axes, dots, strict=True):
        _show(dot, x[k], speed[k])
        ax.set_title(f"t = {t[k]:.3g} s")
    return figure


def _reached(motion):
    if not isinstance(motion.y, Body):
        raise TypeError(
            f"motion: given states of {type(motion.y).__name__}; accepted is a motion "
            "of whole states, without `observe`."
        )
    t, x, v = (np.asarray(a) for a in (motion.t, motion.y.x, motion.y.v))
    good = np.isfinite(t) & np.isfinite(x).all((1, 2))
    if good.sum() < 2:
        raise ValueError(f"motion: given {good.sum()} states; accepted are 2 or more.")
    return x[good], np.linalg.norm(v[good], axis=-1), t[good]


def _seen(x):
    return x[..., :2] + x[..., 2:] * OBLIQUE if x.shape[-1] == 3 else x


def _drawn(x, speed, panels):
    from dynax.report import new_figure

    flat = _seen(x).reshape(-1, 2)
    low, high = flat.min(0), flat.max(0)
    room = 0.05 * np.max(high - low) + np.finfo(float).tiny
    figure, (axes,) = new_figure(1, panels, size=(7.6, 0.9 + 5.5 / (panels + 0.3)))
    size = min(40.0, 2e4 / x.shape[1] / panels**2)
    dots = []
    for ax in axes:
        dots.append(ax.scatter([], [], c=[], s=size, cmap="viridis", lw=0))
        dots[-1].set_clim(0, max(float(speed.max()), 1e-30))
        ax.set(xlim=(low[0] - room, high[0] + room))
        ax.set(ylim=(low[1] - room, high[1] + room), aspect="equal")
        ax.set_axis_off()
    figure.colorbar(dots[-1], ax=list(axes), label="|v|, m/s", shrink=0.7)
    return figure, axes, dots


def _show(dot, x, speed):
    order = np.argsort(-x[:, 2]) if x.shape[-1] == 3 else slice(None)
    dot.set_offsets(_seen(x)[order])
    dot.set_array(speed[order])
