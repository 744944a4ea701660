"""What must be true of exponents: sums, zeros, pairs, and the same at a finite size."""

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from dynax.dynamics._walk import standard_error
from dynax.lyapunov import Check, Verdict, ledger_row, verdict


if TYPE_CHECKING:
    from dynax.dynamics.spectrum import Spectrum


ERRORS = 4  # how many standard errors two numbers may lie apart
CURVED = 16  # λ(δ) may differ by this many √u of the largest |λ|: δ is finite


def smooth(s: "Spectrum") -> Verdict:
    scale = np.max(np.abs(s.value))
    far = abs(np.mean(s.parting) - s.value[0])
    error = np.hypot(s.error[0], standard_error(np.asarray(s.parting)))
    finite = CURVED * np.finfo(s.value.dtype).eps ** 0.5 * scale
    claim = f"a separation of {float(s.separation):.0e} grows as infinitesimal ones do"
    return _judged(claim, far, ERRORS * error + finite, scale)


def total(s: "Spectrum") -> Verdict:
    apart = np.sum(s.each, axis=1) - np.asarray(s.divergence)
    allowed = ERRORS * np.hypot(np.linalg.norm(s.error), standard_error(apart))
    claim = "the exponents sum to the mean divergence"
    return _judged(claim, abs(np.mean(apart)), allowed, np.sum(np.abs(s.value)))


def zeros(s: "Spectrum", count: int) -> Verdict:
    known = 0.0 if s.neutral is None else np.mean(s.neutral)
    far = np.abs(np.asarray(s.value) - known)
    nearest = np.argsort(far)[:count]
    error = np.asarray(s.error)[nearest]
    claim = f"{count} of the exponents vanish"
    return _judged(claim, far[nearest], ERRORS * error, np.max(np.abs(s.value)))


def pairs(s: "Spectrum") -> Verdict:
    value, error = np.asarray(s.value), np.asarray(s.error)
    allowed = ERRORS * np.hypot(error, error[::-1])
    claim = "the exponents come in pairs ±λ"
    return _judged(claim, np.abs(value + value[::-1]), allowed, np.max(np.abs(value)))


def agree(one: "Spectrum", other: "Spectrum") -> Verdict:
    """Judge whether two spectra agree within four errors, as of h and of h/2."""
    far = np.abs(np.asarray(one.value) - np.asarray(other.value))
    allowed = ERRORS * np.hypot(one.error, other.error)
    return _judged("both spectra agree", far, allowed, np.max(np.abs(one.value)))


def _judged(claim, far, allowed, scale) -> Verdict:
    """far ≤ allowed, seen where `allowed` is small against `scale`; one row each."""
    far, allowed = np.broadcast_arrays(np.atleast_1d(far), allowed)
    blur = allowed / scale if scale > 0 else np.full(far.shape, np.inf)
    check = Check(*map(jnp.asarray, (-far, allowed, blur)))
    row = ledger_row(np.arange(len(far)), far, far, {"within its errors": check})
    return verdict(row, claim, f"{ERRORS} standard errors")
