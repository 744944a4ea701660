"""Equations with a term that is not known: F(t, x, u, uₜ, uₓ, …) = h(u, uₓ, …)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynax.pde import AbstractPDE, Derivatives
from dynax.pde.wrapped import AbstractWrapped, of_known


class WithHidden(AbstractWrapped):
    """Add an unknown term to an equation.

    F(t, x, u, uₜ, uₓ, …) − h(z) = 0, z some of u, uₓ, …, and h not known.

    Args:
        known: F.
        hidden: z ↦ h, of shapes (k,) and (r,): any callable.
        inputs: z, in the words of `AbstractPDE.needs`, as "u xx"; each has all fields.
        outputs: which residuals have an h; None: all.
    """

    known: AbstractPDE
    hidden: Callable[[Array], Array]
    inputs: str = eqx.field(static=True)
    outputs: tuple[int, ...] | None = eqx.field(static=True, default=None)

    fields, sizes = of_known("fields"), of_known("sizes")

    @property
    def needs(self) -> Any:
        every = f"{self.known.needs} {self.inputs}".split()
        return " ".join(dict.fromkeys(every))

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of z: u, u_x, u_xx, …."""
        name = lambda field, of: field if of == "u" else f"{field}_{of}"
        return tuple(name(f, of) for of in self.inputs.split() for f in self.fields)

    def look(self, d: Derivatives) -> Float[Array, "... k"]:
        """z."""
        return jnp.concatenate([d[name] for name in self.inputs.split()], -1)

    def equation(self, t, x, d):
        known = self.known.equation(t, x, d)
        h = jnp.vectorize(self.hidden, signature="(k)->(r)")(self.look(d))
        outputs = range(known.shape[-1]) if self.outputs is None else self.outputs
        if h.shape[-1] != len(outputs):
            raise ValueError(
                f"hidden: given {h.shape[-1]} values; accepted is {len(outputs)}, one "
                "for each of the outputs."
            )
        return known.at[..., np.asarray(outputs)].add(-h)

    def initial(self, x):
        return self.known.initial(x)
