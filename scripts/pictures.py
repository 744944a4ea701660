"""Draws the pictures of the README into docs/images: `python scripts/pictures.py`."""

import pathlib

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.animation import PillowWriter
from PIL import Image, ImageSequence
from sklearn.datasets import load_digits

import dynax as dx
from dynax import material as mat
from dynax.mechanics import mpm
from dynax.report import COLORS, STYLE, energy_figure, movie, new_figure


IMAGES = pathlib.Path(__file__).parents[1] / "docs" / "images"


def ledger(path: pathlib.Path) -> None:
    """The energy ledger of Lion training a network on the digits of scikit-learn."""
    images, labels = load_digits(return_X_y=True)
    images, labels = jnp.asarray(images / 16, jnp.float32), jnp.asarray(labels)
    keys = jax.random.split(jax.random.key(0), 3)
    draw = lambda key, n, m: jax.random.normal(key, (n, m), jnp.float32) / n**0.5
    start = {"hidden": draw(keys[0], 64, 32), "out": draw(keys[1], 32, 10)}

    def loss(x, batch):
        logits = jax.nn.relu(images[batch] @ x["hidden"]) @ x["out"]
        rows = jnp.arange(len(batch))
        return -jnp.mean(jax.nn.log_softmax(logits)[rows, labels[batch]])

    batches = jax.random.choice(keys[2], len(labels), (150, 256))
    _, rows = dx.iterate(
        dx.LionKappa(weight_decay=1.0), loss, start, 1e-3, batches=batches
    )
    figure = energy_figure(rows, title="H of Lion on the digits, batches of 256")
    figure.savefig(path, dpi=90)


def drop(path: pathlib.Path) -> None:
    """Jelly falls on sand: 1,984 material points, coloured by material."""
    cell = 1 / 48
    jelly = mpm.bodies.box((0.35, 0.5), (0.35 + 16 * cell, 0.5 + 16 * cell), cell / 2)
    sand = mpm.bodies.box((4 * cell, 3 * cell), (44 * cell, 9 * cell), cell / 2)
    volume = cell**2 / 4
    bodies = (
        mpm.Material(mat.jelly(), 1e3, volume, len(jelly)),
        mpm.Material(mat.sand(), 1e3, volume, len(sand)),
    )
    x = np.concatenate([jelly, sand])
    start = mpm.at_rest(bodies, x, velocity=jnp.array([0.0, -1.0]))
    solver = mpm.MPM(
        mpm.Grid((48, 48), cell), walls=mpm.box_walls(2), gravity=jnp.array([0.0, -9.8])
    )
    motion = mpm.simulate(solver, bodies, start, dt=2.5e-4, steps=1920, save_every=80)
    places = np.asarray(motion.y.x)
    figure, axes = new_figure(1, 1, size=(3.6, 2.6))
    axis = axes[0][0]
    colors = [COLORS["blue"]] * len(jelly) + [COLORS["orange"]] * len(sand)
    dots = axis.scatter(*places[0].T, s=2, c=colors, linewidths=0)
    axis.set(xlim=(0.05, 0.95), ylim=(0.03, 0.9), aspect="equal")
    axis.set_axis_off()
    film = movie(figure, lambda k: dots.set_offsets(places[k]), len(places))
    film.save(path, PillowWriter(10), dpi=72)
    frames = [
        f.convert("RGB").quantize(8) for f in ImageSequence.Iterator(Image.open(path))
    ]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, loop=0)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    IMAGES.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        ledger(IMAGES / "ledger.png")
        drop(IMAGES / "drop.gif")
