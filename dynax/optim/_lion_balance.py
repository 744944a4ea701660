"""The exact energy balance of one Lion-κ step, drawn up from what was observed.

Entries are summed as differences, parameter by parameter, so f(x), κ* and every large
constant cancel before rounding can touch them. Each check carries its own tolerance, a
round-off model with u the unit round-off of the parameters, u_m that of the momentum:

    products    k·u·Σ|aᵢ||bᵢ|  for every Σ aᵢbᵢ,  k = `rounding_depth`
    stored x₊   u|x₊| in x₊, hence u|x₊|/ε in the V that can be read off from it
    stored m₊   u_m|m₊| beside the 4u(|m| + |(1−β₂)g|) of computing it

The balance itself is an identity parameter by parameter, so its k is 8 for any n. It
is drawn up with m₊ as computed. What rounding m₊ to a narrower dtype does to H is a
term of its own; that nothing else was done to it, a check of its own.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from dynax import _tree as tree
from dynax._reduce import merged, one_pass, rounding_depth
from dynax._types import Params, Scalar, ScalarLike
from dynax.kappa import AbstractKappa, AbstractSeparable
from dynax.lyapunov import INSIDE, OUTSIDE, Check, Ledger


class Weights(NamedTuple):
    """Implicit ε, λ, c = εβ₁/S, c/ε, a = 1 + λc, 1/λ + c; S = ελ(1−β₁) + (1−β₂)."""

    eps: Array
    lam: Array
    c: Array
    c_per_eps: Array
    a: Array
    conjugate: Array


class Block(NamedTuple):
    """The part of one step whose leaves share a decay λ.

    x₊ and the stored m₊ are as observed; `eps` is the coarsest of the parameters'.
    """

    weights: Weights
    beta1: ScalarLike
    beta2: ScalarLike
    eps: float
    x: Params
    x_next: Params
    m: Params
    m_stored: Params
    grad: Params

    @property
    def trees(self) -> tuple[Params, ...]:
        return self.x, self.x_next, self.m, self.m_stored, self.grad


class Values(NamedTuple):
    """κ at m, m₊, m̃ and −g; κ* at λx, λx₊ and at the observed V."""

    m: Array
    m_next: Array
    m_tilde: Array
    force: Array
    y: Array
    y_next: Array
    v: Array


def weights(eps, lam, beta1, beta2, dtype) -> Weights:
    beta1, beta2 = tree.cast(beta1, dtype), tree.cast(beta2, dtype)
    eps, lam = tree.cast(eps, dtype), tree.cast(lam, dtype)
    c_per_eps = beta1 / (eps * lam * (1 - beta1) + (1 - beta2))
    c = eps * c_per_eps
    return Weights(eps, lam, c, c_per_eps, 1 + lam * c, over(1.0, lam) + c)


def star(value, lam):
    """κ*(λx), or 0 at λ = 0, where it is a constant."""
    return jnp.where(lam > 0, value, 0)


def over(value, lam):
    """(1/λ)·value, or its limit 0 at λ = 0."""
    return jnp.where(lam > 0, value / jnp.where(lam > 0, lam, 1), 0)


class Model(NamedTuple):
    """The round-off of one block: u, u times the depth of its sums, and u_m.

    `tiny` is the absolute part of u_m, below the smallest normal momentum; `narrow`
    says whether the momentum is stored in less precision than sums are made in.
    """

    u: float
    gamma: float
    u_m: float
    tiny: float
    narrow: bool


def from_values(w: Weights, model: Model, k: Values) -> dict:
    """What κ and κ* contribute to each entry: entrywise, or as totals."""
    size = w.conjugate * (jnp.abs(k.y) + jnp.abs(k.y_next))
    heights = w.c * (jnp.abs(k.m) + jnp.abs(k.m_next))
    return {
        "bregman_conjugate": w.conjugate * (k.y - k.y_next),
        "bregman_momentum": w.c * (k.m - k.m_next),
        "energy": over(1.0, w.lam) * k.y + w.c * (k.y + k.m),
        "gap": w.eps * (k.m_tilde + k.v),
        "stationarity": k.force + k.y,
        "balance±": model.gamma * (size + heights),
        "x±": model.gamma * size,
        "m±": model.gamma * heights,
        "gap±": model.gamma * w.eps * jnp.abs(k.m_tilde),
    }


def from_products(w: Weights, model: Model, x, x_next, m, dm, m_tilde, g, *s):
    """What the products of x, m and g contribute to each entry (V, V₊, p, ΔV = `s`).

    dm = m − m₊; ΔV is how much V may move when m̃ is rounded otherwise than here. In the
    balance κ and κ* cancel against the two Bregman terms.
    """
    v, v_next, p, dv = s
    delta = x_next - x
    pull, work = w.a * delta * p, g * delta
    eps_v = delta + w.eps * w.lam * x_next
    coupling = w.c * w.lam * (dm * x_next - m * delta)

    ax, ad, am, adm = jnp.abs(x_next), jnp.abs(delta), jnp.abs(m), jnp.abs(dm)
    atm, ap, av = jnp.abs(m_tilde), jnp.abs(p), jnp.abs(v)
    momenta, pulls = w.c * (2 * am + adm), atm + ap
    exact = w.a * ad * (atm + am) + jnp.abs(work) + w.c_per_eps * ax * adm
    return {
        "dissipation_1": w.a * delta * m_tilde - pull,
        "dissipation_2": w.c * dm * (v_next - v),
        "bregman_conjugate": pull,
        "bregman_momentum": -w.c * dm * v_next,
        "work": work,
        "balance": coupling + work + w.a * delta * m_tilde - w.c * dm * v,
        "energy": -w.c * w.lam * m * x,
        "gap": -eps_v * m_tilde,
        "stationarity": w.lam * x * g,
        "length": delta * delta,
        "balance±": 8 * model.u * (exact + momenta * (av + w.lam * ax))
        + w.c * adm * dv,
        "x±": w.a * (model.gamma * ad * (pulls + am) + 4 * model.u * ax * pulls),
        "m±": model.gamma * momenta * (av + jnp.abs(v_next)),
        "gap±": (model.gamma * jnp.abs(eps_v) + 4 * model.u * ax) * atm,
    }


def _model(block: Block) -> Model:
    u, stored = block.eps / 2, [jnp.finfo(a.dtype) for a in tree.leaves(block.m)]
    u_m = max((float(info.eps) for info in stored), default=0.0) / 2
    tiny = max((float(info.smallest_subnormal) for info in stored), default=0.0)
    gamma = rounding_depth(tree.size(block.x)) * u
    narrow = u_m > float(jnp.finfo(block.weights.c.dtype).eps) / 2
    return Model(u, gamma, u_m, tiny, narrow)


def _average(beta, m, g):
    """βm − (1−β)g, in the order of the optimizer."""
    return tree.cast(1 - beta, m.dtype) * -g + tree.cast(beta, m.dtype) * m


def _fall(beta, m, g):
    """(1−β)(m + g): m − m̃ with β₁, m − m₊ with β₂."""
    return tree.cast(1 - beta, m.dtype) * (m + g)


def _tampering(block: Block, model: Model, m, m_next, m_stored, g):
    """How far the stored m₊ is from βm − (1−β)g, beyond what rounding explains."""
    share = tree.cast(1 - block.beta2, m.dtype)
    computing = 4 * model.u * (jnp.abs(m) + jnp.abs(share * g))
    storing = model.u_m * jnp.abs(m_next) + model.tiny
    return jnp.abs(m_stored - m_next) - computing - storing


def _observed_v(w: Weights, x, x_next):
    """V = (δ + ελx₊)/ε, read off the step."""
    return (x_next - x + w.eps * w.lam * x_next) * over(1.0, w.eps)


def separable(kappa: AbstractSeparable, block: Block) -> tuple[dict, dict]:
    """Sums and maxima of one block, everything in one pass over memory."""
    w, model = block.weights, _model(block)

    def entries(*arrays):
        x, x_next, m, m_stored, g = (a.astype(w.c.dtype) for a in arrays)
        dm = _fall(block.beta2, m, g)
        m_tilde, m_next = _average(block.beta1, m, g), m - dm
        y, y_next = w.lam * x, w.lam * x_next
        v_seen = _observed_v(w, x, x_next)
        phi, conjugate = kappa._phi, kappa._phi_conjugate
        values = Values(
            m=phi(m),
            m_next=phi(m_next),
            m_tilde=phi(m_tilde),
            force=phi(-g),
            y=star(conjugate(y), w.lam),
            y_next=star(conjugate(y_next), w.lam),
            v=conjugate(v_seen),
        )
        p = star(kappa._grad_conjugate(y_next), w.lam)
        tau = 4 * model.u * (jnp.abs(m) + jnp.abs(g))
        dv = jnp.abs(kappa._grad(m_tilde + tau) - kappa._grad(m_tilde - tau))
        slopes = kappa._grad(m_tilde), kappa._grad(m_next), p, dv
        products = from_products(w, model, x, x_next, m, dm, m_tilde, g, *slopes)
        totals = from_values(w, model, values)
        far = kappa._excess(v_seen) - 4 * model.u * over(1.0, w.eps) * jnp.abs(x_next)
        maxima = {
            "before": kappa._excess(y),
            "after": kappa._excess(y_next),
            "v": far,
            "m": _tampering(block, model, m, m_next, m_stored, g),
        }
        if model.narrow:
            change = phi(m_stored) - phi(m_next) - (m_stored - m_next) * y_next
            products["rounding"] = w.c * change
        return {k: v + totals.get(k, 0) for k, v in products.items()}, maxima

    sums, maxima = one_pass(entries, *block.trees)
    return sums, {**maxima, "v±": model.gamma}


def general(kappa: AbstractKappa, block: Block) -> tuple[dict, dict]:
    """The same for a κ that couples parameters: its values are totals."""
    w, model = block.weights, _model(block)
    x, x_next, m, m_stored, g = (
        tree.map(lambda a: a.astype(w.c.dtype), t) for t in block.trees
    )
    dm = tree.map(lambda m, g: _fall(block.beta2, m, g), m, g)
    m_tilde = tree.map(lambda m, g: _average(block.beta1, m, g), m, g)
    rounded_otherwise = tree.map(lambda m, g: m - _fall(block.beta1, m, g), m, g)
    m_next = tree.sub(m, dm)
    v_seen = tree.map(lambda a, b: _observed_v(w, a, b), x, x_next)
    y, y_next = tree.scale(w.lam, x), tree.scale(w.lam, x_next)
    values = Values(
        m=kappa.value(m),
        m_next=kappa.value(m_next),
        m_tilde=kappa.value(m_tilde),
        force=kappa.value(tree.map(jnp.negative, g)),
        y=star(kappa.finite_conjugate(y), w.lam),
        y_next=star(kappa.finite_conjugate(y_next), w.lam),
        v=kappa.finite_conjugate(v_seen),
    )
    p = tree.map(lambda p: star(p, w.lam), kappa.grad_conjugate(y_next))
    v, v_otherwise = kappa.grad(m_tilde), kappa.grad(rounded_otherwise)
    dv = tree.map(lambda a, b: 8 * jnp.abs(a - b), v, v_otherwise)
    trees = x, x_next, m, dm, m_tilde, g, v, kappa.grad(m_next), p, dv

    def entries(m_stored, x, x_next, m, dm, m_tilde, g, *slopes):
        m_next = m - dm
        products = from_products(w, model, x, x_next, m, dm, m_tilde, g, *slopes)
        sums = {**products, "reach": jnp.abs(x_next)}
        if model.narrow:
            sums["rounding"] = -w.c * w.lam * (m_stored - m_next) * x_next
        return sums, {"m": _tampering(block, model, m, m_next, m_stored, g)}

    products, maxima = one_pass(entries, m_stored, *trees)
    totals = from_values(w, model, values)
    if model.narrow:
        totals["rounding"] = w.c * (kappa.value(m_stored) - values.m_next)
    maxima = {
        **maxima,
        "before": kappa.distance(y),
        "after": kappa.distance(y_next),
        "v": kappa.distance(v_seen),
        # ‖·‖₁ bounds every dual norm in which a distance is stated
        "v±": model.gamma + 4 * model.u * over(products["reach"], w.eps),
    }
    return {k: v + totals.get(k, 0) for k, v in products.items()}, maxima


def account(kappa: AbstractKappa, block: Block) -> tuple[dict, dict]:
    """Sums and maxima of one block: sums of blocks add up, maxima combine by max."""
    if isinstance(kappa, AbstractSeparable):
        return separable(kappa, block)
    return general(kappa, block)


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
    s, most = merged(parts)
    rows = list(zip(blocks, (maxima for _, maxima in parts), strict=True))
    f, f_next = value.astype(s["work"].dtype), value_next.astype(s["work"].dtype)
    rise = f_next - f
    names = "dissipation_1", "dissipation_2", "bregman_conjugate", "bregman_momentum"
    spent = {k: s[k] for k in names}
    predicted = rise - s["work"] - sum(spent.values())
    terms = {"residual": rise - s["work"], **spent}
    if "rounding" in s:
        predicted, terms["rounding"] = predicted + s["rounding"], s["rounding"]

    size = sum(tree.size(b.x) for b in blocks)
    u = max(b.eps for b in blocks) / 2
    slack = rounding_depth(size) * u * (2 + most["before"] + most["after"])
    out = jnp.maximum(most["before"], most["after"]) > slack
    inside = lambda margin: jnp.where(out, jnp.inf, margin)
    shrunk = [
        m["before"] / (1 + b.weights.eps * b.weights.lam) - m["after"] for b, m in rows
    ]
    checks = {
        "balance": Check(-jnp.abs(s["balance"]), s["balance±"]),
        "dissipation_1": Check(inside(s["dissipation_1"]), s["x±"]),
        "dissipation_2": Check(s["dissipation_2"], s["m±"]),
        "bregman_conjugate": Check(inside(s["bregman_conjugate"]), s["x±"]),
        "bregman_momentum": Check(s["bregman_momentum"], s["m±"]),
        "momentum": Check(-most["m"], jnp.zeros_like(rise)),
        "subgradient": Check(-s["gap"], s["gap±"]),
        "domain": Check(-most["v"], most["v±"] + jnp.zeros_like(rise)),
        "contraction": Check(jnp.min(jnp.stack(shrunk)), slack),
    }
    if smoothness is not None:
        bound = tree.cast(smoothness, rise.dtype) / 2 * s["length"]
        noise = 64 * u * (jnp.abs(f) + jnp.abs(f_next)) + s["balance±"]
        checks["theorem"] = Check(bound - (rise - s["work"]), noise)
    return Ledger(
        step=index,
        energy=f + s["energy"],
        change=predicted + s["balance"],
        predicted=predicted,
        defect=s["balance"],
        scale=jnp.abs(s["work"]) + sum(jnp.abs(v) for v in spent.values()),
        terms=terms,
        phase=jnp.where(out, OUTSIDE, INSIDE),
        distance=most["before"],
        stationarity=s["stationarity"],
        checks=checks,
    )
