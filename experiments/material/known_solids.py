"""Solids against closed forms and published values, on meshes that grow finer.

A plate with a hole (Kirsch), Cook's membrane, a tube that yields throughout (Hill) and
a rigid cylinder pressed on a block (Hertz). Each is solved on several meshes, so the
order of convergence is measured and not only one error.
"""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from dynax import material as mat
from dynax.claim import Claim, Control, Measured, at_least, at_most
from dynax.mechanics import Mesh, Solid, box_mesh, quadratic, statics, traction
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


SMALL = 1e-6  # of a strain: the law is linear to so much


@dataclasses.dataclass(frozen=True)
class Config:
    cells: tuple[int, ...] = (4, 8, 16)
    contact: int = 24  # cells a half-width of contact, on the finest mesh


SIZES = {
    "quick": Config(),
    "long": Config((4, 8, 16, 32), 48),
    "full": Config((4, 8, 16, 32, 64), 48),
}


def mapped(cells, place, kind="quad", size=(1.0, 1.0)) -> Mesh:
    """A box of cells whose nodes go to place(nodes); curved where it curves."""
    mesh = box_mesh(cells, size, simplices=kind != "quad")
    mesh = quadratic(mesh) if kind == "triangle6" else mesh
    return Mesh(jnp.asarray(place(np.array(mesh.nodes))), mesh.elements)


def orders(sizes, errors) -> np.ndarray:
    """Of convergence, between each mesh and the next."""
    return -np.diff(np.log(errors)) / np.diff(np.log(sizes))


# --- a plate with a hole ------------------------------------------------------------

HOLE, PLATE, NU = 1.0, 4.0, 0.3


def kirsch(X):
    """u over σ/8μ, and the stress over σ, of an infinite plate pulled along x.

    Plane strain. Source: Kirsch, Z. VDI 42 (1898); Muskhelishvili, "Some Basic
    Problems", §56a.
    """
    r, t = np.hypot(*X.T), np.arctan2(X[:, 1], X[:, 0])
    k, q = 3 - 4 * NU, HOLE / r
    u = (
        (k + 1) / q * np.cos(t)
        + 2 * q * ((1 + k) * np.cos(t) + np.cos(3 * t))
        - 2 * q**3 * np.cos(3 * t),
        (k - 3) / q * np.sin(t)
        + 2 * q * ((1 - k) * np.sin(t) + np.sin(3 * t))
        - 2 * q**3 * np.sin(3 * t),
    )
    c2, c4, s2, s4 = np.cos(2 * t), np.cos(4 * t), np.sin(2 * t), np.sin(4 * t)
    xx = 1 - q**2 * (1.5 * c2 + c4) + 1.5 * q**4 * c4
    yy = -(q**2) * (0.5 * c2 - c4) - 1.5 * q**4 * c4
    xy = -(q**2) * (0.5 * s2 + s4) + 1.5 * q**4 * s4
    return np.stack(u, 1) * HOLE, np.stack([xx, xy, xy, yy], 1).reshape(-1, 2, 2)


def ring(X):
    """[0, 1]² to a quarter of a ring about the hole, finer at the hole."""
    r, t = HOLE * (PLATE / HOLE) ** X[:, 0], np.pi / 2 * X[:, 1]
    return np.stack([r * np.cos(t), r * np.sin(t)], 1)


def hole(results) -> dict:
    """Errors of u and of the stress, and σ_θθ at the hole, of each kind and mesh."""
    found: dict[str, Any] = {}
    for kind in ("quad", "triangle6"):
        rows = []
        for n in results.config.cells[1:]:
            mesh = mapped((n, n), ring, kind)
            X = np.asarray(mesh.nodes)
            far = np.isclose(np.hypot(*X.T), PLATE)
            held = far[:, None] | np.isclose(X, 0)
            mu, pull = 1.0, 8 * SMALL
            u, _ = kirsch(X)
            u *= pull / (8 * mu)
            law = mat.NeoHookean(2 * mu * (1 + NU), NU)
            body = Solid(law, mesh, 1.0, held)
            path = statics.load(body, 1, np.where(far[:, None], u, 0.0))
            mass = np.asarray(body.parts.mass)
            off = np.sqrt(np.sum(mass * (path.u[-1] - u) ** 2) / np.sum(mass * u**2))
            x = places(body)
            P = np.asarray(body.stress_at(path.u[-1], path.history[-1])) / pull
            true = kirsch(x.reshape(-1, 2))[1].reshape(P.shape)
            V = np.asarray(body.parts.volume)[..., None, None]
            stress = np.sqrt(np.sum(V * (P - true) ** 2) / np.sum(V * true**2))
            rows.append((off, stress, P[..., 0, 0].max()))
        found[kind] = np.array(rows)
        shown = X, np.asarray(mesh.elements), x, P
    return found | {"shown": shown}


