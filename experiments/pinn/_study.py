"""What the studies of networks share: recipe, clock, march, the point of a sweep, and
a network beside its reference in one dimension of space."""

import dataclasses
import functools
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import pinn
from dynax.claim import Measured, largest
from dynax.newton import LevenbergMarquardt
from dynax.report import COLORS, new_figure


SOURCE = "Wang, Sankaran, Perdikaris, arXiv:2203.07404"
DIMS = {"residual": ["chunk"]}
BUDGET = "the budget of this size, on a machine that is shared"
SOLVED = "a march hands over nothing but certified windows"
LAW = "an identity along any function, so each check holds"


@dataclasses.dataclass(frozen=True)
class Gauss:
    """A sampler: Gauss–Legendre times, the same in every cycle, fresh places."""

    times: int
    points: int

    def __call__(self, key, problem, over, dtype, residual):
        del residual
        nodes = (1 + np.polynomial.legendre.leggauss(self.times)[0]) / 2
        drawn = problem.sample(key, self.times, self.points, dtype=dtype)
        return drawn._replace(
            t=over.t0 + (over.t1 - over.t0) * jnp.asarray(nodes, dtype)
        )


# Training -----------------------------------------------------------------------------


def recipe(
    times, points, levels, patience=1000, *, chunks=None, method=None, **more
) -> pinn.Trainer:
    """Levenberg–Marquardt, unless a method is given; ε climbs through `levels`.

    Args:
        times, points: of the residual, and places at each time.
        chunks: of time, with a weight each; the times unless given.
        more: of the objective, or of the trainer.
    """
    named = {f.name for f in dataclasses.fields(pinn.Trainer)}
    settings = {k: v for k, v in more.items() if k not in named}
    objective = pinn.Objective(times, points, chunks or times, **settings)
    method = LevenbergMarquardt() if method is None else method
    annealing = pinn.Annealing(levels, patience=patience)
    rest = {k: v for k, v in more.items() if k in named}
    return pinn.Trainer(objective, method, annealing, **rest)


def traced(equation, coefficient):
    """An equation whose coefficient is traced: one program serves all."""
    number: Any = jnp.asarray(coefficient, jnp.result_type(float))
    return equation(number)


def window(equation, length=1.0) -> pinn.Window:
    """[0, length], from the equation's own initial state."""
    end = jnp.asarray(length, jnp.result_type(float))
    return pinn.Window(jnp.zeros_like(end), end, equation.initial)


def climbing(causality):
    """Levels of ε up to `causality`; 0: no causal weights."""
    return jnp.asarray(causality) * jnp.asarray([1e-2, 1e-1, 1.0])


def point(how, equation, over, seed, width, cycles):
    """One point of a sweep: a small network's u, and what its last cycle saw."""
    key = jax.random.key(seed)
    network = pinn.mlp_field(equation, key, width=width, depth=2)
    out = pinn.solve(how, pinn.Model(network, equation), over, key, cycles=cycles)
    last = jnp.max(out.records.cycle)
    return how.solution(out.model, over), {
        "solved": out.state.solved,
        "min_weight": jnp.exp(out.records.log_min[last]),
        "loss": jnp.mean(out.records.chunks[last]),
        "residual": out.records.chunks[last],
    }


def apart(found, truth):
    """‖found − truth‖ / ‖truth‖, traced."""
    return jnp.linalg.norm(jnp.ravel(found - truth)) / jnp.linalg.norm(truth.ravel())


def clocked(call, *args, **kwargs):
    """What a call returns, and the seconds of processor time it took."""
    begun = time.process_time()
    out = call(*args, **kwargs)
    return out, time.process_time() - begun


def teller(results, name, k=0, count=1):
    """Progress of the k-th of `count` trainings in a part of a study."""
    return lambda share, text: results.tell(
        (k + min(share, 1.0)) / count, f"{name}: {text}"
    )


def march(how, model, seed, edges, cycles, *, block, modes, tell, anyway=False) -> dict:
    """A march timed apart from compiling, which a first one of two short windows shows.

    Args:
        modes: of the state handed over.
        anyway: go on from windows that are not solved.
    """
    hand = functools.partial(pinn.interpolate, modes=modes)
    go = functools.partial(pinn.train_windows, how, model, jax.random.key(seed))
    go = functools.partial(go, handover=hand, block=block)
    short, first = clocked(go, edges[:3], block, anyway=True)
    out, seconds = clocked(go, edges, cycles, anyway=anyway, progress=tell)
    ran = lambda out: sum(c.cycles for c in out.certificates)
    compiling = first - seconds * ran(short) / ran(out)
    return {"marched": out, "seconds": seconds, "compiling": compiling}


# Claims -------------------------------------------------------------------------------


def largest_error(results, published: str) -> Measured:
    """The largest error of the seeds; the reference's own and the published one."""
    off = f"the reference is off by {results['truth'].self_error:.0e}"
    text = f"{results.config.seeds} seeds; {off}; {published}"
    return largest([run["error"] for run in results["ours"]], text)


def slowest(runs) -> Measured:
    """Seconds of processor time that the slowest march took."""
    cycles = sum(c.cycles for c in runs[0]["marched"].certificates)
    apart = f"{runs[0]['compiling']:.0f} s"
    seconds = [run["seconds"] for run in runs]
    return largest(seconds, f"{cycles} cycles; compiling, apart: {apart}")


