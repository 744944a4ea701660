"""Adapters that fill a ledger: an optax transformation, a diffrax solve, a scan."""

from dynax.monitor._diffrax import (
    Monitored as Monitored,
    MonitorState as MonitorState,
    WithWork as WithWork,
)
from dynax.monitor._optax import (
    as_optax as as_optax,
    audit as audit,
    AuditState as AuditState,
    OptaxState as OptaxState,
)
from dynax.monitor._row import observe as observe
from dynax.monitor._scan import iterate as iterate
