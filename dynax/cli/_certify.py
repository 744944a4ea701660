"""`dynax verify --box`, `--class`, `--sequential`: certified, not only run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

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


def sequential(system: dynax.System) -> Verdict:
    """The expected decrease of a system with batches; each judges the step before."""
    opt, loss, batches = system.optimizer, system.loss, system.batches
    accepted = (
        "a System with `batches`, arrays that lead by time and then by example, and a "
        "loss(x, batch) that is the mean over the examples."
    )
    if batches is None:
        raise UsageError(f"--sequential: given no batches; accepted is {accepted}")

    def losses(x, batch):
        one = lambda example: loss(x, jax.tree.map(lambda a: a[None], example))
        return jax.vmap(one)(batch)

    test = certify.Sequential(certify.Clipped(), losses=losses)
    tx = dynax.as_optax(opt, system.learning_rate, audit=test)

    def body(carry, pair):
        x, state = carry
        grads = jax.grad(loss)(x, pair[0])
        updates, state = tx.update(grads, state, x, fresh=pair[1])
        return (optax.apply_updates(x, updates), state), None

    @jax.jit
    def run(x):
        pairs = [jax.tree.map(lambda a, b=b: a[b], batches) for b in (EARLY, LATE)]
        first = jax.tree.map(lambda a: a[0], batches)
        both = jnp.mean(losses(x, first)), loss(x, first)
        return both, jax.lax.scan(body, (x, tx.init(x)), tuple(pairs))[0][1]

    try:
        (mean, whole), state = run(system.start)
    except (TypeError, ValueError, IndexError) as error:
        told = f"{first_line(error)} Accepted is {accepted}"
        raise UsageError(f"--sequential: {told}") from None
    if not np.isclose(mean, whole, rtol=1e-3, atol=0):
        told = f"{float(whole):.6g} of a batch and {float(mean):.6g} in the mean"
        raise UsageError(
            f"--sequential: given a loss of {told} over its examples; accepted is "
            f"{accepted}"
        )
    of = "H" if isinstance(opt, dynax.AbstractLyapunovOptimizer) else "f"
    return test.verdict(state, f"{type(opt).__name__}: {of} falls in expectation")


EARLY, LATE = slice(None, -1), slice(1, None)
