"""A cube falls, turns and meets the walls, in four materials and others: at every step
the energy of its material points falls. It is kinetic energy with the affine part that
the grid carries, weight and stored energy; without the affine part, or with a stress
that is not the derivative of ψ, it rises. In free flight the angular momentum is kept
to rounding if the stress is symmetric, which a network without a potential need not be.
"""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import Claim, material as mat
from dynax.lyapunov import Check
from dynax.mechanics import mpm
from dynax.report import COLORS, movie, new_figure
from experiments._together import together


TITLE = "Material points: the energy falls, the angular momentum stays"
SOURCE = "scene: Ma et al., arXiv:2304.14369; APIC: Jiang et al., TOG 34 (2015)"
NODES, CELLS, DT = 20, 10, 5e-4
FREE = 60  # steps of the flight that touches no wall
FLOOR = 2 / NODES  # the highest nodes of the wall
SCALE = 1e5  # Pa, that of jelly
MATERIALS = {
    "jelly": mat.jelly,
    "plasticine": mat.plasticine,
    "sand": mat.sand,
    "water": mat.water,
}
OTHERS = {
    "neo-Hookean": lambda: mat.NeoHookean(SCALE, 0.2),
    "Hencky": lambda: mat.Hencky(SCALE, 0.2),
    "St. Venant–Kirchhoff": lambda: mat.StVenantKirchhoff(SCALE, 0.2),
}
SOFT = mat.NeoHookean(SCALE / 2, 0.2)
VISCOUS = {
    "Maxwell": lambda: mat.Maxwell(SOFT, SCALE / 4, 1e-2),
    "GSM": lambda: mat.GSM(jax.random.key(0), SOFT, SCALE / 2, 1e-2),
}
LAWS = MATERIALS | OTHERS | VISCOUS


@dataclasses.dataclass(frozen=True)
class Config:
    steps: int = 160
    laws: tuple[str, ...] = ("jelly", "plasticine")
    potentials: int = 0  # ICNNs with random weights
    networks: int = 2  # NCElastics with random weights
    single: bool = False  # free flights in float32 too


SIZES = {
    "quick": Config(),
    "long": Config(600, tuple(LAWS), 3, 4, True),
    "full": Config(600, tuple(LAWS), 16, 16, True),
}
SPACE = {
    "young": np.array([3e4, 1e5, 3e5]),
    "spin": np.array([0.0, 4.0, 16.0]),
}
DIMS = {"change": ["step"]}


def traced(module):
    """Its numbers as arrays: one program for all values."""
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.result_type(a)), module)


def scene(law, dtype: Any = np.float64, *, free=False, spin=4.0, judge=None):
    """Solver, the cube, the same of the law `judge`, and the start: of the drop; or,
    free, of a cube that turns in place, off the edges of the cells: there float32 may
    round a point into one cell for its weights and another for its nodes."""
    side = 0.5 / CELLS
    x = mpm.bodies.box((0.25,) * 3, (0.75,) * 3, side)
    x = (x + 0.007 * free).astype(dtype)
    of = lambda law: traced(mpm.Material(law, 1e3, side**3, len(x)))
    g, v = np.array([0, -9.8, 0], dtype), np.array([1, -1.5, -2], dtype)
    grid = mpm.Grid((NODES,) * 3, 1 / NODES)
    solver = traced(mpm.MPM(grid, mpm.box_walls(3), g * (not free)))
    start = mpm.at_rest(of(law), x, v * (not free), jnp.full(3, spin, dtype))
    return solver, of(law), of(law if judge is None else judge), start


