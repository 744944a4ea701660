"""The one figure that a result calls for."""

from typing import Any

from matplotlib.figure import Figure

from dynax.lyapunov import Ledger
from dynax.report._energy import energy_figure
from dynax.report._march import march_figure


def plot(rows: Any, *, title: str = "") -> Figure:
    """Draw where the energy of a run went. A notebook shows the figure at once.

        dx.plot(rows).savefig("energy.png")

    Args:
        rows: a `Ledger` of stacked rows, or what has one: a `Recorder`, a `Result`; or
            what `pinn.march` returns.
        title: over the first panel.

    Raises:
        TypeError: there are no rows in it. A tally has none; collect rows by a
            `dx.Recorder`.
    """
    if hasattr(rows, "windows") and hasattr(rows, "tried"):
        return march_figure(rows)
    ledger = rows if isinstance(rows, Ledger) else getattr(rows, "ledger", None)
    if not isinstance(ledger, Ledger):
        raise TypeError(
            f"rows: given {type(rows).__name__}; accepted is a Ledger of stacked rows, "
            "a dx.Recorder, or the result of dx.verify."
        )
    return energy_figure(ledger, title=title)
