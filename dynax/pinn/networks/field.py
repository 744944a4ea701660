"""A network as a function of time and place."""

from collections.abc import Callable

import equinox as eqx
from jaxtyping import Array

from dynax.pde import AbstractPDE
from dynax.pinn.networks.features import AbstractFeatures, features
from dynax.pinn.networks.mlp import MLP


class Field(eqx.Module):
    """Apply a network to features of (t, x).

    u(t, x) = body(features(t, x)).

    Args:
        features: (t, x) → z.
        body: z → fields, any callable.
    """

    features: AbstractFeatures
    body: Callable[[Array], Array]

    def __call__(self, t, x):
        return self.body(self.features(t, x))


def mlp_field(
    pde: AbstractPDE, key, width=20, depth=3, modes=2, t0=0.0, t1=None, dtype=None
) -> Field:
    """An `MLP` for the equation: periodic if it is, scaled to its box and [t₀, t₁]."""
    z = features(pde, modes, t0, t1)
    return Field(z, MLP(z.size, len(pde.fields), width, depth, key=key, dtype=dtype))
