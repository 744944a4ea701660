"""Online subspace descent: an optimizer of small state, run in a subspace that moves.

ẋ = P_t·a(s, P_tᵀg), ṡ = b(s, P_tᵀg): whatever the schedule P_t, the energy H = f + K(s)
of the method falls, and by the same Ḣ = −D(s, P_tᵀg), for ⟨g, Pa⟩ = ⟨Pᵀg, a⟩. So Euler
steps of length h let H rise by O(h²) only. It fails as soon as P is not the adjoint of
what projects the gradient; and a P that stands still does not find the minimum.
"""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import Claim, kappa as K
from dynax.optim import Adam, SubspaceState
from dynax.report import COLORS, new_figure


TITLE = "Online subspace descent: the same H for any moving subspace"
SOURCE = "Liang et al., arXiv:2408.12857, Sections 3 and 4"


@dataclasses.dataclass(frozen=True)
class Config:
    rows: int = 8
    columns: int = 5
    rank: int = 2
    states: int = 2000
    horizon: float = 4.0
    settle: float = 1000.0  # how long f is followed
    seeds: int = 4
    seed: int = 0


SIZES = {
    "quick": Config(),
    "long": Config(24, 16, 4, states=20_000, horizon=20.0, settle=8000.0, seeds=32),
    "full": Config(256, 128, 16, states=2000, settle=80_000.0, seeds=32),
}
SPACE = {
    "lr": (4e-3, 2e-3, 1e-3, 5e-4),
    "speed": (0.0, 0.3, 1.0, 3.0),
    "seed": (0, 1, 2),
}
LR = 1e-2  # where flows that depend on it are read off
STEPS = (2e-3, 1e-3, 5e-4)


class Turning(eqx.Module):
    """g ↦ P_tᵀg: fixed columns, in a frame that turns in random planes at `speed`.

    Each column has a part in each plane, and no two planes turn equally fast, so that
    {P_t} leaves out no direction.
    """

    frame: jax.Array  # (rows, rows), orthogonal
    columns: jax.Array  # (rows, rank)
    speed: jax.Array

    @classmethod
    def random(cls, key, rows, rank, speed):
        frames = jax.vmap(lambda key: jax.random.orthogonal(key, rows))
        frame, columns = frames(jax.random.split(key))
        stretched = columns[:, :rank] * jnp.linspace(0.7, 1.4, rank)[None]
        return cls(frame, stretched, jnp.asarray(speed))

    def matrix(self, t):
        """P_t, (rows, rank)."""
        half = self.columns.shape[0] // 2
        angle = self.speed * t * jnp.arange(1.0, half + 1) / half
        c, s = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
        u, v = self.columns[:half], self.columns[half:]
        turned = jnp.concatenate([c * u - s * v, s * u + c * v])
        return jnp.matmul(self.frame, turned)

    def __call__(self, t, g):
        return jnp.matmul(self.matrix(t).T, g)


class NotAdjoint(dx.AbstractLyapunovOptimizer):
    """The control: there by one P_t, back by another."""

    there: dx.OnlineSubspaceDescent
    back: dx.OnlineSubspaceDescent

    def init(self, x):
        return self.there.init(x)

    def update(self, x, state, grad, lr):
        _, after = self.there.update(x, state, grad, lr)
        return self.back.update(x, state, grad, lr)[0], after

    def flow(self, t, x, state, grad, lr):
        _, dstate = self.there.flow(t, x, state, grad, lr)
        lifted = jnp.matmul(
            self.back.project.matrix(state.time),  # pyright: ignore
            self.there.opt.flow(
                t,
                jnp.zeros_like(jax.tree.leaves(state.inner)[0]),
                state.inner,
                self.there.project(state.time, grad),
                lr,
            )[0],
        )
        return lifted, dstate

    def energy(self, t, x, state, value, lr):
        return self.there.energy(t, x, state, value, lr)

    def dissipation(self, t, x, state, grad, lr):
        return self.there.dissipation(t, x, state, grad, lr)


def methods() -> dict:
    return {
        "heavy ball": dx.HeavyBall(0.5),
        "smooth Lion": dx.LionKappa(K.SoftAbs(0.2)),
        "Adam": Adam(bias_correction=False),
    }


