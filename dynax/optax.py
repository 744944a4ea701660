"""Audited optimizers under optax's own names, arguments and sign of `mu`.

Each function returns optax's own transformation: optax's code does the training. With
`every=k` the transformation carries a ledger, which audits every k-th step against the
optimizer of dynax of the same name:

    optax.lion(1e-4, weight_decay=0.1)                 # before
    dx.optax.lion(1e-4, weight_decay=0.1, every=100)   # after

`update` then needs the loss: `tx.update(grads, state, params, value=…, value_fn=…)`.
The result is `dx.verdict(optax.tree.get(state, "tally"), "lion")`.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax
from jaxtyping import PyTree

from dynax._types import Params, ScalarLike
from dynax.flow import AbstractOptimizer
from dynax.monitor import as_optax, audit
from dynax.optim import (
    AdaGrad,
    Adam,
    AdamW,
    GradientDescent,
    LionKappa,
    LionState,
    Momentum,
    MomentumState,
    PracticalMuon,
    RMSprop,
    SignSGD,
    SquaresState,
)
from dynax.optim._common import NoState


Mask = PyTree[bool] | Callable[[Params], PyTree[bool]] | None
Transformation = optax.GradientTransformationExtraArgs


def _audited(
    tx: optax.GradientTransformation,
    claim: AbstractOptimizer,
    learning_rate: optax.ScalarOrSchedule,
    read: Callable[[Any], Any],
    every: int,
) -> Transformation:
    if every == 0:
        return optax.with_extra_args_support(tx)
    return audit(tx, claim, learning_rate, read=read, every=every)


def lion(
    learning_rate: optax.ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.99,
    mu_dtype: Any = None,
    weight_decay: float | jax.Array = 1e-3,
    mask: Mask = None,
    *,
    every: int = 0,
) -> Transformation:
    """Return `optax.lion`, audited as `dynax.LionKappa` for the ℓ₁ norm.

    Args:
        learning_rate, b1, b2, mu_dtype, weight_decay, mask: as in `optax.lion`.
        every: 0 for no ledger; k ≥ 1 to audit steps 0, k, 2k, ….

    Raises:
        ValueError: `mu_dtype` with a ledger, for optax then rounds b2 to that dtype and
            no balance holds.
    """
    if mu_dtype is not None and every:
        raise ValueError(
            f"mu_dtype: given {mu_dtype!r} with every={every}, for which optax rounds "
            "b2, so that no balance holds; accepted is every=0, or "
            "dx.as_optax(dx.LionKappa(momentum_dtype=…), …, every=…)."
        )
    tx = optax.lion(learning_rate, b1, b2, mu_dtype, weight_decay, mask)
    claim = LionKappa(
        beta1=b1,
        beta2=b2,
        weight_decay=weight_decay,
        decay_mask=mask,
        momentum_dtype=mu_dtype,
    )
    return _audited(tx, claim, learning_rate, LionState.from_optax, every)


def adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    *,
    every: int = 0,
) -> Transformation:
    """Return `optax.adam`, audited as `dynax.Adam`.

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `optax.adam`.
        every: 0 for no ledger; k ≥ 1 to audit steps 0, k, 2k, ….
    """
    claim = Adam(b1, b2, eps, eps_root)
    tx = optax.adam(learning_rate, b1, b2, eps, eps_root)
    return _audited(tx, claim, learning_rate, claim.from_optax, every)


def adamw(
    learning_rate: optax.ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    weight_decay: ScalarLike = 1e-4,
    mask: Mask = None,
    *,
    every: int = 0,
) -> Transformation:
    """Return `optax.adamw`, whose ledger records the loss: no certificate is known.

    Args:
        learning_rate, b1, b2, eps, eps_root, weight_decay, mask: as in `optax.adamw`.
        every: 0 for no ledger; k ≥ 1 to record steps 0, k, 2k, ….
    """
    claim = AdamW(b1, b2, eps, eps_root, weight_decay, decay_mask=mask)
    decay = {"weight_decay": weight_decay, "mask": mask}
    tx = optax.adamw(learning_rate, b1, b2, eps, eps_root, **decay)
    return _audited(tx, claim, learning_rate, claim.adam.from_optax, every)


def sgd(
    learning_rate: optax.ScalarOrSchedule,
    momentum: ScalarLike | None = None,
    nesterov: bool = False,
    *,
    every: int = 0,
) -> Transformation:
    """Return `optax.sgd`, audited as `dynax.GradientDescent` or `dynax.Momentum`.

    Args:
        learning_rate, momentum, nesterov: as in `optax.sgd`.
        every: 0 for no ledger; k ≥ 1 to audit steps 0, k, 2k, ….
    """
    tx = optax.sgd(learning_rate, momentum, nesterov)
    if momentum is None:
        nothing = lambda state: NoState()
        return _audited(tx, GradientDescent(), learning_rate, nothing, every)
    claim = Momentum(momentum, nesterov)
    return _audited(tx, claim, learning_rate, MomentumState.from_optax, every)


def sign_sgd(
    learning_rate: optax.ScalarOrSchedule, *, every: int = 0
) -> Transformation:
    """Return `optax.sign_sgd`, audited as `dynax.SignSGD`.

    Args:
        learning_rate: as in `optax.sign_sgd`.
        every: 0 for no ledger; k ≥ 1 to audit steps 0, k, 2k, ….
    """
    nothing = lambda state: NoState()
    tx = optax.sign_sgd(learning_rate)
    return _audited(tx, SignSGD(), learning_rate, nothing, every)


def rmsprop(
    learning_rate: optax.ScalarOrSchedule,
    decay: ScalarLike = 0.9,
    eps: ScalarLike = 1e-8,
    initial_scale: ScalarLike = 0.0,
    eps_in_sqrt: bool = True,
    *,
    every: int = 0,
) -> Transformation:
    """Return `optax.rmsprop` without momentum, audited as `dynax.RMSprop`.

    Args:
        learning_rate, decay, eps, initial_scale, eps_in_sqrt: as in `optax.rmsprop`.
        every: 0 for no ledger; k ≥ 1 to audit steps 0, k, 2k, ….
    """
    tx = optax.rmsprop(learning_rate, decay, eps, initial_scale, eps_in_sqrt)
    inside, beside = (eps, 0.0) if eps_in_sqrt else (0.0, eps)
    claim = RMSprop(decay, beside, inside, initial_scale)
    return _audited(tx, claim, learning_rate, SquaresState.from_optax, every)


def adagrad(
    learning_rate: optax.ScalarOrSchedule,
    initial_accumulator_value: ScalarLike = 0.1,
    eps: ScalarLike = 1e-7,
    *,
    every: int = 0,
) -> Transformation:
    """Return `optax.adagrad`, audited as `dynax.AdaGrad`.

    Args:
        learning_rate, initial_accumulator_value, eps: as in `optax.adagrad`.
        every: 0 for no ledger; k ≥ 1 to audit steps 0, k, 2k, ….
    """
    tx = optax.adagrad(learning_rate, initial_accumulator_value, eps)
    claim = AdaGrad(eps, initial_accumulator_value)
    return _audited(tx, claim, learning_rate, SquaresState.from_optax, every)


def muon(
    learning_rate: optax.ScalarOrSchedule,
    beta: ScalarLike = 0.95,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 0.0,
    *,
    adam_b1: ScalarLike = 0.9,
    adam_b2: ScalarLike = 0.999,
    every: int = 0,
) -> Transformation:
    """Return `dynax.PracticalMuon`, which is `optax.contrib.muon` to round-off.

    The ledger is Muon's account with a detour. It says whether the steps of this run
    dissipated; nothing proves that they must. `dynax.Muon` has a certificate.

    Args:
        learning_rate, beta, eps, weight_decay, adam_b1, adam_b2: as in
            `optax.contrib.muon`.
        every: 0 for no ledger; k ≥ 1 to record steps 0, k, 2k, ….
    """
    opt = PracticalMuon(beta, weight_decay, adam_b1, adam_b2, eps)
    return as_optax(opt, learning_rate, every=every)
