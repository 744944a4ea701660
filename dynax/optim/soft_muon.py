"""Soft-Muon: a power of the singular values."""

import equinox as eqx

from dynax._check import check_parameter
from dynax._types import ScalarLike
from dynax.kappa import Lp, OrthogonallyInvariant, Power
from dynax.optim._averages import check_betas
from dynax.optim._relatives import AbstractLion
from dynax.optim.lion_kappa import LionKappa
from dynax.optim.muon import ByRank


class SoftMuon(AbstractLion):
    """Step along the momentum with its singular values raised to a power.

    m₊ = βm − (1−β)g,  m̃ = βm₊ − (1−β)g = UΣVᵀ,  0 < p < 1, q = 1 + p,

        x₊ = x + ε(UΣᵖVᵀ/‖Σ‖_qᵖ − λx)     normalized
        x₊ = x + ε(UΣᵖVᵀ − λx)            not

    p → 0 is `Muon`, p = 1 momentum. Leaves of fewer than two axes take the same power
    of their entries.

    A map of singular values is the gradient of a convex function of the matrix if and
    only if it never falls. So this is Lion-κ, with κ the Schatten norm ‖Σ‖_q, or Σσ^q/q
    without the division, and has the H, Ḣ and exact balance of `LionKappa`. Dividing by
    σ₁ᵖ, as is usual, gives the same direction, but is the gradient of nothing.

    Source: the NanoGPT speed runs of May 2026 (KellerJordan/modded-nanogpt, record of
    Soft-Muon); the certificate is that of arXiv:2310.05898. No twin in optax.

    Args:
        power: p in (0, 1).
        beta: in [0, 1).
        weight_decay: λ ≥ 0.
        nesterov: look ahead, as is usual.
        normalized: whether the length of the momentum drops out.
    """

    power: ScalarLike = 0.1
    beta: ScalarLike = 0.95
    weight_decay: ScalarLike = 0.0
    nesterov: bool = eqx.field(default=True, static=True)
    normalized: bool = eqx.field(default=True, static=True)

    def __check_init__(self):
        check_parameter("power", self.power, lambda p: (p > 0) & (p < 1), "0 < p < 1")
        check_betas(beta=self.beta)
        _ = self.lion

    @property
    def lion(self) -> LionKappa:
        ahead = self.beta**2 if self.nesterov else self.beta
        phi = Lp(1 + self.power) if self.normalized else Power(1 + self.power)
        kappa = ByRank(OrthogonallyInvariant(phi), phi)
        return LionKappa(kappa, ahead, self.beta, self.weight_decay)
