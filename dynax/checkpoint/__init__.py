"""Long single runs: `kill -9`, start again, the same bits; through orbax.

Needs `pip install "dynax-lab[checkpoint]"`, and a folder on a mounted file system that
all processes of a run share.
"""

from dynax.checkpoint._scan import scan as scan
from dynax.checkpoint._store import Checkpoints as Checkpoints
