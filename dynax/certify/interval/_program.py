"""A traced function as a straight list of operations on intervals.

Calls are inlined, loops of known length unrolled, branches both computed; equal
operations are computed once, so that equal values are one object.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from dynax.certify.interval import _arithmetic as arithmetic, _choices as choices
from dynax.certify.interval._functions import FUNCTIONS
from dynax.certify.interval._interval import Interval, point
from dynax.certify.interval._moves import MOVES, move


LONGEST = 100_000  # operations of one program, after unrolling
CALLS = "jaxpr call_jaxpr fun_jaxpr"

PLAIN: dict[str, Callable[..., Interval]] = {
    "add": arithmetic.add,
    "add_any": arithmetic.add,
    "sub": arithmetic.sub,
    "neg": arithmetic.neg,
    "mul": arithmetic.mul,
    "div": arithmetic.div,
    "square": arithmetic.square,
    "max": choices.maximum,
    "min": choices.minimum,
    "abs": choices.magnitude,
    "lt": choices.less,
    "le": choices.less_equal,
    "gt": lambda a, b: choices.less(b, a),
    "ge": lambda a, b: choices.less_equal(b, a),
    "eq": choices.equal,
    "ne": lambda a, b: choices.negated(choices.equal(a, b)),
    "and": choices.both,
    "or": choices.either,
    "not": choices.negated,
    "is_finite": choices.finite,
    "clamp": lambda low, x, high: choices.minimum(choices.maximum(x, low), high),
    **FUNCTIONS,
}
JUMPS: dict[str, Callable[..., Interval]] = {
    "sign": choices.stepwise(np.sign),
    "floor": choices.stepwise(np.floor),
    "ceil": choices.stepwise(np.ceil),
    "round": choices.stepwise(np.round),
    "select_n": choices.select,
}
ALIASES = frozenset({"stop_gradient", "copy", "copy_p", "optimization_barrier"})


def _extreme(sign):
    return lambda mark, p, a: choices.extreme(
        mark, a, p["axes"][0], sign, p["index_dtype"]
    )


def _ends(f):
    return lambda mark, p, a: Interval(f(a.lo, axis=p["axes"]), f(a.hi, axis=p["axes"]))


def _product(mark, p, a: Interval) -> Interval:
    for axis in sorted(p["axes"], reverse=True):
        parts = [
            Interval(np.take(a.lo, k, axis), np.take(a.hi, k, axis))
            for k in range(a.lo.shape[axis])
        ]
        a = parts[0]
        for part in parts[1:]:
            a = arithmetic.mul(a, part)
    return a


def _iota(mark, p) -> Interval:
    shape, axis = p["shape"], p["dimension"]
    line = np.arange(shape[axis], dtype=p["dtype"])
    line = line.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return point(np.broadcast_to(line, shape))


WITH_PARAMETERS: dict[str, Callable[..., Any]] = {
    "integer_pow": lambda mark, p, a: arithmetic.integer_power(a, p["y"]),
    "convert_element_type": lambda mark, p, a: choices.convert(mark, a, p["new_dtype"]),
    "reduce_sum": lambda mark, p, a: arithmetic.total(a, p["axes"]),
    "reduce_max": _ends(np.max),
    "reduce_min": _ends(np.min),
    "reduce_and": _ends(np.all),
    "reduce_or": _ends(np.any),
    "reduce_prod": _product,
    "dot_general": lambda mark, p, a, b: arithmetic.dot(a, b, p["dimension_numbers"]),
    "argmax": _extreme(1),
    "argmin": _extreme(-1),
    "top_k": lambda mark, p, a: choices.largest(mark, a, p["k"], np.int32),
    "sort": lambda mark, p, a: choices.ordered(a, p["dimension"]),
    "iota": _iota,
}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One primitive: places of its inputs and outputs, and where it was written."""

    primitive: Any
    params: dict
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    line: str
    known: dict = dataclasses.field(default_factory=dict)  # of `move`

    def __call__(self, mark, *xs: Interval) -> list[Interval]:
        name = self.primitive.name
        if name in PLAIN:
            return [PLAIN[name](*xs)]
        if name in JUMPS:
            return [JUMPS[name](mark, *xs)]
        if name in MOVES:
            return move(mark, self.primitive, self.params, self.known, list(xs))
        found = WITH_PARAMETERS[name](mark, self.params, *xs)
        return found if isinstance(found, list) else [found]


