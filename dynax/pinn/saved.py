"""A solution in one file: a function (t, x), with its equation and certificate.

The file is a zip archive of `about.json`, readable by anyone, and `program`, the
function in StableHLO as `jax.export` writes it, which later versions of JAX can read.
Nothing that trained it is needed to call it: neither the network's class nor the
equation's.
"""

import dataclasses
import importlib.metadata
import json
import os
import zipfile
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax.pde import AbstractPDE


FORMAT = 1
PLATFORMS = "cpu", "cuda", "rocm", "tpu"
PROGRAM = "calling_convention_version", "module_kept_var_idx", "uses_global_constants"


@dataclasses.dataclass(frozen=True)
class Saved:
    """A solution read from a file. Call it as u(t, x) → fields, or under `jax.vmap`.

    It gives values only: JAX cannot differentiate an exported program.

    Args:
        equation: its name.
        coefficients: by name, numbers, lists, or a text of what is neither.
        fields: names, in the order of the values.
        lower, upper: corners of the box; () without space.
        span: (t₀, T) where it is a solution; NaN elsewhere, or not to be trusted.
        holds: whether it was certified.
        certificate: the verdict in words, as it was printed.
        dtype: of t and x.
        version: of dynax that wrote it.
        call: (t, x), (n,) and (n, d) → (n, fields).
    """

    equation: str
    coefficients: dict[str, Any]
    fields: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    span: tuple[float, float]
    holds: bool
    certificate: str
    dtype: str
    version: str
    call: Callable = dataclasses.field(repr=False, compare=False)

    def __call__(self, t, x=()) -> Float[Array, " fields"]:
        t, x = jnp.asarray(t, self.dtype), jnp.asarray(x, self.dtype)
        if t.shape or x.shape != (len(self.lower),):
            raise ValueError(
                f"t, x: given shapes {t.shape}, {x.shape}; accepted are (), "
                f"({len(self.lower)},); use jax.vmap for more points."
            )
        return self.call(t[None], x[None])[0]

    def __str__(self) -> str:
        return f"{self.equation} {self.coefficients} on {self.span}: {self.certificate}"


def save(
    path: str | os.PathLike,
    u: Callable,
    pde: AbstractPDE,
    span: tuple[float, float],
    certificate: Any,
) -> None:
    """Write a solution, its equation and its certificate to one file.

        out = pinn.march(…)
        pinn.save("u.zip", out.solution, problem, (0, out.reached), out)
        u = pinn.load("u.zip")

    Args:
        path: of the file; it is replaced.
        u: (t, x) → fields, of any kind.
        pde: the equation.
        span: (t₀, T) where u solves it.
        certificate: what says so, with `.holds`: of a `Trainer`, or the result of
            `march` or `train_windows`.
    """
    dtype = jnp.result_type(float)
    exported = _exported(jax.vmap(u), len(pde.lower), dtype)
    summary = getattr(certificate, "summary", None) or str(certificate)
    about = {
        "format": FORMAT,
        "version": importlib.metadata.version("dynax-lab"),
        "equation": type(pde).__name__,
        "coefficients": coefficients(pde),
        "fields": list(pde.fields),
        "lower": [float(a) for a in pde.lower],
        "upper": [float(a) for a in pde.upper],
        "span": [float(t) for t in span],
        "holds": bool(certificate.holds),
        "certificate": summary,
        "dtype": dtype.name,
        "program": {name: getattr(exported, name) for name in PROGRAM},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("about.json", json.dumps(about, ensure_ascii=False, indent=1))
        file.writestr("program", exported.mlir_module_serialized)


def load(path: str | os.PathLike) -> Saved:
    """Read a solution.

    Raises:
        ValueError: no such file as `save` writes, one of another version, or one in
            float64 where x64 is off.
    """
    with _opened(path) as file:
        about, program = json.loads(file.read("about.json")), file.read("program")
    form, version = about.pop("format"), about["version"]
    if form != FORMAT:
        raise ValueError(
            f"path: given {path}, of format {form}, written by dynax {version}; "
            f"accepted is format {FORMAT}: save it again, or load it with that version."
        )
    if about["dtype"] == "float64" and jnp.result_type(float) != np.float64:
        raise ValueError(
            f"path: given {path}, a solution in float64; accepted with x64 off is "
            'float32: say jax.config.update("jax_enable_x64", True) first.'
        )
    how = {k: _tuple(a) for k, a in about.pop("program").items()}
    about = {k: _tuple(a) for k, a in about.items()}
    blank = lambda t, x: jnp.zeros((*t.shape, len(about["fields"])), t.dtype)
    template = _exported(blank, len(about["lower"]), about["dtype"])
    how["mlir_module_serialized"] = program
    exported = dataclasses.replace(template, **how)
    return Saved(**about, call=_batched(exported.call))


def _exported(many: Callable, d: int, dtype) -> jax.export.Exported:
    """A function of n points, for any n."""
    (n,) = jax.export.symbolic_shape("n")
    shape = lambda *shape: jax.ShapeDtypeStruct(shape, dtype)
    exporter = jax.export.export(jax.jit(many), platforms=PLATFORMS)
    return exporter(shape(n), shape(n, d))


def _tuple(a) -> Any:
    return tuple(a) if isinstance(a, list) else a


def coefficients(pde: AbstractPDE) -> dict[str, Any]:
    """An equation's own numbers, by name; what is neither is told in words."""
    values = {f.name: getattr(pde, f.name) for f in dataclasses.fields(pde)}
    tell = lambda a: np.asarray(a).tolist() if eqx.is_array_like(a) else repr(a)
    return {name: tell(a) for name, a in values.items()}


def _opened(path) -> zipfile.ZipFile:
    try:
        file = zipfile.ZipFile(path)
        if {"about.json", "program"} <= set(file.namelist()):
            return file
    except zipfile.BadZipFile:
        pass
    raise ValueError(f"path: given {path}; accepted is a file that pinn.save wrote.")


def _batched(call: Callable) -> Callable:
    """A program for n points also under vmap, however deep: the points in one list."""

    @jax.custom_batching.custom_vmap
    def many(t, x):
        return call(t, x)

    @many.def_vmap
    def _(size, batched, t, x):
        wide = lambda a, is_wide: (
            a if is_wide else jnp.broadcast_to(a, (size, *a.shape))
        )
        t, x = map(wide, (t, x), batched)
        found = many(t.reshape(-1), x.reshape(-1, x.shape[-1]))
        return found.reshape(*t.shape, -1), True

    return many
