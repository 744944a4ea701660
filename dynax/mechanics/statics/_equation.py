"""The equation of equilibrium of a body, its tangent and its history."""

import equinox as eqx
import jax
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._reduce import rounding_depth
from dynax._types import Flag, Scalar
from dynax.mechanics._body import AbstractBody, History
from dynax.mechanics._parts import Vectors
from dynax.mechanics.statics._band import Layout, at_nodes, factor, solve
from dynax.mechanics.statics._krylov import conjugate
from dynax.mechanics.statics.obstacle import Obstacle


class Equation(eqx.Module):
    r"""Say when a body is in equilibrium at a load factor λ.

    r = λ fₐ + fᶜ − Σ V₀ P ∇Nₐ in N where it is free, λ moved − u in m where it is held,

    P after an `update` by dt of the history of the last equilibrium, fᶜ of an obstacle.
    """

    body: AbstractBody
    plan: Layout
    history: History
    moved: Vectors
    dt: Scalar
    obstacle: Obstacle | None = None
    krylov: bool = eqx.field(default=False, static=True)

    def touch(self, u: Vectors, factor: Scalar) -> Vectors:
        """fᶜ, N."""
        if self.obstacle is None:
            return jnp.zeros_like(u)
        return self.obstacle.forces(self.body.parts.nodes + u, factor)

    def residual(self, u: Vectors, factor: Scalar) -> Vectors:
        free, force = self.body.parts.free, factor * self.body.parts.force
        force = force + self.touch(u, factor)
        inner = self.body.element_forces(u, self.history, self.dt)
        force = force.at[self.body.parts.elements].add(-inner)
        return free * force + (1 - free) * (factor * self.moved - u)

    def tangent(self, u: Vectors, load: Scalar | float = 1.0):
        """r → K⁻¹r at a load factor, where K counts as a constant."""
        still, u, load = constant((self, u, load))
        free = still.body.parts.free
        K = still.body.element_stiffness(u, still.history, still.dt)
        if still.obstacle is not None:
            x = still.body.parts.nodes + u
            K = at_nodes(still.plan, K, still.obstacle.steepness(x, load))
        if self.krylov:
            return conjugate(still.plan, K, free)
        factors = factor(still.plan, K, free)
        return lambda r: solve(still.plan, factors, r, free)

    def push(self) -> Vectors:
        """∂r/∂λ."""
        parts = self.body.parts
        return parts.free * parts.force + (1 - parts.free) * self.moved

    def floor(self, u: Vectors) -> Scalar:
        """What round-off leaves of r in N, the largest of all nodes."""
        parts = self.body.parts
        size = jnp.zeros_like(u[:, 0]).at[parts.elements]
        size = jnp.max(size.add(self.body.rounded(u, self.history)))
        depth = rounding_depth(u.size) * tree.eps(u) / 2
        return depth * (size + jnp.max(jnp.abs(parts.force)))

    def close(self, u: Vectors, r: Vectors, factor: Scalar, floor: Scalar) -> Flag:
        """Whether r is round-off, and held nodes are where they belong."""
        free = self.body.parts.free
        off = jnp.max((1 - free) * jnp.abs(factor * self.moved - u))
        near = off <= 4 * tree.eps(u) * jnp.max(jnp.abs(u))
        return near & (jnp.max(free * jnp.abs(r)) <= floor)

    def after(self, u: Vectors, factor: Scalar) -> tuple[History, Vectors]:
        """The history, and the reactions where nodes are held."""
        parts = self.body.parts
        history = self.body.updated(u, self.history, self.dt)
        inner = self.body.element_forces(u, history)
        force = (-factor * parts.force).at[parts.elements].add(inner)
        touch = parts.free * self.touch(u, factor)
        return history, (1 - parts.free) * force + touch


def constant(of):
    """The same, without derivatives by its arrays; functions stay what they are."""
    stop = lambda a: jax.lax.stop_gradient(a) if eqx.is_inexact_array(a) else a
    return jax.tree.map(stop, of)


def traced_floats(body):
    """Numbers of a body or an obstacle as arrays: another value compiles nothing."""
    number = lambda a: jnp.asarray(a) if isinstance(a, float) else a
    return jax.tree.map(number, body)