def places(body) -> np.ndarray:
    """The points of the quadrature at rest, (m, q, d)."""
    from dynax.mechanics._elements import ELEMENTS

    X, elements = np.asarray(body.parts.nodes), np.asarray(body.parts.elements)
    kind = ELEMENTS[X.shape[1], elements.shape[1]]
    return np.einsum("qc,mcd->mqd", kind.shapes(kind.points), X[elements])


# --- Cook's membrane ----------------------------------------------------------------

COOK = 23.96  # Cook, Malkus, Plesha, "Concepts and Applications", plane stress
MUELLER = 6.1469  # Müller 2015, neo-Hookean, plane strain


class Ciarlet(mat.AbstractHyperelastic):
    """ψ = μ/2 (tr FᵀF − 3) + λ/4 (J² − 1) − (λ/2 + μ) ln J, the law of Müller 2015."""

    young: float = 200.0
    poisson: float = 0.35

    def energy(self, F, alpha=()):
        lam, mu = mat.lame(self.young, self.poisson)
        J = mat.kinematics.det(F)
        shear = mu / 2 * (jnp.sum(F**2) - 2)
        return shear + lam / 4 * (J**2 - 1) - (lam / 2 + mu) * jnp.log(J)


def panel(X):
    """[0, 1]² to Cook's panel, 48 long, 44 high at the wall and 16 at the end."""
    x, y = X.T
    return np.stack([48 * x, 44 * (x + y) - 28 * x * y], 1)


def membrane(results) -> dict:
    """The vertical way of the middle of the end and of its upper corner, by mesh."""
    # plane stress with E = 1, ν = 1/3 is plane strain with these, if strains are small
    cases = {"linear": ((0.9375, 0.25), SMALL / 16), "large": ((200.0, 0.35), 4.0)}
    found: dict[str, Any] = {name: [] for name in cases}
    for n in results.config.cells:
        mesh = mapped((n, n), panel, "triangle6")
        X = np.asarray(mesh.nodes)
        ends = [np.argmin(np.hypot(*(X - [48.0, y]).T)) for y in (52.0, 60.0)]
        for name, (numbers, shear) in cases.items():
            pull = traction(mesh, X[:, 0] == 48.0, jnp.array([0.0, shear]))
            law = Ciarlet(*numbers)
            body = Solid(law, mesh, 1.0, X[:, 0] == 0, force=pull)
            u = np.asarray(statics.load(body, 2).u[-1])
            found[name].append(u[ends, 1] / (SMALL if shear < 1 else 1))
    shown = X, np.asarray(mesh.elements), u
    return {k: np.array(v) for k, v in found.items()} | {"shown": shown}


def aitken(a) -> float:
    """What three values of a geometric approach go to."""
    return a[-1] - (a[-1] - a[-2]) ** 2 / (a[-1] - 2 * a[-2] + a[-3])


# --- a tube that yields -------------------------------------------------------------

YIELD, STIFF = 1e-4, 1.0  # ‖dev τ‖ at yield, and E
LIMIT = 2**0.5 * YIELD * np.log(2.0)


def tube(results) -> dict:
    """Pressure within a tube, b/a = 2, as its inside is moved out, over its limit.

    Perfectly plastic, plane strain: p → √2 σ_y ln(b/a), σ_y of ‖dev τ‖ (Hill, "The
    Mathematical Theory of Plasticity", ch. V; von Mises).
    """
    del results
    steps = 2 * YIELD / STIFF * np.array([0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0])
    mesh = mapped((8, 8), lambda X: ring(X * [0.5, 1.0]))
    X = np.asarray(mesh.nodes)
    inside = np.isclose(np.hypot(*X.T), HOLE)
    held = inside[:, None] | np.isclose(X, 0)
    found = {}
    for name, limit in (("von Mises", YIELD), ("elastic", 1e6)):
        law = mat.Elastoplastic(mat.Hencky(STIFF, 0.45), mat.VonMises(limit))
        body = Solid(law, mesh, 1.0, held, mean_volume=True)
        path = statics.load(body, steps[1:], np.where(inside[:, None], X, 0.0))
        out = np.asarray(path.reaction)[:, inside] * X[inside]  # radial: a = 1
        found[name] = out.sum((1, 2)) / (np.pi / 2) / LIMIT
    return found | {"way": steps}


