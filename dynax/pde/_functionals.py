"""Functionals of one field that many equations share."""

import jax.numpy as jnp

from dynax.pde._base import Functional, Kind


def nothing(x, d):
    """The rate of what is conserved."""
    return jnp.zeros_like(d.u[..., 0])


def mass() -> Functional:
    """M = ∫ u dx, conserved: uₜ is a divergence on a periodic box."""
    return Functional(
        needs="u",
        density=lambda x, d: d.u[..., 0],
        rate=nothing,
        variation=lambda x, d: jnp.ones_like(d.u),
        kind="conserved",
    )


def half_square(needs="u", rate=nothing, kind: Kind = "conserved") -> Functional:
    """E = ∫ ½u² dx."""
    return Functional(
        needs=needs,
        density=lambda x, d: d.u[..., 0] ** 2 / 2,
        rate=rate,
        variation=lambda x, d: d.u,
        kind=kind,
    )
