"""Draws docs/images for the README and the pages: `python scripts/pictures.py`."""

import contextlib
import pathlib
import re
import tempfile
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.colors import LogNorm
from PIL import Image, ImageSequence
from sklearn.datasets import load_digits

import dynax as dx
from dynax import kappa, material as mat, pde
from dynax.mechanics import mpm
from dynax.report import (
    COLORS,
    STYLE,
    energy_figure,
    legend_below,
    movie,
    new_figure,
)


IMAGES = pathlib.Path(__file__).parents[1] / "docs" / "images"
SMALL, DOTS = (3.2, 2.2), 110  # of the thumbnails: inches, dots an inch


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


def optimizers(path: pathlib.Path) -> None:
    """H of Lion with an implicit decay falls by what its terms dissipate."""
    loss = lambda x: jnp.sum(x**2) / 2 + jnp.sum(jnp.cos(3 * x))
    opt = dx.LionKappa(weight_decay=0.5)
    _, rows = dx.iterate(opt, loss, jnp.linspace(-1.5, 1.5, 20), 1e-2, steps=200)
    figure, axes = new_figure(size=SMALL)
    axes[0, 0].plot(rows.step, rows.energy, color=COLORS["black"], label="H")
    spent = jnp.cumsum(rows.terms["dissipation_1"] + rows.terms["dissipation_2"])
    axes[0, 0].plot(rows.step, spent, color=COLORS["blue"], label="dissipated")
    axes[0, 0].set(xlabel="step", ylabel="energy")
    axes[0, 0].legend(loc="center right")
    figure.savefig(path, dpi=DOTS)


def flows(path: pathlib.Path) -> None:
    """Lion-κ flows from one start: κ sets the set to which each is confined."""
    loss = lambda x: 0.3 * (x[0] - 2) ** 2 + 0.8 * (x[1] - 0.3) ** 2
    smooth = kappa.SoftAbs(0.05)
    cases = {
        "a box": smooth,
        "a ball": kappa.OrthogonallyInvariant(smooth),
        "no bound": kappa.HalfSquared(),
    }
    figure, axes = new_figure(size=SMALL)
    for name, potential in cases.items():
        opt = dx.LionKappa.from_flow(potential, 1.0, 0.1, 1.0, 1e-2)
        flow = dx.as_flow(opt, loss, 1e-2)
        solution: Any = diffrax.diffeqsolve(
            diffrax.ODETerm(flow.field),
            diffrax.Tsit5(),
            0.0,
            15.0,
            None,
            flow.init(jnp.array([-0.6, 0.6])),
            stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-5),
            saveat=diffrax.SaveAt(ts=jnp.linspace(0, 15, 200)),
        )
        axes[0, 0].plot(*np.asarray(solution.ys[0]).T, label=name)
    axes[0, 0].set(xlabel="x₁", ylabel="x₂", ylim=(-0.3, 1.3))
    axes[0, 0].legend()
    figure.savefig(path, dpi=DOTS)


def equations(path: pathlib.Path) -> None:
    """The reference solution of the Allen–Cahn equation."""
    found = pde.reference(pde.AllenCahn(), 101, accuracy=1e-4)
    t, (x,) = found.t, found.axes
    u = found.u[:, :, 0]
    figure, axes = new_figure(size=SMALL)
    mesh = axes[0, 0].pcolormesh(t, x, u.T, cmap="RdBu_r")
    axes[0, 0].set(xlabel="t", ylabel="x")
    figure.colorbar(mesh, label="u")
    figure.savefig(path, dpi=DOTS)


def sweeps(path: pathlib.Path) -> None:
    """Momentum on a quadratic over two hyper-parameters, 400 runs."""

    def run(rate, momentum):
        tx = dx.as_optax(dx.Momentum(momentum), rate)
        scale = jnp.geomspace(0.1, 2, 20)
        loss = lambda x: jnp.sum(scale * x**2)

        def step(carry, _):
            x, state = carry
            update, state = tx.update(jax.grad(loss)(x), state, x)
            return (x + update, state), None

        x = jnp.ones(20)
        (x, _), _ = jax.lax.scan(step, (x, tx.init(x)), length=50)
        return loss(x)

    rates, momenta = np.geomspace(1e-3, 1, 20), np.linspace(0, 0.95, 20)
    grid = jax.jit(jax.vmap(jax.vmap(run, (0, None)), (None, 0)))(rates, momenta)
    figure, axes = new_figure(size=SMALL)
    look = {"norm": LogNorm(1e-6, 1e2), "cmap": "viridis_r"}
    mesh = axes[0, 0].pcolormesh(rates, momenta, np.clip(grid, 1e-6, 1e2), **look)
    axes[0, 0].set(xscale="log", xlabel="learning rate", ylabel="momentum")
    figure.colorbar(mesh, label="loss")
    figure.savefig(path, dpi=DOTS)


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
    frames[-8].convert("RGB").save(path.with_name("materials.png"), optimize=True)


def machine(page: dict):
    """A plate at rest and pulled, and the forces of two fits beside those measured."""
    figure, axes = new_figure(1, 2, size=(7.2, 3.4))
    left, right = axes[0]
    X, u, force = page["X"], np.asarray(page["path"].u[-1]), page["force"]
    for places, color, name in ((X, "grey", "at rest"), (X + u, "blue", "pulled")):
        for k, corners in enumerate(np.asarray(page["mesh"].elements)):
            ring = places[[*corners, corners[0]]]
            label = None if k else name
            left.plot(*ring.T, color=COLORS[color], lw=0.9, label=label)
    left.set(xlabel="x, m", ylabel="y, m", aspect="equal")
    left.set_title("A quarter of the plate")
    legend_below(left)
    way = np.linspace(0, 0.9, len(force) + 1)
    for values, name, look in (
        (force, "measured", {"marker": "o", "ls": "", "color": COLORS["grey"]}),
        (page["found"].force, "fit", {"color": COLORS["blue"]}),
        (
            page["refuted"].force,
            "fit, wrong family",
            {"color": COLORS["vermilion"], "ls": "--"},
        ),
    ):
        right.plot(way, np.r_[0, values] / 1e3, label=name, **look)
    right.set(xlabel="displacement of the grip, m", ylabel="force, kN")
    right.set_title("What the machine measured")
    legend_below(right, 1)
    return figure


def of_page(page: str, figure: str, path: pathlib.Path) -> None:
    """The figure that the code blocks of a page lead to.

    Args:
        page: within docs/.
        figure: an expression over the names of the page, which are `page` too.
        path: of the picture.
    """
    text = (IMAGES.parent / page).read_text(encoding="utf-8")
    names: dict = {"dx": dx, "__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
            exec(block, names)
        eval(figure, {**names, "page": names, "machine": machine}).savefig(path, dpi=90)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    IMAGES.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        ledger(IMAGES / "ledger.png")
        for draw in (optimizers, flows, equations, sweeps):
            draw(IMAGES / f"{draw.__name__}.png")
        drop(IMAGES / "drop.gif")
        page = "tutorials/own-optimizer.md"
        of_page(page, "dx.plot(result)", IMAGES / "own-optimizer.png")
        page = "tutorials/first-sweep.md"
        of_page(page, "[*figures.values()][0]", IMAGES / "first-sweep.png")
        page = "tutorials/force-displacement.md"
        of_page(page, "machine(page)", IMAGES / "force-displacement.png")
