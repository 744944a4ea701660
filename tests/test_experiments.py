"""Every experiment keeps the contract, its claims hold and its controls are rejected.

An experiment is one file with TITLE, SOURCE, SIZES, SPACE, run, measure, claims and
figures. What is measured here is each one's smallest form; `-m slow` runs "quick".
"""

import dataclasses
import importlib.util
import inspect
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.animation import Animation
from matplotlib.figure import Figure

import dynax
from dynax import report


FOLDER = pathlib.Path(__file__).parents[1] / "experiments"
FILES = {p.stem: p for p in sorted(FOLDER.glob("[!_]*.py"))}
TINY = {  # what to shrink of "quick"; an experiment that is not named runs slow only
    "lion_constrained": {"starts": 8, "steps": 6000},
    "lion_muon": {"steps": 3000, "seeds": 1, "points": 200},
    "lion_cycle": {"ratios": 201},
    "heavy_ball_cycle": {"starts": 41, "kappas": 201},
    "immersion": {"seeds": 4, "states": 200, "steps": 50},
    "soap": {"states": 200, "steps": 120, "seeds": 2},
}
every = pytest.mark.parametrize("name", FILES)


@pytest.fixture
def experiment(name, monkeypatch):
    """The module; its folder is importable while the test runs."""
    monkeypatch.syspath_prepend(str(FOLDER))
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FILES[name])
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@every
def test_contract(experiment):
    assert len((experiment.__doc__ or "").split()) > 20
    assert isinstance(experiment.TITLE, str) and isinstance(experiment.SOURCE, str)
    assert set(experiment.SIZES) >= {"quick", "long", "full"}
    Config = experiment.Config
    assert Config.__dataclass_params__.frozen
    assert all(isinstance(config, Config) for config in experiment.SIZES.values())
    assert len({*experiment.SIZES.values()}) == len(experiment.SIZES)
    for function, names in (
        (experiment.measure, ["config", "progress"]),
        (experiment.claims, ["results"]),
        (experiment.figures, ["results"]),
    ):
        assert list(inspect.signature(function).parameters) == names


@every
def test_space_is_what_run_takes(experiment):
    parameters = inspect.signature(experiment.run).parameters
    needed = {k for k, p in parameters.items() if p.default is p.empty}
    assert needed <= set(experiment.SPACE) <= set(parameters)
    assert all(len(axis) >= 1 for axis in experiment.SPACE.values())


@every
def test_run_is_pure_and_traces(experiment):
    """Shapes under `jit(vmap(run))` with every number of the first point traced."""
    point = {k: axis[0] for k, axis in experiment.SPACE.items()}
    numbers = {k: v for k, v in point.items() if isinstance(v, int | float | np.number)}
    fixed = {k: v for k, v in point.items() if k not in numbers}
    pair = {k: jnp.stack([jnp.asarray(v)] * 2) for k, v in numbers.items()}
    batched = jax.jit(jax.vmap(lambda p: experiment.run(**p, **fixed)))
    out = jax.eval_shape(batched, pair)
    assert isinstance(out, dict) and out
    assert all(a.shape[0] == 2 for a in jax.tree.leaves(out))
    # what `dynax sweep` asks for
    assert not set(out) & set(experiment.SPACE)
    for name, axes in getattr(experiment, "DIMS", {}).items():
        assert out[name].ndim == 1 + len(axes)


def judge(experiment, config):
    told = []
    results = experiment.measure(config, lambda share, text: told.append((share, text)))
    shares = [share for share, _ in told]
    assert shares and all(0 <= s <= 1 for s in shares) and shares == sorted(shares)
    assert all(isinstance(text, str) and text for _, text in told)

    claims = experiment.claims(results)
    assert all(isinstance(c, dynax.Claim) and np.isfinite(c.measured) for c in claims)
    assert len({c.id for c in claims}) == len(claims)
    assert any(c.control for c in claims) and not all(c.control for c in claims)
    wrong = [f"{c.id} {c.verdict}: {c.measured:.3g}" for c in claims if not c.holds]
    assert not wrong, "; ".join(wrong)

    figures = experiment.figures(results)
    assert figures
    for caption, figure in figures.items():  # figures, or animations
        if isinstance(figure, Figure):
            assert figure.axes
        else:
            assert isinstance(figure, Animation)
            assert len(report.figure_html(figure, caption, "f")) < 2.5e6
    return claims


@pytest.mark.parametrize("name", [name for name in FILES if name in TINY])
def test_claims_hold_and_controls_are_rejected(name, experiment):
    judge(experiment, dataclasses.replace(experiment.SIZES["quick"], **TINY[name]))


@pytest.mark.slow
@every
def test_claims_of_the_quick_size(experiment):
    judge(experiment, experiment.SIZES["quick"])
