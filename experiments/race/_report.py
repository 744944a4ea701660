"""What a race claims and shows: the same for every task."""

import math
from typing import Any

import numpy as np

from dynax.claim import Claim, Control, Measured, at_least, at_most, equals, smallest
from dynax.report import COLORS, new_figure
from dynax.sweep import holm
from experiments.race._methods import proved
from experiments.race._race import (
    arrival,
    state_numbers,
    steps_to,
    target,
    width,
)


COLOR = {"balance": "blue", "account": "orange", "nothing": "grey"}
SAYS = {
    "balance": "each step has a proved balance",
    "account": "each step has an account, of no sign",
    "nothing": "nothing is proved",
}


REPEATS = 200
CHANCE = 0.05 + 3 * (0.05 * 0.95 / REPEATS) ** 0.5  # three errors of a share of 200
FOUND = 0.8 - 0.085  # likewise of a chance of 0.8


def row(results, name: str) -> str:
    """What the race says of one method, in a line."""
    config, found = results.config, results["race"]
    result, at = found[name], target(found)
    arrived = arrival(result, at, config)
    met = np.isfinite(steps_to(result.loss, at, config.steps)).sum()
    when = (
        f"{arrived.mean:.0f} [{arrived.low:.0f}, {arrived.high:.0f}]"
        if arrived
        else (f"{met} of {len(result.loss)} seeds arrive")
    )
    lost = int(np.isnan(result.loss[:, -1]).sum() + np.isnan(result.around).sum())
    state = state_numbers(results["task"], name)
    return (
        f"{name} (rate {result.rate:.2g}, λ {result.shrink / result.rate:.2g}): steps "
        f"{when}; last loss {np.nanmean(result.loss[:, -1]):.3f}; rates within 1 %: "
        f"{width(result):.1f} decades; {lost} failed; state {state:.1f} × parameters; "
        f"{proved(name)}"
    )


def table(results) -> str:
    return "; ".join(row(results, name) for name in results.config.methods)


def everyone(results) -> Measured:
    """How many methods are in the table, of those that were entered."""
    kept = sum(name in results["race"] for name in results.config.methods)
    return Measured(kept / len(results.config.methods), table(results))


def searched(results) -> Measured:
    found = results["race"]
    shares = [r.searched for r in found.values()]
    return Measured(
        max(shares), "of all its trials to the end", (min(shares), max(shares))
    )


def regret(results, chosen=None) -> float:
    """The last loss of AdamW's chosen trial above the best of the grid's, in |best|."""
    result = results["race"]["AdamW"]
    grid = np.where(np.isfinite(result.grid), result.grid, np.inf)
    best = np.min(grid)
    return float((grid[result.chosen if chosen is None else chosen] - best) / abs(best))


def by_lot(results) -> Measured:
    """The median regret if those that go on were drawn by lot."""
    count, random = len(results["race"]["AdamW"].grid), np.random.default_rng(0)
    drawn = [regret(results, random.integers(count)) for _ in range(REPEATS)]
    return Measured(np.median(drawn), f"median of {REPEATS} draws")


def learnt(results) -> Measured:
    """The least loss taken off by any method: before its first look, less its last."""
    found = {k: r.loss[:, 0] - r.loss[:, -1] for k, r in results["race"].items()}
    return smallest(found, f"target {target(results['race']):.3f}")


def paired(a, b) -> float:
    """The p-value of Student's paired test; 1 where a run failed."""
    from scipy import stats

    p = float(stats.ttest_rel(a, b)[1])
    return p if np.isfinite(p) else 1.0


def false_alarms(results) -> Measured:
    """The share of splits of AdamW's seeds into two "methods" that are told apart."""
    last = results["race"]["AdamW"].loss[:, -1]
    half, random = len(last) // 2, np.random.default_rng(0)
    orders = (random.permutation(len(last)) for _ in range(REPEATS))
    p = [paired(last[o[:half]], last[o[half : 2 * half]]) for o in orders]
    return Measured(np.mean(np.array(p) <= 0.05), f"of {REPEATS} splits")


def found_slower(results, seeds_for: float = 1.1) -> Measured:
    """How often a method 10 % slower than AdamW is found with as many seeds as said.

    The number of seeds is that for a chance of 0.8, as `compare` prints it: n =
    (z₀.₉₇₅ + z₀.₈)²·2s²/d², with a Student's correction of two. The runs are drawn from
    a normal distribution with AdamW's mean and deviation of steps.
    """
    from scipy import stats

    config, found = results.config, results["race"]
    steps = steps_to(found["AdamW"].loss, target(found), config.steps)
    steps = steps[np.isfinite(steps)]
    mean, s = steps.mean(), steps.std(ddof=1)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    seeds = 2 + math.ceil(2 * (z * s / ((seeds_for - 1) * mean)) ** 2)
    random, count = np.random.default_rng(0), 0
    for _ in range(REPEATS):
        a, b = random.normal(mean, s, (2, seeds))
        p: Any = stats.ttest_ind(a, 1.1 * b)[1]
        count += p <= 0.05
    text = f"{seeds} seeds, steps {mean:.0f} ± {s:.1f}"
    return Measured(count / REPEATS, text)


