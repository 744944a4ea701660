"""Adapters that fill a ledger: an optax transformation, a diffrax solve, a scan."""

from dynax.monitor._diffrax import (
    Monitored as Monitored,
    MonitorState as MonitorState,
    Point as Point,
    WithDissipation as WithDissipation,
    observe_flow as observe_flow,
)
from dynax.monitor._limit import (
    Limit as Limit,
    gaps_of_step as gaps_of_step,
    limit_of_gaps as limit_of_gaps,
)
from dynax.monitor._optax import (
    AuditState as AuditState,
    OptaxState as OptaxState,
    as_optax as as_optax,
    audit as audit,
)
from dynax.monitor._pointwise import (
    VACUOUS as VACUOUS,
    pointwise as pointwise,
    random_states as random_states,
)
from dynax.monitor._rates import (
    rate_of_flow as rate_of_flow,
    rate_of_map as rate_of_map,
)
from dynax.monitor._recorder import Recorder as Recorder
from dynax.monitor._row import (
    condition_row as condition_row,
    row_of_step as row_of_step,
)
from dynax.monitor._scan import iterate as iterate, scan_steps as scan_steps