def uncertified(runs, windows: int) -> Measured:
    """Windows without a certificate: refused, or never reached."""
    every = [c for run in runs for c in run["marched"].certificates]
    text = f"{windows} windows, {len(runs)} seeds; ε to {every[0].final:g}"
    refused = [c.reason for c in every if not c.holds]
    text += "".join(f"; {reason}" for reason in refused[:1])
    return Measured(windows * len(runs) - sum(c.holds for c in every), text)


def failing(verdicts: dict, of: str) -> Measured:
    """Checks that fail, of the ledgers with this word in their name; and one more for
    each ledger that nobody can judge, as that of a march that never got there."""
    seen = [v for name, v in verdicts.items() if of in name]
    open = [v.reason for v in seen if v.status not in ("holds", "violated")]
    count = sum(v.violations for v in seen) + len(open)
    return Measured(count, "; ".join([f"{sum(v.audited for v in seen)} rows", *open]))


# Figures ------------------------------------------------------------------------------


def weights(figure, ax, records, xlabel) -> None:
    """Causal weights over time and training."""
    image = ax.imshow(
        np.exp(records.log_weights[records.cycle >= 0]).T,
        aspect="auto",
        origin="lower",
        extent=(0, np.sum(records.cycle >= 0), 0, 1),
        vmin=0,
        vmax=1,
    )
    ax.grid(False)
    figure.colorbar(image, ax=ax, label="w(t)")
    ax.set(xlabel=xlabel, ylabel="t")
    ax.set_title("Causal weights; ε steps up")


@eqx.filter_jit
def on_grid(u, t, x):
    """u's first field at all times and places, (times, places)."""
    along = lambda t: jax.lax.map(lambda x: u(t, x[None])[0], x, batch_size=512)
    return jax.lax.map(along, t)


def values(u, truth) -> np.ndarray:
    """A function where its reference is known."""
    return np.asarray(on_grid(u, jnp.asarray(truth.t), jnp.asarray(truth.axes[0])))


def sizes(found, truth) -> np.ndarray:
    """‖error(t)‖ over the norm of the solution, both mean squares over space."""
    norm = np.sqrt(np.mean(truth.u[..., 0] ** 2))
    return np.sqrt(np.mean((found - truth.u[..., 0]) ** 2, 1)) / norm


def maps(found, truth):
    """x over t: the solution, the network, and where they differ."""
    figure, axes = new_figure(1, 3, size=(8.4, 2.9), sharey=True)
    known, x = truth.u[..., 0], truth.axes[0]
    t, half = truth.t, np.array([-0.5, 0.5])  # the pixels' centres are the points
    box = *(t[[0, -1]] + half * (t[1] - t[0])), *(x[[0, -1]] + half * (x[1] - x[0]))
    error = np.log10(np.abs(found - known) + 1e-12)
    ends = {"vmin": known.min(), "vmax": known.max(), "cmap": "RdBu_r"}
    high = np.ceil(error.max())
    panels = (
        ("Reference", known, ends),
        ("Network", found, ends),
        ("Error", error, {"vmin": high - 5, "vmax": high, "cmap": "viridis"}),
    )
    images = []
    for ax, (title, picture, look) in zip(axes[0], panels, strict=True):
        image = ax.imshow(picture.T, origin="lower", aspect="auto", extent=box, **look)
        ax.grid(False)
        ax.set(xlabel="t", title=title, xlim=t[[0, -1]], ylim=(x[0], 2 * x[-1] - x[-2]))
        ax.locator_params("x", nbins=4)
        images.append(image)
    figure.colorbar(images[1], ax=axes[0, 1], label="u")
    figure.colorbar(images[2], ax=axes[0, 2], label="log₁₀ |error|")
    axes[0, 0].set(ylabel="x")
    return figure


def errors(found: dict, truth, edges=()):
    """‖error‖ in time, and the spectra of the solution and of the error at the end.

    Args:
        found: name → (values, color).
        truth: the reference.
        edges: of windows.
    """
    figure, axes = new_figure(1, 2, size=(7.6, 3.6))
    left, right = axes[0]
    for edge in edges:
        left.axvline(edge, color=COLORS["grey"], lw=0.4)
    spectrum = lambda u: np.abs(np.fft.rfft(u)) / u.size
    right.plot(spectrum(truth.u[-1, :, 0]), color=COLORS["black"], label="solution")
    for name, (u, color) in found.items():
        after = truth.t > truth.t[0]  # where a start is met exactly there is no error
        left.plot(truth.t[after], sizes(u, truth)[after], color=COLORS[color])
        left.lines[-1].set_label(name)
        gap = u[-1] - truth.u[-1, :, 0]
        right.plot(spectrum(gap), color=COLORS[color], lw=0.8)
    left.set(xlabel="t", ylabel="‖error(t)‖ / ‖u‖", yscale="log")
    left.set_title("Error in time")
    low, high = left.dataLim.intervaly
    if 0 < low < high < np.inf:  # else no window was solved
        left.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)))
    right.set(xlabel="periods in the box", ylabel="amplitude at the end")
    right.set(xscale="log", yscale="log", xlim=(1, None), ylim=(1e-12, 1))
    right.set_title("Spectra; colours: of the error")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def verdicts(ledgers: dict, control: str) -> dict:
    """The verdict of each ledger; those with `control` in their name must not hold."""
    claims = {k: f"control: {k}" if control in k else k for k in ledgers}
    return {k: dx.verdict(rows, claims[k]) for k, rows in ledgers.items()}
