"""Flows of Lion-κ: losses, right and wrong claims, a solve with its ledger."""

from typing import Any, cast

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import dynax as dx
from dynax import kappa as kp


RTOL = 1e-8


LR = 1e-2  # where the flow is read off: γ = (1 − β₂)/LR


LAM, GAMMA, LOOK_AHEAD = 0.5, 1.0, 0.3


number = np.float64  # traced by eqx.filter_jit, where a float would be compiled in


PLANE = {  # κ, and what the flow is confined to
    "soft abs: a box": kp.SoftAbs(number(0.05)),
    "smooth ℓ₂: a ball": kp.OrthogonallyInvariant(kp.SoftAbs(number(0.05))),
    "log sum exp: a simplex": kp.LogSumExp(number(0.1)),
    "½ℓ₂²: nothing": kp.HalfSquared(),
}


class Loss(eqx.Module):
    """f(x) = 0.05‖x‖² + Σ sin(w·x + b)/√K: smooth, not convex."""

    w: jax.Array
    b: jax.Array

    @classmethod
    def random(cls, seed, size, features=24):
        kw, kb = jax.random.split(jax.random.key(seed))
        turn = 2 * jnp.pi * jax.random.uniform(kb, (features,))
        return cls(jax.random.normal(kw, (features, size)), turn)

    def __call__(self, x):
        waves = jnp.sin(jnp.sum(self.w * x.ravel()[None], axis=1) + self.b)
        return 0.05 * jnp.sum(x**2) + jnp.sum(waves) / self.b.size**0.5


class Tampered(dx.AbstractLyapunovOptimizer):
    """Lion-κ whose claim is wrong on purpose: D × `rate`, and c × `coupling` in H."""

    lion: dx.LionKappa
    rate: float
    coupling: float

    def init(self, x):
        return self.lion.init(x)

    def update(self, x, state, grad, lr):
        return self.lion.update(x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        return self.lion.flow(t, x, state, grad, lr)

    def energy(self, t, x, state, value, lr):
        y, kappa = self.lion.weight_decay * x, self.lion.kappa
        gap = kappa.conjugate(y) + kappa.value(state.m) - jnp.sum(state.m * y)
        c = (1 - LOOK_AHEAD * GAMMA) / (GAMMA * (1 + LOOK_AHEAD * LAM))
        h = self.lion.energy(t, x, state, value, lr)
        return h + (self.coupling - 1) * c * gap

    def dissipation(self, t, x, state, grad, lr):
        return self.rate * self.lion.dissipation(t, x, state, grad, lr)


def lion(kappa, weight_decay=LAM, gamma=GAMMA, look_ahead=LOOK_AHEAD):
    return dx.LionKappa.from_flow(kappa, gamma, look_ahead, weight_decay, LR)


def inside(kappa, key, shape, lam=LAM):
    """Strictly inside dom κ*(λ·), which is convex and holds every ∇κ(z)."""
    y = kappa.grad(jax.random.normal(key, shape))
    return (0.9 * y + 0.1 * kappa.grad(jnp.zeros(shape))) / lam


@eqx.filter_jit
def pointwise(opt, f, xs, ms):
    """The largest |Ḣ + D|/D over random states, Ḣ by one jvp."""
    flow = dx.LyapunovFlow(opt, f, LR)

    def at(x, m):
        y = x, dx.LionState(m)
        _, slope = dx.lie_derivative(flow.energy, flow.field)(0.0, y, None)
        d = flow.dissipation(0.0, y)
        return jnp.abs(slope + d) / d

    return jnp.max(jax.vmap(at)(xs, ms))


@eqx.filter_jit
def solve(opt, f, x, ts, most_steps=20_000):
    """The flow with V, V̇, D and W = ∫D, every accepted step in the ledger."""
    system = dx.WithDissipation(dx.LyapunovFlow(opt, f, LR))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(system.field),
        dx.Monitored(diffrax.Tsit5(), system),
        ts[0],
        ts[-1],
        None,
        system.init(x),
        stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=RTOL),
        saveat=diffrax.SaveAt(ts=ts, fn=system.record, solver_state=True),
        max_steps=most_steps,
        throw=False,
    )
    ys, state = cast(Any, (solution.ys, solution.solver_state))
    v, w = ys["V"], ys["W"]
    numbers = {
        "fall": v[0] - v[-1],
        "rise": jnp.max(v[1:] - v[:-1]),
        "closure": jnp.max(jnp.abs(v - v[0] + w)) / (v[0] - v[-1]),
        "steps": solution.stats["num_steps"],
        "done": solution.result == diffrax.RESULTS.successful,
    }
    return numbers, ys, state.tally


def bowl(x):
    """A quadratic whose minimiser lies outside every constraint of `PLANE`."""
    a, b = x[0] - 2.0, x[1] - 0.3
    return 0.3 * a**2 + 0.8 * b**2 + 0.3 * a * b


def plane():
    """Paths in the plane, λ = 1, from a few starts that the constraint allows."""
    ts = jnp.linspace(0.0, 15.0, 400)

    def path(opt, x):
        flow = dx.LyapunovFlow(opt, bowl, LR)
        pid = diffrax.PIDController(rtol=1e-5, atol=1e-5)
        return diffrax.diffeqsolve(
            diffrax.ODETerm(flow.field),
            diffrax.Tsit5(),
            0.0,
            15.0,
            None,
            flow.init(x),
            stepsize_controller=pid,
            saveat=diffrax.SaveAt(ts=ts, fn=lambda t, y, args: y[0]),
            max_steps=20_000,
        ).ys

    paths = {}
    for name, kappa in PLANE.items():
        corner, middle = jnp.array([-2.0, 1.0]), jnp.zeros(2)
        x = 0.9 * kappa.grad(corner) + 0.1 * kappa.grad(middle)
        x = x if "nothing" not in name else jnp.array([-0.9, 0.8])
        opt = lion(kappa, 1.0, look_ahead=0.1)
        paths[name] = np.asarray(eqx.filter_jit(path)(opt, x))
    return paths
