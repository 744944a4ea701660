"""A Lyapunov function that falls for every state of a box, not on one run.

The flows of fourteen methods on f(x) = (x² − 1)²/4, and Lorenz's equations below and
above the value of ρ at which the origin stops to attract everything.
"""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

import dynax as dx
from dynax import certify
from dynax.certify.interval import Interval
from dynax.certify.region import Region
from dynax.certify.search import Bounded, search
from dynax.claim import Claim, Control, Measured, at_least, equals
from dynax.flow import is_continuous
from dynax.report import COLORS, new_figure
from dynax.study import Study


@dataclasses.dataclass(frozen=True)
class Config:
    samples: int = 20_000  # a member, for escapes from its enclosure
    budget: int = 300_000


SIZES = {
    "quick": Config(),
    "long": Config(100_000, 2_000_000),
    "full": Config(1_000_000, 20_000_000),
}
LOWER, UPPER = (-1.6, -1.5), (1.6, 1.5)
BELOW = 1e-2
MEMBERS = {
    "gradient": dx.GradientDescent(),
    "heavy ball": dx.HeavyBall(1.0),
    "momentum": dx.Momentum(0.9),
    "Nesterov-SC": dx.NesterovSC(),
    "triple momentum": dx.TripleMomentum(),
    "Hamiltonian": dx.HamiltonianDescent(),
    "immersion": dx.Immersion(),
    "mirror": dx.MirrorDescent(),
    "RMSprop": dx.RMSprop(),
    "AdaGrad": dx.AdaGrad(),
    "Lion-√(m² + ¼)": dx.LionKappa(dx.kappa.SoftAbs(0.5)),
    "Lion": dx.LionKappa(),
    "sign": dx.SignSGD(),
    "signum": dx.Signum(),
}
SQUARES = ("RMSprop", "AdaGrad")  # of their states the second is at least 0


def well(x):
    return (x**2 - 1) ** 2 / 4


def ends(name):
    flow = dx.as_flow(MEMBERS[name], well)
    n = ravel_pytree(flow.init(jnp.zeros(())))[0].size
    lower = (LOWER[0], 0.0) if name in SQUARES else LOWER
    return flow, lower[:n], UPPER[:n]


def flat(flow):
    """V, field and D of the flow, of a vector z."""
    _, restore = ravel_pytree(flow.init(jnp.zeros(())))
    V = lambda t, z, args: flow.energy(t, restore(z))
    field = lambda t, z, a: ravel_pytree(flow.field(t, restore(z)))[0]
    return V, field, lambda t, z, args: flow.dissipation(t, restore(z))


def members(results) -> dict:
    """For each method: V̇ ≤ −D + 10⁻², the same with 1.05·D, and with F turned round."""
    found = {}
    for k, name in enumerate(MEMBERS):
        results.tell(k / len(MEMBERS), name)
        flow, lower, upper = ends(name)
        begun = time.process_time()
        budget = results.config.budget
        right = certify.on_box(flow, lower, upper, below=BELOW, budget=budget)
        row = {"claim": right, "seconds": time.process_time() - begun}
        if is_continuous(flow.opt):
            V, field, D = flat(flow)
            more = lambda t, z, args, D=D: 1.05 * D(t, z, args)
            back = lambda t, z, args, field=field: -field(t, z, args)
            sides = lower, upper
            wrong = {"below": BELOW, "budget": budget}
            for control, F, fall in (("1.05 D", field, more), ("backwards", back, D)):
                found_wrong = certify.on_box(V, F, *sides, decrease=fall, **wrong)
                row[f"control: {control}"] = found_wrong
        found[name] = row
    return found


def lorenz(rho):
    def field(t, z, args):
        x, y, w = z
        return jnp.stack([10 * (y - x), x * (rho - w) - y, x * y - 8 / 3 * w])

    return lambda t, z, args: z[0] ** 2 / 10 + z[1] ** 2 + z[2] ** 2, field


def attraction(results) -> dict:
    """V = x²/10 + y² + z² on [−20, 20]³ outside the unit ball."""
    judge = lambda rho, side, ball: certify.on_box(
        *lorenz(rho), [-side] * 3, [side] * 3, excluding=ball
    )
    return {
        0.5: judge(0.5, 20.0, certify.Ball(1.0)),
        0.9: judge(0.9, 20.0, certify.Ball(1.0)),
        "control: 1.5": judge(1.5, 1.0, certify.Ball(0.01)),
    }


