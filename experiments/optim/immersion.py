"""Passivity and immersion: ẍ = −ρψ − k∇²f(x)ẋ with ψ = ẋ + k∇f(x) makes the manifold
ẋ = −k∇f(x) invariant and attracting, ψ(t) = e^{−ρt}ψ(0) for every smooth f, and what is
left on it is gradient flow. H = f + ‖ψ‖²/(4kρ) falls at exactly −(k/2)‖∇f‖² − ‖ẋ‖²/2k.
Measured along solves of the second-order ODE, which has its Hessian and knows no ψ;
without the Hessian nothing contracts at the rate ρ.
"""

import dataclasses
import functools
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax.claim import Claim, Control, Measured, at_least, at_most, largest, smallest
from dynax.report import COLORS, legend_below, new_figure
from dynax.study import Study


SPAN = 8.0  # ρt at the end
TOL = 1e-11
STEP = 0.1  # ρh of the map


@dataclasses.dataclass(frozen=True)
class Config:
    seeds: int = 16  # each with its own f, ρ, k and start
    states: int = 1000
    steps: int = 200  # of the map
    saves: int = 81


SIZES = {
    "quick": Config(),
    "long": Config(seeds=256, states=100_000, steps=1000),
    "full": Config(seeds=4096, states=1_000_000, steps=1000),
}
SPACE = {
    "attraction": tuple(np.logspace(-0.5, 0.5, 5)),
    "gain": tuple(np.logspace(-0.5, 0.5, 5)),
    "seed": (0, 1, 2, 3),
}


class Waves(eqx.Module):
    """f(x) = ‖x‖²/4 + Σ cos(w·x + b)/√K: smooth, not convex."""

    w: jax.Array
    b: jax.Array

    @classmethod
    def random(cls, key, size=5, features=12):
        kw, kb = jax.random.split(key)
        turn = 2 * jnp.pi * jax.random.uniform(kb, (features,))
        return cls(jax.random.normal(kw, (features, size)), turn)

    def __call__(self, x):
        return x @ x / 4 + jnp.sum(jnp.cos(self.w @ x + self.b)) / self.b.size**0.5


def case(seed):
    """f, ρ, k, x, ẋ."""
    keys = jax.random.split(jax.random.key(seed), 3)
    rho, k = 10 ** jax.random.uniform(keys[0], (2,), minval=-0.5, maxval=0.5)
    f = Waves.random(keys[1])
    x, v = 2 * jax.random.normal(keys[2], (2, f.w.shape[1]))
    return f, rho, k, x, v


def acceleration(f, rho, k, x, v, hessian=1.0):
    """−ρ(v + k∇f) − k∇²f v, the last term times `hessian`; and ∇f."""
    g, hv = jax.jvp(jax.grad(f), (x,), (v,))
    return -rho * (v + k * g) - hessian * k * hv, g


def solve(field, y, rho, saves, tol=TOL):
    """Of ẏ = field(y), at `saves` times up to ρt = SPAN."""
    ts = jnp.linspace(0.0, SPAN, saves) / rho
    solution: Any = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: field(y)),
        diffrax.Tsit5(),
        0.0,
        ts[-1],
        None,
        y,
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=tol, atol=tol),
        max_steps=100_000,
    )
    return solution.ys


def second_order(f, rho, k, x, v, saves, tol=TOL, hessian=1.0) -> dict:
    """x, ẋ, ψ, H and ∫(k/2)‖∇f‖² + ‖ẋ‖²/2k along ẍ."""

    def field(y):
        x, v, _ = y
        a, g = acceleration(f, rho, k, x, v, hessian)
        return v, a, k / 2 * g @ g + v @ v / (2 * k)

    x, v, work = solve(field, (x, v, jnp.zeros(())), rho, saves, tol)
    psi = v + k * jax.vmap(jax.grad(f))(x)
    energy = jax.vmap(f)(x) + jnp.sum(psi**2, axis=1) / (4 * k * rho)
    return {"x": x, "v": v, "psi": psi, "H": energy, "work": work}


