"""Comparisons over seeds: error rates on made-up runs, scipy, and what was lost."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dynax.sweep import below, compare, holm, interval


xr = pytest.importorskip("xarray")


def runs(mean, seeds=8, points=5, noise=0.1, rng=None, first=0):
    """Losses of a method at some learning rates; part of the noise is the seed's."""
    rng = np.random.default_rng(0) if rng is None else rng
    shared = rng.standard_normal(seeds) if noise else np.zeros(seeds)
    values = mean + noise * (shared + rng.standard_normal((points, seeds)))
    coords = {"lr": np.arange(points), "seed": first + np.arange(seeds)}
    return xr.DataArray(values, coords, ("lr", "seed"))


def test_against_scipy():
    rng = np.random.default_rng(1)
    a, b = runs(1.0, rng=rng), runs(1.1, rng=rng)
    found = compare(a, b)
    for k in range(5):
        x, y = a.values[k], b.values[k]
        theirs = scipy.stats.ttest_rel(x, y)
        assert found.p.values[k] == pytest.approx(theirs.pvalue, rel=1e-12)
        low, high = theirs.confidence_interval()
        assert found.low.values[k] == pytest.approx(low, rel=1e-12)
        assert found.high.values[k] == pytest.approx(high, rel=1e-12)
    apart = compare(a, b.assign_coords(seed=100 + np.arange(8)))
    assert found.attrs["paired"] == 1 and apart.attrs["paired"] == 0
    theirs = scipy.stats.ttest_ind(a.values[0], b.values[0], equal_var=False)
    assert apart.p.values[0] == pytest.approx(theirs.pvalue, rel=1e-12)
    low, high = theirs.confidence_interval()
    assert apart.high.values[0] == pytest.approx(high, rel=1e-9)
    assert apart.low.values[0] == pytest.approx(low, rel=1e-9)


def test_equal_methods_are_not_told_apart():
    """200 pairs of the same method under two names, 5 points each: ≤ 5 % with any
    decision; without the correction far more."""
    rng = np.random.default_rng(2)
    found = [compare(runs(1, rng=rng), runs(1, rng=rng)) for _ in range(200)]
    false = sum(bool(np.any(f.decided != 0)) for f in found)
    bare = sum(bool(np.any(f.p <= 0.05)) for f in found)
    assert false <= 10 + 2 * np.sqrt(10)
    assert bare > 25  # control: every p-value by itself


def test_a_slower_method_is_found_with_the_seeds_that_were_asked_for():
    """10 % slower; the first comparison says how many seeds more, and these decide."""
    rng, decided, asked = np.random.default_rng(3), 0, []
    for _ in range(60):
        few = compare(*(runs(m, 4, 1, rng=rng) for m in (1.1, 1.0)))
        if few.decided.item():
            continue
        seeds = 4 + int(few.more.item())
        if seeds > 400:  # a difference near 0 by chance
            continue
        asked.append(seeds)
        more = compare(*(runs(m, seeds, 1, rng=rng) for m in (1.1, 1.0)))
        decided += more.decided.item() == 1
    # the size of the difference was estimated from 4 seeds: 0.8 on average at best
    assert len(asked) > 20 and decided / len(asked) > 0.6


def test_failed_runs_decide_nothing():
    a, b = runs(0.0, noise=0.01), runs(1.0, noise=0.01)
    assert np.all(compare(a, b).decided == -1)
    a.values[2, :3] = np.nan
    found = compare(a, b)
    assert found.decided.values.tolist() == [-1, -1, 0, -1, -1]
    assert found.lost.values.tolist() == [0, 0, 3, 0, 0]
    b.values[2, :3] = np.nan  # failed in both: the seed's fault
    assert np.all(compare(a, b).decided == -1)


def test_shared_points_only():
    a, b = runs(0.0, points=4), runs(5.0, points=6)
    found = compare(a, b)
    assert found.lr.values.tolist() == [0, 1, 2, 3] and np.all(found.decided == -1)
    same = compare(a, a)
    assert np.all(same.p == 1) and np.all(same.decided == 0)
    with pytest.raises(ValueError, match="^along: given 'repeat'"):
        compare(a, b, along="repeat")
    with pytest.raises(ValueError, match="^b: given no point"):
        compare(a, b.assign_coords(lr=10 + np.arange(6)))
    with pytest.raises(ValueError, match="^level: given 95"):
        compare(a, b, level=95)


def test_holm():
    p = np.array([0.01, 0.04, 0.03, np.nan, 0.005])
    adjusted = holm(p)
    # Holm (1979): 4·0.005, 3·0.01, 2·0.03, then never less than the one before
    assert np.allclose(adjusted[[4, 0, 2, 1]], [0.02, 0.03, 0.06, 0.06])
    assert np.isnan(adjusted[3])


def test_intervals_hold_the_mean():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        found = interval(rng.standard_normal(6))
        hits += found.low <= 0 <= found.high
    assert 0.92 <= hits / 400 <= 0.98
    skewed = rng.exponential(size=(100, 40))
    found = [interval(row, method="bootstrap") for row in skewed]
    assert 0.85 <= np.mean([f.low <= 1 <= f.high for f in found]) <= 0.99
    assert str(interval([1.0, 2.0, 3.0])).startswith("2 [-0.4841, 4.484], 3")
    with pytest.raises(ValueError, match="^values: given"):
        interval([1.0])
    with pytest.raises(ValueError, match="^method: given 'z'"):
        interval([1.0, 2.0], method="z")


def test_rule_of_the_speed_runs():
    losses = [3.2779, 3.2782, 3.2782, 3.2788, 3.2814, 3.2807, 3.2780]
    assert not below(losses, 3.28, 0.004)  # (3.28 − 3.27903)·√7 = 0.0026
    assert below(losses[:4], 3.28, 0.0034) and not below([3.3] * 9, 3.28, 0.004)
    with pytest.raises(ValueError, match="^margin: given 0"):
        below(losses, 3.28, 0)


def test_on_the_command_line(tmp_path, capsys, monkeypatch):
    from dynax.cli import main
    from dynax.sweep import sweep

    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")

    def run(rate, seed, shift):
        noise = 1e-3 * jnp.sin(12.9 * jnp.asarray(seed, float) + rate)
        return {"loss": jnp.stack([jnp.ones(()), rate + shift * rate + noise])}

    stores = []
    for shift in (0.0, 0.5):
        space = {"rate": [0.0, 1.0], "seed": range(6), "shift": [shift]}
        stores.append(str(tmp_path / f"shift{shift:g}"))
        sweep(run, space, stores[-1])
    code = main(["sweep", "compare", *stores, "--output", "loss"])
    said = "".join(capsys.readouterr())
    assert code == 0, said
    assert "rate = 1: shift0 − shift0.5 = -0.5 [" in said and "shift0 is lower" in said
    assert "rate = 0: shift0 − shift0.5 = 0 [0, 0]" in said and "undecided" in said
    assert "paired at equal seeds" in said
    assert main(["sweep", "compare", *stores[:1] * 2, "--output", "loss"]) == 3
    assert main(["sweep", "compare", *stores, "--output", "lss"]) == 2
    assert "--output: given 'lss'; accepted is one of loss." in capsys.readouterr().err
