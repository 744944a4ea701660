"""Energy along a system: its exact derivative, the ledger, the verdict.

A *ledger* is what was measured: one row a step (or a save point), arrays only, so it
is carried through `jit`, `scan` and `vmap` as data. A *tally* is any number of rows
folded into O(1) scalars; tallies form a monoid under `merge`. A *verdict* is what they
mean, built once, on the host.
"""

from dynax.lyapunov._derivative import (
    Energy as Energy,
    Field as Field,
    along as along,
    lie_derivative as lie_derivative,
)
from dynax.lyapunov._ledger import (
    Check as Check,
    Ledger as Ledger,
    ledger_row as ledger_row,
)
from dynax.lyapunov._tally import (
    NEVER as NEVER,
    Count as Count,
    Tally as Tally,
    merge as merge,
    tally as tally,
)
from dynax.lyapunov._verdict import (
    Evidence as Evidence,
    Status as Status,
    Verdict as Verdict,
    verdict as verdict,
)
