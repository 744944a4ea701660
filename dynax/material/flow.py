"""Viscoplastic flow by a potential of dissipation: one scalar equation a point."""

import abc
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dynax.material._root import root
from dynax.material.principal import AbstractRadial, deviator


class AbstractFlow(AbstractRadial):
    r"""Let the deviator flow as a potential of dissipation R says.

        e ← argmin over ηe of ψ(η) + dt·R((‖e_tr‖ − ‖e‖)/dt),  0 ≤ ‖e‖ ≤ ‖e_tr‖

    along the ray of e_tr, at fixed volume. R ≥ 0 is convex with R(0) = 0, so comparing
    with e = e_tr gives ψ(ε) + D ≤ ψ(ε_tr), D = dt·R ≥ 0, for any law, parameters and
    dt. With r = ‖e‖ the minimum is where

        ∂ψ/∂r = R′((‖e_tr‖ − r)/dt),     or e_tr itself where ∂ψ/∂r ≤ R′(0).

    Bisection finds r; derivatives are those of the implicit function.

    Degree one of R is rate-independent plasticity, degree two a viscous fluid.
    Source: Halphen, Nguyen, J. Mécanique 14 (1975); Ortiz, Stainier, CMAME 171 (1999).
    """

    @abc.abstractmethod
    def resistance(
        self, dtype
    ) -> tuple[Callable[..., Array], Callable[..., Array], tuple[Array, ...]]:
        """R′(0) and R′(rate) ≥ R′(0) in Pa, rising with rate > 0 in 1/s, both of
        (…, *numbers); and the numbers."""

    def change(self, elastic, dt):
        start, rise, given = self.resistance(dt.dtype)
        potential = type(elastic).potential
        own = elastic.numbers(dt.dtype)

        def change(eps, dt, *numbers):
            given, own = (
                numbers[: len(numbers) - count],
                numbers[len(numbers) - count :],
            )
            dev, norm = deviator(eps)
            middle = eps - dev
            n = dev / jnp.where(norm > 0, norm, 1)

            def pull(r):
                """∂ψ/∂r."""
                along = lambda r: potential(middle + r * n, *own)[..., None]
                return jax.jvp(along, (r,), (jnp.ones_like(r),))[1]

            flows = pull(norm) > start(*given)
            whole = jnp.where(flows, norm, 1)
            step = jnp.where(dt > 0, dt, 1)

            def excess(r):
                """∂ψ/∂r − R′, which rises with r."""
                return pull(r) - rise((whole - r) / step, *given)

            r = root(excess, jnp.zeros_like(whole), whole)
            flows = flows & (dt > 0)
            return jnp.where(flows, (r - whole) * n, 0)

        count = len(own)
        return change, (dt, *given, *own)
