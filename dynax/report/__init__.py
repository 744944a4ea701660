"""Figures of ledgers, and one self-contained HTML file of claims and figures.

Every figure function returns a `matplotlib.figure.Figure` and touches no global state:
`figure.savefig("energy.svg")` works in scripts, notebooks and headless runs alike.
"""

from dynax.report._energy import (
    energy_figure as energy_figure,
    phase_figure as phase_figure,
)
from dynax.report._html import (
    document as document,
    figure_html as figure_html,
    verdict_html as verdict_html,
)
from dynax.report._outcome import (
    Outcome as Outcome,
    Summary as Summary,
    arrange as arrange,
    number as number,
)
from dynax.report._space import (
    histogram_figure as histogram_figure,
    trajectory_figure as trajectory_figure,
)
from dynax.report._style import (
    COLORS as COLORS,
    STYLE as STYLE,
    new_figure as new_figure,
)
