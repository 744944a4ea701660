"""A fuzzer that stays: right systems must hold, broken ones must not.

Optimizers, laws and stores here; certificates of networks in their own experiment.
`-m slow` runs larger counts and prints them.
"""

import dataclasses
import pathlib
import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import material as mat
from dynax.cli import _experiments
from dynax.lyapunov import Check, ledger_row, verdict
from dynax.material import _jacobi
from dynax.study import Results, studies
from dynax.sweep import StoreError, sweep
from tests.material_laws import rotations


FOLDER = pathlib.Path(__file__).parents[1] / "experiments"


# ---------------------------------------------------------------------- optimizers


def trust(capsys, **size):
    """The findings of the experiment on optimizers at a size of its own."""
    [file] = [f for f in _experiments.files(FOLDER) if f.stem == "trust"]
    with _experiments.opened(FOLDER, file) as module, jax.enable_x64(True):
        [study] = studies(module)
        config = dataclasses.replace(study.sizes["quick"], **size)
        found = study.judge(Results(study, config))
    with capsys.disabled():
        for f in found:
            print(f"\n{f.id} {f.statement}: {f.measured:g} {f.detail}", end="")
    return {f.id: f for f in found}


def test_optimizers(capsys):
    members, dtypes = ("Lion, soft", "momentum"), ("float32",)
    found = trust(capsys, members=members, dtypes=dtypes, cases=6, steps=30)
    wrong = [f"{f.statement}: {f.measured:g} {f.detail}" for f in found.values()]
    assert all(f.holds for f in found.values()), "\n".join(wrong)


@pytest.mark.slow
def test_all_optimizers(capsys):
    found = trust(capsys, members=tuple(trust_members()), cases=24, steps=60)
    assert all(f.holds for f in found.values())


def trust_members():
    [file] = [f for f in _experiments.files(FOLDER) if f.stem == "trust"]
    with _experiments.opened(FOLDER, file) as module:
        return module.MEMBERS


def test_the_limits_of_sight():
    """A check sees an error of a tenth, not one that is larger by a thousandth; and has
    judged a run where it saw on half of the rows, not on one row less."""

    def status(*resolution):
        at = jnp.asarray(resolution)
        check = Check(jnp.zeros_like(at), jnp.full_like(at, 0.1), at)
        row = ledger_row(jnp.arange(at.size), at, -at, {"balance": check})
        return verdict(row, "nothing is wrong").status

    sharp, blunt = 0.1, 0.1001
    assert status(sharp, sharp) == "holds"
    assert status(blunt, blunt) == "undecided"
    assert status(sharp, sharp, blunt, blunt) == "holds"
    assert status(sharp, sharp, blunt, blunt, blunt) == "undecided"


# ---------------------------------------------------------------------------- laws


KEY = jax.random.key(0)
LAWS = {
    "jelly": mat.jelly(),
    "St. Venant–Kirchhoff": mat.StVenantKirchhoff(1e5, 0.3),
    "Hencky": mat.Hencky(1e5, 0.3),
    "neo-Hookean": mat.NeoHookean(1e5, 0.3),
    "water": mat.water(),
    "ICNN": mat.ICNN(KEY, 1e5, width=8),
}
MODULUS = 1e5


class Broken(eqx.Module):
    """A law with one fault of 1e-3: in shear, in pressure, or by a turned frame."""

    law: mat.AbstractLaw
    fault: str = eqx.field(static=True)

    def kirchhoff(self, F):
        tau = self.law.kirchhoff(F, self.law.init(F))
        if self.fault == "shear":
            return tau.at[0, 1].multiply(1.001).at[1, 0].multiply(1.001)
        if self.fault == "pressure":
            return tau + 1e-3 * jnp.trace(tau) / 3 * jnp.eye(3, dtype=tau.dtype)
        return tau + 1e-3 * MODULUS * (F @ F.T - F.T @ F)