def defect(psi, speed=1.0):
    """The largest ‖ψ(t) − e^{−ρt}ψ(0)‖/‖ψ(0)‖, for ρ × `speed`."""
    shrunk = jnp.exp(-speed * jnp.linspace(0.0, SPAN, len(psi)))
    off = jnp.linalg.norm(psi - shrunk[:, None] * psi[:1], axis=1)
    return jnp.max(off) / jnp.linalg.norm(psi[0])


def fitted(psi):
    """The rate of ‖ψ‖ over ρ, by least squares of ln‖ψ‖."""
    off = jnp.linspace(-SPAN / 2, SPAN / 2, len(psi))
    return -jnp.sum(off * jnp.log(jnp.linalg.norm(psi, axis=1))) / jnp.sum(off**2)


def run(attraction, gain, seed, saves=81) -> dict:
    f, _, _, x, v = case(seed)
    psi = second_order(f, attraction, gain, x, v, saves)["psi"]
    return {"rate": fitted(psi), "defect": defect(psi)}


def slope(f, rho, k, x, v, weight=1.0):
    """|Ḣ + D|/D at a state, Ḣ by one jvp along (ẋ, ẍ); H's ‖ψ‖² times `weight`."""

    def energy(x, v):
        psi = v + k * jax.grad(f)(x)
        return f(x) + weight * psi @ psi / (4 * k * rho)

    a, g = acceleration(f, rho, k, x, v)
    rate = jax.jvp(energy, (x, v), (v, a))[1]
    d = k / 2 * g @ g + v @ v / (2 * k)
    return jnp.abs(rate + d) / d


def by_state(f, rho, k, x, v, saves):
    """x along the flow of dx.Immersion, whose state is ψ."""
    opt = dx.Immersion(rho, k)
    state = opt.init(x)._replace(psi=v + k * jax.grad(f)(x))
    flow = dx.as_flow(opt, f)
    return solve(lambda y: flow.field(0.0, y), (x, state), rho, saves)[0]


def by_steps(f, rho, k, x, v, steps):
    """V₊/V at every step of the map with ρh = STEP."""
    opt, h = dx.Immersion(rho, k), STEP / rho
    state = opt.init(x)._replace(psi=v + k * jax.grad(f)(x))
    minimum = dx.Minimum(x, jnp.zeros(()))  # V does not depend on it

    def body(carry, step):
        x, state = carry
        before = opt.potential(step, x, state, f, minimum, h)
        x, state = opt.step(x, state, jax.grad(f)(x), h)
        after = opt.potential(step + 1, x, state, f, minimum, h)
        return (x, state), after / before

    ratios = jax.lax.scan(body, (x, state), jnp.arange(float(steps)))[1]
    return {"ratio": ratios, "factor": opt.factor(0, h)}


def each(what, batch, **fixed):
    return jax.device_get(jax.jit(jax.vmap(functools.partial(what, **fixed)))(*batch))


def cases(results):
    return jax.jit(jax.vmap(case))(jnp.arange(results.config.seeds))


def solved(results) -> dict:
    """The ODE of every case; on the manifold; and in the plane of one variable."""
    f, rho, k, x, v = batch = results["cases"]
    ones = jnp.ones(len(rho))
    slow = jax.vmap(lambda f, k, x: -k * jax.grad(f)(x))(f, k, x)
    turn = jnp.linspace(0.0, 2 * jnp.pi, len(rho), endpoint=False)
    first = jnp.eye(x.shape[1])[:1]
    around = [(4 * wave(turn))[:, None] * first for wave in (jnp.cos, jnp.sin)]
    go = jax.jit(jax.vmap(functools.partial(second_order, saves=results.config.saves)))
    return jax.device_get(
        {
            "right": go(*batch, tol=TOL * ones, hessian=ones),
            "loose": go(*batch, tol=100 * TOL * ones, hessian=ones),
            "no Hessian": go(*batch, tol=TOL * ones, hessian=0 * ones),
            "on": go(f, rho, k, x, slow, tol=TOL * ones, hessian=ones),
            "plane": go(
                results["line"], ones, ones, *around, tol=TOL * ones, hessian=ones
            ),
        }
    )


