"""A cube falls, turns and meets the walls, in four materials and others: at every step
the energy of its material points falls. It is kinetic energy with the affine part that
the grid carries, weight and stored energy; without the affine part, or with a stress
that is not the derivative of ψ, it rises. In free flight the angular momentum is kept
to rounding if the stress is symmetric, which a network without a potential need not be.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import material as mat
from dynax.claim import (
    Claim,
    Control,
    Measured,
    at_least,
    at_most,
    equals,
    largest,
    smallest,
)
from dynax.report import COLORS, legend_below, legend_beside, movie, new_figure
from dynax.study import Study
from experiments._together import together
from experiments.material._flights import (
    CELLS,
    DT,
    FREE,
    NODES,
    SCALE,
    drift,
    falling,
    flight,
    kept,
    networks,
    other_sign,
    rises,
    scene,
    turning,
    without,
)


FLOOR = 2 / NODES  # the highest nodes of the wall
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


def runs(results) -> dict:
    """By law, a list: rows and L of the drop and of the free flight."""
    config = results.config
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
    jobs = {name: lambda n=name: [fly(LAWS[n]())] for name in config.laws}
    jobs |= {"jelly": jelly}
    jobs |= {"ICNN": lambda: [fly(mat.ICNN(key, SCALE / 2)) for key in keys]}
    return together(jobs, results.tell)


def single(results) -> list:
    """L in the free flights in float32."""
    config = results.config
    names = config.laws if config.single else ()
    fly = lambda law: turning(*scene(law, np.float32, free=True))
    return [np.asarray(fly(LAWS[name]())) for name in names]


def of_networks(results):
    keys = jax.random.split(jax.random.key(0), results.config.networks)
    return np.asarray(networks(keys))


def verdicts(results) -> dict:
    out, runs = {}, results["runs"]
    for name, several in runs.items():
        for k, found in enumerate(several):
            label = f"{name} {k}" if len(several) > 1 else name
            fall, free = falling(found["drop"]["rows"]), kept(found["free"]["rows"])
            out[label] = dx.verdict(fall, f"{label}: E falls")
            what = f"{label}: momentum and angular momentum are kept"
            out[f"{label}, free"] = dx.verdict(free, what)
    for name in BARE:
        rows = without(runs[name][0]["drop"]["rows"], "affine")
        what = f"control: {name}, E without its affine part falls"
        out[f"{name}, without affine"] = dx.verdict(rows, what)
    wrong = falling(runs["jelly"][0]["wrong"]["rows"])
    return out | {"jelly, −λ": dx.verdict(wrong, "control: E falls with −λ in τ")}


PARTS = {
    "runs": runs,
    "networks": of_networks,
    "single": single,
    "verdicts": verdicts,
}
BARE = "jelly", "plasticine"


def falls(results, names) -> Measured:
    runs = results["runs"]
    drops = [r["drop"] for n in names if n in runs for r in runs[n]]
    rows, steps = [d["rows"] for d in drops], results.config.steps
    least = min(np.min(-r.change) / r.energy[0] for r in rows)
    late = sum(steps - int(d["made"]) for d in drops)
    text = f"{len(rows)} × {steps} steps, {CELLS**3} points; the least fall is "
    text += f"{least:.0e} E₀; with any tolerance for rounding left out"
    return Measured(sum(map(rises, rows)) + late, text)


def drifts(flights) -> Measured:
    return largest([drift(L).max() for L in flights], f"{len(flights)} laws")


def bare(results) -> Measured:
    rows = {name: results["runs"][name][0]["drop"]["rows"] for name in BARE}
    return smallest({k: rises(without(v, "affine")) for k, v in rows.items()})


def of_free(results) -> Measured:
    every = results["runs"].values()
    found = drifts([r["free"]["L"] for several in every for r in several])
    said = [v.status for k, v in results["verdicts"].items() if k.endswith("free")]
    held = f"{said.count('holds')} ledgers of momentum hold"
    return found._replace(detail=f"{found.detail}; {held}")


def lost(results) -> Measured:
    found = [drift(L) for L in results["networks"]]
    turned = sum(len(d) <= FREE for d in found)
    text = f"{len(found)} networks, of which {turned} turn a point inside out"
    return smallest([d.max() for d in found], text)


def claims(config) -> list:
    classical = [n for n in config.laws if n in MATERIALS | OTHERS]
    viscous = [n for n in config.laws if n in VISCOUS]
    icnns = ["ICNN"] * (config.potentials > 0)
    rows = (
        ("C1", classical, ", ".join(classical)),
        ("C1a", icnns, f"{config.potentials} ICNNs with random weights"),
        ("C1b", viscous, ", ".join(viscous)),
    )
    return [
        *(
            Claim(
                id,
                f"the drop, {what}: steps in which E rises",
                equals(0, "a count, without a tolerance"),
                functools.partial(falls, names=names),
            )
            for id, names, what in rows
            if names
        ),
        Claim(
            "C1c",
            f"{FREE} steps of free flight: largest |L − L₀|/|L₀|, float64, symmetric τ",
            at_most(1e-12, "round-off of a sum over 1000 points, of 60 steps"),
            of_free,
        ),
        *(
            [
                Claim(
                    "C1d",
                    "the same in float32",
                    at_most(2e-4, "round-off of places in a cell, of 60 steps"),
                    lambda r: drifts(r["single"]),
                )
            ]
            * config.single
        ),
        Control(
            "C1x",
            "claim C1 without ⅛m dx²|C|²: steps in which it rises, the least",
            at_least(1, "one is enough"),
            bare,
            of="C1",
        ),
        Control(
            "C1y",
            "claim C1 of a stress with −λ, where ψ has λ; fixed corotated, ν = 0.15",
            at_least(1, "one is enough"),
            lambda r: rises(r["runs"]["jelly"][0]["wrong"]["rows"]),
            of="C1",
        ),
        Control(
            "C1z",
            "claim C1c of NCElastic with random weights, as stiff as jelly: the least",
            at_least(2e-4, "more than rounding in float32 may do"),
            lost,
            of="C1c",
        ),
    ]


def figures(results) -> dict:
    shown = {
        n: results["runs"][n][0]["drop"] for n in MATERIALS if n in results["runs"]
    }
    return {
        "Where the energy of each falling body goes.": energy_figure(shown),
        "The energy falls at every step if the affine part is counted, "
        "and not without it.": falls_figure(results),
        "The angular momentum of bodies in free flight.": angular_figure(results),
        "Blocks of soft materials hit the floor; the colour is the speed.": drop_movie(
            shown
        ),
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
        ax.set_ylabel("energy, J")
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
    legend_below(axes[0, 0])
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
    legend_beside(ax)
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


STUDY = Study(
    "Material points: the energy falls, the angular momentum stays",
    "scene: Ma et al., arXiv:2304.14369; APIC: Jiang et al., TOG 34 (2015)",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
    dims=DIMS,
)