def loss(key, rows, columns):
    """Smooth, not convex, with its minimum 0: f = Σ c(W − B)² + ½ sin²(W − B)."""
    kb, kc = jax.random.split(key)
    B = jax.random.normal(kb, (rows, columns))
    c = jnp.exp(jax.random.uniform(kc, (rows, columns), minval=-1.5, maxval=0.5))
    return lambda W: jnp.sum(c * (W - B) ** 2 + jnp.sin(W - B) ** 2 / 2)


def system(opt, key, rows, columns, rank, speed, wrong=False):
    """The method in its moving subspace, its loss, and a start at rest."""
    keys = jax.random.split(key, 4)
    turning = Turning.random(keys[0], rows, rank, speed)
    method = dx.OnlineSubspaceDescent(opt, turning)
    if wrong:
        other = Turning.random(keys[1], rows, rank, speed)
        method = NotAdjoint(method, dx.OnlineSubspaceDescent(opt, other))
    W = jax.random.normal(keys[3], (rows, columns))
    return method, loss(keys[2], rows, columns), W, method.init(W)


def euler(method, f, W, state, lr, steps):
    """H and f at steps + 1 points of Euler's method on the flow."""
    flow = dx.LyapunovFlow(method, f, LR)

    def body(y, _):
        rate = flow.field(0.0, y)
        y = jax.tree.map(lambda a, r: a + lr * r, y, rate)
        return y, (flow.energy(0.0, y), f(y[0]))

    start = flow.energy(0.0, (W, state)), f(W)
    y, rows = jax.lax.scan(body, (W, state), length=steps)
    return y, tuple(
        jnp.concatenate([a[None], b]) for a, b in zip(start, rows, strict=True)
    )


def run(lr, speed, seed, steps=2000, rows=8, columns=5, rank=2) -> dict:
    """Euler, heavy ball in a subspace turning at `speed`: ΔH, and f at the end."""
    case = system(dx.HeavyBall(0.5), jax.random.key(seed), rows, columns, rank, speed)
    _, (H, f) = euler(*case, lr, steps)
    return {"rise": jnp.max(jnp.diff(H)), "fall": H[0] - H[-1], "f": f[-1]}


def rises(config, wrong, lr, seed):
    """The largest ΔH of Euler's method over the same time, at one step length."""
    key = jax.random.key(seed)
    shape = config.rows, config.columns, config.rank
    case = system(dx.HeavyBall(0.5), key, *shape, 1.0, wrong)
    _, (H, _) = euler(*case, lr, round(config.horizon / lr))
    return jnp.max(jnp.diff(H)), H


def pointwise(config, opt, wrong=False):
    """|Ḣ + D|/(1 + D) and the least D at random states, P_t at random times."""
    shape = config.rows, config.columns, config.rank
    root = jax.random.key(config.seed)
    method, f, W, start = system(opt, root, *shape, 1.0, wrong)
    flow = dx.LyapunovFlow(method, f, LR)

    @jax.vmap
    def at(key):
        a, b, c = jax.random.split(key, 3)
        moving = lambda z: jax.random.normal(b, z.shape)
        inner = jax.tree.map(moving, start.inner)
        if isinstance(opt, Adam):
            inner = start.inner._replace(m=inner.m, v=inner.v**2 + 0.1)
        time = jax.random.uniform(a, minval=0.0, maxval=9.0)
        y = jax.random.normal(c, W.shape), SubspaceState(time, inner)
        _, slope = dx.lie_derivative(flow.energy, flow.field)(0.0, y)
        d = flow.dissipation(0.0, y)
        return jnp.abs(slope + d) / (1 + d), d

    error, d = jax.jit(at)(jax.random.split(root, config.states))
    return float(jnp.max(error)), float(jnp.min(d))