def sampled(results) -> dict:
    """How many sampled V̇ + D, computed by XLA, lie outside of the enclosure."""
    rng, count = np.random.default_rng(0), results.config.samples
    found = {}
    for name in MEMBERS:
        flow, lower, upper = ends(name)
        V, field, D = flat(flow)
        rate = dx.lie_derivative(V, field)
        G = lambda z, rate=rate, D=D: rate(0.0, z)[1] + D(0.0, z, None)
        lo, hi = (np.asarray(e)[:, None] for e in (lower, upper))
        centre = lo + (hi - lo) * rng.random((len(lower), count // 20))
        width = (hi - lo) * 10.0 ** rng.uniform(-6, -0.5, (1, count // 20))
        low, high = np.maximum(centre - width, lo), np.minimum(centre + width, hi)
        box = Interval(low, high)
        enclosed = Bounded(G, len(lower)).value(box)[0][0]
        z = low + (high - low) * rng.random((20, *low.shape))
        values = np.asarray(jax.jit(jax.vmap(jax.vmap(G, in_axes=1)))(z))
        room = 1e-12 * (1 + np.abs(values))
        out = (values < enclosed.lo - room) | (values > enclosed.hi + room)
        narrow = (values < enclosed.lo + room) | (
            values > enclosed.hi - (enclosed.hi - enclosed.lo) * 0.9
        )  # the upper end moved nine tenths in
        found[name] = int(np.sum(out)), int(np.sum(narrow)), values.size
    return found


def boxes(results):
    """Closed and open boxes of the heavy ball, for the picture."""
    flow, lower, upper = ends("heavy ball")
    V, field, D = flat(flow)
    rate = dx.lie_derivative(V, field)
    G = Bounded(lambda z: rate(0.0, z)[1] + D(0.0, z, None), 2)
    region = Region.of(lower, upper)
    return {b: search(G, region, BELOW, budget=b, keep=True) for b in (3_000, 20_000)}


PARTS = {
    "members": members,
    "Lorenz": attraction,
    "samples": sampled,
    "boxes": boxes,
}


def certified(results) -> Measured:
    rows = results["members"]
    held = [name for name, row in rows.items() if row["claim"].status == "holds"]
    slowest = max(rows, key=lambda name: rows[name]["seconds"])
    most = max(row["claim"].audited for row in rows.values())
    return Measured(
        len(held), f"of {len(rows)}; at most {most} boxes; slowest {slowest}"
    )


def refuted(results, which) -> Measured:
    rows = [row[which] for row in results["members"].values() if which in row]
    return Measured(sum(v.status != "violated" for v in rows), f"of {len(rows)}")


def attracting(results) -> Measured:
    found = results["Lorenz"]
    text = ", ".join(f"ρ = {rho}: {found[rho].audited} boxes" for rho in (0.5, 0.9))
    return Measured(sum(found[rho].status == "holds" for rho in (0.5, 0.9)), text)


def repelling(results) -> Measured:
    found = results["Lorenz"]["control: 1.5"]
    return Measured(found.status == "violated", f"at {found.counterexample}")


def escaped(results, which) -> Measured:
    rows = results["samples"].values()
    samples = sum(row[2] for row in rows)
    return Measured(sum(row[which] for row in rows), f"of {samples}")


CLAIMS = [
    Claim(
        "K1",
        "methods whose V̇ ≤ −D + 10⁻² is certified for every state of the box",
        at_least(12, "all but those whose enclosures overflow"),
        certified,
    ),
    Control(
        "K1x",
        "claim K1 with 1.05·D: methods for which no state refutes it",
        equals(0, "each has a state where V̇ is −D, so 5 % more is wrong"),
        lambda r: refuted(r, "control: 1.05 D"),
        of="K1",
    ),
    Control(
        "K1y",
        "claim K1 with time turned round: methods for which no state refutes it",
        equals(0, "V̇ changes its sign"),
        lambda r: refuted(r, "control: backwards"),
        of="K1",
    ),
    Claim(
        "K2",
        "Lorenz, ρ = 0.5, 0.9: x²/10 + y² + z² is certified to fall to the unit ball",
        equals(2, "the origin attracts everything below ρ = 1"),
        attracting,
        source="Lorenz, J. Atmos. Sci. 20, 1963",
    ),
    Control(
        "K2x",
        "claim K2 at ρ = 1.5, where the origin repels: refuted by a state",
        equals(1, "two other equilibria attract"),
        repelling,
        of="K2",
    ),
    Claim(
        "K3",
        "sampled values of V̇ + D that lie outside of their enclosure",
        equals(0, "outward rounding; 1e-12 is left to XLA's own error"),
        lambda r: escaped(r, 0),
    ),
    Control(
        "K3x",
        "claim K3 with the upper ends moved inwards by nine tenths of the width",
        at_least(1000, "one sample in ten and more lies in the upper nine tenths"),
        lambda r: escaped(r, 1),
        of="K3",
    ),
]


def figures(results) -> dict:
    found = results["boxes"]
    figure, axes = new_figure(1, len(found), size=(7.6, 3.8), sharey=True)
    for axis, outcome in zip(np.ravel(axes), found.values(), strict=True):
        for (lo, hi), color in (
            (outcome.closed, COLORS["green"]),
            (outcome.open, COLORS["orange"]),
        ):
            corners = zip(lo.T, *(hi - lo), strict=True)
            boxes = [Rectangle(low, width, height) for low, width, height in corners]
            style = {"facecolor": color, "alpha": 0.6, "edgecolor": "white", "lw": 0.2}
            axis.add_collection(PatchCollection(boxes, **style))
        axis.set_xlim(LOWER[0], UPPER[0])
        axis.set_ylim(LOWER[1], UPPER[1])
        axis.set_xlabel("position x")
        axis.set_title(f"{outcome.boxes:,} boxes: {outcome.covered:.0%} certified")
    np.ravel(axes)[0].set_ylabel("velocity")
    caption = (
        "Boxes of states of the heavy ball: certified (green) and still open (orange)."
    )
    return {caption: figure}


STUDY = Study(
    title="Decrease certified on a box",
    source="interval branch and bound: Moore, Kearfott, Cloud, SIAM 2009",
    sizes=SIZES,
    parts=PARTS,
    claims=CLAIMS,
    figures=figures,
)
