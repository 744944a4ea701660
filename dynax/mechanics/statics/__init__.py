"""Equilibria of a body under loads that grow by steps."""

from dynax.mechanics.statics.arc import arc as arc
from dynax.mechanics.statics.fit import Fit as Fit, fit as fit
from dynax.mechanics.statics.ledger import audit as audit
from dynax.mechanics.statics.load import load as load
from dynax.mechanics.statics.obstacle import Obstacle as Obstacle
from dynax.mechanics.statics.path import Path as Path
