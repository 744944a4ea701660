"""Equations made of another equation."""

from typing import Any

import equinox as eqx

from dynax.pde._base import AbstractPDE


def of_known(name: str) -> Any:
    """A property: what the equation within says of itself."""
    return property(lambda self: getattr(self.known, name))


class AbstractWrapped(AbstractPDE):
    """An equation about another one, on its box and for its horizon."""

    known: eqx.AbstractVar[AbstractPDE]

    lower, upper = of_known("lower"), of_known("upper")
    boundary, horizon = of_known("boundary"), of_known("horizon")
    domain = of_known("domain")
