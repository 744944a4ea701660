"""What was seen of a motion, and its file."""

import json
import os
import pathlib
import zipfile
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal

from dynax import _tree as tree
from dynax.mechanics.mpm.body import Body
from dynax.mechanics.mpm.simulate import Motion


UNITS = {"dt": "s", "x": "m", "v": "m/s", "C": "1/s", "F": "1"}
SLACK = 0.05  # of ẋ = v, relative: what rounding and another integrator may do


class Trajectory(eqx.Module):
    """Points at equal steps: y leads by time, k + 1 states for k steps.

    Args:
        dt: between two states, s.
        y: a `Body` of arrays leading by time; v, C, F are None, and alpha is (), where
            a camera saw places only.

    Raises:
        ValueError: shapes that do not agree, numbers that are not finite, det F ≤ 0, or
            velocities that are not those of the places (other units, another dt).
    """

    dt: float
    y: Any

    def __check_init__(self):
        if tree.is_concrete(self.y):
            _check(self.dt, self.y)

    @property
    def steps(self) -> int:
        return self.y.x.shape[0] - 1

    @property
    def full(self) -> bool:
        """Whether velocities and deformations are known."""
        return self.y.F is not None

    def positions(self) -> "Trajectory":
        """What a camera sees of it."""
        return Trajectory(self.dt, Body(self.y.x, None, None, None, ()))  # pyright: ignore

    def first(self, steps: int) -> "Trajectory":
        """Its first `steps` steps."""
        if not 0 < steps <= self.steps:
            raise ValueError(
                f"steps: given {steps}; accepted is 0 < steps ≤ {self.steps}."
            )
        return Trajectory(self.dt, jax.tree.map(lambda a: a[: steps + 1], self.y))


def smoothed(trajectory: Trajectory, window: int = 9) -> Trajectory:
    """Smooth a noisy motion in time: each number by a parabola over `window` states.

    White noise falls to about 3/(2√window) of itself. What happens faster than the
    window is lost: take a third of the time that a wave needs for a cell at most.

    Source: Savitzky, Golay, Anal. Chem. 36 (1964).

    Args:
        trajectory: what was seen, with any of x, v, C, F.
        window: odd, 3 ≤ window ≤ the number of states.

    Raises:
        ValueError: another window.
    """
    states = trajectory.steps + 1
    if window % 2 == 0 or not 3 <= window <= states:
        raise ValueError(
            f"window: given {window}; accepted is odd, 3 ≤ window ≤ {states} states."
        )

    def parabola(a):
        wide = np.asarray(a, np.float64)
        found = scipy.signal.savgol_filter(wide, window, 2, axis=0)
        return jnp.asarray(found, a.dtype)

    return Trajectory(trajectory.dt, jax.tree.map(parabola, trajectory.y))


def observed(motion: Motion, dt: float) -> Trajectory:
    """A run of `mpm.simulate` that saved each step, or steps dt apart.

    Raises:
        ValueError: the run failed, or its saves are not dt apart.
    """
    gaps = np.diff(np.asarray(motion.t))
    if not np.allclose(gaps, dt, rtol=1e-2):
        raise ValueError(
            f"dt: given {dt}; accepted is the time between saves, {gaps[0]:.4g}, of a "
            "run that did not fail."
        )
    return Trajectory(float(dt), motion.y)