KNOWN = PLAIN.keys() | JUMPS.keys() | MOVES | WITH_PARAMETERS.keys()


class Program:
    """An enclosure of f: boxes of arguments → intervals that hold every image.

    Args:
        f: of float64 arrays, traceable; any pytree out.
        shapes: those of its arguments (arrays or `jax.ShapeDtypeStruct`).

    Raises:
        NotImplementedError: f uses a primitive without a rule (named, with its line),
            a dtype narrower than float64, or a loop of unknown length.
    """

    def __init__(self, f: Callable, *shapes: Any):
        with jax.enable_x64(True):
            closed, out = jax.make_jaxpr(f, return_shape=True)(*shapes)
        self.structure = jax.tree.structure(out)
        self._operations: list[Operation] = []
        self._constants: dict[int, Interval] = {}
        self._known: dict[Any, Any] = {}
        self._count = 0
        self._line = "line unknown"
        self.inputs = [self._fresh() for _ in closed.jaxpr.invars]
        self.outputs = self._inline(closed.jaxpr, closed.consts, self.inputs)
        self._prune()

    def __len__(self) -> int:
        return len(self._operations)

    def uses(self, *arguments: int) -> bool:
        """Whether the outputs depend on any of these arguments, by their number."""
        read = set(self.outputs).union(*(op.inputs for op in self._operations))
        return any(self.inputs[k] in read for k in arguments)

    def __call__(self, *args: Interval) -> tuple[Any, np.ndarray]:
        """Enclosures of the outputs, and the boxes on which f may jump."""
        batch = max((a.lo.shape[-1] for a in args), default=1)
        marked = np.zeros(batch, bool)

        def mark(boxes):
            np.logical_or(marked, boxes, out=marked)

        values = dict(self._constants) | dict(zip(self.inputs, args, strict=True))
        with np.errstate(all="ignore"):
            for op in self._operations:
                xs = [values[k] for k in op.inputs]
                for place, found in zip(op.outputs, op(mark, *xs), strict=True):
                    values[place] = found
                    lost = found.infinite
                    if np.any(lost):  # of finite values: a pole, f is not smooth there
                        mark(functools.reduce(lambda m, x: m & ~x.infinite, xs, lost))
        found = [values[k] for k in self.outputs]
        return jax.tree.unflatten(self.structure, found), marked

    def _fresh(self) -> int:
        self._count += 1
        return self._count - 1

    def _constant(self, value) -> int:
        value = np.asarray(value)
        if np.issubdtype(value.dtype, np.floating) and value.dtype != np.float64:
            raise NotImplementedError(
                f"a constant is {value.dtype}; a certificate needs a float64 program"
            )
        key = "constant", value.dtype.str, value.shape, value.tobytes()
        if key not in self._known:
            self._known[key] = place = self._fresh()
            self._constants[place] = point(value)
        return self._known[key]

    def _inline(self, jaxpr, consts, args: Sequence[int]) -> list[int]:
        places: dict[Any, int] = dict(zip(jaxpr.invars, args, strict=True))
        for var, value in zip(jaxpr.constvars, consts, strict=True):
            places[var] = self._constant(value)

        def place(v) -> int:
            return self._constant(v.val) if isinstance(v, core.Literal) else places[v]

        for eqn in jaxpr.eqns:
            found = self._append(eqn, tuple(place(v) for v in eqn.invars))
            places |= dict(zip(eqn.outvars, found, strict=True))
        return [place(v) for v in jaxpr.outvars]

    def _append(self, eqn, inputs: tuple[int, ...]) -> Sequence[int]:
        name, params = eqn.primitive.name, eqn.params
        self._line = _line(eqn) or self._line  # of a library's inside: of its call
        if name in ALIASES:
            return inputs
        if name == "cond":
            return self._branches(eqn, inputs)
        if name == "scan":
            return self._unrolled(eqn, inputs)
        inner = next((params[k] for k in CALLS.split() if k in params), None)
        if inner is not None and name not in KNOWN and name != "while":
            jaxpr = getattr(inner, "jaxpr", inner)
            return self._inline(jaxpr, getattr(inner, "consts", ()), inputs)
        for v in eqn.outvars:
            dtype = v.aval.dtype
            if jnp.issubdtype(dtype, np.inexact) and dtype != np.float64:
                raise NotImplementedError(
                    f"{name} gives {dtype}; a certificate needs a float64 program "
                    f"({self._line})"
                )
        several = name == "sort" and len(inputs) > 1
        if name not in KNOWN or several or name == "while":
            raise NotImplementedError(
                f"the primitive {name!r} has no interval rule ({self._line})"
            )
        return self._operation(
            eqn.primitive, params, inputs, len(eqn.outvars), self._line
        )

    def _operation(self, primitive, params, inputs, count, line) -> tuple[int, ...]:
        key = primitive.name, inputs, str(sorted(params.items(), key=lambda i: i[0]))
        if key not in self._known:
            if len(self._operations) >= LONGEST:
                raise NotImplementedError(
                    f"the program has more than {LONGEST} operations ({line})"
                )
            outputs = tuple(self._fresh() for _ in range(count))
            self._operations.append(Operation(primitive, params, inputs, outputs, line))
            self._known[key] = outputs
        return self._known[key]

    def _branches(self, eqn, inputs) -> Sequence[int]:
        which, *rest = inputs
        branches = [
            self._inline(b.jaxpr, b.consts, rest) for b in eqn.params["branches"]
        ]
        line = self._line
        return [
            self._operation(jax.lax.select_n_p, {}, (which, *cases), 1, line)[0]
            for cases in zip(*branches, strict=True)
        ]

    def _unrolled(self, eqn, inputs) -> Sequence[int]:
        p, line = eqn.params, self._line
        fixed, carried = p["num_consts"], p["num_carry"]
        consts, carry = inputs[:fixed], list(inputs[fixed : fixed + carried])
        xs, rows = inputs[fixed + carried :], []
        order = range(p["length"])
        for k in reversed(order) if p["reverse"] else order:
            now = [
                self._row(x, v.aval, k, line)
                for x, v in zip(xs, eqn.invars[fixed + carried :], strict=True)
            ]
            found = self._inline(
                p["jaxpr"].jaxpr, p["jaxpr"].consts, [*consts, *carry, *now]
            )
            carry = found[:carried]
            rows.append(found[carried:])
        rows = rows[::-1] if p["reverse"] else rows
        return [
            *carry,
            *(
                self._stacked(r, v.aval, line)
                for r, v in zip(
                    zip(*rows, strict=True), eqn.outvars[carried:], strict=True
                )
            ),
        ]

    def _row(self, place: int, aval, k: int, line: str) -> int:
        spec = jax.ShapeDtypeStruct(aval.shape, aval.dtype)
        return self._traced(lambda a: a[k], [spec], [place], line)

    def _stacked(self, places, aval, line: str) -> int:
        spec = jax.ShapeDtypeStruct(aval.shape[1:], aval.dtype)
        stack = lambda *rows: jnp.stack(rows)
        return self._traced(stack, [spec] * len(places), list(places), line)

    def _traced(self, f, specs, places, line: str) -> int:
        with jax.enable_x64(True):
            closed = jax.make_jaxpr(f)(*specs)
        return self._inline(closed.jaxpr, closed.consts, places)[0]

    def _prune(self) -> None:
        needed, kept = set(self.outputs), []
        for op in reversed(self._operations):
            if needed & set(op.outputs):
                kept.append(op)
                needed |= set(op.inputs)
        self._operations = kept[::-1]


def _line(eqn) -> str:
    """File and line of the user's code behind an equation, if JAX still knows it."""
    try:
        from jax._src import source_info_util

        return source_info_util.summarize(eqn.source_info)
    except (ImportError, AttributeError):
        return ""
