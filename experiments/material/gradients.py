"""The gradient of a rollout of 200 steps, with contact, plastic flow or a fluid, by the
stiffness of the material and by the initial velocity: against central differences,
whose own error has a least value over their step, and by every sound adjoint. Through a
clamped SVD, or a plastic return taken as constant, the gradient is wrong; through
`jnp.linalg.svd` it is NaN.
"""

import dataclasses
import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from dynax import material as mat
from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, largest
from dynax.material.kinematics import matmul, spherical, transpose, volume_change
from dynax.mechanics import mpm
from dynax.report import COLORS, legend_beside, new_figure
from dynax.study import Study
from experiments._together import together


DT, WIDTH = 5e-4, 0.3
VELOCITY = (1.0, -1.5, -2.0)
ADJOINTS = {
    "RecursiveCheckpoint": diffrax.RecursiveCheckpointAdjoint,
    "Direct": diffrax.DirectAdjoint,
}
BY = "the stiffness", "the initial velocity"


@dataclasses.dataclass(frozen=True)
class Config:
    steps: int = 200
    cells: int = 4  # points along each side of the cube
    nodes: int = 14
    differences: int = 17  # steps h, from 10⁻¹ to 10⁻⁹
    laws: tuple[str, ...] = ("plasticine",)
    adjoints: tuple[str, ...] = ()  # besides every state kept, and forward mode
    wrong: tuple[str, ...] = ("constant return",)


ALL = ("jelly", "plasticine", "water"), ("RecursiveCheckpoint", "Direct")
WRONGS = "constant return", "clamped SVD", "SVD"
SIZES = {
    "quick": Config(),
    "long": Config(200, 8, 20, 33, *ALL, WRONGS),
    "full": Config(600, 10, 20, 33, *ALL, WRONGS),
}
SPACE = {
    "stiffness": np.array([0.5, 1.0, 2.0]),
    "kick": np.array([0.0, 0.1]),
}


class BySVD(mat.AbstractLaw):
    """Jelly whose R = UVᵀ is differentiated through an SVD.

    Args:
        young: E, Pa.
        rotation: F → R.
    """

    young: Any
    rotation: Any

    def kirchhoff(self, F, alpha=()):
        lam, mu = mat.lame(self.young, 0.2)
        change = volume_change(F)
        shape = 2 * mu * matmul(F - self.rotation(F), transpose(F))
        return shape + spherical(lam * (1 + change) * change, len(F))


def exact(F):
    U, _, Vt = jnp.linalg.svd(F)
    return U @ Vt


@jax.custom_jvp
def clamped(F):
    return exact(F)


@clamped.defjvp
def _(primals, tangents):
    """dU = U(K∘(PΣ + ΣPᵀ)), dV = V(K∘(ΣP + PᵀΣ)), P = Uᵀ dF V, with
    Kᵢⱼ = 1/min(σⱼ² − σᵢ², −10⁻⁶) where i < j, and K = −Kᵀ."""
    U, sigma, Vt = jnp.linalg.svd(*primals)
    (dF,) = tangents
    gaps = sigma[None, :] ** 2 - sigma[:, None] ** 2
    K = jnp.triu(1 / jnp.minimum(gaps, -1e-6), 1)
    P, S = U.T @ dF @ Vt.T, jnp.diag(sigma)
    dU = U @ ((K - K.T) * (P @ S + S @ P.T))
    dV = Vt.T @ ((K - K.T) * (S @ P + P.T @ S))
    return U @ Vt, dU @ Vt + U @ dV.T


class Constant(mat.AbstractReturn):
    """A return map whose correction is taken as constant."""

    plastic: mat.AbstractReturn

    def project(self, F, alpha, dt, elastic):
        after, alpha = self.plastic.project(F, alpha, dt, elastic)
        return F + jax.lax.stop_gradient(after - F), alpha


YIELD = mat.VonMises(5e3)
LAWS = {  # by their stiffness, relative to the usual one
    "jelly": lambda p: mat.FixedCorotated(1e5 * p, 0.2),
    "plasticine": lambda p: mat.Elastoplastic(mat.Hencky(3e5 * p, 0.25), YIELD),
    "water": lambda p: mat.WeaklyCompressible(mat.water().bulk * p),
}
WRONG = {  # of which law, and how
    "SVD": ("jelly", lambda p: BySVD(1e5 * p, exact)),
    "clamped SVD": ("jelly", lambda p: BySVD(1e5 * p, clamped)),
    "constant return": (
        "plasticine",
        lambda p: mat.Elastoplastic(mat.Hencky(3e5 * p, 0.25), Constant(YIELD)),
    ),
}


