"""A run that states its loop, so that it can be stopped and gone on with."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dynax.sweep.part import missing


class Loop:
    """A loop over steps, for a `run` to return instead of its outputs.

        def run(learning_rate, seed):
            def step(state, t):
                …
                return state, {"loss": loss}

            return Loop(step, start, 1000, stop=lambda out: out["loss"] > 1e6)

    The sweep runs it. The outputs are those of all steps, stacked along a first axis,
    and `steps`, how many were made. A point that has stopped keeps its state while
    others of its batch go on, and its outputs from then on are its last ones. A batch
    all of whose points have stopped ends.

    Args:
        step: (state, t) → (state, outputs), t = 0, 1, …; outputs a dict of arrays.
        start: the state before the first step, a tree of arrays.
        length: the number of steps, at most.
        stop: outputs of a step → whether it was the last one; None: never.
        every: steps between two looks at `stop`, a divisor of `length`; by default the
            largest up to 32. Rungs of a halving are multiples of it.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], tuple[Any, Mapping[str, Any]]],
        start: Any,
        length: int,
        *,
        stop: Callable[[Mapping[str, Any]], Any] | None = None,
        every: int | None = None,
    ):
        if not isinstance(length, int) or length < 1:
            raise ValueError(f"length: given {length!r}; accepted is an integer >= 1.")
        if every is None:
            every = max(k for k in range(1, 33) if length % k == 0)
        if every not in range(1, length + 1) or length % every:
            raise ValueError(
                f"every: given {every!r}; accepted is a divisor of length = {length}."
            )
        self.step, self.length, self.stop, self.every = step, length, stop, every
        self.start = jax.tree.map(_strong, start)
        made = jax.eval_shape(step, self.start, jnp.uint32(0))
        if not (isinstance(made, tuple) and len(made) == 2):
            raise TypeError(
                "step: given one that returns no pair; accepted is a function whose "
                "result is the pair (state, outputs)."
            )
        state, self.outputs = made
        if not isinstance(self.outputs, Mapping) or "steps" in self.outputs:
            raise ValueError(
                f"step: given one with the outputs {self.outputs!r}; accepted is a "
                "dict of arrays, none called steps."
            )
        kinds = [jax.tree.map(_kind, tree) for tree in (self.start, state)]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"step: given a state of {kinds[0]}, it returned one of {kinds[1]}; "
                "accepted are the same shapes and dtypes."
            )
        if stop is not None:
            said = jax.eval_shape(stop, self.outputs)
            if getattr(said, "dtype", None) != jnp.bool_ or said.shape != ():
                raise TypeError(
                    f"stop: given one that returns {_kind(said)}; accepted is one "
                    'bool, as of lambda out: ~jnp.isfinite(out["loss"]).'
                )

    def begin(self) -> dict[str, Any]:
        """What is carried from step to step: leaves of the state, and the outputs."""
        blank = {
            k: jnp.full((self.length, *o.shape), missing(o.dtype), o.dtype)
            for k, o in self.outputs.items()
        }
        leaves = jax.tree.leaves(self.start)
        state = {f"@{k:03}": _plain(leaf) for k, leaf in enumerate(leaves)}
        counted = {"steps": jnp.int32(0), "@stopped": jnp.bool_(False)}
        return {**blank, **state, **counted}

    def advance(self, carried: Mapping[str, Any], until: Any) -> dict[str, Any]:
        """Go on to step `until`, or to where it stops.

        One program whatever `until` is: the bits of a step do not depend on it.
        """
        leaves, tree = jax.tree.flatten(self.start)
        names = [f"@{k:03}" for k in range(len(leaves))]

        def body(now):
            given = [_like(now[n], leaf) for n, leaf in zip(names, leaves, strict=True)]
            done = now["steps"]
            steps = done.astype(jnp.uint32) + jnp.arange(self.every, dtype=jnp.uint32)
            state, out = lax.scan(self.step, jax.tree.unflatten(tree, given), steps)
            put = lambda k: lax.dynamic_update_slice_in_dim(now[k], out[k], done, 0)
            state = map(_plain, jax.tree.leaves(state))
            stopped = jnp.bool_(False)
            if self.stop is not None:
                stopped = self.stop({k: v[-1] for k, v in out.items()})
            return {
                **{k: put(k) for k in self.outputs},
                **dict(zip(names, state, strict=True)),
                "steps": done + jnp.int32(self.every),
                "@stopped": stopped,
            }

        going = lambda now: (now["steps"] < until) & ~now["@stopped"]
        found = lax.while_loop(going, body, dict(carried))
        at = jnp.minimum(jnp.arange(self.length, dtype=jnp.int32), found["steps"] - 1)
        return found | {k: found[k][at] for k in self.outputs}

    def run(self) -> dict[str, Any]:
        """All of it: the outputs, and how many steps were made."""
        found = self.advance(self.begin(), jnp.int32(self.length))
        return {k: found[k] for k in (*self.outputs, "steps")}


def _kind(a) -> str:
    return f"{a.dtype}{list(a.shape)}" if hasattr(a, "dtype") else type(a).__name__


def _is_key(a) -> bool:
    return jnp.issubdtype(a.dtype, jax.dtypes.prng_key)


def _strong(a):
    """As an array whose dtype does not give way."""
    known = hasattr(a, "dtype") and _is_key(a)
    return a if known else jnp.asarray(a, jnp.result_type(a))


def _plain(a):
    """As an array that a file can hold: a random key as its bits."""
    return jax.random.key_data(a) if _is_key(a) else a


def _like(a, leaf):
    """As a leaf of the state, of which `a` is what `_plain` made."""
    if not _is_key(leaf):
        return a
    return jax.random.wrap_key_data(a, impl=jax.random.key_impl(leaf))
