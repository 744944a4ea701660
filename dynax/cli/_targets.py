"""What `dynax verify` can be pointed at."""

import inspect
import pathlib
import re
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import dynax
from dynax import kappa as potentials
from dynax.cli._files import UsageError, describe, first_line, load, nearest
from dynax.kappa import AbstractKappa, Support


# of a κ whose hyper-parameter is not given
DEFAULTS = {
    "delta": 0.1,
    "threshold": 0.01,
    "scale": 10.0,
    "temperature": 0.1,
    "p": 1.5,
    "q": 1.5,
    "k": 2,
    "vector_kappa": "l1",
}
SPECTRAL = potentials.OrthogonallyInvariant
CURVATURE, HEIGHT, FREQUENCY = (0.1, 2.0), 0.5, 3.0  # of the built-in loss
# of an optimizer: what its proofs ask, on that quadratic
SUITED = {
    "strong_convexity": CURVATURE[0],
    "damping": 2 * CURVATURE[0] ** 0.5,
    "alpha": CURVATURE[0],
    "kappa": "l1",
    "opt": "momentum",
    "weight_decay": 0.1,
    "smoothness": CURVATURE[1] + HEIGHT * FREQUENCY**2,
}


def kappa_names() -> dict[str, Any]:
    """Every concrete class and every constructor of `dynax.kappa`, in kebab case."""
    return _names(potentials, lambda member: not inspect.isabstract(member))


def optimizer_names() -> dict[str, Any]:
    """The optimizers of `dynax.optim`, but for those made of a function or options."""
    found = _names(
        dynax.optim,
        lambda c: inspect.isclass(c) and issubclass(c, dynax.AbstractOptimizer),
    )
    apart = {"lion-kappa", "online-subspace-descent", "partition", "mixed"}
    apart |= {"cautious-decay-adam", "cautious-decay-lyapunov"}
    found = {k: v for k, v in found.items() if k not in apart}
    return {**found, "cautious-decay": dynax.cautious_decay}


def _names(module, wanted) -> dict[str, Any]:
    members = {k: v for k, v in vars(module).items() if k[0] != "_" and callable(v)}
    return {_kebab(k): v for k, v in members.items() if wanted(v)}


def make_kappa(text: str) -> AbstractKappa:
    """`huber`, `huber:0.3`, `top-k:k=3,scope=tree`, `support:my_sets.py:my_oracle`."""
    name, _, rest = text.partition(":")
    make = _named(name, kappa_names(), "--kappa", text)
    if make is Support:
        return Support(_oracle(rest), zero_in_domain=True)
    if "vector_kappa" in inspect.signature(make).parameters:
        return make(make_kappa(rest or DEFAULTS["vector_kappa"]))
    needed = {k: v for k, v in DEFAULTS.items() if _required(make, k)}
    return _made(make, rest, needed, "--kappa", text)


def make_optimizer(text: str) -> dynax.AbstractOptimizer:
    """`adam`, `adam:0.99,0.9`, `cautious:opt=adam`, `mirror-descent:mirror=quartic`."""
    name, _, rest = text.partition(":")
    make = _named(name, optimizer_names(), "target", text)
    needed = {
        k: v
        for k, v in SUITED.items()
        if k in ("strong_convexity", "damping", "alpha") or _required(make, k)
    }
    return _made(make, rest, needed, "target", text)


def _named(name: str, names: dict[str, Any], argument: str, text: str):
    if name in names:
        return names[name]
    also = ", lion-kappa, or FILE.py:NAME" if argument == "target" else ""
    close = nearest(name, [*names, "lion-kappa"] if also else names)
    raise UsageError(
        f"{argument}: given {text!r}; {close}accepted are {', '.join(sorted(names))}"
        f"{also}, "
        f"with a parameter as in {'adam:0.99' if also else 'huber:0.3'}."
    )


def _required(make, key) -> bool:
    parameter = inspect.signature(make).parameters.get(key)
    return parameter is not None and parameter.default is inspect.Parameter.empty


