"""The exact energy balance of one Lion-κ step, drawn up from what was observed.

Everything is summed in difference form, so f(x), κ* and every large constant cancel
before rounding can touch them: the defect of a correct step is pure round-off at any
learning rate. Each tolerance is a round-off model, not a choice:

    |fl(Σ aᵢbᵢ) − Σ aᵢbᵢ| ≤ u(8 + log₂ n) Σ|aᵢ||bᵢ|        (tree-wise summation)

with u the unit round-off of the arrays, plus the rounding of what the optimizer stored:
u|x₊| in x₊ (hence u|x₊|/ε in V) and u_m(|m| + |m₊|) in m₊, u_m that of the momentum.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dynax import _tree as tree
from dynax._types import Params, Scalar, ScalarLike
from dynax.kappa import AbstractKappa
from dynax.lyapunov import INSIDE, OUTSIDE, Check, Ledger


class Weights(NamedTuple):
    """Implicit ε, λ, c = εβ₁/S, a = 1 + λc and c/ε = β₁/S; S = ελ(1−β₁) + (1−β₂)."""

    eps: Array
    lam: Array
    c: Array
    a: Array
    c_per_eps: Array


class Block(NamedTuple):
    """The part of one step whose leaves share a decay λ.

    `eps` is the machine epsilon of the stored parameters and of the stored momentum.
    """

    weights: Weights
    eps: tuple[float, float]
    x: Params
    x_next: Params
    m: Params
    m_next: Params
    m_tilde: Params
    grad: Params


class Account(NamedTuple):
    """The entries of one block; blocks add up, but for `distance` (a maximum)."""

    finite_h: Array
    change: Array
    terms: dict[str, Array]
    allowed: dict[str, Array]
    membership: Array
    membership_allowed: Array
    stationarity: Array
    length: Array
    before: Array
    after: Array
    slack: Array


def weights(eps, lam, beta1, beta2, dtype) -> Weights:
    beta1, beta2 = tree.cast(beta1, dtype), tree.cast(beta2, dtype)
    eps, lam = tree.cast(eps, dtype), tree.cast(lam, dtype)
    c_per_eps = beta1 / (eps * lam * (1 - beta1) + (1 - beta2))
    c = eps * c_per_eps
    return Weights(eps, lam, c, 1 + lam * c, c_per_eps)


def star(value, lam):
    """κ*(λx), or 0 at λ = 0, where it is a constant."""
    return jnp.where(lam > 0, value, 0)


def over(value, lam):
    """(1/λ)·value, or its limit 0 at λ = 0."""
    return jnp.where(lam > 0, value / jnp.where(lam > 0, lam, 1), 0)


def pull(p: Params, lam) -> Params:
    """∇κ*(λx), or 0 at λ = 0, where nothing pulls."""
    return tree.map(lambda p: jnp.where(lam > 0, p, 0).astype(p.dtype), p)


def account(kappa: AbstractKappa, block: Block) -> Account:
    w, eps, x, x_next, m, m_next, m_tilde, g = block
    u_x, u_m = eps[0] / 2, max(eps) / 2
    depth = 8 + float(np.log2(tree.size(x)))
    size = lambda t: tree.map(jnp.abs, t)  # noqa: E731

    delta, dm = tree.sub(x_next, x), tree.sub(m, m_next)
    v, v_next = kappa.grad(m_tilde), kappa.grad(m_next)
    y, y_next = tree.scale(w.lam, x), tree.scale(w.lam, x_next)
    p = pull(kappa.grad_conjugate(y_next), w.lam)
    k, k_next = kappa.value(m), kappa.value(m_next)
    s = star(kappa.finite_conjugate(y), w.lam)
    s_next = star(kappa.finite_conjugate(y_next), w.lam)

    delta_m, delta_p = tree.vdot(delta, m_tilde), tree.vdot(delta, p)
    dm_v, dm_v_next = tree.vdot(dm, v), tree.vdot(dm, v_next)
    work = tree.vdot(g, delta)
    m_x = tree.vdot(m, x)
    m_delta, dm_x = tree.vdot(m, delta), tree.vdot(dm, x_next)
    weight = over(1.0, w.lam) + w.c
    drop = jnp.where(w.lam > 0, weight * (s - s_next) + w.a * delta_p, 0)
    terms = {
        "dissipation_1": w.a * (delta_m - delta_p),
        "dissipation_2": w.c * (dm_v_next - dm_v),
        "work": work,
        "bregman_conjugate": drop,
        "bregman_momentum": w.c * (k - k_next - dm_v_next),
    }
    # H₊ − H without f(x₊) − f(x), which stands on both sides
    change = weight * (s_next - s) + w.c * (k_next - k - w.lam * (m_delta - dm_x))

    # --- round-off -----------------------------------------------------------------
    momenta = tree.add(size(m), size(m_next))
    subgradients = tree.add(size(v), size(v_next))
    pulls = tree.add(size(m_tilde), size(p))
    products = w.a * tree.vdot(size(delta), tree.add(pulls, size(m)))
    stored = tree.vdot(size(x_next), pulls)
    values = w.c * (jnp.abs(k) + jnp.abs(k_next))
    conjugates = weight * (jnp.abs(s) + jnp.abs(s_next))
    averages = tree.vdot(subgradients, momenta)
    overlap = w.lam * tree.vdot(momenta, size(x_next))
    rounded_v = w.c_per_eps * tree.vdot(size(x_next), size(dm))
    gamma, gamma_m = depth * u_x, depth * u_m
    allowed = {
        "balance": gamma * (products + conjugates + tree.vdot(size(g), size(delta)))
        + gamma_m * w.c * (averages + overlap)
        + gamma_m * values
        + gamma * rounded_v,
        "dissipation_1": gamma * products + w.a * 4 * u_x * stored,
        "dissipation_2": gamma_m * w.c * averages,
        "bregman_conjugate": gamma * (conjugates + products) + w.a * 4 * u_x * stored,
        "bregman_momentum": gamma_m * (values + w.c * averages),
    }

    # V observed, times ε so that nothing is divided: εV = δ + ελx₊
    eps_v = tree.add(delta, tree.scale(w.eps * w.lam, x_next))
    v_seen = tree.scale(over(1.0, w.eps), eps_v)
    k_tilde = kappa.value(m_tilde)
    gap = w.eps * (k_tilde + kappa.finite_conjugate(v_seen)) - tree.vdot(eps_v, m_tilde)
    outside = w.eps * kappa.distance(v_seen)
    reach = tree.vdot(size(x_next), size(x_next)) ** 0.5
    length = tree.vdot(delta, delta)
    heft = tree.vdot(size(m_tilde), size(m_tilde)) ** 0.5
    membership = -jnp.maximum(gap, outside * heft)
    membership_allowed = (
        gamma * (w.eps * jnp.abs(k_tilde) + tree.vdot(size(eps_v), size(m_tilde)))
        + 4 * u_x * reach * heft
    )
    negative = tree.map(jnp.negative, g)
    stationarity = kappa.value(negative) + s + w.lam * tree.vdot(x, g)

    before, after = kappa.distance(y), kappa.distance(y_next)
    return Account(
        finite_h=over(s, w.lam) + w.c * (s + k - w.lam * m_x),
        change=change,
        terms=terms,
        allowed=allowed,
        membership=membership,
        membership_allowed=membership_allowed,
        stationarity=stationarity,
        length=length,
        before=before,
        after=after,
        slack=gamma * (2 + before + after),
    )


def ledger(
    kappa: AbstractKappa,
    blocks: list[Block],
    index: Scalar,
    value: Scalar,
    value_next: Scalar,
    smoothness: ScalarLike | None = None,
) -> Ledger:
    """One ledger row from the blocks of a step."""
    parts = [account(kappa, block) for block in blocks]
    dtype = parts[0].change.dtype

    def total(name):
        return tree.total([getattr(p, name) for p in parts], dtype)

    terms = {k: tree.total([p.terms[k] for p in parts], dtype) for k in parts[0].terms}
    allowed = {
        k: tree.total([p.allowed[k] for p in parts], dtype) for k in parts[0].allowed
    }
    work = terms.pop("work")
    f, f_next = value.astype(dtype), value_next.astype(dtype)
    rise = f_next - f
    spent_terms = list(terms)
    spent = sum(terms[k] for k in spent_terms)
    terms = {"residual": rise - work, **terms}
    change = total("change")
    defect = change + work + spent

    out = jnp.any(jnp.stack([jnp.maximum(p.before, p.after) > p.slack for p in parts]))
    never = jnp.asarray(jnp.inf, dtype)
    checks = {"balance": Check(-jnp.abs(defect), allowed["balance"])}
    for k in spent_terms:
        inside_only = k in ("dissipation_1", "bregman_conjugate")
        margin = jnp.where(out, never, terms[k]) if inside_only else terms[k]
        checks[k] = Check(margin, allowed[k])
    checks["subgradient"] = Check(total("membership"), total("membership_allowed"))
    shrunk = [
        p.before / (1 + b.weights.eps * b.weights.lam) - p.after
        for p, b in zip(parts, blocks, strict=True)
    ]
    slack = jnp.max(jnp.stack([p.slack for p in parts]))
    checks["contraction"] = Check(jnp.min(jnp.stack(shrunk)), slack)
    if smoothness is not None:
        u = jnp.finfo(value.dtype).eps / 2
        bound = tree.cast(smoothness, dtype) / 2 * total("length")
        allowed_f = 64 * u * (jnp.abs(f) + jnp.abs(f_next)) + allowed["balance"]
        checks["theorem"] = Check(bound - terms["residual"], allowed_f)
    return Ledger(
        step=index,
        energy=f + total("finite_h"),
        change=rise + change,
        predicted=terms["residual"] - spent,
        defect=defect,
        scale=jnp.abs(work) + sum(jnp.abs(terms[k]) for k in spent_terms),
        terms=terms,
        phase=jnp.where(out, OUTSIDE, INSIDE),
        distance=jnp.max(jnp.stack([p.before for p in parts])),
        stationarity=total("stationarity"),
        checks=checks,
    )