@eqx.filter_jit
def flight(solver, cube, judge, start, steps):
    """Rows by the law of `judge`; L, and some frames."""
    motion = mpm.simulate(solver, cube, start, DT, steps, throw=False)
    every = max(1, -(-steps // 50))
    L = jax.lax.map(lambda y: mpm.angular_momentum(solver, cube, y), motion.y)
    return {
        "rows": mpm.audit(solver, judge, motion.t, motion.y, free=True),
        "L": L[: FREE + 1],
        "x": motion.y.x[::every],
        "v": motion.y.v[::every],
        "made": motion.steps,
    }


@eqx.filter_jit
def turning(solver, cube, _, start):
    """L alone, in the free flight."""
    observe = lambda y: mpm.angular_momentum(solver, cube, y)
    return mpm.simulate(solver, cube, start, DT, FREE, throw=False, observe=observe).y


def run(young, spin) -> dict:
    """A hundred steps of the drop of jelly."""
    law = mat.FixedCorotated(young, 0.2)
    rows = flight(*scene(law, jnp.result_type(float), spin=spin), 100)["rows"]
    bad = lambda rows: jnp.sum(rows.change > rows.checks["fall"].tolerance)
    return {
        "rises": bad(falling(rows)),
        "rises_without": bad(without(rows, "affine")),
        "lost": -jnp.sum(rows.change) / rows.energy[0],
        "change": rows.change / rows.energy[0],
    }


def falling(rows):
    return rows._replace(checks={"fall": rows.checks["fall"]})


def without(rows, name):
    """The false account that leaves out a part of E."""
    change, tolerance = rows.change - rows.terms[name], rows.checks["fall"].tolerance
    return rows._replace(change=change, checks={"fall": Check(-change, tolerance)})


def kept(rows):
    """Momentum and angular momentum in the free flight."""
    checks = {k: rows.checks[k] for k in ("momentum", "angular")}
    return jax.tree.map(lambda a: a[:FREE], rows._replace(checks=checks))


def other_sign(law):
    """The law with the same μ, and −λ."""
    lam, mu = mat.lame(law.young, law.poisson)
    return mat.FixedCorotated(
        mu * (2 * mu - 3 * lam) / (mu - lam), lam / 2 / (lam - mu)
    )


def network(key):
    """NCElastic of random weights: at some F its stress is as large as jelly's."""
    law = mat.NCElastic(key)
    F = jnp.diag(jnp.array([1.0, 1.05, 1.1]))
    jelly, ours = (jnp.linalg.norm(a.kirchhoff(F)) for a in (mat.jelly(), law))
    return eqx.tree_at(lambda law: law.weights[-1], law, jelly / ours * law.weights[-1])


@jax.jit
def networks(keys):
    """L in the free flights of some."""
    return jax.vmap(lambda key: turning(*scene(network(key), free=True)))(keys)


def measure(config: Config, progress) -> dict:
    with jax.enable_x64(True):
        return _measure(config, progress)


def _measure(config: Config, progress) -> dict:
    steps = config.steps

    def fly(law):
        return {
            "drop": flight(*scene(law), steps),
            "free": flight(*scene(law, free=True), steps),
        }

    def jelly():
        true = mat.FixedCorotated(SCALE, 0.15)
        wrong = flight(*scene(other_sign(true), judge=true), steps)
        return [{**fly(mat.jelly()), "wrong": wrong}]

    keys = [jax.random.key(k) for k in range(config.potentials)]
    single = lambda law: turning(*scene(law(), np.float32, free=True))
    jobs = {
        **{n: functools.partial(lambda n: [fly(LAWS[n]())], n) for n in config.laws},
        "jelly": jelly,
        "ICNN": lambda: [fly(mat.ICNN(key, SCALE / 2)) for key in keys],
        "NCElastic": lambda: networks(
            jax.random.split(jax.random.key(0), config.networks)
        ),
        "float32": lambda: [single(LAWS[n]) for n in config.laws if config.single],
    }
    runs = together(jobs, progress)
    others = runs.pop("NCElastic"), runs.pop("float32")
    verdicts = {}
    for name, several in runs.items():
        for k, found in enumerate(several):
            label = f"{name} {k}" if len(several) > 1 else name
            fall, free_rows = found["drop"]["rows"], found["free"]["rows"]
            verdicts[label] = dx.verdict(falling(fall), f"{label}: E falls")
            verdicts[f"{label}, free"] = dx.verdict(
                kept(free_rows), f"{label}: momentum and angular momentum are kept"
            )
    for name in ("jelly", "plasticine"):
        rows = without(runs[name][0]["drop"]["rows"], "affine")
        verdicts[f"{name}, without affine"] = dx.verdict(rows, f"{name}: E falls")
    wrong = falling(runs["jelly"][0]["wrong"]["rows"])
    verdicts["jelly, −λ"] = dx.verdict(wrong, "E falls")
    out = {"config": config, "runs": runs, "networks": others[0], "single": others[1]}
    return out | {"verdicts": verdicts}


def rises(rows) -> int:
    return int(np.sum(rows.change > 0))


def drift(L):
    """|L − L₀|/|L₀| as far as the run came."""
    L = L[np.all(np.isfinite(L), 1)]
    return np.linalg.norm(L - L[:1], axis=1) / np.linalg.norm(L[0])


def claims(results) -> list[Claim]:
    config, runs = results["config"], results["runs"]
    claim = functools.partial(Claim.judged, SOURCE)
    drops = lambda names: [r["drop"] for n in names if n in runs for r in runs[n]]
    frees = [r["free"]["L"] for several in runs.values() for r in several]

    def falls(id, what, names):
        some = drops(names)
        rows = [d["rows"] for d in some]
        least = min(np.min(-r.change) / r.energy[0] for r in rows)
        late = sum(config.steps - int(d["made"]) for d in some)
        return claim(
            id,
            f"the drop, {what}: steps in which E rises",
            sum(map(rises, rows)) + late,
            "≤ 0",
            f"{len(rows)} × {config.steps} steps, {CELLS**3} points; the least fall is "
            f"{least:.0e} E₀; with any tolerance for rounding left out",
        )

    classical = [n for n in runs if n in MATERIALS | OTHERS]
    out = [falls("C1", ", ".join(classical), classical)]
    if config.potentials:
        text = f"{config.potentials} ICNNs with random weights"
        out.append(falls("C1a", text, ["ICNN"]))
    viscous = [n for n in runs if n in VISCOUS]
    if viscous:
        out.append(falls("C1b", ", ".join(viscous), viscous))
    out.append(
        claim(
            "C1c",
            f"{FREE} steps of free flight: largest |L − L₀|/|L₀|, float64",
            max(drift(L).max() for L in frees),
            "≤ 1e-12",
            f"{len(frees)} laws with a symmetric τ",
        )
    )
    if results["single"]:
        out.append(
            claim(
                "C1d",
                "the same in float32",
                max(drift(L).max() for L in results["single"]),
                "≤ 2e-4",
                f"{len(results['single'])} laws",
            )
        )
    bare = {
        name: rises(without(runs[name][0]["drop"]["rows"], "affine"))
        for name in ("jelly", "plasticine")
    }
    lost = [drift(L) for L in results["networks"]]
    return [
        *out,
        claim(
            "C1x",
            "claim C1 without ⅛m dx²|C|²: steps in which it rises, the least",
            min(bare.values()),
            "≥ 1 rejected",
            ", ".join(f"{name} {number}" for name, number in bare.items()),
        ),
        claim(
            "C1y",
            "claim C1 of a stress with −λ, where ψ has λ",
            rises(runs["jelly"][0]["wrong"]["rows"]),
            "≥ 1 rejected",
            "fixed corotated, ν = 0.15",
        ),
        claim(
            "C1z",
            "claim C1c of NCElastic with random weights, as stiff as jelly: the least",
            min(d.max() for d in lost),
            "≥ 2e-4 rejected",
            f"{len(lost)} networks, of which {sum(len(d) <= FREE for d in lost)} turn "
            "a point inside out before the end",
            (float(min(d.max() for d in lost)), float(max(d.max() for d in lost))),
        ),
    ]


def figures(results) -> dict:
    shown = {
        n: results["runs"][n][0]["drop"] for n in MATERIALS if n in results["runs"]
    }
    return {
        "energy": energy_figure(shown),
        "falls": falls_figure(results),
        "angular momentum": angular_figure(results),
        "drop": drop_movie(shown),
    }


def energy_figure(shown):
    columns = min(len(shown), 2)
    lines = -(-len(shown) // columns)
    figure, axes = new_figure(
        lines, columns, size=(7.6, 0.4 + 2.5 * lines), sharex=True, sharey=True
    )
    look = {
        "weight, above the floor": "sky",
        "motion": "blue",
        "affine": "yellow",
        "stored": "vermilion",
        "lost": "grey",
    }
    mass = 1e3 * 0.5**3
    height = mass * 9.8 * (0.5 - FLOOR)
    for ax, (name, drop) in zip(axes.flat, shown.items(), strict=True):
        rows, v = drop["rows"], drop["v"][0]
        affine = mass * 16 * 6 / 8 / NODES**2  # ⅛m dx²|C|², C = [ω]×
        first = {
            "weight": height,
            "motion": mass / 2 * np.mean(np.sum(v**2, 1)),
            "affine": affine,
            "stored": 0.0,
        }
        names = ("weight", "motion", "affine", "stored")
        parts = [
            first[k] + np.concatenate([[0], np.cumsum(rows.terms[k])]) for k in names
        ]
        total = sum(first.values())
        t = 1e3 * DT * np.arange(len(parts[0]))
        parts.append(total - np.sum(parts, 0))
        colors = [COLORS[c] for c in look.values()]
        ax.stackplot(t, *parts, colors=colors, labels=list(look), lw=0)
        ax.set_title(name)
        ax.set(xlim=(0, t[-1]), ylim=(0, total))
    for ax in axes[-1]:
        ax.set_xlabel("t, ms")
    for ax in axes[:, 0]:
        ax.set_ylabel("J")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(look))
    return figure


def falls_figure(results):
    figure, axes = new_figure(1, 2, size=(7.6, 3.3), sharey=True)
    for ax, name in zip(axes[0], ("jelly", "plasticine"), strict=True):
        rows = results["runs"][name][0]["drop"]["rows"]
        t = 1e3 * DT * np.arange(1, len(rows.change) + 1)
        for label, account, color in (
            ("without ⅛m dx²|C|²", without(rows, "affine"), "vermilion"),
            ("E", rows, "blue"),
        ):
            change = np.asarray(account.change / rows.energy[0])
            ax.plot(t, change, color=COLORS[color], lw=0.9, label=label)
            up = change > 0
            ax.plot(t[up], change[up], ".", color=COLORS[color], ms=4)
        ax.axhspan(0, 1e-3, color=COLORS["vermilion"], alpha=0.08, lw=0)
        ax.set_yscale("symlog", linthresh=1e-7, linscale=0.5)
        ax.set(xlabel="t, ms", ylim=(-3e-2, 1e-4))
        ax.set_title(f"{name}: {np.sum(up)} rises of E")
    axes[0, 0].set_ylabel("ΔE/E₀ of a step")
    axes[0, 0].legend(loc="lower left")
    return figure


def angular_figure(results):
    figure, axes = new_figure(1, 1, size=(7.6, 3.3))
    ax = axes[0, 0]
    frees = [r["free"]["L"] for several in results["runs"].values() for r in several]
    for label, color, some in (
        ("NCElastic, random weights", "vermilion", results["networks"]),
        ("symmetric τ, float32", "orange", results["single"]),
        ("symmetric τ, float64", "blue", frees),
    ):
        for k, L in enumerate(some):
            away = np.maximum(drift(L), 1e-17)
            ax.plot(away, color=COLORS[color], lw=0.9, label=None if k else label)
    ax.axhline(2e-4, color=COLORS["black"], ls=":", label="2·10⁻⁴")
    ax.set(xlabel="step", ylabel="|L − L₀|/|L₀|", yscale="log", xlim=(0, FREE))
    ax.set_title("Angular momentum in free flight")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def seen(x):
    """Oblique: z goes into the page."""
    return x[..., :2] + x[..., 2:] * np.array([0.35, 0.25])


def drop_movie(shown):
    figure, axes = new_figure(1, len(shown), size=(7.6, 0.7 + 6.2 / len(shown)))
    far = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0]])
    floor = seen(FLOOR + (1 - 2 * FLOOR) * far)
    dots = []
    for ax, name in zip(axes[0], shown, strict=True):
        ax.plot(*floor.T, color=COLORS["grey"], lw=0.8)
        size = 90 / len(shown) ** 1.5
        dots.append(ax.scatter([], [], c=[], s=size, cmap="viridis", lw=0))
        dots[-1].set_clim(0, 5)
        ax.set_title(name)
        ax.set(xlim=(0.1, 1.25), ylim=(0.08, 1.1), aspect="equal")
        ax.set_axis_off()
    figure.colorbar(dots[-1], ax=axes[0, -1], label="|v|, m/s", shrink=0.7)
    frames = len(next(iter(shown.values()))["x"])

    def draw(k):
        for dot, drop in zip(dots, shown.values(), strict=True):
            order = np.argsort(-drop["x"][k, :, 2])
            dot.set_offsets(seen(drop["x"][k, order]))
            dot.set_array(np.linalg.norm(drop["v"][k, order], axis=1))

    return movie(figure, draw, frames)