def measure(config: Config, progress) -> dict:
    cases, found = methods(), {}
    for k, (name, opt) in enumerate(cases.items()):
        progress(0.4 * k / len(cases), f"random states: {name}")
        found[name] = pointwise(config, opt)
    broken = pointwise(config, dx.HeavyBall(0.5), wrong=True)
    progress(0.4, "Euler steps")
    seeds = config.seed + jnp.arange(config.seeds)
    most, records = {}, {}
    for wrong in (False, True):
        for lr in STEPS:
            go = functools.partial(rises, config, wrong, lr)
            top, H = jax.device_get(jax.jit(jax.vmap(go))(seeds))
            most[wrong, lr], records[wrong, lr] = top, H[0]
    progress(0.8, "to the minimum")
    settled = {}
    shape = config.rows, config.columns, config.rank
    for name, speed in (("turning", 3.0), ("fixed", 0.0)):

        def settle(seed, speed=speed):
            case = system(dx.HeavyBall(0.5), jax.random.key(seed), *shape, speed)
            return euler(*case, 0.02, round(config.settle / 0.02))[1][1]

        settled[name] = np.asarray(jax.jit(jax.vmap(settle))(seeds))
    return {
        "states": found,
        "broken": broken,
        "most": most,
        "records": records,
        "settled": settled,
        "config": config,
    }


def claims(results) -> list[Claim]:
    found, most, config = results["states"], results["most"], results["config"]
    pairs = list(zip(STEPS, STEPS[1:], strict=False))
    ratios = lambda wrong: np.array([most[wrong, a] / most[wrong, b] for a, b in pairs])
    right, wrong = ratios(False), ratios(True)
    ends = {k: v[:, -1] for k, v in results["settled"].items()}
    where = (
        f"{config.rows} × {config.columns} in {config.rank} dimensions, "
        f"{config.seeds} seeds"
    )
    tops = ", ".join(f"{np.max(most[False, h]):.1e}" for h in STEPS)

    claim = functools.partial(Claim.judged, SOURCE)

    return [
        claim(
            "12",
            "halving h quarters the largest ΔH of Euler's method: |ratio/4 − 1|",
            np.max(np.abs(right / 4 - 1)),
            "≤ 0.05",
            f"h = {', '.join(map(str, STEPS))}: ΔH {tops}; {where}",
            (float(right.min()), float(right.max())),
        ),
        claim(
            "12a",
            "|Ḣ + D|/(1 + D) at random states and times, D that of the base",
            max(v[0] for v in found.values()),
            "≤ 1e-12",
            f"{', '.join(found)}; {config.states} states each",
        ),
        claim("12b", "the least D of these", min(v[1] for v in found.values()), "≥ 0"),
        claim(
            "12c",
            "f − f* at the end, the subspace turning",
            np.max(ends["turning"]),
            "≤ 1e-6",
            f"t = {config.settle:g}; {where}",
        ),
        claim(
            "12x",
            "claim 12 with a way back that is not the adjoint: least ratio's distance "
            "from 4",
            np.min(np.abs(wrong - 4)),
            "≥ 1 rejected",
            f"ratios {wrong.min():.2f} to {wrong.max():.2f}: H rises at first order",
        ),
        claim(
            "12y", "claim 12a with that way back", results["broken"][0], "≥ 1 rejected"
        ),
        claim(
            "12z",
            "claim 12c with a subspace that stands still: least f − f*",
            np.min(ends["fixed"]),
            "≥ 0.1 rejected",
        ),
    ]


def figures(results) -> dict:
    figure, axes = new_figure(1, 2, size=(7.6, 3.2))
    left, right = axes[0]
    for wrong, color, label in (
        (False, "blue", "adjoint"),
        (True, "vermilion", "not the adjoint"),
    ):
        tops = [np.max(results["most"][wrong, h]) for h in STEPS]
        left.plot(STEPS, tops, "o-", color=COLORS[color], label=label)
    h = np.array(STEPS)
    top = np.max(results["most"][False, STEPS[0]])
    left.plot(h, top * (h / h[0]) ** 2, ":", color=COLORS["black"], label="h²")
    left.set(xscale="log", yscale="log", xlabel="h", ylabel="largest ΔH")
    left.set_title("Rises of H under Euler steps")
    for name, color in (("turning", "blue"), ("fixed", "grey")):
        values = results["settled"][name]
        t = np.linspace(0, results["config"].settle, values.shape[1])
        shown = np.linspace(0, values.shape[1] - 1, 400).astype(int)
        label = f"P {'turns' if name == 'turning' else 'stands still'}"
        for k, row in enumerate(values):
            style = {"color": COLORS[color], "label": label if k == 0 else None}
            right.plot(t[shown], np.maximum(row[shown], 1e-16), lw=1, **style)
    right.set(yscale="log", xlabel="t", ylabel="f − f*")
    right.set_title("The loss")
    for ax in (left, right):
        ax.legend()
    return {"online_subspace": figure}
