"""Who races: each method from its weight decay, and where its rates are looked for."""

from collections.abc import Callable
from typing import NamedTuple

import dynax as dx
from dynax.flow import AbstractAccountedOptimizer, AbstractBalancedOptimizer


class Method(NamedTuple):
    """An optimizer made from λ, and the middle of the rates that are tried.

    `matrices` says whether it is for the hidden matrices only, with AdamW for the rest.
    """

    make: Callable
    rate: float
    matrices: bool = False


def adamw(decay):
    return dx.AdamW(0.9, 0.98, weight_decay=decay)


REST = 0.3  # AdamW's rate beside a method for matrices, over the method's
METHODS = {
    "AdamW": Method(adamw, 1e-2),
    "Lion": Method(
        lambda decay: dx.LionKappa(beta1=0.9, beta2=0.98, weight_decay=decay), 1e-3
    ),
    "Muon, five steps": Method(
        lambda decay: dx.PracticalMuon(weight_decay=decay), 2e-2, True
    ),
    "NorMuon": Method(
        lambda decay: dx.NorMuon(weight_decay=decay, factor="five-steps"), 2e-2, True
    ),
    "Soft-Muon": Method(lambda decay: dx.SoftMuon(weight_decay=decay), 2e-2, True),
    "Contra-Muon": Method(lambda decay: dx.ContraMuon(weight_decay=decay), 2e-2, True),
    "AdEMAMix": Method(
        lambda decay: dx.AdEMAMix(0.9, 0.98, 0.995, 2.0, weight_decay=decay), 1e-2
    ),
    "MARS": Method(lambda decay: dx.MARS(adamw(decay)), 1e-2),
    "NadamW": Method(lambda decay: dx.NadamW(0.9, 0.98, weight_decay=decay), 1e-2),
}


def optimizer(name: str, labels, decay) -> dx.AbstractOptimizer:
    """The method as it trains a model whose "hidden" matrices `labels` names."""
    method = METHODS[name]
    if not method.matrices:
        return method.make(decay)
    parts = {"hidden": method.make(decay), "rest": adamw(decay)}
    return dx.Mixed(parts, labels, {"rest": REST})


def proved(name: str) -> str:
    """What is proved of each step of it: a balance, an account, or nothing."""
    opt = METHODS[name].make(0.0)
    if isinstance(opt, AbstractBalancedOptimizer):
        return "balance"
    return "account" if isinstance(opt, AbstractAccountedOptimizer) else "nothing"