def loss(config: Config, of, adjoint, p, s):
    """Σ w·(x − x₀) of the last state, of stiffness p and velocity v₀ + s δv: w and δv
    are random, the cube is whole and begins above the floor, so F = I at first."""
    kind, dx = jnp.result_type(float), 1 / config.nodes
    side = WIDTH / config.cells
    low = np.array([0.5 - WIDTH / 2, 3.5 * dx, 0.5 - WIDTH / 2])
    x = mpm.bodies.box(low, low + WIDTH, side).astype(kind)
    cube = mpm.Material(of(p), 1e3, side**3, len(x))
    room = mpm.box_walls(3)
    solver = mpm.MPM(mpm.Grid((config.nodes,) * 3, dx), room, np.array([0, -9.8, 0]))
    start = mpm.at_rest(cube, x, np.array(VELOCITY, kind))
    w, kick = np.random.default_rng(0).normal(size=(2, *x.shape)).astype(kind)
    start = start._replace(v=start.v + s * kick)
    n = config.steps
    motion = mpm.simulate(solver, cube, start, DT, n, n, adjoint, throw=False)
    return jnp.sum(w * (motion.y.x[-1] - x)) / len(x)


def run(stiffness, kick) -> dict:
    """The loss of jelly after 40 steps, and its gradient."""
    config = Config(steps=40, cells=3, nodes=12)
    of = functools.partial(loss, config, LAWS["jelly"], None)
    value, (by_p, by_s) = jax.value_and_grad(of, (0, 1))(stiffness, kick)
    return {"loss": value, "by_stiffness": by_p, "by_velocity": by_s}


def gradient(config, of, adjoint=None):
    """∂/∂p and ∂/∂s at (1, 0), (2,)."""
    f = functools.partial(loss, config, of, adjoint)
    return jnp.stack(jax.jit(jax.grad(f, (0, 1)))(jnp.ones(()), jnp.zeros(())))


def forward(config, of, h=()):
    """The same by forward mode, and the central differences of each h, (2, len(h))."""
    h = jnp.asarray(h, jnp.result_type(float))
    away = jnp.concatenate([jnp.zeros(1), h, -h])
    p = jnp.concatenate([1 + away, jnp.ones_like(away)])
    s = jnp.concatenate([jnp.zeros_like(away), away])
    ahead = jnp.repeat(jnp.eye(2), len(away), axis=1)
    f = functools.partial(loss, config, of, diffrax.ForwardMode())
    jvp = jax.jit(jax.vmap(lambda *a: jax.jvp(f, a[:2], a[2:])))
    value, slope = (a.reshape(2, -1) for a in jvp(p, s, *ahead))
    up, down = jnp.split(value[:, 1:], 2, 1)
    return {"slope": slope[:, 0], "h": h, "differences": (up - down) / (2 * h[None])}


def refused() -> str:
    """Why BacksolveAdjoint is; or nothing."""
    try:
        loss(Config(), LAWS["water"], diffrax.BacksolveAdjoint(), 1.0, 0.0)
    except ValueError as error:
        return str(error)
    return ""


def found(results) -> dict:
    """By law and adjoint the gradient; of forward mode and of what is wrong, more."""
    config, jobs = results.config, {}
    h = np.logspace(-1, -9, config.differences)
    for name in config.laws:
        of = LAWS[name]
        jobs[name, "forward"] = functools.partial(forward, config, of, h)
        jobs[name, "every state"] = functools.partial(gradient, config, of)
        for kind in config.adjoints:
            how = ADJOINTS[kind]()
            jobs[name, kind] = functools.partial(gradient, config, of, how)
    for name in config.wrong:
        jobs[WRONG[name][0], name] = functools.partial(forward, config, WRONG[name][1])
    return together(jobs, results.tell)


PARTS = {"found": found, "refused": lambda r: refused()}


def gaps(results, kind):
    """|g/g₀ − 1| of each law, (2,): of a gradient, or a wrong one, g₀ by default."""
    found = results["found"]
    slope = lambda a: a["slope"] if isinstance(a, dict) else a
    return {
        law: np.abs(slope(g) / found[law, "every state"] - 1)
        for (law, name), g in found.items()
        if name == kind
    }


def errors(results):
    """h, and the relative errors of the differences of each law, (2, len(h))."""
    found, out = results["found"], {}
    for law in results.config.laws:
        forward, g = found[law, "forward"], found[law, "every state"]
        out[law] = forward["h"], np.abs(forward["differences"] / g[:, None] - 1)
    return out


def best(results, which) -> Measured:
    """Of the stiffness or the velocity, the least error over h, the worst law."""
    curves = errors(results).items()
    off = {law: np.min(e[which]) for law, (_, e) in curves}
    at = ", ".join(f"{h[np.argmin(e[which])]:.0e}" for _, (h, e) in curves)
    return largest(off, f"{results.config.cells**3} points; at h = {at}")


def agreement(results) -> Measured:
    kinds = ["forward", *results.config.adjoints]
    return largest({k: list(gaps(results, k).values()) for k in kinds})


