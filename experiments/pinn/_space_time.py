"""A network beside its reference in one dimension of space: maps, errors, spectra."""

import dataclasses
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax.report import COLORS, new_figure


@dataclasses.dataclass(frozen=True)
class Gauss:
    """A sampler: Gauss–Legendre times, the same in every cycle, fresh places."""

    times: int
    points: int

    def __call__(self, key, problem, over, dtype, residual):
        del residual
        nodes = (1 + np.polynomial.legendre.leggauss(self.times)[0]) / 2
        drawn = problem.sample(key, self.times, self.points, dtype=dtype)
        return drawn._replace(
            t=over.t0 + (over.t1 - over.t0) * jnp.asarray(nodes, dtype)
        )


def clocked(call, *args, **kwargs):
    """What a call returns, and the seconds of processor time it took."""
    begun = time.process_time()
    out = call(*args, **kwargs)
    return out, time.process_time() - begun


@eqx.filter_jit
def on_grid(u, t, x):
    """u's first field at all times and places, (times, places)."""
    along = lambda t: jax.lax.map(lambda x: u(t, x[None])[0], x, batch_size=512)
    return jax.lax.map(along, t)


def values(u, truth) -> np.ndarray:
    """A function where its reference is known."""
    return np.asarray(on_grid(u, jnp.asarray(truth.t), jnp.asarray(truth.axes[0])))


def sizes(found, truth) -> np.ndarray:
    """‖error(t)‖ over the norm of the solution, both mean squares over space."""
    norm = np.sqrt(np.mean(truth.u[..., 0] ** 2))
    return np.sqrt(np.mean((found - truth.u[..., 0]) ** 2, 1)) / norm


def maps(found, truth):
    """x over t: the solution, the network, and where they differ."""
    figure, axes = new_figure(1, 3, size=(10.5, 3.0), sharey=True)
    known, x = truth.u[..., 0], truth.axes[0]
    t, half = truth.t, np.array([-0.5, 0.5])  # the pixels' centres are the points
    box = *(t[[0, -1]] + half * (t[1] - t[0])), *(x[[0, -1]] + half * (x[1] - x[0]))
    error = np.log10(np.abs(found - known) + 1e-12)
    ends = {"vmin": known.min(), "vmax": known.max(), "cmap": "RdBu_r"}
    high = np.ceil(error.max())
    panels = (
        ("Reference", known, ends),
        ("Network", found, ends),
        ("log₁₀ |error|", error, {"vmin": high - 5, "vmax": high, "cmap": "viridis"}),
    )
    for ax, (title, picture, look) in zip(axes[0], panels, strict=True):
        image = ax.imshow(picture.T, origin="lower", aspect="auto", extent=box, **look)
        ax.grid(False)
        ax.set(xlabel="t", title=title, xlim=t[[0, -1]], ylim=(x[0], 2 * x[-1] - x[-2]))
        figure.colorbar(image, ax=ax)
    axes[0, 0].set(ylabel="x")
    return figure


def errors(found: dict, truth, edges=()):
    """‖error‖ in time, and the spectra of the solution and of the error at the end.

    Args:
        found: name → (values, color).
        truth: the reference.
        edges: of windows.
    """
    figure, axes = new_figure(1, 2, size=(7.6, 3.6))
    left, right = axes[0]
    for edge in edges:
        left.axvline(edge, color=COLORS["grey"], lw=0.4)
    spectrum = lambda u: np.abs(np.fft.rfft(u)) / u.size
    right.plot(spectrum(truth.u[-1, :, 0]), color=COLORS["black"], label="solution")
    for name, (u, color) in found.items():
        after = truth.t > truth.t[0]  # where a start is met exactly there is no error
        left.plot(truth.t[after], sizes(u, truth)[after], color=COLORS[color])
        left.lines[-1].set_label(name)
        gap = u[-1] - truth.u[-1, :, 0]
        right.plot(spectrum(gap), color=COLORS[color], lw=0.8)
    left.set(xlabel="t", ylabel="‖error(t)‖ / ‖u‖", yscale="log")
    left.set_title("Error in time")
    low, high = left.dataLim.intervaly
    left.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)))
    right.set(xlabel="periods in the box", ylabel="amplitude at the end")
    right.set(xscale="log", yscale="log", xlim=(1, None), ylim=(1e-12, 1))
    right.set_title("Spectra; colours: of the error")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
