"""What a network carries but does not learn: windows, initial states."""

import equinox as eqx
from jaxtyping import PyTree


class AbstractFixed(eqx.Module):
    """Data in a network's tree that training leaves alone. They are traced like any
    array.
    """


def split(u: PyTree) -> tuple[PyTree, PyTree]:
    """Return (parameters, the rest), None where the other has it. `eqx.combine` joins
    them.

    Parameters are all floating arrays outside of `AbstractFixed` parts.
    """
    return eqx.partition(u, eqx.is_inexact_array, is_leaf=_is_fixed)


def _is_fixed(node):
    return isinstance(node, AbstractFixed)
