"""Every study keeps the contract, its claims hold and its controls are rejected.

What is measured here is the smallest form of each; `-m slow` runs "quick".
"""

import dataclasses
import inspect
import pathlib

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib.animation import Animation
from matplotlib.figure import Figure

from dynax import report
from dynax.cli import _experiments
from dynax.study import Results, studies

from .figures import faults


FOLDER = pathlib.Path(__file__).parents[1] / "experiments"
FILES = {p.stem: p for p in _experiments.files(FOLDER)}
TINY = {  # what to shrink of "quick"; an experiment that is not named runs slow only
    "constrained": {"starts": 8, "steps": 6000},
    "muon": {"steps": 3000, "seeds": 1, "points": 200},
    "cycle": {"ratios": 201},
    "heavy_ball_cycle": {"starts": 41, "kappas": 201},
    "immersion": {"seeds": 4, "states": 200, "steps": 50},
    "soap": {"states": 200, "steps": 120, "seeds": 2},
}
LOADED = {}
every = pytest.mark.parametrize("name", FILES)


@pytest.fixture
def experiment(name):
    """The module, imported once; its neighbours can be imported while a test runs."""
    with _experiments.importable(FOLDER, FILES[name]):
        if name not in LOADED:
            LOADED[name] = _experiments.load(FILES[name], f"_dynax_experiment_{name}")
        yield LOADED[name]


def sweepable(experiment):
    """The studies with a point to sweep; a certificate, say, is no traced function."""
    return [study for study in studies(experiment) if study.run is not None]


@every
def test_contract(experiment):
    assert len((experiment.__doc__ or "").split()) > 20
    for study in studies(experiment):
        assert study.title and study.source
        assert set(study.sizes) >= {"quick", "long", "full"}
        for config in study.sizes.values():
            assert type(config).__dataclass_params__.frozen
        assert len({*study.sizes.values()}) == len(study.sizes)
        assert study.parts and all(map(callable, study.parts.values()))


@every
def test_space_is_what_run_takes(experiment):
    for study in sweepable(experiment):
        parameters = inspect.signature(study.run).parameters
        needed = {k for k, p in parameters.items() if p.default is p.empty}
        assert needed <= set(study.space) <= set(parameters)
        assert all(len(axis) >= 1 for axis in study.space.values())


@every
def test_run_is_pure_and_traces(experiment):
    """Shapes under `jit(vmap(run))` with every number of the first point traced."""
    for study in sweepable(experiment):
        point = {k: axis[0] for k, axis in study.space.items()}
        is_number = lambda v: isinstance(v, int | float | np.number)
        numbers = {k: v for k, v in point.items() if is_number(v)}
        fixed = {k: v for k, v in point.items() if k not in numbers}
        pair = {k: jnp.stack([jnp.asarray(v)] * 2) for k, v in numbers.items()}
        batched = jax.jit(jax.vmap(lambda p, f=fixed, s=study: s.run(**p, **f)))
        out = jax.eval_shape(batched, pair)
        assert isinstance(out, dict) and out
        assert all(a.shape[0] == 2 for a in jax.tree.leaves(out))
        # what `dynax sweep` asks for
        assert not set(out) & set(study.space)
        for name, axes in study.dims.items():
            assert out[name].ndim == 1 + len(axes)


def judge(experiment, **tiny):
    for study in studies(experiment):
        told = []
        config = dataclasses.replace(study.sizes["quick"], **tiny)
        results = Results(
            study, config, lambda share, text, t=told: t.append((share, text))
        )
        claims = study.judge(results)
        with matplotlib.rc_context(report.STYLE):  # as `dynax report` draws them
            figures = study.figures(results)
        shares = [share for share, _ in told]
        assert shares and all(0 <= s <= 1 for s in shares) and shares == sorted(shares)
        assert all(isinstance(text, str) and text for _, text in told)
        assert set(results.found) == set(study.parts), "a part that nothing reads"

        assert all(np.isfinite(c.measured) for c in claims)
        assert len({c.id for c in claims}) == len(claims)
        assert any(c.control for c in claims) and not all(c.control for c in claims)
        wrong = [f"{c.id} {c.verdict}: {c.measured:.3g}" for c in claims if not c.holds]
        assert not wrong, "; ".join(wrong)

        assert figures
        for caption, figure in figures.items():  # figures, or animations
            assert caption[0].isupper() and caption.endswith("."), caption
            if isinstance(figure, Figure):
                assert figure.axes and not faults(figure), caption
            else:
                assert isinstance(figure, Animation)
                assert len(report.figure_html(figure, caption, "f")) < 2.5e6


@pytest.mark.parametrize("name", [name for name in FILES if name in TINY])
def test_claims_hold_and_controls_are_rejected(name, experiment):
    judge(experiment, **TINY[name])


@pytest.mark.slow
@every
def test_claims_of_the_quick_size(experiment):
    judge(experiment)
