"""Compare a made series with the true one: over its states, its frequencies, in time.

All take series of shape (time, quantity) and are pure functions of arrays. Values
depend on how a series is binned and smoothed, so these choices are arguments, and
their defaults are those of Hess et al. (2023) and of Zheng et al. (2024).
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynax import _tree as tree
from dynax._check import check_nonnegative, check_positive, require
from dynax._types import Scalar, ScalarLike


Series = Float[Array, "time d"]


def d_stsp(
    true: Series,
    made: Float[Array, "other d"],
    *,
    bins: int = 30,
    margin: ScalarLike = 0.1,
    alpha: ScalarLike = 1e-5,
) -> Scalar:
    """Compute the divergence of the visited states, 0 if both visit the same.

        D = Σₖ pₖ ln(pₖ/qₖ),   pₖ = (nₖ + α)/(n + αK)

    over K = bins^d boxes of [min − margin·σ, max + margin·σ] of the true series, and
    one more for all states outside. Those may be NaN or infinite.

    Args:
        true, made: of the same d quantities.
        bins: in each direction.
        margin: in standard deviations σ of the true series.
        alpha: what is added to every count.

    Raises:
        ValueError: `true` has fewer states than there are boxes.
    """
    _alike(true, made, same=False)
    check_nonnegative(margin=margin)
    check_positive(alpha=alpha)
    d = true.shape[1]
    require(bins >= 2, "bins", bins, "at least 2")
    accepted = f"at least bins^d = {bins}^{d} states"
    require(len(true) >= bins**d, "true", len(true), accepted)
    margin, alpha = (tree.cast(a, true.dtype) for a in (margin, alpha))
    spread = margin * _std(true)
    low, high = jnp.min(true, axis=0) - spread, jnp.max(true, axis=0) + spread
    width = tree.safe_denominator(high - low)
    place = bins ** jnp.arange(d)

    def share(series):
        at = (series - low[None]) / width[None]
        inside = jnp.all((at >= 0) & (at <= 1), axis=1)
        cell = jnp.minimum(jnp.where(inside[:, None], at, 0) * bins, bins - 1)
        index = jnp.where(inside, cell.astype(int) @ place, bins**d)
        count = jnp.zeros(bins**d + 1, true.dtype).at[index].add(1)
        return (count + alpha) / (len(series) + alpha * len(count))

    p, q = share(true), share(made)
    return jnp.sum(p * jnp.log(p / q))


def d_hellinger(true: Series, made: Series, *, smoothing: ScalarLike = 20) -> Scalar:
    """Compute the distance of the power spectra, from 0 to 1.

        D_H = mean over quantities of √(1 − Σ_ω √(p_ω q_ω))

    p and q are the power spectra of the series less their mean, smoothed by a Gaussian
    and scaled to sum 1. NaN where a series is not finite.

    Args:
        true, made: of one length.
        smoothing: the standard deviation of the Gaussian, in frequency bins.

    Raises:
        ValueError: the series are shorter than forty times `smoothing`.
    """
    _alike(true, made)
    check_positive(smoothing=smoothing)
    accepted = f"at least 40 × smoothing = {40 * float(smoothing):g} states"
    require(len(true) >= 40 * smoothing, "true", len(true), accepted)
    reach = math.ceil(4 * float(smoothing))
    bell = jnp.exp(-0.5 * (jnp.arange(-reach, reach + 1) / smoothing) ** 2)

    def spectrum(series):
        centred = series - jnp.mean(series, axis=0, keepdims=True)
        largest = jnp.max(jnp.abs(centred), axis=0, keepdims=True)
        unit = centred / tree.safe_denominator(largest)  # squares may underflow
        power = jnp.abs(jnp.fft.rfft(unit, axis=0)) ** 2
        padded = jnp.pad(power, ((reach, reach), (0, 0)), mode="reflect")
        # a convolution by two transforms: its direct form costs as much as it is long
        size = len(padded) + 2 * reach
        kernel = jnp.fft.rfft(bell.astype(power.dtype), size)[:, None]
        smooth = jnp.fft.irfft(
            jnp.fft.rfft(padded, size, axis=0) * kernel, size, axis=0
        )
        smooth = jnp.maximum(smooth[2 * reach : 2 * reach + len(power)], 0)
        return smooth / tree.safe_denominator(jnp.sum(smooth, axis=0, keepdims=True))

    apart = jnp.sqrt(spectrum(true)) - jnp.sqrt(spectrum(made))
    return jnp.mean(jnp.sqrt(jnp.sum(apart**2, axis=0) / 2))


def smape(true: Series, made: Series) -> Float[Array, " time"]:
    """Compute the symmetric absolute percentage error of each time, 0 to 200.

    200·mean over quantities of |x − x̂|/(|x| + |x̂|); it depends on where 0 is.
    """
    _alike(true, made)
    size = jnp.abs(true) + jnp.abs(made)
    ratio = jnp.abs(true - made) / jnp.where(size == 0, 1, size)
    return 200 * jnp.mean(jnp.where(jnp.isfinite(ratio), ratio, 1), axis=1)


def valid_time(
    true: Series, made: Series, *, smape_above: ScalarLike = 30, time: ScalarLike = 1
) -> Scalar:
    """Return how long a forecast stays good: until sMAPE first exceeds a limit.

    Args:
        true, made: the first states are the first that were forecast.
        smape_above: the limit.
        time: between two states; in units of 1/λ₁, say.
    """
    check_positive(smape_above=smape_above, time=time)
    over = smape(true, made) > smape_above
    steps = jnp.where(jnp.any(over), jnp.argmax(over), len(true))
    return steps.astype(true.dtype) * tree.cast(time, true.dtype)


def nrmse(true: Series, made: Series) -> Scalar:
    """Compute the root mean square error over the standard deviation of `true`."""
    _alike(true, made)
    return jnp.mean(_rms(true - made) / tree.safe_denominator(_std(true)))


def mase(true: Series, made: Series, past: Float[Array, "earlier d"]) -> Scalar:
    """Compute the absolute error over that of persistence, one step ahead, on `past`.

    Raises:
        ValueError: `past` has fewer than two states.
    """
    _alike(true, made)
    _alike(true, past, same=False)
    require(len(past) >= 2, "past", len(past), "at least 2 states")
    naive = jnp.mean(jnp.abs(jnp.diff(past, axis=0)), axis=0)
    error = jnp.mean(jnp.abs(true - made), axis=0)
    return jnp.mean(error / tree.safe_denominator(naive))


def cumulative_maximum_error(true: Series, made: Series) -> Scalar:
    """Compute the mean over time of the largest error so far, from 0 to 1.

        CME = mean over t of max_{s ≤ t} min(1, |x_s − x̂_s|/σ),   σ² = Σ var

    It falls with a longer valid time, but has no threshold to choose. After Schötz,
    White, Gelbrecht, Boers (2024).
    """
    _alike(true, made)
    spread = tree.safe_denominator(_length(_std(true)))
    error = jax.vmap(_length)(true - made) / spread
    error = jnp.minimum(jnp.where(jnp.isnan(error), 1, error), 1)
    return jnp.mean(jnp.maximum.accumulate(error))


def _length(a: Float[Array, " n"]) -> Scalar:
    """‖a‖₂, where squares may underflow."""
    largest = tree.safe_denominator(jnp.max(jnp.abs(a)))
    return largest * jnp.sqrt(jnp.sum((a / largest) ** 2))


def _rms(a: Series) -> Float[Array, " d"]:
    return jax.vmap(_length, in_axes=1)(a) / len(a) ** 0.5


def _std(a: Series) -> Float[Array, " d"]:
    return _rms(a - jnp.mean(a, axis=0, keepdims=True))


def _alike(true, made, *, same: bool = True) -> None:
    shapes = jnp.shape(true), jnp.shape(made)
    fit = len(shapes[0]) == len(shapes[1]) == 2 and shapes[0][1] == shapes[1][1]
    fit = fit and (shapes[0] == shapes[1] or not same)
    length = "one length and " if same else ""
    accepted = f"arrays (time, quantity) of {length}the same quantities"
    require(fit, "series", shapes, accepted)