def deformations(n, seed=0):
    """F = U diag(σ) Vᵀ(I + γe₁e₂ᵀ): crushed, equal and nearly equal σ, tiny γ."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.3, 1.5, (n, 1)) * np.ones((n, 3))
    spread = rng.choice([0.0, 1e-7, 1e-3, 0.3], (n, 1)) * rng.normal(size=(n, 3))
    sigma = size * np.exp(np.clip(spread, -1, 1))
    U, V = rotations(rng, n, 3), rotations(rng, n, 3)
    F = U * sigma[:, None] @ V.transpose(0, 2, 1)
    F[:: n // 50] = np.eye(3)  # at rest but for a shear of any size
    shear = np.tile(np.eye(3), (n, 1, 1))
    shear[:, 0, 1] = 10.0 ** rng.uniform(-30, 0, n) * (rng.uniform(size=n) < 0.5)
    return (F @ shear).astype(np.float32)


def stress(law):
    plain = lambda law, F: law.kirchhoff(F, law.init(F))
    broken = lambda law, F: law.kirchhoff(F)
    one = broken if isinstance(law, Broken) else plain
    return eqx.filter_jit(jax.vmap(one, (None, 0)))


def in_single(law):
    single = lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a
    return jax.tree.map(single, law)


EPS = float(jnp.finfo(jnp.float32).eps)


def disagree(law, F, truth):
    """Deformations at which the law in float32 is off by over 300 roundings: of E and
    the stress, and of what rounding F itself does to the stress."""
    seen = np.asarray(stress(in_single(law))(in_single(law), jnp.asarray(F)), float)
    exact, unit = truth
    off = np.abs(seen - exact).max((1, 2)) / unit
    return int(np.sum(~(off <= 300)))


def truths(law, F):
    """(stress in float64, the size of a rounding of it)."""
    at = lambda F: np.asarray(stress(law)(law, jnp.asarray(F, jnp.float64)))
    exact, rng = at(F), np.random.default_rng(1)
    moved = [at(F * (1 + EPS * rng.choice([-1.0, 1.0], F.shape))) for _ in range(3)]
    bend = np.max([np.abs(m - exact).max((1, 2)) for m in moved], axis=0)
    return exact, EPS * (MODULUS + np.abs(exact).max((1, 2))) + bend


def laws(names, n):
    """(false alarms, misses, out of how many each)."""
    F = deformations(n)
    alarms, misses = {}, {}
    for name in names:
        law = LAWS[name]
        truth = truths(law, F)
        alarms[name] = disagree(law, F, truth)
        for fault in ("shear", "pressure", "frame"):
            if name == "water" and fault == "shear":
                continue  # it has none
            misses[name, fault] = not disagree(Broken(law, fault), F, truth)
    return alarms, misses


def test_laws():
    alarms, misses = laws(("Hencky", "neo-Hookean"), 2000)
    assert not any(alarms.values()) and not any(misses.values()), (alarms, misses)


@pytest.mark.slow
def test_all_laws(capsys):
    alarms, misses = laws(LAWS, 100_000)
    with capsys.disabled():
        print(f"\nlaws: {alarms} of 100,000 each; missed {sum(misses.values())}")
    assert not any(alarms.values()) and not any(misses.values()), (alarms, misses)


def test_control_squares_that_underflow(monkeypatch):
    """The rotation as it is often written is found out in float32."""

    def naive(off, gap):
        t = 2 * off / (jnp.abs(gap) + jnp.sqrt(gap**2 + 4 * off**2))
        return jnp.where(off == 0, 0, jnp.where(gap < 0, -t, t))

    F, law = deformations(2000), LAWS["Hencky"]
    truth = truths(law, F)
    monkeypatch.setattr(_jacobi, "tangent", naive)
    jax.clear_caches()
    assert disagree(law, F, truth) >= 1


# -------------------------------------------------------------------------- stores


SPACE = {"rate": np.linspace(0.1, 1.0, 8), "seed": np.arange(4)}
OTHER = {"rate": np.linspace(1.1, 2.0, 8), "seed": np.arange(4)}


def run(rate, seed):
    return {"y": rate * 10 + seed.astype(rate.dtype)}


def fill(path, space=SPACE):
    return np.asarray(sweep(run, space, path, batch=2, chunk=4).y)


def files(path):
    return sorted(p for p in path.rglob("*") if p.is_file())


def flip(path, rng):
    file = rng.choice(files(path))
    data = bytearray(file.read_bytes())
    if data:
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    file.write_bytes(data)


def cut(path, rng):
    file = rng.choice(files(path))
    data = file.read_bytes()
    file.write_bytes(data[: rng.integers(len(data) + 1)])


def delete(path, rng):
    rng.choice(files(path)).unlink()


def empty(path, rng):
    rng.choice(files(path)).write_bytes(b"")


def exchange(path, rng):
    a, b = rng.choice(sorted((path / "parts").glob("*")), 2, replace=False)
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)


def foreign(path, rng):
    """A part of another experiment takes the place of one of ours."""
    other = path.parent / "other"
    theirs = sorted((other / "parts").glob("*"))
    ours = sorted((path / "parts").glob("*"))
    k = rng.integers(len(ours))
    ours[k].unlink()
    shutil.copy(theirs[k], path / "parts" / theirs[k].name)


DAMAGE = (flip, cut, delete, empty, exchange, foreign)


def stores(folder, rounds, seed=0):
    """How each damage ended: "right", "refused", or what was wrong."""
    rng = np.random.default_rng(seed)
    truth = fill(folder / "whole")
    fill(folder / "other", OTHER)
    ends = []
    for k in range(rounds):
        for damage in DAMAGE:
            path = folder / f"{damage.__name__}{k}"
            shutil.copytree(folder / "whole", path)
            damage(path, rng)
            try:
                same = np.array_equal(fill(path), truth)
                ends.append("right" if same else f"{damage.__name__}: wrong numbers")
            except StoreError:
                ends.append("refused")
            except Exception as error:
                ends.append(f"{damage.__name__}: {type(error).__name__}: {error}")
            shutil.rmtree(path)
    return ends


def test_stores(tmp_path):
    ends = stores(tmp_path, 3)
    assert set(ends) <= {"right", "refused"}, "\n".join(set(ends))
    assert "right" in ends  # what can be computed anew is


@pytest.mark.slow
def test_many_stores(tmp_path, capsys):
    ends = stores(tmp_path, 60)
    with capsys.disabled():
        print(f"\nstores: {len(ends)} damaged, {ends.count('refused')} refused", end="")
    assert set(ends) <= {"right", "refused"}, "\n".join(set(ends))


def test_control_parts_read_by_their_place(tmp_path):
    """A reader that trusts the order of files takes another experiment's numbers."""
    rng = np.random.default_rng(0)
    truth = fill(tmp_path / "whole").ravel()
    fill(tmp_path / "other", OTHER)
    foreign(tmp_path / "whole", rng)
    place = lambda p: p.name.split("-")[:2]
    parts = sorted((tmp_path / "whole" / "parts").glob("*.npz"), key=place)
    naive = np.concatenate([np.load(p)["y"] for p in parts])
    assert naive.shape == truth.shape and not np.array_equal(naive, truth)
