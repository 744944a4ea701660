"""SOAP-Muon: the orthogonal factor of SOAP's step."""

import equinox as eqx
import jax.numpy as jnp

from dynax import _tree as tree
from dynax._types import ScalarLike
from dynax.flow import AbstractRefinableOptimizer, AbstractSwitchedOptimizer
from dynax.optim._polar import polar_svd
from dynax.optim.soap import SOAP, SOAPState


class SOAPMuon(AbstractRefinableOptimizer, AbstractSwitchedOptimizer):
    """Take the orthogonal factor of SOAP's step. No certificate known.

    δ the step of SOAP (Adam in Shampoo's eigenbases): X₊ = X + εUVᵀ,  δ = UΣVᵀ.

    The eigenbases alone would change nothing: UVᵀ of QᵀMP is Qᵀ(UVᵀ of M)P. What counts
    is that Adam divides in them. Leaves of fewer than two axes take Adam's step, and
    the first step only looks, as in `SOAP`.

    Source: the NanoGPT speed runs of May 2026 (KellerJordan/modded-nanogpt, record of
    SOAP-Muon). No twin in optax.

    Args:
        soap: how δ is found.
    """

    soap: SOAP = eqx.field(default_factory=SOAP)

    @property
    def continuous(self):
        return False

    def refined(self, lr: ScalarLike, finer: ScalarLike) -> "SOAPMuon":
        return SOAPMuon(self.soap.refined(lr, finer))

    def init(self, x):
        return self.soap.init(x)

    def update(self, x, state: SOAPState, grad, lr):
        delta, state = self.soap.update(x, state, grad, lr)
        return tree.map(lambda d: _factor(d, lr), delta), state

    def flow(self, t, x, state, grad, lr):
        rate, dstate = self.soap.flow(t, x, state, grad, lr)
        return tree.map(lambda d: _factor(d, 1.0), rate), dstate


def _factor(d, lr):
    if d.ndim < 2:
        return d
    wide = tree.wide(d.reshape(-1, d.shape[-1]))
    full = tree.cast(lr, wide.dtype) * polar_svd(wide)
    return jnp.asarray(full.reshape(d.shape), d.dtype)