def _made(make, rest: str, defaults, argument: str, text: str):
    """make(…) of `VALUE,NAME=VALUE,…`, with defaults for what is not given."""
    accepted = inspect.signature(make).parameters
    values: dict[str, Any] = {}
    for place, item in enumerate(filter(None, rest.split(","))):
        key, equals, value = item.partition("=")
        if not equals:
            key, value = (list(accepted) + [""] * 9)[place], item
        if key not in accepted:
            what = ", ".join(accepted) or "none: it has no parameters"
            raise UsageError(f"{argument}: given {text!r}; accepted after : is {what}.")
        values[key] = _value(value)
    for key, value in defaults.items():
        if key in accepted:
            values.setdefault(key, value)
    parts = {"opt": make_optimizer}
    parts |= dict.fromkeys(("kappa", "mirror", "kinetic"), make_kappa)
    for key in values.keys() & parts.keys():
        values[key] = parts[key](values[key])
    try:
        return make(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{argument}: given {text!r}; {first_line(error)}") from None


def lion_kappa(options) -> dynax.AbstractOptimizer:
    """The optimizer of the options."""
    return dynax.LionKappa(
        make_kappa(options.kappa),
        options.beta1,
        options.beta2,
        options.weight_decay,
        decay=options.decay,
    )


def built_in(options, optimizer) -> dynax.System:
    """The optimizer on a random quadratic, with cosines on top or not."""
    limit, size = _set(optimizer)
    matrices = isinstance(limit, SPECTRAL) or isinstance(optimizer, dynax.Muon)
    shape = options.dimension or ((5, 4) if matrices else (20,))
    if min(shape) < 1:
        raise UsageError(f"--dimension: given {shape}; accepted are integers >= 1.")
    rng = np.random.default_rng(options.seed)
    n = int(np.prod(shape))
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    curvature = np.linspace(*CURVATURE, n) if n > 1 else np.array(CURVATURE[1:])
    matrix, b = basis * curvature @ basis.T, rng.standard_normal(n)
    a, b_, dtype = jnp.asarray(matrix, float), jnp.asarray(b, float), float
    height = HEIGHT if options.problem == "nonconvex" else 0.0

    def loss(x):
        v = x.ravel()
        bowl = jnp.sum(v * jnp.matmul(a, v, precision="highest")) / 2 - jnp.sum(b_ * v)
        return bowl + height * jnp.sum(jnp.cos(FREQUENCY * v))

    z = jnp.asarray(rng.standard_normal(shape), dtype)
    best = jnp.asarray(np.linalg.solve(matrix, b).reshape(shape), dtype)
    start, reached = z, True
    if limit is not None:
        centre, edge = limit.grad(jnp.zeros_like(z)), limit.grad(z)
        y = centre + jnp.asarray(options.start_scale, dtype) * (edge - centre)
        start = jnp.asarray(size, dtype) * y
        reached = bool(limit.distance(best / size) == 0)
    optimizer.init(start)  # refuses what these parameters do not suit
    known = options.problem == "quadratic" and reached
    return dynax.System(
        optimizer,
        loss,
        start,
        learning_rate=options.learning_rate,
        smoothness=float(curvature[-1] + height * FREQUENCY**2),
        minimum=dynax.Minimum(best, loss(best)) if known else None,
    )


def _set(optimizer) -> tuple[AbstractKappa | None, float]:
    """κ and ρ with x in ρ·dom κ*, for a method that has such a set."""
    match optimizer:
        case dynax.LionKappa():
            lam = float(optimizer.weight_decay)
            return (optimizer.kappa, 1 / lam) if lam > 0 else (None, 1.0)
        case dynax.SignSGD() | dynax.Signum() | dynax.Muon():
            return _set(optimizer.lion)
        case dynax.FrankWolfe() | dynax.StochasticFrankWolfe():
            return optimizer.kappa, float(optimizer.radius)
        case dynax.MirrorDescent() | dynax.AcceleratedMirror():
            return optimizer.mirror, 1.0
    return None, 1.0


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
    also = "a method or " if argument == "target" else ""
    module, file, name = loaded(argument, text, also)
    if name not in module:
        systems = [k for k, v in module.items() if isinstance(v, dynax.System)]
        have = ", ".join(systems) or "a name that the file defines"
        raise UsageError(
            f"{argument}: {file} has no attribute {name!r}; accepted: {have}."
        )
    return module[name]


def loaded(argument: str, text: str, also: str = "") -> tuple[dict[str, Any], str, str]:
    """What FILE.py of FILE.py:NAME defines, FILE.py and NAME."""
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not name:
        raise UsageError(f"{argument}: given {text!r}; accepted is {also}FILE.py:NAME.")
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
    return vars(module), file, name


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
    """`NesterovSC` → `nesterov-sc`; names that are one word stay one."""
    if name not in ("AdaGrad", "AdamW", "AdEMAMix", "LInf", "NadamW", "RMSprop"):
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    return name.lower().replace("_", "-")
