"""`dynax verify --box` and `--class`: a system certified, not only run."""

import dynax
from dynax import certify
from dynax.cli._files import UsageError, first_line
from dynax.lyapunov import Verdict


def on_box(system: dynax.System, text: str) -> Verdict:
    """The flow of a system on "LOW,HIGH;LOW,HIGH": x first, then the method's state."""
    try:
        sides = [[float(e) for e in side.split(",")] for side in text.split(";")]
        lower, upper = zip(*((low, high) for low, high in sides), strict=True)
    except ValueError:
        raise UsageError(
            f"--box: given {text!r}; accepted is LOW,HIGH for each state, with ; "
            'between them, as in "-2,2;-1,1".'
        ) from None
    flow = dynax.as_flow(system.optimizer, system.loss, system.learning_rate)
    try:
        return certify.on_box(flow, lower, upper)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise UsageError(f"--box: {first_line(error)}") from None


def over_class(system: dynax.System, text: str) -> Verdict:
    """The method of a system for every f of "mu=…,L=…"."""
    try:
        pairs = dict(item.split("=") for item in text.split(","))
        mu, L = float(pairs.pop("mu")), float(pairs.pop("L"))
        if pairs:
            raise ValueError
    except (KeyError, ValueError):
        raise UsageError(
            f"--class: given {text!r}; accepted is mu=NUMBER,L=NUMBER."
        ) from None
    lr = float(system.learning_rate)
    constants = {"strong_convexity": mu, "smoothness": L}
    try:
        return certify.over_class(system.optimizer, lr, **constants).verdict
    except (ValueError, ImportError) as error:
        raise UsageError(f"--class: {first_line(error)}") from None