def write(path: str | os.PathLike, trajectory: Trajectory) -> None:
    """Write one .npz with dt, x and, where known, v, C, F, alpha. It has "units", as
    JSON.

    Whole when it has its name.

    Raises:
        FileExistsError: there is such a file.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise FileExistsError(
            f"path: given {path}; accepted is the path of a new file."
        )
    arrays: dict[str, Any] = {
        name: np.asarray(a)
        for name, a in trajectory.y._asdict().items()
        if name in UNITS and a is not None
    }
    units = json.dumps({name: UNITS[name] for name in ("dt", *arrays)})
    for i, a in enumerate(tree.leaves(trajectory.y.alpha)):
        arrays[f"alpha{i}"] = np.asarray(a)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, dt=trajectory.dt, units=units, **arrays)
    os.link(part, path)
    part.unlink()


def read(path: str | os.PathLike, alpha: Any = ()) -> Trajectory:
    """Read the trajectory in a file of `write`, or of your own with the same names.

    Args:
        path: an .npz with dt and x, (k + 1, N, d), at least.
        alpha: a tree such as a state's `alpha`, for the internal variables in the file.

    Raises:
        ValueError: not such a file, other units, or what `Trajectory` says.
    """
    path = pathlib.Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {k: file[k] for k in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ValueError(
            f"path: given {path}, which does not read as .npz ({error}); accepted is a "
            "file of `write`."
        ) from error
    if not {"dt", "x", "units"} <= set(found):
        raise ValueError(
            f"path: given {path} with {sorted(found)}; accepted is one with dt, x and "
            "units at least."
        )
    units = json.loads(str(found["units"]))
    wrong = {k: u for k, u in units.items() if UNITS.get(k) != u}
    missing = [k for k in UNITS if k in found and k not in units]
    if wrong or missing:
        raise ValueError(
            f"units: given {units} in {path}; accepted are {UNITS} for all arrays."
        )
    shape = jax.tree.structure(alpha)
    inner = [jnp.asarray(found[f"alpha{i}"]) for i in range(shape.num_leaves)]
    known = [jnp.asarray(found[k]) if k in found else None for k in "xvCF"]
    y: Any = Body(*known, jax.tree.unflatten(shape, inner))  # pyright: ignore
    return Trajectory(float(found["dt"]), y)


def _check(dt, y: Body) -> None:
    shape = np.shape(y.x)
    if len(shape) != 3 or shape[0] < 2 or shape[2] not in (2, 3):
        raise ValueError(
            f"x: given shape {shape}; accepted is (k + 1, N, d), k ≥ 1 steps of N "
            "points in d = 2 or 3 dimensions."
        )
    if not dt > 0:
        raise ValueError(f"dt: given {dt}; accepted is dt > 0, in s.")
    d = shape[2]
    accepted = dict(x=shape, v=shape, C=(*shape, d), F=(*shape, d))
    known = {
        k: np.asarray(getattr(y, k)) for k in accepted if getattr(y, k) is not None
    }
    if len(known) not in (1, 4):
        raise ValueError(
            f"v, C, F: given {sorted(known)}; accepted are x alone, or x, v, C and F."
        )
    for name, a in known.items():
        if a.shape != accepted[name] or a.dtype.kind != "f":
            raise ValueError(
                f"{name}: given {a.dtype} of shape {a.shape}; accepted is floating, "
                f"{accepted[name]}."
            )
        if not np.all(np.isfinite(a)):
            step = int(np.argmin(np.all(np.isfinite(a.reshape(len(a), -1)), 1)))
            raise ValueError(
                f"{name}: given NaN or infinity in state {step}; accepted is finite."
            )
    if "F" in known and (least := np.linalg.det(known["F"]).min()) <= 0:
        raise ValueError(f"F: given det F = {least:.3g}; accepted is det F > 0.")
    if "v" in known:
        moved, said = np.diff(known["x"], axis=0) / dt, known["v"][1:]
        rounding = np.finfo(known["x"].dtype).eps * np.linalg.norm(known["x"]) / dt
        off, size = np.linalg.norm(moved - said), np.linalg.norm(moved)
        if off > SLACK * size + rounding:
            ratio = np.linalg.norm(said) / max(size, 1e-300)
            raise ValueError(
                f"v: given one that differs from (x₊ − x)/dt by {off / size:.2g} of "
                f"that and is {ratio:.3g} times as large; accepted is the velocity in "
                "m/s of places in m, dt in s."
            )
