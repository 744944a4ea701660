"""The moving least squares material point method, as a solver of diffrax."""

from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from dynax import _tree as tree
from dynax._types import Scalar, ScalarLike
from dynax.material.kinematics import det, matmul
from dynax.mechanics.mpm.body import Body, by_law, masses, several, stored, volumes
from dynax.mechanics.mpm.transfer import AbstractTransfer, Grid, Window
from dynax.mechanics.mpm.walls import AbstractWall, Collider


class RESULTS(diffrax.RESULTS):  # pyright: ignore[reportGeneralTypeIssues]
    """The reasons why a run ended, by `MPM`'s solver state. The loop of diffrax knows
    only its own.

    There, `not_finite` is `diffrax.RESULTS.nonfinite`, the others
    `nonlinear_divergence`.
    """

    not_finite = "A place, a velocity or a deformation is not finite."
    outside = "A point has left the grid, or lies within half a cell of its edge."
    cfl = "A point moves by a cell or more in one step: the time step is too long."
    inverted = "det F <= 0: a point is turned inside out; the time step is too long."


CFL = 3  # the code of time that runs backwards, too


def _quotient(nodes):
    """Momentum over mass, the last; 0 where there is none."""
    mass = nodes[..., -1:]
    full = mass > jnp.finfo(nodes.dtype).eps ** 2
    return jnp.where(full, nodes[..., :-1] / jnp.where(full, mass, 1), 0)


class Stress(diffrax.AbstractTerm):
    """The term of `MPM`: its "vector field" is τ of every point, (N, d, d), in Pa."""

    def vf(self, t, y, args):
        del t
        fn = lambda law, F, alpha: law.kirchhoff(F, alpha)
        return jnp.concatenate(by_law(fn, args, y.F, y.alpha))

    def contr(self, t0, t1, **kwargs):
        del kwargs
        return t1 - t0

    def prod(self, vf, control):
        raise NotImplementedError(
            "Stress is no rate of change: accepted with it is the solver MPM, without "
            "BacksolveAdjoint, for contact and plastic flow cannot be run backwards."
        )