def line(results) -> Waves:
    """One f of one variable, in the first of the coordinates."""
    f = results["cases"][0]
    w = jnp.zeros_like(f.w).at[..., 0].set(f.w[:1, :, 0])
    return Waves(w, 0 * f.b + f.b[:1])


def states(results):
    return jax.jit(jax.vmap(case))(jnp.arange(results.config.states))


PARTS = {
    "cases": cases,
    "states": states,
    "line": line,
    "ODE": solved,
    "flow": lambda r: each(by_state, r["cases"], saves=r.config.saves),
    "map": lambda r: each(by_steps, r["cases"], steps=r.config.steps),
    "Ḣ": lambda r: each(slope, r["states"]),
    "wrong H": lambda r: each(slope, r["states"], weight=2.0),
}


def of_psi(results, what, name, *more):
    """Of ψ along each solve."""
    psi = jnp.asarray(results["ODE"][name]["psi"])
    return np.asarray(jax.vmap(lambda psi: what(psi, *more))(psi))


def contraction(results) -> Measured:
    found, loose = (of_psi(results, defect, k) for k in ("right", "loose"))
    text = f"Tsit5, rtol = atol = {TOL:g}, {len(found)} cases, each with its f, ρ, k"
    return largest(found, f"{text}; at {100 * TOL:g}: {np.max(loose):.0e}")


def rates(results) -> Measured:
    found = of_psi(results, fitted, "right")
    return largest(np.abs(found - 1), "ρ and k from 10^−½ to 10^½")


def balance(results) -> Measured:
    H, work = (results["ODE"]["right"][k] for k in ("H", "work"))
    rises = np.sum(np.diff(H) > 0)
    gap = np.max(np.abs(H - H[:, :1] + work))
    return Measured(gap, f"H rises between save points: {rises}")


def without(results) -> Measured:
    rate = np.max(of_psi(results, fitted, "no Hessian"))
    text = f"rates of ‖ψ‖ over ρ: at most {rate:.2f}"
    return smallest(of_psi(results, defect, "no Hessian"), text)


def off(results, factor=None):
    """|V₊/ρV − 1| of the map, by its own factor ρ or another."""
    found = results["map"]
    own = found["factor"][:, None] if factor is None else factor
    return np.abs(found["ratio"] / own - 1)


