"""What to type to run a sweep on a TPU slice, GPU machines, a Slurm or a Ray cluster.

An environment is a dataclass. Its `plan(sweep, out)`, where `sweep` is what follows
`dynax sweep` on a command line, gives job files below the folder `out`, and commands in
order. Nothing here writes or runs anything. What cannot be raises a ValueError of one
sentence, "name: given …; accepted is …".
"""

from dynax.sweep.launch._gpu import Gpu as Gpu
from dynax.sweep.launch._plan import Command as Command, Plan as Plan, shell as shell
from dynax.sweep.launch._ray import Ray as Ray
from dynax.sweep.launch._slurm import Slurm as Slurm
from dynax.sweep.launch._tpu import Tpu as Tpu