# --- Hertz --------------------------------------------------------------------------

RADIUS, DEPTH, CONTACT = 1.0, 2e-3, 3e-2  # of the cylinder, its way, about a


def pressed(results) -> dict:
    """Pressure under a rigid cylinder on a block, of each penalty and mesh."""
    found, cells = {}, results.config.contact
    for k in (1e4, 1e2):
        mesh = mapped((2 * cells, 2 * cells), functools.partial(under, cells=cells))
        X = np.asarray(mesh.nodes)
        top = X[:, 1] == 0
        area = traction(mesh, top, jnp.array([0.0, 1.0]))[:, 1]
        held = np.stack([X[:, 0] == 0, X[:, 1] == X[:, 1].min()], 1)
        body = Solid(mat.NeoHookean(STIFF, NU), mesh, 1.0, held)
        round_ = lambda x, way: (
            jnp.sqrt(x[0] ** 2 + (x[1] - RADIUS + way) ** 2) - RADIUS
        )
        obstacle = statics.Obstacle(round_, k, area)
        path = statics.load(body, np.array([DEPTH / 2, DEPTH]), obstacle=obstacle)
        i = np.flatnonzero(top)[np.argsort(X[top, 0])]
        f, A = -np.asarray(path.reaction)[-1, i, 1], np.asarray(area)[i]
        load = 2 * f.sum()
        a = 2 * np.sqrt(load * RADIUS * (1 - NU**2) / np.pi / STIFF)
        peak = 2 * load / np.pi / a
        exact = peak * np.sqrt(np.maximum(1 - (X[i, 0] / a) ** 2, 0))
        off = np.sqrt(np.sum(A * (f / A - exact) ** 2) / np.sum(A * exact**2))
        found[k] = off, X[i, 0] / a, f / A / peak
    return found


def under(X, cells):
    """[0, 1]² to a block: equal cells to 2a, then ever longer ones."""
    s = 2 * cells * np.abs(X - [0.0, 1.0])
    h, grow = 2 * CONTACT / cells, 30.0 ** (1 / cells)
    far = 2 * CONTACT + h * (grow ** np.maximum(s - cells, 0) - 1) / (grow - 1) * grow
    x = np.where(s <= cells, h * s, far)
    return x * [1.0, -1.0]


PARTS = {"hole": hole, "membrane": membrane, "tube": tube, "pressed": pressed}


def order(results, kind, which, text) -> Measured:
    rows = results["hole"][kind][:, which]
    found = orders(results.config.cells[1:], rows)
    return Measured(found[-1], f"{text}: " + ", ".join(f"{e:.2e}" for e in rows))


def linear(results, which) -> Measured:
    found = results["membrane"]["linear"][:, which]
    text = ", ".join(f"{v:.3f}" for v in found) + f" (published: {COOK})"
    return Measured(abs(found[-1] / COOK - 1), text)


def large(results) -> Measured:
    found = results["membrane"]["large"][:, 1]
    text = ", ".join(f"{v:.4f}" for v in found) + f", so {aitken(found):.4f}"
    return Measured(abs(aitken(found) / MUELLER - 1), f"{text} (published: {MUELLER})")


def limit(results, name) -> Measured:
    found = results["tube"][name]
    return Measured(abs(found[-1] - 1), f"pressure over the limit: {found[-1]:.4f}")


def pressure(results, k) -> float:
    return results["pressed"][k][0]