def claims(id: str, least: float, why: str) -> list:
    """The claims of one race.

    Args:
        id: of the claims, as "31".
        least: how much loss every method takes off at least, and why.
    """
    return [
        Claim(
            id,
            "every method that was entered is in the table, whatever came of it: share",
            equals(1, "nothing is dropped because it lost"),
            everyone,
        ),
        Claim(
            f"{id}a",
            "steps of the search, over those of all its trials to the end",
            at_most(0.4, "one in three goes on at a quarter and at half of the way"),
            searched,
        ),
        Claim(
            f"{id}b",
            "every method learns: the loss that it takes off after its first look",
            at_least(least, why),
            learnt,
        ),
        Claim(
            f"{id}c",
            "AdamW against itself on other seeds: the share of 200 splits told apart",
            at_most(CHANCE, "a test at 5 %, and three errors of a share of 200"),
            false_alarms,
        ),
        Claim(
            f"{id}d",
            "a method 10 % slower, with as many seeds as are said to be needed: found",
            at_least(FOUND, "a chance of 0.8, less three errors of a share of 200"),
            found_slower,
        ),
        Claim(
            f"{id}e",
            "AdamW's search: the loss of what it chose above the best of the grid",
            at_most(0.02, "two in a hundred, at 40 % of the grid's steps"),
            regret,
        ),
        Claim(
            f"{id}f",
            "numbers of runs that were stopped and went on, which differ from those of "
            "runs that never stopped",
            equals(0, "the same program from the same state"),
            lambda r: r["race"]["AdamW"].changed,
        ),
        Control(
            f"{id}y",
            "claim e with the trials that go on drawn by lot",
            at_least(0.02, "more than claim e allows"),
            by_lot,
            of=f"{id}e",
        ),
        Control(
            f"{id}x",
            "a method 10 % slower with the seeds that one 20 % slower needs: found",
            at_most(FOUND, "fewer than claim d asks"),
            lambda r: found_slower(r, 1.2),
            of=f"{id}d",
        ),
    ]


def significant(results) -> dict[str, str]:
    """Each method against AdamW by the last loss, seed by seed, corrected by Holm."""
    found = results["race"]
    names = [n for n in found if n != "AdamW"]
    base = found["AdamW"].loss[:, -1]
    p = holm([paired(found[n].loss[:, -1], base) for n in names])
    gap = [np.mean(found[n].loss[:, -1] - base) for n in names]
    word = lambda p, d: "as good" if not p <= 0.05 else ("better" if d < 0 else "worse")
    return {n: word(q, d) for n, q, d in zip(names, p, gap, strict=True)}


def named(ax, points: dict[str, tuple[float, float]]) -> None:
    """Write names beside points, moved up where they would lie on one another."""
    low, high = ax.get_ylim()
    gap, last = 0.05 * (high - low), -math.inf
    for name, (x, y) in sorted(points.items(), key=lambda item: item[1][1]):
        last = max(y - gap / 4, last + gap)
        ax.annotate(name, (x, last), (5, 0), textcoords="offset points", fontsize=7)
    ax.set_ylim(low, max(high, last + gap))


def figures(results) -> dict:
    """Steps to the target over sensitivity, and the curves of the mean loss."""
    config, found = results.config, results["race"]
    at, total = target(found), config.blocks * config.steps
    figure, axes = new_figure(1, 2, size=(7.6, 3.6))
    left, right = axes[0]
    word = significant(results)
    heads, ends = {}, {}
    for name, result in found.items():
        color = COLORS[COLOR[proved(name)]]
        arrived, x = arrival(result, at, config), width(result)
        heads[name] = x, arrived.mean if arrived else total
        if arrived:
            low, high = arrived.mean - arrived.low, arrived.high - arrived.mean
            left.errorbar(x, arrived.mean, [[low], [high]], fmt="o", color=color, ms=5)
        else:
            left.plot(x, total, "^", color=color, ms=6)
        curve = result.loss.mean(axis=0)
        steps = config.steps * np.arange(1, config.blocks + 1)
        right.plot(steps, curve, color=color, lw=1)
        ends[name] = total, curve[-1]
    named(left, heads)
    named(right, ends)
    for kind, color in COLOR.items():
        left.plot([], [], "o", color=COLORS[color], label=SAYS[kind])
    left.set(
        xlabel="decades of good rates",
        ylabel="steps to the target",
    )
    left.set_title("Down: faster; right: forgives")
    right.axhline(at, color=COLORS["grey"], lw=0.8)
    right.set(xlabel="steps", ylabel="held-out loss, mean of seeds")
    right.set_title("The line is AdamW's at two thirds")
    left.legend(fontsize=6.5, frameon=True, loc="upper right")
    said = ", ".join(f"{n} {w}" for n, w in word.items())
    caption = (
        f"Steps to AdamW's loss, with 95 % intervals over {config.seeds} seeds. "
        "A method with a triangle did not arrive at every seed. Good rates do within "
        "1 % of the best. By the last loss, against AdamW: "
        f"{said}."
    )
    return {caption: figure}
