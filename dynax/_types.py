"""Type aliases: what a shape or a role is called everywhere in dynax."""

from typing import Any

from jaxtyping import Array, Bool, Float, Int, PyTree


Scalar = Float[Array, ""]
ScalarLike = float | Float[Array, ""]
Numbers = Any  # a number, or an array of numbers: the formula acts entry by entry
Step = Int[Array, ""]
Flag = Bool[Array, ""]
Params = PyTree[Float[Array, "..."]]
State = PyTree[Any]
