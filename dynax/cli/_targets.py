"""What `dynax verify` can be pointed at."""

import inspect
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import dynax
from dynax import kappa as potentials
from dynax.cli._files import UsageError, describe, load
from dynax.kappa import AbstractKappa, Support


# of a κ whose hyper-parameter is not given
DEFAULTS = {
    "delta": 0.1,
    "threshold": 0.01,
    "scale": 10.0,
    "temperature": 0.1,
    "p": 1.5,
    "k": 2,
    "vector_kappa": "l1",
}
SPECTRAL = potentials.OrthogonallyInvariant


def kappa_names() -> dict[str, Any]:
    """Every concrete class and every constructor of `dynax.kappa`, in kebab case."""
    found = {}
    for name, member in vars(potentials).items():
        public = not name.startswith("_") and callable(member)
        if not public or (inspect.isclass(member) and inspect.isabstract(member)):
            continue
        found[_kebab(name)] = member
    return found


def make_kappa(text: str) -> AbstractKappa:
    """`huber`, `huber:0.3`, `top-k:k=3,scope=tree`, `support:my_sets.py:my_oracle`."""
    name, _, rest = text.partition(":")
    names = kappa_names()
    if name not in names:
        raise UsageError(
            f"--kappa: given {text!r}; accepted are {', '.join(sorted(names))}, with a "
            "parameter as in huber:0.3."
        )
    make = names[name]
    if make is Support:
        return Support(_oracle(rest), zero_in_domain=True)
    accepted = inspect.signature(make).parameters
    values: dict[str, Any] = {}
    if "vector_kappa" in accepted:
        values["vector_kappa"] = make_kappa(rest or DEFAULTS["vector_kappa"])
    else:
        for place, item in enumerate(filter(None, rest.split(","))):
            key, equals, value = item.rpartition("=")
            key = key if equals else (list(accepted) + [""] * 9)[place]
            if key not in accepted:
                what = ", ".join(accepted) or "none: it has no parameters"
                raise UsageError(
                    f"--kappa: given {text!r}; accepted after : is {what}."
                )
            values[key] = _value(value)
        for key, parameter in accepted.items():
            if parameter.default is inspect.Parameter.empty and key in DEFAULTS:
                values.setdefault(key, DEFAULTS[key])
    try:
        return make(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"--kappa: given {text!r}; {error}") from None


def lion_kappa(options, kappa: AbstractKappa) -> dynax.System:
    """The built-in system: Lion-κ on a random quadratic, with cosines on top or not."""
    optimizer = dynax.LionKappa(
        kappa,
        options.beta1,
        options.beta2,
        options.weight_decay,
        decay=options.decay,
    )
    shape = options.dimension or ((5, 4) if isinstance(kappa, SPECTRAL) else (20,))
    if min(shape) < 1:
        raise UsageError(f"--dimension: given {shape}; accepted are integers >= 1.")
    rng = np.random.default_rng(options.seed)
    n = int(np.prod(shape))
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    curvature = np.linspace(0.1, 2.0, n)
    dtype = jnp.result_type(float)
    a = jnp.asarray(basis * curvature @ basis.T, dtype)
    b = jnp.asarray(rng.standard_normal(n), dtype)
    height, frequency = (0.5, 3.0) if options.problem == "nonconvex" else (0.0, 0.0)

    def loss(x):
        v = x.ravel()
        bowl = 0.5 * jnp.sum(v * jnp.matmul(a, v, precision="highest")) - jnp.sum(b * v)
        return bowl + height * jnp.sum(jnp.cos(frequency * v))

    z = jnp.asarray(rng.standard_normal(shape), dtype)
    start = z
    if options.weight_decay > 0:  # the edge of the constraint set, seen from its centre
        centre, edge = kappa.grad(jnp.zeros_like(z)), kappa.grad(z)
        y = centre + jnp.asarray(options.start_scale, dtype) * (edge - centre)
        start = y / jnp.asarray(options.weight_decay, dtype)
    optimizer.init(start)  # refuses a κ that these parameters do not suit
    return dynax.System(
        optimizer,
        loss,
        start,
        learning_rate=options.learning_rate,
        smoothness=float(curvature[-1] + height * frequency**2),
    )


def from_script(target: str) -> dynax.System:
    """The `dynax.System` that FILE.py:NAME is, or returns."""
    found = _attribute("target", target)
    file, name = target.rpartition(":")[::2]
    if not isinstance(found, dynax.System) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise UsageError(
                f"target: calling {name}() of {file} raised "
                f"{describe(error, pathlib.Path(file).absolute())}; accepted is a "
                "function without arguments that returns a dynax.System."
            ) from None
    if not isinstance(found, dynax.System):
        raise UsageError(
            f"target: {name} of {file} is a {type(found).__name__}; accepted is a "
            "dynax.System, or a function without arguments that returns one."
        )
    return found


def _attribute(argument: str, text: str):
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not name:
        raise UsageError(
            f"{argument}: given {text!r}; accepted is "
            f"{'lion-kappa or ' if argument == 'target' else ''}FILE.py:NAME."
        )
    path = pathlib.Path(file).absolute()
    if not path.is_file():
        raise UsageError(
            f"{argument}: given {file}, which is not a file; accepted is FILE.py:NAME."
        )
    sys.path.insert(0, str(path.parent))  # as `python FILE.py` does
    try:
        module = load(path, f"_dynax_{path.stem}")
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{argument}: importing {file} raised {describe(error, path)}."
        ) from None
    finally:
        sys.path.remove(str(path.parent))
    if name not in vars(module):
        systems = [k for k, v in vars(module).items() if isinstance(v, dynax.System)]
        have = ", ".join(systems) or "a name that the file defines"
        raise UsageError(
            f"{argument}: {file} has no attribute {name!r}; accepted: {have}."
        )
    return vars(module)[name]


def _oracle(text: str):
    if text:
        return _attribute("--kappa", text)
    return lambda g: jax.tree.map(lambda a: -jnp.sign(a), g)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _kebab(name: str) -> str:
    if name.isupper() or name in ("LInf",):
        return name.lower()
    out = "".join(f"-{c.lower()}" if c.isupper() else c for c in name)
    return out.strip("-").replace("_", "-")
