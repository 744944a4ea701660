"""Sweeps: one function, many points, on whatever machines there are.

    from dynax.sweep import sweep
    space = {"learning_rate": np.geomspace(1e-4, 1e-1, 9), "seed": range(8)}
    ds = sweep(run, space, "runs/a")

Nothing here knows anything else of dynax: `run` is any pure function of numbers.
"""

from dynax.sweep.compare import (
    Interval as Interval,
    below as below,
    compare as compare,
    holm as holm,
    interval as interval,
)
from dynax.sweep.dataset import open_sweep as open_sweep
from dynax.sweep.export import export as export, frame as frame
from dynax.sweep.halving import Halving as Halving
from dynax.sweep.lease import StoreError as StoreError
from dynax.sweep.local import Local as Local, sweep as sweep
from dynax.sweep.loop import Loop as Loop
from dynax.sweep.meter import Progress as Progress, Worker as Worker
from dynax.sweep.on_ray import Ray as Ray
from dynax.sweep.on_slurm import Submitit as Submitit
from dynax.sweep.part import MEANINGS as MEANINGS
from dynax.sweep.points import (
    Search as Search,
    Space as Space,
    Static as Static,
    Table as Table,
    halton as halton,
    random as random,
    sobol as sobol,
)
from dynax.sweep.ranges import (
    Range as Range,
    integers as integers,
    log_uniform as log_uniform,
    uniform as uniform,
)