def reason(results) -> Measured:
    why = results["refused"]
    return Measured("cannot be run backwards" not in why, why)


def wrong_by(results, name) -> Measured:
    gap = gaps(results, name)[WRONG[name][0]]
    return largest(gap, f"by {BY[0]} {gap[0]:.0e}, by {BY[1]} {gap[1]:.0e}")


def not_finite(results, name) -> Measured:
    slope = results["found"][WRONG[name][0], name]["slope"]
    return Measured(np.count_nonzero(~np.isfinite(slope)), "from F = I")


def claims(config) -> list:
    laws = ", ".join(config.laws)
    what = "largest |g/g₀ − 1|", at_least(1e-2, "far above the differences' error")
    nans = "gradients that are not finite", at_least(1, "one is enough")
    wrong = {name: (wrong_by, *what) for name in config.wrong}
    wrong |= {"SVD": (not_finite, *nans)} if "SVD" in config.wrong else {}
    return [
        *(
            Claim(
                f"C2{letter}",
                f"{laws}, {config.steps} steps: gradient by {BY[k]} against central "
                "differences, relative",
                at_most(1e-7, "h² and u/h at the best h, over 200 steps with kinks"),
                functools.partial(best, which=k),
            )
            for k, letter in enumerate(("", "a"))
        ),
        Claim(
            "C2b",
            "other adjoints against the default, g₀: largest |g/g₀ − 1|",
            at_most(1e-11, "the same sums in another order: round-off of 200 steps"),
            agreement,
        ),
        Claim(
            "C2c",
            "solves backwards through contact that BacksolveAdjoint is allowed",
            equals(0, "a count"),
            reason,
        ),
        *(
            Control(
                f"C2{letter}",
                f"{WRONG[name][0]}, {name}: {text}",
                bound,
                functools.partial(measure, name=name),
                of="C2",
            )
            for letter, (name, (measure, text, bound)) in zip(
                "xyz", wrong.items(), strict=False
            )
        ),
    ]


def figures(results) -> dict:
    return {
        "Central differences approach the gradient of automatic differentiation as "
        "their step shrinks, until round-off.": v_figure(results),
        "Each adjoint against the one that keeps every state.": adjoint_figure(results),
    }


def v_figure(results):
    curves = errors(results)
    figure, axes = new_figure(1, len(curves), size=(7.6, 3.2), sharey=True)
    for ax, (law, (h, error)) in zip(axes[0], curves.items(), strict=True):
        for name, e, color in zip(BY, error, ("blue", "vermilion"), strict=True):
            ax.plot(h, e, ".-", color=COLORS[color], ms=4, label=f"by {name}")
        ax.plot(h, h**2, ":", color=COLORS["black"], label="h²")
        ax.plot(h, 1e-15 / h, "--", color=COLORS["grey"], label="10⁻¹⁵/h")
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="step h of the differences",
            ylim=(1e-13, 1e-1),
        )
        ax.set_title(law)
    axes[0, 0].set_ylabel("relative error of the difference")
    legend_beside(axes[0, -1])
    return figure


def adjoint_figure(results):
    config = results.config
    kinds = ["forward", *config.adjoints, *config.wrong]
    figure, axes = new_figure(1, 1, size=(7.6, 1.2 + 0.35 * len(kinds)))
    ax = axes[0, 0]
    for law, color in zip(LAWS, ("blue", "vermilion", "green"), strict=True):
        for k, (by, marker) in enumerate(zip(BY, "o^", strict=True)):
            rows = [(i, gaps(results, kind).get(law)) for i, kind in enumerate(kinds)]
            rows = [(i, max(g[k], 1e-17)) for i, g in rows if g is not None]
            rows = [(i, g if np.isfinite(g) else 1e2) for i, g in rows]
            if rows:
                at, gap = zip(*rows, strict=True)
                label = f"{law}, by {by}"
                ax.plot(gap, at, marker, color=COLORS[color], label=label, alpha=0.8)
    ax.axvline(1e-5, color=COLORS["black"], ls=":", label="threshold")
    controls = {k: f"{k} (control)" for k in config.wrong} | {"SVD": "SVD (NaN)"}
    ax.set_yticks(range(len(kinds)), [controls.get(k, k) for k in kinds])
    ax.set(xscale="log", xlim=(1e-18, 1e3), xlabel="|g/g₀ − 1| (10⁻¹⁷: equal)")
    ax.set_ylim(len(kinds) - 0.5, -0.5)
    ax.set_title("Against the adjoint that keeps every state")
    legend_beside(ax)
    return figure


STUDY = Study(
    "Gradients through contact, yielding and flow",
    "scene after Ma et al., arXiv:2304.14369; adjoints of diffrax",
    SIZES,
    PARTS,
    claims,
    figures,
    run=run,
    space=SPACE,
)
