"""Put a learned model beside the system it was learned from."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from dynax import _tree as tree
from dynax._check import require
from dynax._types import Scalar, ScalarLike
from dynax.dynamics import Spectrum, spectrum
from dynax.reconstruct.learn import Model
from dynax.reconstruct.metrics import d_hellinger, d_stsp, valid_time


FORECASTS = 32  # whose valid times are taken


class Comparison(NamedTuple):
    """How near a model is to its system.

    A model can visit the right states and contract at a wrong rate, so the spectra of
    both belong to it.

    Attributes:
        d_stsp, d_h: of the model's series against the system's; see `metrics`.
        floor_stsp, floor_h: the same of another series of the system itself.
        valid_time: of forecasts from states of the system, in units of 1/λ₁.
        true, made: exponents of both.
        series: the model's, of which d_stsp and d_h are.
    """

    d_stsp: Scalar
    d_h: Scalar
    floor_stsp: Scalar
    floor_h: Scalar
    valid_time: Float[Array, " forecasts"]
    true: Spectrum
    made: Spectrum
    series: Float[Array, "steps d"]

    def __str__(self) -> str:
        lines = [
            f"D_stsp {self.d_stsp:.3g} (the system itself {self.floor_stsp:.2g}), "
            f"D_H {self.d_h:.3g} ({self.floor_h:.2g}), valid for "
            f"{np.median(self.valid_time):.3g}/λ₁ in the median",
            f"system: {self.true}",
            f"model:  {self.made}",
        ]
        return "\n".join(lines)

    __repr__ = __str__


def compare(
    model: Model,
    step: Callable,
    start: Float[Array, " d"],
    key: PRNGKeyArray,
    *,
    time: ScalarLike | None = None,
    steps: int = 96_000,
    discard: int = 2000,
    bins: int = 30,
) -> Comparison:
    """Compare a model with its system by where it goes, how often, and its exponents.

    Args:
        model: as of `fit`.
        step: one step of the system, of the length between two observations.
        start: a state of the system; all of it is observed.
        key: of the tangents and starts of the exponents.
        time: see `dynamics.spectrum`.
        steps: of the series compared, and of the exponents over all starts.
        discard: steps before the attractor is reached.
        bins: of D_stsp, in each direction.

    Raises:
        ValueError: another number of quantities; or too few steps for the bins.
    """
    start = jnp.asarray(start, model.mean.dtype)
    accepted = f"a state of the model's {model.mean.size} quantities"
    require(start.shape == model.mean.shape, "start", start, accepted)
    kind = {"steps": steps, "count": start.size, "discard": discard}
    true = spectrum(step, start, key, time=time, **kind)
    length = true.duration * len(true.each) / steps
    made = spectrum(model.step, model.start(start), key, time=length, **kind)
    rate = jnp.maximum(true.value[0], 0) * length
    seen = _series(model, step, start, rate, steps, discard, bins)
    return Comparison(*seen[:-1], true, made, seen[-1])


@eqx.filter_jit
def _series(model, step, start, rate, steps, discard, bins):
    go = lambda y, _: (step(y),) * 2
    y = jax.lax.fori_loop(0, discard, lambda _, y: step(y), start)
    _, both = jax.lax.scan(go, y, None, length=2 * steps)
    one, other = both[:steps], both[steps:]
    made = model.run(y, discard + steps)[discard:]
    horizon = steps // FORECASTS
    parts = one[: horizon * FORECASTS].reshape(FORECASTS, horizon, -1)
    forecast = lambda x: model.run(x[0], horizon - 1)
    unit = jnp.where(rate > 0, rate, 1)  # steps, where nothing grows
    valid = lambda x: valid_time(x[1:], forecast(x), time=tree.cast(unit, x.dtype))
    return (
        d_stsp(one, made, bins=bins),
        d_hellinger(one, made),
        d_stsp(one, other, bins=bins),
        d_hellinger(one, other),
        jax.vmap(valid)(parts),
        made,
    )