SOLVED = "rtol 1e-11, of some hundred steps"
CLAIMS = [
    Claim(
        "22",
        f"along ẍ = −ρψ − k∇²fẋ, ρt ≤ {SPAN:g}: largest ‖ψ − e^{{−ρt}}ψ(0)‖/‖ψ(0)‖",
        at_most(1e-8, SOLVED),
        contraction,
    ),
    Claim(
        "22a",
        "the contraction rate fitted to ln‖ψ(t)‖: largest |ρ̂/ρ − 1|",
        at_most(1e-7, f"{SOLVED}, over e^−{SPAN:g}"),
        rates,
    ),
    Claim(
        "22b",
        "Ḣ = −(k/2)‖∇f‖² − ‖ẋ‖²/2k at random states: largest relative error",
        at_most(1e-12, "round-off of sums of 12 waves"),
        lambda r: largest(r["Ḣ"], f"{len(r['Ḣ'])} states; Ḣ by one jvp"),
    ),
    Claim(
        "22c",
        "along the solves H(t) − H(0) + ∫(k/2)‖∇f‖² + ‖ẋ‖²/2k dt, the largest",
        at_most(1e-8, SOLVED),
        balance,
    ),
    Claim(
        "22d",
        "flow of dx.Immersion in (x, ψ): farthest from x of the ODE",
        at_most(1e-8, SOLVED),
        lambda r: np.max(np.abs(r["flow"] - r["ODE"]["right"]["x"])),
    ),
    Claim(
        "22e",
        "from ẋ = −k∇f(x) on, the ODE is gradient flow: largest ‖ẋ + k∇f(x)‖",
        at_most(1e-8, SOLVED),
        lambda r: np.max(np.linalg.norm(r["ODE"]["on"]["psi"], axis=2)),
    ),
    Claim(
        "22f",
        "map of dx.Immersion: largest |V₊/(e^{−2ρh}V) − 1|",
        at_most(1e-12, "round-off of a norm"),
        lambda r: largest(off(r), f"ρh = {STEP}, {r.config.steps} steps"),
    ),
    Control(
        "22x",
        "claim 22 without k∇²fẋ: the least of the cases",
        at_least(1e-2, "far above the solver's tolerance"),
        without,
        of="22",
    ),
    Control(
        "22y",
        "claim 22 for 1.05ρ: the least of the cases",
        at_least(1e-2, "half of the most that 5 % can do, 0.05/e"),
        lambda r: np.min(of_psi(r, defect, "right", 1.05)),
        of="22",
    ),
    Control(
        "22z",
        "claim 22b for H = f + ‖ψ‖²/(2kρ): median relative error",
        at_least(1e-2, "far above round-off"),
        lambda r: np.median(r["wrong H"]),
        of="22b",
    ),
    Control(
        "22fx",
        "claim 22f for (1 − ρh)², Euler's: the least error",
        at_least(1e-3, "(ρh)² = 0.01, and less"),
        lambda r: np.min(off(r, (1 - STEP) ** 2)),
        of="22f",
    ),
]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.4))
    left, right = axes[0]
    solved = results["ODE"]
    times = np.linspace(0, SPAN, solved["right"]["psi"].shape[1])
    for name, label, color in (
        ("no Hessian", "without k∇²fẋ", "vermilion"),
        ("right", "ẍ = −ρψ − k∇²fẋ", "blue"),
    ):
        size = np.linalg.norm(solved[name]["psi"], axis=2)
        lines = left.plot(times, (size / size[:, :1]).T, color=COLORS[color], lw=0.8)
        lines[0].set_label(label)
    left.plot(times, np.exp(-times), ":", color=COLORS["black"], label="exp(−ρt)")
    left.set(xlabel="ρt", ylabel="‖ψ(t)‖/‖ψ(0)‖", yscale="log", ylim=(1e-4, 10))
    left.set_title("Contraction to the manifold")
    legend_below(left)
    plane, line = solved["plane"], results["line"]
    x = np.linspace(-4.5, 4.5, 400)
    f = jax.tree.map(lambda a: a[0], line)
    place = np.zeros((x.size, f.w.shape[1]))
    place[:, 0] = x
    manifold = -np.asarray(jax.vmap(jax.grad(f))(jnp.asarray(place)))[:, 0]
    right.plot(plane["x"][..., 0].T, plane["v"][..., 0].T, color=COLORS["blue"], lw=0.8)
    right.plot(x, manifold, color=COLORS["orange"], lw=2, label="ẋ = −k∇f(x)")
    right.set(xlabel="x", ylabel="ẋ", ylim=(-6, 6))
    right.set_title("One variable, ρ = k = 1")
    legend_below(right)
    return {
        "With the proved term all paths contract to the manifold at one rate (blue), "
        "and without it they do not (orange).": figure
    }


STUDY = Study(
    "Passivity and immersion: a manifold that attracts",
    "after Parimi et al., arXiv:2509.18346; derived in dx.Immersion",
    SIZES,
    PARTS,
    CLAIMS,
    figures,
    run=run,
    space=SPACE,
)
