"""Type aliases: what a shape or a role is called everywhere in dynax."""

from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree


Scalar = Float[Array, ""]
ScalarLike = float | int | np.number | Float[Array, ""]
Numbers = Any  # a number, or an array of numbers: the formula acts entry by entry
Step = Int[Array, ""]
Flag = Bool[Array, ""]
Params = PyTree[Float[Array, "..."]]
State = PyTree[Any]
