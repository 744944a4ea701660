"""Figures of ledgers and of sweeps, and self-contained HTML files about them.

Every figure function returns a `matplotlib.figure.Figure` and touches no global state:
`figure.savefig("energy.svg")` works in scripts, notebooks and headless runs alike.
What moves is a `matplotlib.animation.Animation`, as `movie` makes.
"""

from dynax.report._document import document as document
from dynax.report._energy import (
    energy_figure as energy_figure,
    phase_figure as phase_figure,
)
from dynax.report._html import (
    figure_html as figure_html,
    verdict_html as verdict_html,
)
from dynax.report._march import draw_march as draw_march, march_figure as march_figure
from dynax.report._margins import margins_figure as margins_figure
from dynax.report._movie import movie as movie, movie_html as movie_html
from dynax.report._outcome import (
    Outcome as Outcome,
    Summary as Summary,
    arrange as arrange,
    expected as expected,
    number as number,
)
from dynax.report._plot import plot as plot
from dynax.report._space import (
    histogram_figure as histogram_figure,
    trajectory_figure as trajectory_figure,
)
from dynax.report._style import (
    COLORS as COLORS,
    STYLE as STYLE,
    legend_below as legend_below,
    legend_beside as legend_beside,
    new_figure as new_figure,
    styled as styled,
)
from dynax.report._sweep import sweep_figures as sweep_figures
from dynax.report._sweep_data import (
    point_said as point_said,
    sweep_best as sweep_best,
)
from dynax.report._sweep_heat import heat_map as heat_map
from dynax.report._sweep_html import sweep_document as sweep_document
from dynax.report._sweep_lines import (
    learning_curves as learning_curves,
    scatter_figure as scatter_figure,
    sensitivity_figure as sensitivity_figure,
)
