"""A body cut into elements: what solids and bars have in common."""

import abc
import functools
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, PyTree

from dynax import _tree as tree
from dynax._types import Scalar, ScalarLike
from dynax.material import AbstractHyperelastic, AbstractLaw, AbstractPlastic
from dynax.material._points import each
from dynax.material.kinematics import (
    axial,
    det,
    inverse,
    matmul,
    square,
    transpose,
)
from dynax.mechanics._parts import Parts, Vectors


History = Float[Array, "m q k"]
Forces = Float[Array, "m c d"]
Memory = PyTree[Float[Array, "..."]]
State = tuple[tuple[Vectors, History], Vectors]


class AbstractBody(eqx.Module):
    r"""Discretise a body by finite elements.

    ρ₀ ẍ = ∇·P + ρ₀ g on the body at rest, with quadrature points of volume V₀:

        mₐ v̇ₐ = fₐ − Σ V₀ P ∇Nₐ,   F = Σₐ xₐ ⊗ ∇Nₐ,   P = τ F⁻ᵀ.

    With `mean_volume` J = det F is replaced by its mean J̄ over the element (F-bar),
    F̄ = (J̄/J)^{1/d} F, and forces are those of the energy Σ V₀ ψ(F̄).

    The state is y = ((x, history), v): places and velocities of the nodes, (n, d), and
    a row of numbers that each quadrature point remembers, (m, q, k). k = 0 where the
    law has no `update` of its own; else `memory` makes (G, α) of it: α are the internal
    variables of the law, which is given F G (G = Fᵖ⁻¹ of a plastic law, else I).

        elastic    ODETerm(body.field)
        viscous    ODETerm(body.field): the history flows by its rate; or as the next
        plastic    ODETerm(body.frozen) with Projected(solver, body.update)

    and `body.terms()` for `diffrax.SemiImplicitEuler`, the last two within `Projected`.
    Held nodes keep the velocity they start with. `statics.load` finds equilibria.

    H = Σ ½m|v|² + Σ V₀ψ − Σ ⟨f, x − X⟩ has Ḣ = supply − D along `field` (`accounts`).
    """

    law: eqx.AbstractVar[AbstractLaw]
    parts: eqx.AbstractVar[Parts]
    dimension: eqx.AbstractClassVar[int | None]  # of the law's F, if not the body's
    mean_volume: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def point(self, law: AbstractLaw, A: Array, memory: Memory) -> Array:
        """F of a point, as its law wants it, from A = Σₐ xₐ ⊗ ∇Nₐ, (d, d)."""

    def init(self, velocity: ArrayLike = 0.0) -> State:
        """The body at rest, with velocities of shape (), (d,) or (n, d).

        Raises:
            ValueError: another shape.
        """
        X, v = self.parts.nodes, jnp.asarray(velocity)
        if v.shape not in ((), X.shape[1:], X.shape):
            raise ValueError(
                f"velocity: given shape {v.shape}; accepted are (), {X.shape[1:]} and "
                f"{X.shape}."
            )
        v = jnp.broadcast_to(v.astype(X.dtype), X.shape)
        row = ravel_pytree(self._rest())[0].astype(X.dtype)
        history = jnp.broadcast_to(row, (*self.parts.volume.shape, row.size))
        return (X, history), v

    def memory(self, history: History) -> Memory:
        """(G, α) of each point, leading by (m, q); () where nothing is kept."""
        return jax.vmap(jax.vmap(self._memory))(history)

    def field(self, t, y: State, args=None) -> State:
        """ẏ, the history flowing by its rate, ∂update/∂dt at dt = 0.

        Raises:
            TypeError: at trace time; a plastic return has no rate.
        """
        if isinstance(self.law, AbstractPlastic):
            raise TypeError(
                f"law: given {type(self.law).__name__}, whose return has no rate; "
                "accepted is another, or `frozen` with Projected(solver, body.update)."
            )
        (v, _), a = self.frozen(t, y, args)
        return (v, self._rate(*y[0])), a

    def frozen(self, t, y: State, args=None) -> State:
        """ẏ, the history at rest."""
        del t, args
        q, v = y
        return (v, jnp.zeros_like(q[1])), self.acceleration(q)

    def terms(self) -> tuple[diffrax.AbstractTerm, diffrax.AbstractTerm]:
        """(ẋ = v, v̇ = a(x)), the history at rest: for `diffrax.SemiImplicitEuler`."""
        _, rest = self.init()[0]
        pair = lambda y: y if isinstance(y, tuple) else (y, rest)
        move = lambda y: (pair(y)[0], jnp.zeros_like(rest))
        return _Half(move), _Half(lambda y: self.acceleration(pair(y)))

    def update(self, t, y: State, dt: ScalarLike, args=None) -> State:
        """Plastic return and flow during dt, at resting nodes: for `Projected`."""
        del t, args
        (x, history), v = y
        return (x, self.updated(x - self.parts.nodes, history, dt)), v

    def updated(self, u: Vectors, history: History, dt: ScalarLike) -> History:
        """The history after return and flow during dt, at displacements u."""
        if not history.size:
            return history
        after = lambda law, A, row: self._after(law, A, row, dt)
        return self._each(after, u, history)

    def acceleration(self, q) -> Vectors:
        return self.parts.free * self.pull(q) / self.parts.mass

    def pull(self, q) -> Vectors:
        """fₐ − Σₑ V₀ P ∇Nₐ in N; where a node is held, minus what holds it."""
        inner = self.element_forces(q[0] - self.parts.nodes, q[1])
        return self.parts.force.at[self.parts.elements].add(-inner)

    def element_forces(self, u: Vectors, history: History, dt=None) -> Forces:
        """Σ V₀ P ∇Nₐ of each element, N, at u; of the history after an `update` by dt,
        if given."""
        forces = functools.partial(self._forces, dt=dt)
        return self._elementwise(forces, u, history)

    def element_stiffness(self, u: Vectors, history: History, dt=None):
        """The derivative of `element_forces` by the displacements of the element's own
        nodes, (m, c, d, c, d), N/m."""
        steep = jax.jacfwd(functools.partial(self._forces, dt=dt), 1)
        return self._elementwise(steep, u, history)

    def stress(self, q) -> Float[Array, "m q d d"]:
        """P = τ F⁻ᵀ at each point, Pa."""
        return self.stress_at(q[0] - self.parts.nodes, q[1])

    def stress_at(self, u: Vectors, history: History) -> Float[Array, "m q d d"]:
        """P at each point at displacements u, Pa."""
        return self._each(self._stress, u, history)

    def energy(self, t, y: State, args=None) -> Scalar:
        """H in J (a bar of area 1 and plane strain: J/m², J/m)."""
        del t, args
        (x, history), v = y
        kinetic = jnp.sum(self.parts.mass * v**2) / 2
        load = tree.vdot(self.parts.force, x - self.parts.nodes)
        return kinetic + self.stored(x - self.parts.nodes, history) - load

    def accounts(self, t, y: State, args=None) -> tuple[State, Scalar, Scalar]:
        """ẏ of `field`; D = −Σ V₀ ⟨∂ψ/∂α, α̇⟩; the power of what moves the held nodes
        (both in W). Ḣ = power − D."""
        dy = self.field(t, y, args)
        ((x, history), v), ((_, rate), _) = y, dy
        stored = lambda history: self.stored(x - self.parts.nodes, history)
        spent = -jax.jvp(stored, (history,), (rate,))[1]
        supply = -jnp.sum((1 - self.parts.free) * v * self.pull(y[0]))
        return dy, spent, supply

    def dissipation(self, t, y: State, args=None) -> Scalar:
        """D ≥ 0 of a sound law, W, along `field`."""
        return self.accounts(t, y, args)[1]

    def momentum(self, y: State) -> Float[Array, " d"]:
        """Σ m v."""
        return jnp.sum(self.parts.mass * y[1], 0)

    def angular_momentum(self, y: State) -> Array:
        """Σ m x × v about the origin: (3,), or () in the plane."""
        (x, _), v = y
        return axial(jnp.sum(self.parts.mass[:, None] * x[:, :, None] * v[:, None], 0))

    def limit(self, y: State) -> Scalar:
        """2/ω_max, the largest stable dt of `SemiImplicitEuler`, s; from the largest

            ω² ≤ Σ V₀ M Σₐ |∇Nₐ|²/mₐ

        of an element by itself, with the law's `stiffness` M: exact for a bar of linear
        elements, if M were E.
        """
        parts, (x, history) = self.parts, y[0]
        steep = jnp.sum(parts.slopes**2, -1) / parts.share[:, None]
        M = self._stiffness(x - parts.nodes, history)
        omega = jnp.sum(parts.volume * M * jnp.sum(steep, -1), 1)
        return 2 / jnp.sqrt(jnp.max(omega))

    def power(self, y: State) -> Scalar:
        """Σ of the sizes of what makes up Ḣ, W: the scale of its round-off."""
        parts, ((x, history), v) = self.parts, y
        speed = jnp.sqrt(jnp.sum(v**2, -1))[parts.elements]
        inner = self.rounded(x - parts.nodes, history) * speed
        return jnp.sum(inner) + tree.vdot(jnp.abs(parts.force), jnp.abs(v))

    def rounded(self, u: Vectors, history: History) -> Float[Array, "m c"]:
        """Σ V₀ (|P| + M)|∇Nₐ| of each element, N: what ε of it may be lost of a force,
        since F = I + ∇u is rounded to ε."""
        parts = self.parts
        size = jnp.sqrt(square(self.stress_at(u, history)))
        size = size + self._stiffness(u, history)
        slope = jnp.sqrt(jnp.sum(parts.slopes**2, -1))
        return jnp.sum((parts.volume * size)[..., None] * slope, 1)

    def deformed(self, u, slopes, volume):
        """A at the points of an element, (q, d, d), from displacements (c, d)."""
        eye = jnp.eye(u.shape[1], dtype=u.dtype)[None]
        A = eye + jnp.sum(u[None, :, :, None] * slopes[:, :, None, :], 1)
        if not self.mean_volume:
            return A
        J = det(A)
        mean = jnp.sum(volume * J) / jnp.sum(volume)
        return (mean / J)[:, None, None] ** (1 / u.shape[1]) * A

    def _forces(self, law, u, slopes, volume, rows, dt=None):
        A, back = jax.vjp(lambda u: self.deformed(u, slopes, volume), u)
        if dt is not None and rows.size:
            rows = jax.vmap(lambda A, row: self._after(law, A, row, dt))(A, rows)
        P = jax.vmap(lambda A, row: self._stress(law, A, row))(A, rows)
        return back(volume[:, None, None] * P)[0]

    def _stress(self, law, A, row):
        F, Fe, (_, alpha) = self._seen(law, A, row)
        P = matmul(law.kirchhoff(Fe, alpha), transpose(inverse(F)))
        return P[: A.shape[0], : A.shape[0]]

    def _after(self, law, A, row, dt):
        F, Fe, (G, alpha) = self._seen(law, A, row)
        after, alpha = law.update(Fe, alpha, dt)
        return _row(G + matmul(inverse(F), after - Fe), alpha)

    def _rest(self):
        """(G, α) of one point at rest; or nothing."""
        if type(self.law).update is AbstractLaw.update:
            return ()
        X = self.parts.nodes
        eye = jnp.eye(self.dimension or X.shape[1], dtype=X.dtype)
        return eye, self.law.init(eye)

    def _memory(self, row):
        return ravel_pytree(self._rest())[1](row)

    def _elementwise(self, fn, u, history):
        """fn(law, u, slopes, volume, rows) of each element."""
        parts = self.parts
        given = u[parts.elements], parts.slopes, parts.volume, history
        return each(fn, self.law, len(parts.elements), *given)

    def _each(self, fn, u, history):
        """fn(law, A, row) at each point of each element."""

        def inside(law, u, slopes, volume, rows):
            A = self.deformed(u, slopes, volume)
            return jax.vmap(lambda A, row: fn(law, A, row))(A, rows)

        return self._elementwise(inside, u, history)

    def _seen(self, law, A, row) -> Any:
        """F, what the law is given, and the memory."""
        memory = self._memory(row)
        F = self.point(law, A, memory)
        return (F, matmul(F, memory[0]), memory) if memory else (F, F, ((), ()))

    def _rate(self, x, history):
        def one(law, A, row):
            F, Fe, (_, alpha) = self._seen(law, A, row)
            now = jnp.zeros((), F.dtype)
            flow = lambda dt: law.update(Fe, alpha, dt)
            dFe, dalpha = jax.jvp(flow, (now,), (jnp.ones_like(now),))[1]
            return _row(matmul(inverse(F), dFe), dalpha)

        if not history.size:
            return history
        return self._each(one, x - self.parts.nodes, history)

    def stored(self, u: Vectors, history: History) -> Scalar:
        """Σ V₀ψ at displacements u, J.

        Raises:
            TypeError: a law without an energy.
        """
        if not isinstance(self.law, AbstractHyperelastic):
            raise TypeError(
                f"law: given {type(self.law).__name__}, which has no energy; accepted "
                "here is an AbstractHyperelastic."
            )

        def one(law, A, row):
            _, Fe, (_, alpha) = self._seen(law, A, row)
            return law.energy(Fe, alpha)

        return jnp.sum(self.parts.volume * self._each(one, u, history))

    def _stiffness(self, u, history):
        def one(law, A, row):
            _, Fe, (_, alpha) = self._seen(law, A, row)
            return law.stiffness(Fe, alpha)

        return self._each(one, u, history)


def _row(*memory):
    return ravel_pytree(memory)[0]


class _Half(diffrax.AbstractTerm):
    """The rate of one half of the state by the other; or, as diffrax tries first to see
    whether the shapes fit, by itself."""

    rate: Callable[[Any], Any]

    def vf(self, t, y, args):
        del t, args
        return self.rate(y)

    def contr(self, t0, t1, **kwargs):
        del kwargs
        return t1 - t0

    def prod(self, vf, control):
        return tree.scale(control, vf)