class MPM(diffrax.AbstractSolver):
    r"""Take one step of the moving-least-squares material point method.

    One step from τ(F) of the state, with w of `transfer` and D = ¼dx²:

        P2G    mᵢ = Σ w m,   mᵢvᵢ = Σ w [m v + (m C − dt V₀τ/D)(xᵢ − x)]
        grid   vᵢ ← vᵢ + dt g, then the walls
        G2P    v = Σ w vᵢ,   C = Σ w vᵢ ⊗ (xᵢ − x)/D,   x ← x + dt v
        point  F ← (I + dt C)F,   (F, α) ← law.update(F, α, dt)

    Order 1, symplectic Euler in kind. Momentum is conserved, angular momentum with its
    affine part too where τ is symmetric. The state is a `Body`, args a `Material` or a
    tuple of them, the term `Stress()`; steps are fixed (`StepTo`) or by `CFL`.

    Save at steps: between them, F is interpolated without regard for rotations. With
    float32 give times as float32 arrays, since diffrax promotes the state to theirs.
    BacksolveAdjoint is refused: contact and plastic flow cannot be run backwards.

    Points that are `held` keep velocity and F, and so do the nodes about them: fixed at
    0, or moved along by one common velocity.

    A step that fails (`RESULTS`) ends the run: `SaveAt(solver_state=True)` keeps why,
    `stats["num_steps"]` counts the failing one. `simulate` does both.

    Source: Hu et al., "A moving least squares material point method …", ACM Trans.
    Graph. 37 (2018), eqs. 16–18; Jiang et al. 2015 for APIC.

    Args:
        grid: the nodes.
        walls: applied in turn; `box_walls(d)` for all sides.
        gravity: g, (d,), m/s²; None is none.
        transfer: `Window()`, or `Dense()` on a TPU.
        exponential: F ← T(½dt C)²F with T ≈ exp, whose determinant cannot change sign.
        held: which points are, (N,).
    """

    grid: Grid
    walls: tuple[AbstractWall, ...] = ()
    gravity: Any = None
    transfer: AbstractTransfer = Window()
    exponential: bool = eqx.field(default=False, static=True)
    held: Bool[Array | np.ndarray, " N"] | None = None

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.LocalLinearInterpolation

    def __check_init__(self):
        d = len(self.grid.nodes)
        if self.gravity is not None and jnp.shape(self.gravity) != (d,):
            raise ValueError(
                f"gravity: given shape {jnp.shape(self.gravity)}; accepted is ({d},)."
            )
        for wall in self.walls:
            wall.check(self.grid)

    def order(self, terms):
        del terms
        return 1

    def init(self, terms, t0, t1, y0, args) -> Int[Array, ""]:
        """The code of a failure of y0, 0 if none.

        Raises:
            TypeError, ValueError: y0 is not what `grid` and `args` ask for.
        """
        del terms, t0, t1
        self.check(y0, args)
        return self._code(y0, jnp.zeros((), y0.x.dtype))

    def func(self, terms, t0, y0, args):
        return terms.vf(t0, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        del made_jump
        dt = terms.contr(t0, t1).astype(y0.x.dtype)
        y1 = self.move(terms.vf(t0, y0, args), y0, args, dt, jnp.asarray(t0))
        code = jnp.where(dt > 0, self._code(y1, dt), CFL)
        code = jnp.where(solver_state > 0, solver_state, code)
        known: Any = diffrax.RESULTS
        result = known.where(code == 1, known.nonfinite, known.nonlinear_divergence)
        result = known.where(code == 0, known.successful, result)
        return y1, None, dict(y0=y0, y1=y1), code, result

    @property
    def driven(self) -> bool:
        """Whether something from outside may move and do work."""
        moves = any(isinstance(wall, Collider) for wall in self.walls)
        return moves or self.held is not None

    def move(self, tau, y: Body, args, dt, t: ScalarLike = 0.0) -> Body:
        """The step at t, from Kirchhoff stresses τ."""
        d, dtype = y.x.shape[1], y.x.dtype
        nodes, _ = self._nodes(tau, y, args, dt)

        # A branch, or XLA does all of `_on_grid` anew for each of a point's 3ᵈ nodes.
        moving = lambda nodes: self._on_grid(nodes, dt, jnp.asarray(t, dtype))[0]
        v = jax.lax.cond(dt > 0, moving, lambda nodes: nodes[..., :d], nodes)
        v, moment = self.transfer.to_points(self.grid, y.x, v)
        C = 4 / tree.cast(self.grid.dx, dtype) * moment
        if self.held is not None:
            v = jnp.where(self.held[:, None], y.v, v)
            C = jnp.where(self.held[:, None, None], 0, C)
        F = self._deformed(dt * C, y.F)
        update = lambda law, F, alpha: law.update(F, alpha, dt)
        parts = by_law(update, args, F, y.alpha)
        F = jnp.concatenate([F for F, _ in parts])
        return Body(y.x + dt * v, v, C, F, stored(tuple(alpha for _, alpha in parts)))

    def respond(
        self, tau, slopes: Float[Array, "N k d d"], y: Body, args, dt
    ) -> tuple[Float[Array, "N d"], Float[Array, "N k d"]]:
        """v after a step from τ, and how it changes along k changes of τ.

        v is affine in τ but for walls; all changes go to the grid at once.
        """
        (N, k, d, _), dtype = slopes.shape, y.x.dtype
        dx, V = tree.cast(self.grid.dx, dtype), volumes(args, dtype)
        nodes, unit = self._nodes(tau, y, args, dt)
        time = jnp.zeros((), dtype)
        v, change = jax.linearize(lambda p: self._on_grid(p, dt, time)[0], nodes)
        axes = jnp.eye(d, nodes.shape[-1], dtype=dtype)  # each node moves by itself
        push = lambda axis: change(jnp.broadcast_to(axis, nodes.shape))
        moved = jax.lax.optimization_barrier(jax.vmap(push, out_axes=-2)(axes))
        A = -(4 / dx * dt * V / unit)[:, None, None, None] * slopes
        A = A.reshape(N, k * d, d)
        more = self.transfer.to_grid(self.grid, y.x, jnp.zeros_like(A[..., 0]), A)
        more = more.reshape(*self.grid.nodes, k, d)
        more = jnp.sum(more[..., None] * moved[..., None, :, :], -2)
        read = lambda v: self.transfer.to_points(self.grid, y.x, v)[0]
        more = more.reshape(*self.grid.nodes, k * d)
        v, more = map(read, jax.lax.optimization_barrier((v, more)))
        more = more.reshape(N, k, d)
        if self.held is not None:
            v = jnp.where(self.held[:, None], y.v, v)
            more = jnp.where(self.held[:, None, None], 0, more)
        return v, more

    def pushes(self, tau, y: Body, args, dt, t) -> tuple[Array, Scalar]:
        """What walls and held points give in this step: momentum in kg m/s, (d,), and
        work in J, Σ m Δv·V of the nodes with V of the wall."""
        nodes, unit = self._nodes(tau, y, args, dt)
        _, (push, work) = self._on_grid(nodes, dt, jnp.asarray(t, y.x.dtype))
        return unit * push, unit * work

    def _nodes(self, tau, y: Body, args, dt):
        """Momentum and mass of the nodes, those of held points after them, over the
        largest mass of a point."""
        dtype = y.x.dtype
        dx = tree.cast(self.grid.dx, dtype)
        mass = masses(args, dtype)
        unit = jnp.max(mass)
        m, V = mass / unit, volumes(args, dtype) / unit
        A = dx * m[:, None, None] * y.C - (4 / dx * dt * V)[:, None, None] * tau
        A = jnp.concatenate([A, jnp.zeros_like(A[:, :1])], 1)
        p = jnp.concatenate([m[:, None] * y.v, m[:, None]], 1)
        if self.held is not None:
            p = jnp.concatenate([p, jnp.where(self.held[:, None], p, 0)], 1)
            A = jnp.concatenate([A, jnp.zeros_like(A)], 1)
        return self.transfer.to_grid(self.grid, y.x, p, A), unit

    def _on_grid(self, nodes, dt, t):
        """v of the nodes, and what walls and held points gave them."""
        d, dtype = nodes.ndim - 1, nodes.dtype
        v = _quotient(nodes[..., : d + 1])
        if self.gravity is not None:
            v = v + dt * tree.cast(self.gravity, dtype).reshape((1,) * d + (d,))
        push, work, m = jnp.zeros(d, dtype), jnp.zeros((), dtype), nodes[..., d : d + 1]

        def given(change, V):
            axes = tuple(range(d))
            return jnp.sum(m * change, axes), jnp.sum(m * change * V)

        if self.held is not None:
            kept = _quotient(nodes[..., d + 1 :])
            after = jnp.where(nodes[..., -1:] > jnp.finfo(dtype).eps ** 2, kept, v)
            push, work = given(after - v, kept)
            v = after
        for wall in self.walls:
            after = wall(self.grid, v, t)
            more = given(after - v, wall.surface(self.grid, t)[2])
            push, work, v = push + more[0], work + more[1], after
        return v, (push, work)

    def _deformed(self, A, F):
        if not self.exponential:
            return F + matmul(A, F)
        A = A / 2
        square = matmul(A, A)
        eye = jnp.eye(F.shape[-1], dtype=F.dtype)[None]
        T = eye + A + square / 2 + matmul(square, A) / 6 + matmul(square, square) / 24
        return matmul(T, matmul(T, F))

    def _code(self, y: Body, dt) -> Int[Array, ""]:
        """Which of `RESULTS`, 0 if none; v and C are in the next x and F."""
        speed = jnp.max(jnp.abs(y.v), -1)
        flags = [
            ~jnp.isfinite(jnp.sum(y.x, -1) + jnp.sum(y.F, (1, 2))),
            ~self.grid.inside(y.x),
            speed * dt >= tree.cast(self.grid.dx, dt.dtype),
            ~(det(y.F) > 0),
        ]
        failed = jnp.any(jnp.stack(flags), 1)
        for a in tree.leaves(y.alpha):
            failed = failed.at[0].set(failed[0] | ~jnp.all(jnp.isfinite(a)))
        return jnp.where(jnp.any(failed), 1 + jnp.argmax(failed), 0).astype(jnp.int32)

    def check(self, y: Body, args) -> None:
        """Structure and shapes.

        Raises:
            TypeError: y is no Body, or args no materials.
            ValueError: a shape is wrong.
        """
        if not isinstance(y, Body):
            raise TypeError(f"y0: given {type(y).__name__}; accepted is a Body.")
        groups = several(args)
        N, d = sum(g.count for g in groups), len(self.grid.nodes)
        accepted = dict(x=(N, d), v=(N, d), C=(N, d, d), F=(N, d, d))
        for name, shape in accepted.items():
            given = getattr(y, name)
            if given.shape != shape or given.dtype != y.x.dtype:
                raise ValueError(
                    f"y0.{name}: given {given.dtype} of shape {given.shape}; accepted "
                    f"is {y.x.dtype} of shape {shape}."
                )
        if self.held is not None:
            held = jnp.asarray(self.held)
            if held.shape != (N,) or held.dtype != bool:
                raise ValueError(
                    f"held: given {held.dtype} of shape {held.shape}; accepted is bool "
                    f"of shape ({N},)."
                )
        if len(y.alpha) != len(groups):
            raise ValueError(
                f"y0.alpha: given {len(y.alpha)} trees; accepted is one a material, "
                f"{len(groups)}."
            )
