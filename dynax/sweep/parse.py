"""Axes as they are written on a command line."""

import numpy as np

from dynax.sweep.points import Static
from dynax.sweep.ranges import Range, integers, log_uniform, uniform


FORMS = (
    "log:1e-4:1e-1:9, linear:0:1:5, range:0:8, 0,0.1,1, static:32,64 or name,name; "
    "without the count, log:1e-4:1e-1 and int:1:9 are ranges to be sampled or searched"
)


def axis(text: str) -> tuple[str, np.ndarray | Static | Range]:
    """`learning_rate=log:1e-4:1e-1:9` → the name, and what lies along it.

    Raises:
        ValueError: with what was given and the accepted forms.
    """
    name, equals, rest = text.partition("=")
    if not equals or not name.isidentifier() or not rest:
        raise ValueError(f"given {text!r}; accepted is NAME=VALUES: {FORMS}")
    form, colon, spec = rest.partition(":")
    try:
        if "" in (spec if colon and form == "static" else rest).split(","):
            raise ValueError("an empty value")
        if colon and form in ("log", "linear", "int", "range"):
            return name, _form(form, spec.split(":"))
        if colon and form == "static":
            return name, Static([number(v) for v in spec.split(",")])
        values = [number(v) for v in rest.split(",")]
        if all(isinstance(v, int | float) for v in values):
            return name, np.asarray(values)
        return name, Static(values)
    except ValueError as error:
        raise ValueError(f"given {text!r} ({error}); accepted: {FORMS}") from None


def _form(form, parts):
    if form == "range" and len(parts) in (1, 2, 3):
        bounds = [_whole(p) for p in parts]
        if not len(range(*bounds)):
            raise ValueError("no values")
        return np.arange(*bounds)
    if form == "int" and len(parts) == 2:
        return integers(*map(_whole, parts))
    if len(parts) == 2:
        return (log_uniform if form == "log" else uniform)(*map(float, parts))
    if form in ("int", "range") or len(parts) != 3 or _whole(parts[2]) < 1:
        raise ValueError("not LOW:HIGH or LOW:HIGH:COUNT")
    low, high, count = float(parts[0]), float(parts[1]), _whole(parts[2])
    if form == "log" and min(low, high) <= 0:
        raise ValueError("a logarithmic axis needs positive ends")
    return (np.geomspace if form == "log" else np.linspace)(low, high, count)


def _whole(text):
    value = number(text)
    if isinstance(value, str) or value % 1:
        raise ValueError(f"{text} is not an integer")
    return int(value)


def number(text: str) -> int | float | str:
    """An int or a float if it is one, else the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
