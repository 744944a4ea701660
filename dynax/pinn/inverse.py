"""Inverse problems: a term of an equation that is not known, learned with the solution.

In F(t, x, u, uₜ, uₓ, …) = h(u, uₓ, …) with F known and h not, a surrogate u_θ and a
network h_φ are trained together on the residual and on noisy values of u.
`dynax.identify` then reads h_φ, and its formula (`Polynomial`) is trained in the
network's place: that gives coefficients, with the errors that the data leave them
(`standard_errors`). Source: Podina, Eastman, Kohandel, arXiv:2212.04630.

Coefficients that are not known need only `Trainer(learn=lambda pde: (pde.rate,))`.
What the data leave open is told by curvature (`standard_errors`), or by training again
on data that might as well have been seen (`bootstrap`).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from dynax import _tree as tree
from dynax.pde import Derivatives, Points
from dynax.pinn.causal import Annealing
from dynax.pinn.networks import MLP
from dynax.pinn.networks._fixed import AbstractFixed
from dynax.pinn.objective import Batch, Model, Window
from dynax.pinn.train import solve
from dynax.pinn.trainer import Trainer


class Scales(AbstractFixed):
    """Typical sizes, not trained."""

    of: Array = eqx.field(converter=jnp.asarray)

    def __call__(self, dtype):
        return tree.cast(self.of, dtype)


class Hidden(eqx.Module):
    """Put a network in the place of a hidden term.

    h(z) = s_h · MLP(z/s_z).

    Args:
        inputs, outputs: s_z and s_h, typical sizes of z and of h.
        width, depth: small: the network is as smooth as it is small.
    """

    inputs: Scales
    outputs: Scales
    body: MLP

    def __init__(self, inputs, outputs, *, key, width=8, depth=1, dtype=None):
        self.inputs, self.outputs = Scales(inputs), Scales(outputs)
        shape = len(self.inputs.of), len(self.outputs.of)
        self.body = MLP(*shape, width, depth, key=key, dtype=dtype)

    def __call__(self, z):
        return self.outputs(z.dtype) * self.body(z / self.inputs(z.dtype))


def look(
    trainer: Trainer, model: Model, window: Window, points: Points
) -> tuple[Float[Array, "n k"], Float[Array, "n r"]]:
    """Return (z, h) of a trained `WithHidden` at all points, in order of time."""
    objective, pde = trainer.objective, model.pde
    term: Any = pde
    u = objective.ansatz(pde, model.network, window)

    def at(t, x):
        needs = tuple(term.inputs.split())
        return term.look(Derivatives(objective.engine(u, t, x, needs)))

    z = jax.vmap(jax.vmap(at, (None, 0)))(points.t, points.x)
    z = z.reshape(-1, z.shape[-1])
    return z, jax.vmap(term.hidden)(z)


class Estimate(NamedTuple):
    """Learned coefficients of an equation and the errors that the data leave them.

    Args:
        values, errors: of the arrays that `learn` names, flattened in its pde's order.
        correlation: of the errors.
    """

    values: Float[Array, " k"]
    errors: Float[Array, " k"]
    correlation: Float[Array, "k k"]

    def through(self, function: Callable) -> "Estimate":
        """The same of function(values), to first order in the errors.

        Of coefficients trained through a transform: `estimate.through(Positive())`.
        """
        J = jax.jacfwd(function)(self.values)
        covariance = J @ (self.correlation * jnp.outer(self.errors, self.errors)) @ J.T
        errors = jnp.sqrt(jnp.diagonal(covariance))
        unit = jnp.outer(errors, errors)
        return Estimate(function(self.values), errors, covariance / unit)

    @property
    def identified(self) -> Bool[Array, " k"]:
        """Where the error is less than half of the value."""
        return self.errors < jnp.abs(self.values) / 2


def standard_errors(
    trainer: Trainer, model: Model, window: Window, batch: Batch
) -> Estimate:
    """From the curvature of the loss, with the network's freedom taken out:

        covariance⁻¹ = (n/λ_d) J_cᵀ(I − P)J_c,  P the projection on the range of J_θ,

    where J = (J_θ, J_c) are the rows' derivatives by network and coefficients, so that
    a datum counts 1/σ² and the equation is a constraint as hard as λ_d is small. True
    to the data where the network can follow all solutions nearby and `batch` has more
    points than the network has parameters.

    Source: Seber, Wild, Nonlinear Regression (1989), §2.1; θ eliminated by blocks.
    """
    objective = trainer.objective
    params, static = trainer.split(model)
    unweighted = jnp.zeros(objective.chunks, batch.points.t.dtype)
    _, J = objective.linearised(params, static, window, batch, unweighted)
    values, _ = ravel_pytree(params.pde)
    n, eps = J.shape[1] - len(values), jnp.finfo(J.dtype).eps
    J, ours = J[:, :n], J[:, n:]
    # a direction that the rows hardly see is no freedom
    ridge = eps**0.5 * jnp.linalg.norm(J) * jnp.eye(n, dtype=J.dtype)
    q = jnp.linalg.qr(jnp.concatenate([J, ridge]))[0][: len(J)]
    left = ours - q @ (q.T @ ours)
    data = objective.observed() / tree.cast(objective.weight("data"), J.dtype)
    information = data / 2 * (ours.T @ left + left.T @ ours)
    unit = jnp.sqrt(jnp.maximum(jnp.diagonal(information), jnp.finfo(J.dtype).tiny))
    s, v = jnp.linalg.eigh(information / jnp.outer(unit, unit))
    covariance = (v / jnp.maximum(s, eps)[None]) @ v.T / jnp.outer(unit, unit)
    errors = jnp.sqrt(jnp.diagonal(covariance))
    return Estimate(values, errors, covariance / jnp.outer(errors, errors))


class Bootstrap(NamedTuple):
    """Coefficients as other data of the same kind would have given them.

    Args:
        values: of each training, in the order of `learn`, (samples, k).
    """

    values: Float[Array, "samples k"]

    def interval(self, level: float = 0.95) -> Float[Array, "2 k"]:
        """Ends between which a share `level` of the values lies."""
        ends = jnp.asarray([(1 - level) / 2, (1 + level) / 2], self.values.dtype)
        return jnp.quantile(self.values, ends, axis=0)


@eqx.filter_jit
def bootstrap(
    trainer: Trainer, model: Model, window: Window, key, cycles: int, samples: int = 50
) -> Bootstrap:
    """Train again and again, each time on data drawn anew from the trained model.

    Values are u(t, x) + σ·N(0, 1) where there are data, so the noise σ must be right.
    It needs no curvature and no normal distribution, and sees what `standard_errors`
    cannot: bounds, several minima. Compiled once; `samples` trainings in sequence.

    Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), ch. 6.

    Args:
        trainer, window: of the model.
        model: trained; each training starts from it.
        cycles: of each training, all of them at the last ε; few, if of Gauss–Newton.
    """
    objective, data = trainer.objective, trainer.objective.data
    # the trained model would be solved at once, before it follows the new data
    endless = Annealing(trainer.annealing.levels[-1:], delta=1.0)
    if data is None:
        raise ValueError("trainer: given one without data; accepted is one that has.")
    fitted = jax.vmap(trainer.solution(model, window))(data.t, data.x)

    def one(key):
        draw, train = jax.random.split(key)
        noise = jax.random.normal(draw, data.value.shape, data.value.dtype)
        value = fitted + objective.noise() * noise
        value = jnp.where(jnp.isnan(data.value), jnp.nan, value)
        new = dataclasses.replace(objective, data=data._replace(value=value))
        how = dataclasses.replace(trainer, objective=new, annealing=endless)
        out = solve(how, model, window, train, cycles)
        return ravel_pytree(trainer.split(out.model)[0].pde)[0]

    return Bootstrap(jax.lax.map(one, jax.random.split(key, samples)))
