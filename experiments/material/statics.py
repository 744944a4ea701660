"""Equilibria of solids against closed forms: which element bends, which one locks.

A cantilever is five times as long as high, with two cells across. Timoshenko's beam is
the oracle: quadratic triangles come near it, linear ones are half as soft. Close to
incompressibility linear elements lock, and the mean volume of F-bar frees them. A
shallow truss snaps through along its closed form, beyond the point where load steps
must stop. Two numbers of a law are found again from forces and widths.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynax import material as mat
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals
from dynax.mechanics import (
    Mesh,
    Solid,
    Truss,
    box_mesh,
    quadratic,
    statics,
    traction,
)
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


E, LENGTH = 1e5, 5.0
KINDS = {
    "triangles": (0.3, "triangle", False),
    "quadrilaterals": (0.3, "quad", False),
    "quadratic triangles": (0.3, "triangle6", False),
    "ν = 0.4999, quadrilaterals": (0.4999, "quad", False),
    "ν = 0.4999, F-bar": (0.4999, "quad", True),
}
HEIGHT, PUSH = 0.2, 75.0  # of the truss, m; its first step, N


@dataclasses.dataclass(frozen=True)
class Config:
    across: int = 2
    steps: int = 45  # along the truss's arc


SIZES = {"quick": Config(), "long": Config(4, 90), "full": Config(8, 180)}


def cantilever(results) -> dict:
    """(nodes, displacement, tip over Timoshenko's) of each kind of element."""
    found = {}
    n = results.config.across
    for k, (name, (poisson, kind, bar)) in enumerate(KINDS.items()):
        results.tell(k / len(KINDS), name)
        mesh = box_mesh((5 * n, n), (LENGTH, 1.0), simplices=kind != "quad")
        mesh = quadratic(mesh) if kind == "triangle6" else mesh
        X = np.asarray(mesh.nodes)
        pull = traction(mesh, X[:, 0] == LENGTH, jnp.array([0.0, -1.0]))
        law = mat.NeoHookean(E, poisson)
        body = Solid(law, mesh, 1e3, X[:, 0] == 0, force=pull, mean_volume=bar)
        u = np.asarray(statics.load(body).u[-1])
        found[name] = X, u, -u[np.argmax(X.sum(1)), 1] / timoshenko(poisson)
    return found


def timoshenko(poisson) -> float:
    """The tip under a unit load, in plane strain: E/(1 − ν²), shear area 5/6."""
    bent = 4 * LENGTH**3 * (1 - poisson**2) / E
    return bent + LENGTH * 2 * (1 + poisson) / (5 / 6 * E)


def truss() -> Truss:
    mesh = Mesh(jnp.array([[0.0, 0], [1, HEIGHT], [2, 0]]), np.array([[0, 1], [1, 2]]))
    force = jnp.zeros((3, 2)).at[1, 1].set(-1.0)
    law = mat.StVenantKirchhoff(E, 0.0)
    return Truss(law, mesh, 1e3, 1.0, np.array([True, False, True]), force=force)


def exact_force(w):
    """P(w) = (EA/L³)(h − w)(2hw − w²) of two bars whose apex has moved by w."""
    return E / (1 + HEIGHT**2) ** 1.5 * (HEIGHT - w) * (2 * HEIGHT * w - w**2)


PEAK = E / (1 + HEIGHT**2) ** 1.5 * 2 / 27**0.5 * HEIGHT**3


def snap(results) -> dict:
    path = statics.arc(truss(), results.config.steps, PUSH * 45 / results.config.steps)
    stopped = statics.load(truss(), PEAK * np.array([0.5, 1.01]), throw=False)
    return {
        "w": -np.asarray(path.u[:, 1, 1]),
        "force": np.asarray(path.factor),
        "reached": np.asarray(stopped.found)[1:],
    }


def calibration(results) -> dict:
    """Gauss–Newton on force and width at three stretches of a block."""
    block = box_mesh((2, 2), (1.0, 1.0), simplices=False)
    Y = np.asarray(block.nodes)
    end = Y[:, 0] == 1.0
    held = (Y == 0.0) | (Y[:, :1] == [1.0, 9.0])
    stretch = np.where(end[:, None], [0.3, 0.0], 0.0)

    @jax.jit
    def test(theta):
        body = Solid(mat.NeoHookean(jnp.exp(theta[0]), theta[1]), block, 1e3, held)
        path = statics.load(body, 3, stretch)
        force = jnp.sum(path.reaction[1:, end, 0], 1)
        return jnp.concatenate([force, E * path.u[1:, -1, 1]])

    truth = jnp.array([np.log(2 * E), 0.4])
    data, slope = test(truth), jax.jit(jax.jacfwd(test))
    theta, errors = jnp.array([np.log(E), 0.2]), []
    for _ in range(8):
        errors.append(float(jnp.max(jnp.abs(theta / truth - 1))))
        theta = theta - jnp.linalg.lstsq(slope(theta), test(theta) - data)[0]
    return {"errors": [*errors, float(jnp.max(jnp.abs(theta / truth - 1)))]}


def field(results) -> dict:
    """The convex fit of displacements and one force, of two families and two noises."""
    del results
    mesh = box_mesh((8, 4), (1.0, 0.5), simplices=False)
    X = np.asarray(mesh.nodes)
    grip = np.zeros_like(X)
    grip[X[:, 0] == 1.0, 0] = 1
    held = (X[:, 0] == 0) | grip.any(axis=1)  # clamped: strain is uneven
    families = {
        "family": ((1, 0, 0), (2, 0, 0), (0, 0, 2), (0, 0, 4)),
        "poorer": ((1, 0, 0), (0, 0, 4)),
    }

    def of(w, powers):
        return Solid(mat.Polynomial(w, powers), mesh, 1e3, held)

    truth = E * np.array([0.4, 0.2, 1.0, 0.0])
    path = statics.load(of(jnp.asarray(truth), families["family"]), 4, 0.3 * grip)
    force = np.sum(path.reaction[1:, :, 0] * grip[:, 0], 1)
    found = {}
    for noise in (0.0, 1e-4):
        shape = path.u[1:].shape
        u = path.u[1:] + noise * np.random.default_rng(0).standard_normal(shape)
        for name, powers in families.items():
            body = functools.partial(of, powers=powers)
            found[name, noise] = statics.fit(body, len(powers), u, force, grip)
    return {"truth": truth, **found}


PARTS = {
    "cantilever": cantilever,
    "snap": snap,
    "calibration": calibration,
    "field": field,
}


def weights(results, noise) -> Measured:
    found, truth = results["field"]["family", noise], results["field"]["truth"]
    text = ", ".join(f"{w:.4g}" for w in found.weights) + f"; misfit {found.misfit:.1e}"
    return Measured(np.max(np.abs(found.weights - truth)) / truth.max(), text)


def misfit(results, name) -> Measured:
    found = results["field"][name, 1e-4].misfit
    return Measured(found / results["field"]["family", 1e-4].misfit, f"{found:.1e}")


def off(results, name) -> Measured:
    ratio = results["cantilever"][name][2]
    return Measured(abs(ratio - 1), f"tip over Timoshenko's: {ratio:.3f}")


def along(results) -> Measured:
    found = results["snap"]
    far = np.max(np.abs(found["force"] - exact_force(found["w"]))) / PEAK
    ends = found["force"].min() / PEAK, found["force"].max() / PEAK
    text = f"from {ends[0]:.3f} to {ends[1]:.3f} of the peak, w to {found['w'][-1]:.2f}"
    return Measured(far, text)


CLAIMS = [
    Claim(
        "C28",
        "cantilever, L/H = 5, quadratic triangles: tip over Timoshenko's − 1",
        at_most(0.03, "Timoshenko's clamped end is itself good to (H/L)² = 0.04"),
        functools.partial(off, name="quadratic triangles"),
    ),
    Control(
        "C28x",
        "the same with linear triangles",
        at_least(0.2, "their strain is constant and cannot bend"),
        functools.partial(off, name="triangles"),
        of="C28",
    ),
    Claim(
        "C29",
        "cantilever, ν = 0.4999, quadrilaterals with F-bar: tip over Timoshenko's − 1",
        at_most(0.1, "two cells across at ν = 0.3 are 0.14 off"),
        functools.partial(off, name="ν = 0.4999, F-bar"),
    ),
    Control(
        "C29x",
        "the same without F-bar",
        at_least(0.5, "four constraints on volume an element: it locks"),
        functools.partial(off, name="ν = 0.4999, quadrilaterals"),
        of="C29",
    ),
    Claim(
        "C30",
        "a shallow truss by arc length: the force against its closed form, of the peak",
        at_most(1e-10, "Newton's accuracy"),
        along,
    ),
    Control(
        "C30x",
        "load steps beyond the peak: the share that finds no equilibrium",
        equals(1, "there is none nearby"),
        lambda r: np.mean(~r["snap"]["reached"][-1:]),
        of="C30",
    ),
    Claim(
        "C31",
        "log E and ν from forces and widths, eight Gauss–Newton steps: relative error",
        at_most(1e-12, "quadratic convergence, to round-off"),
        lambda r: r["calibration"]["errors"][-1],
    ),
    Control(
        "C31x",
        "the error before the first step",
        at_least(0.05, "E is off by a factor of two"),
        lambda r: r["calibration"]["errors"][0],
        of="C31",
    ),
    Claim(
        "C40a",
        "weights of a law from displacements and one force, one convex problem: error",
        at_most(1e-13, "linear in the weights, and paths are solved to round-off"),
        functools.partial(weights, noise=0.0),
    ),
    Claim(
        "C40b",
        "the same with noise of 10⁻⁴ of the length",
        at_most(0.1, "a strain of 10⁻³ of noise in cells of ⅛, of 0.3"),
        functools.partial(weights, noise=1e-4),
    ),
    Control(
        "C40x",
        "a family without the law: its misfit over that of the right one",
        at_least(3, "it is reported, noise or not"),
        functools.partial(misfit, name="poorer"),
        of="C40a",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    for color, (name, (X, u, ratio)) in zip(
        ("vermilion", "orange", "blue"), results["cantilever"].items(), strict=False
    ):
        top = np.flatnonzero(X[:, 1] == 1.0)
        top = top[np.argsort(X[top, 0])]
        down = -u[top, 1] / timoshenko(0.3)
        label = f"{name}: {ratio:.2f}"
        left.plot(X[top, 0], down, "o-", ms=3, color=COLORS[color], label=label)
    left.axhline(1, color=COLORS["grey"], lw=0.8)
    left.invert_yaxis()
    left.set(xlabel="x, m", ylabel="deflection / Timoshenko's tip")
    left.set_title("A cantilever, ν = 0.3")
    found = results["snap"]
    w = np.linspace(0, max(found["w"].max(), 0.45), 200)
    right.plot(w, exact_force(w), color=COLORS["grey"], label="closed form")
    right.plot(
        found["w"], found["force"], ".", color=COLORS["blue"], label="by arc length"
    )
    right.axhline(PEAK, ls=":", color=COLORS["vermilion"], label="load steps end here")
    right.set(xlabel="way of the apex, m", ylabel="force, N")
    right.set_title("A truss that snaps through")
    for ax in (left, right):
        legend_below(ax, 1)
    caption = (
        "Which element bends as Timoshenko's beam does (left), and an equilibrium path "
        "beyond its limit points (right)."
    )
    return {caption: figure}


STUDY = Study(
    "Statics: elements that bend and paths that snap through",
    "Timoshenko's beam; de Souza Neto et al. (1996), F-bar; von Mises's truss",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
)