CLAIMS = [
    Claim(
        "C32a",
        "plate with a hole, quadrilaterals: order of the displacement",
        at_least(1.9, "2, of linear elements"),
        functools.partial(order, kind="quad", which=0, text="errors"),
    ),
    Claim(
        "C32b",
        "plate with a hole, curved quadratic triangles: order of the displacement",
        at_least(2.7, "3, of quadratic elements"),
        functools.partial(order, kind="triangle6", which=0, text="errors"),
    ),
    Claim(
        "C32c",
        "the same: order of the stress",
        at_least(1.8, "2, of quadratic elements"),
        functools.partial(order, kind="triangle6", which=1, text="errors"),
    ),
    Control(
        "C32x",
        "quadrilaterals: order of the stress",
        at_most(2.5, "no linear element has 3"),
        functools.partial(order, kind="quad", which=1, text="errors"),
        of="C32b",
    ),
    Claim(
        "C33a",
        "Cook's membrane, plane stress: the middle of the end over 23.96 − 1",
        at_most(3e-3, "the published value has four digits, found on coarse meshes"),
        functools.partial(linear, which=0),
    ),
    Claim(
        "C33b",
        "Cook's membrane, neo-Hookean: the corner, of three meshes, over 6.1469 − 1",
        at_most(2e-3, "extrapolated: the singular corner at the wall costs order"),
        large,
    ),
    Control(
        "C33x",
        "plane stress: the corner over what is published of the middle − 1",
        at_least(0.02, "another point"),
        functools.partial(linear, which=1),
        of="C33a",
    ),
    Claim(
        "C34",
        "a tube of von Mises's law: pressure over √2 σ_y ln(b/a) − 1",
        at_most(0.01, "chords of 11° for arcs, cells of 0.09 r, strains of 10⁻³"),
        functools.partial(limit, name="von Mises"),
    ),
    Control(
        "C34x",
        "the same without yield",
        at_least(0.5, "an elastic tube has no limit"),
        functools.partial(limit, name="elastic"),
        of="C34",
    ),
    Claim(
        "C35",
        "Hertz: pressure under a cylinder against its half-ellipse, in the norm",
        at_most(0.05, "cells at the edge, where its slope is infinite; a/R = 0.03"),
        functools.partial(pressure, k=1e4),
    ),
    Control(
        "C35x",
        "the same with a soft penalty",
        at_least(0.1, "the block enters the cylinder by a share of the depth"),
        functools.partial(pressure, k=1e2),
        of="C35",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(2, 2, size=(7.6, 6.6))
    (a, b), (c, d) = axes
    X, _, x, P = results["hole"]["shown"]
    dots = a.scatter(*x.reshape(-1, 2).T, c=P[..., 0, 0].ravel(), s=5, cmap="viridis")
    figure.colorbar(dots, ax=a, label="σₓₓ / σ", shrink=0.8)
    a.set(aspect="equal", xlabel="x / a", ylabel="y / a")
    a.set_title("A plate with a hole")
    cells = np.array(results.config.cells[1:])
    for color, kind in (("orange", "quad"), ("blue", "triangle6")):
        rows = results["hole"][kind]
        b.loglog(cells, rows[:, 0], "o-", color=COLORS[color], label=f"{kind}: u")
        b.loglog(cells, rows[:, 1], "s--", color=COLORS[color], label=f"{kind}: stress")
    b.set(xlabel="cells a side", ylabel="error, of the norm")
    b.set_xticks(cells, [str(n) for n in cells])
    b.minorticks_off()
    b.set_title("Orders of convergence")
    found = results["tube"]
    for color, name in (("blue", "von Mises"), ("grey", "elastic")):
        c.plot(1e4 * found["way"], found[name], "o-", color=COLORS[color], label=name)
    c.axhline(1, color=COLORS["vermilion"], lw=0.8, label="√2 σ_y ln(b/a)")
    c.set(xlabel="way of the inside, 10⁻⁴ a", ylabel="pressure / limit", ylim=(0, 1.6))
    c.set_title("A tube yields")
    s = np.linspace(0, 1, 200)
    d.plot(s, np.sqrt(1 - s**2), color=COLORS["grey"], label="Hertz")
    for color, k in (("blue", 1e4), ("vermilion", 1e2)):
        _, place, p = results["pressed"][k]
        d.plot(place, p, ".", color=COLORS[color], label=f"{k:.0e} Pa/m")
    d.set(xlim=(0, 1.6), xlabel="x / a", ylabel="pressure / peak")
    d.set_title("A cylinder on a block")
    for ax in (b, c, d):
        legend_below(ax, 2)
    caption = (
        "Stress about a hole converges to Kirsch's closed form (above). A tube that "
        "yields throughout meets its limit, and a contact Hertz's pressure (below)."
    )
    return {caption: figure}


STUDY = Study(
    "Solids against closed forms and published values",
    "Kirsch (1898); Cook (1974), Müller (2015); Hill (1950); Hertz (1882)",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
)
