"""Learn the law of a material from its motion."""

from dynax.mechanics.learn.evaluate import Free as Free, free_run as free_run
from dynax.mechanics.learn.fit import Fitted as Fitted, Record as Record, fit as fit
from dynax.mechanics.learn.labels import Labels as Labels
from dynax.mechanics.learn.local import (
    MISFIT as MISFIT,
    Learned as Learned,
    local as local,
)
from dynax.mechanics.learn.pairs import (
    Pairs as Pairs,
    fit_return as fit_return,
    pairs as pairs,
)
from dynax.mechanics.learn.segments import (
    Segments as Segments,
    filled as filled,
    growing as growing,
    velocities as velocities,
)
from dynax.mechanics.learn.trajectory import (
    Trajectory as Trajectory,
    observed as observed,
    read as read,
    smoothed as smoothed,
    write as write,
)
from dynax.mechanics.learn.weak import (
    Balance as Balance,
    least_squares as least_squares,
)
