"""Optimizers, one a file."""

from dynax.optim.lion_kappa import LionKappa as LionKappa, LionState as LionState
