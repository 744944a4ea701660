"""The exact energy balance of one Lion-κ step, drawn up from what was observed.

Entries are summed as differences, parameter by parameter, so f(x), κ* and every large
constant cancel before rounding can touch them. Each check carries its own tolerance, a
round-off model. u is the unit round-off of the sums made here, u_s that of the
parameters, in which the optimizer computes, and u_m that of the stored momentum:

    products      k·u·Σ|aᵢ||bᵢ|  for every Σ aᵢbᵢ,  k = `rounding_depth`
    step δ        4u_s(|δ| + ελ|x₊|), and u_s|x₊| more where δ is read off the stored x₊
    m̃             4u_s(|m| + |g|), hence an interval in which V = ∇κ(m̃) lies
    stored m₊     4u_s(|m| + |(1−β₂)g|) + u_s|g| + u_m|m₊|

A hyper-parameter counts as known to u_s: that is the u_s|g|. All have an absolute part,
the smallest normal number. Where the step is known to h = (its rounding)/ε, so is V,
and κ(m̃) + κ*(V) − ⟨V, m̃⟩ to h|m̃| and, at second order, h|∇κ*(V+h) − ∇κ*(V−h)|.

Balance, subgradient and momentum are judged entry by entry (leaf by leaf where κ
couples the entries of a leaf), so a leaf of small gradients is judged by its own size.

The balance is drawn up with the step δ and the momentum m₊ as computed. With x₊ as
stored, ρ = x₊ − x − δ, the identity is exact if this is one more term of H₊ − H:

    rounding = ⟨ρ, g + a∇κ*(λx₊) − cλm₊ − aελ(m̃ − ∇κ*(λx₊))⟩

and what storing m₊ in a narrower dtype does.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

from dynax import _tree as tree
from dynax._reduce import merged, one_pass, rounding_depth
from dynax._types import Scalar, ScalarLike
from dynax.kappa import AbstractArrayKappa, AbstractKappa, AbstractSeparable
from dynax.lyapunov import Check, Ledger, ledger_row
from dynax.optim._lion_block import Block, Model, Weights, by_leaf, model_of, star


class Values(NamedTuple):
    """κ at m, m₊, m̃ and −g; κ* at λx, λx₊ and at the observed V."""

    m: Array
    m_next: Array
    m_tilde: Array
    force: Array
    y: Array
    y_next: Array
    v: Array


class Slopes(NamedTuple):
    """∇κ at m̃ and m₊, ∇κ* at λx and λx₊; what rounding may move ∇κ(m̃), ∇κ*(V) by."""

    v: Array
    v_next: Array
    p_before: Array | None
    p: Array | None
    dv: Array
    dp: Array | None


def from_values(w: Weights, model: Model, k: Values) -> dict:
    """What κ and κ* contribute to each entry: entrywise, or as totals."""
    size = w.conjugate * (jnp.abs(k.y) + jnp.abs(k.y_next))
    heights = w.c * (jnp.abs(k.m) + jnp.abs(k.m_next))
    meet = w.eps * (jnp.abs(k.m_tilde) + jnp.abs(k.v))
    return {
        "bregman_conjugate": w.conjugate * (k.y - k.y_next),
        "bregman_momentum": w.c * (k.m - k.m_next),
        "energy": tree.safe_divide(1.0, w.lam) * k.y + w.c * (k.y + k.m),
        "gap": w.eps * (k.m_tilde + k.v),
        "stationarity": k.force + k.y,
        "conjugate±": model.gamma * size,
        "m±": model.gamma * heights,
        "gap±": model.gap * meet,
    }


def from_products(w: Weights, model: Model, x, x_next, delta, m, dm, m_tilde, g, s):
    """What the products of x, m and g contribute to each entry.

    dm = m − m₊. In the balance κ and κ* cancel against the two Bregman terms.
    """
    v, v_next, p_before, p, dv, dp = s
    flat = p is None  # then κ* is 0 on its domain, and so is ∇κ*
    moved = x_next - x
    rho = moved - delta
    exact, toward = x_next - rho, delta - w.eps * w.lam * rho  # x + δ, ε(V − λx₊)
    eps_v, lead = delta + w.eps * w.lam * exact, m_tilde if flat else m_tilde - p
    shift = g - w.c * w.lam * (m - dm) - w.a * w.eps * w.lam * lead
    shift = shift if flat else shift + w.a * p
    coupling = w.c * w.lam * (dm * exact - m * delta)

    # an underflow counts as a rounding of the smallest normal number over u
    floor = model.floor / model.u
    ax, ad = jnp.abs(x_next), jnp.abs(delta)
    am, adm, atm = (jnp.abs(a) + floor for a in (m, dm, m_tilde))
    leads = atm if flat else atm + jnp.abs(p)
    av, doubt = jnp.abs(v), model.doubt(w, delta, x_next)
    momenta = w.c * (2 * am + adm)
    sizes = w.a * ad * (atm + am) + jnp.abs(g * delta) + momenta * (av + w.lam * ax)
    sensed = w.c_per_eps * (1 + w.eps * w.lam) * adm * (doubt + w.eps * dv)
    wavering = model.unsure(m, g) * dv * w.eps + doubt * (atm if flat else atm + dp)
    least = 8 * model.floor
    sums = {
        "dissipation_1": w.a * toward * lead,
        "dissipation_2": w.c * dm * (v_next - v),
        "bregman_momentum": -w.c * dm * v_next,
        "work": g * moved,
        "rounding": rho * shift,
        "balance": coupling + g * delta + w.a * delta * m_tilde - w.c * dm * v,
        "energy": -w.c * w.lam * m * x,
        "gap": -eps_v * m_tilde,
        "stationarity": w.lam * x * g,
        "length": moved * moved,
        "balance±": 8 * model.u * sizes + sensed + least,
        "step±": w.a * (model.gamma * ad + doubt) * leads + least,
        "m±": model.gamma * momenta * (av + jnp.abs(v_next)) + least,
        "gap±": model.gap * jnp.abs(eps_v) * atm + wavering + least,
        "gap size": jnp.abs(eps_v * m_tilde),
    }
    if flat:
        return sums
    pull, ap = w.a * moved * p, jnp.abs(p)
    ends = ap + jnp.abs(p_before)
    return sums | {
        "bregman_conjugate": pull,
        "conjugate±": model.gamma * jnp.abs(pull) + 4 * model.u * w.a * ax * ap + least,
        "bend": w.a * moved * (p - p_before),
        "bend±": model.gamma * w.a * jnp.abs(moved) * ends + least,
    }


def _average(beta, m, g):
    """βm − (1−β)g, in the order of the optimizer."""
    return tree.cast(1 - beta, m.dtype) * -g + tree.cast(beta, m.dtype) * m


def _fall(beta, m, g):
    """(1−β)(m + g): m − m̃ with β₁, m − m₊ with β₂."""
    return tree.cast(1 - beta, m.dtype) * (m + g)


def _stored(block: Block, model: Model, m, m_next, m_stored, g):
    """|m₊ − (βm − (1−β)g)| of the stored m₊, and how far rounding explains it."""
    share = tree.cast(1 - block.beta2, m.dtype)
    allowed = 4 * model.u_s * (jnp.abs(m) + jnp.abs(share * g))
    allowed = allowed + model.u_s * jnp.abs(g) + model.u_m * jnp.abs(m_next)
    return jnp.abs(m_stored - m_next), allowed + model.least_m


def _observed_v(w: Weights, x, x_next, delta):
    """V = (δ + ελ(x + δ))/ε, read off the step."""
    exact = x_next - ((x_next - x) - delta)
    return (delta + w.eps * w.lam * exact) * tree.safe_divide(1.0, w.eps)


def _bracketed(sums: dict) -> dict:
    """B* where a short step leaves κ*(λx) − κ*(λx₊) to rounding.

    ∇κ* is monotone, so 0 ≤ B* ≤ a⟨x₊ − x, ∇κ*(λx₊) − ∇κ*(λx)⟩: where that says more,
    the middle is taken, and half of it is the tolerance.
    """
    if "bend" not in sums:
        return sums
    rest = {k: v for k, v in sums.items() if k not in ("bend", "bend±")}
    half, noise = sums["bend"] / 2, sums["conjugate±"]
    clear = noise < half
    within = jnp.maximum(half, 0) + sums["bend±"]
    return rest | {
        "bregman_conjugate": jnp.where(clear, sums["bregman_conjugate"], half),
        "conjugate±": jnp.where(clear, noise, within),
    }


def separable(kappa: AbstractSeparable, block: Block) -> tuple[dict, dict]:
    """Sums and maxima of one block, everything in one pass over memory."""
    w, model = block.weights, model_of(block, entrywise=True)

    def entries(*arrays):
        x, x_next, delta, m, m_stored, g = (a.astype(w.c.dtype) for a in arrays)
        dm = _fall(block.beta2, m, g)
        m_tilde, m_next = _average(block.beta1, m, g), m - dm
        y, y_next = w.lam * x, w.lam * x_next
        v_seen = _observed_v(w, x, x_next, delta)
        h = model.doubt(w, delta, x_next) * tree.safe_divide(1.0, w.eps)
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
        tau, back = model.unsure(m, g), kappa._grad_conjugate
        slopes = Slopes(
            v=kappa._grad(m_tilde),
            v_next=kappa._grad(m_next),
            p_before=None if kappa.flat else star(back(y), w.lam),
            p=None if kappa.flat else star(back(y_next), w.lam),
            dv=jnp.abs(kappa._grad(m_tilde + tau) - kappa._grad(m_tilde - tau)),
            dp=None if kappa.flat else jnp.abs(back(v_seen + h) - back(v_seen - h)),
        )
        sums = from_products(w, model, x, x_next, delta, m, dm, m_tilde, g, slopes)
        totals = from_values(w, model, values)
        if model.narrow:
            change = phi(m_stored) - phi(m_next) - (m_stored - m_next) * y_next
            sums["rounding"] = sums["rounding"] + w.c * change
        sums = _bracketed({k: v + totals.get(k, 0) for k, v in sums.items()})
        off, allowed = _stored(block, model, m, m_next, m_stored, g)
        maxima = {
            "before": kappa._excess(y),
            "after": kappa._excess(y_next),
            "v": kappa._excess(v_seen) - h,
            "m": off - allowed,
            "balance": jnp.abs(sums["balance"]) - sums["balance±"],
            "gap": sums.pop("gap") - sums["gap±"],
        }
        return sums, maxima | ({"h": h} if model.read_off else {})

    sums, found = one_pass(entries, *block.trees)
    # where dom κ* is bounded, |λx₊| and |V| are, and so is h
    bounded = 4 * model.u_s * (3 + 2 * found["after"] + found["v"]) + model.least
    if kappa.flat:
        none = jnp.zeros_like(sums["work"])
        sums |= {"bregman_conjugate": none, "conjugate±": none}
    return sums, {"h": bounded, **found, "v±": model.gamma}


def general(kappa: AbstractKappa, block: Block) -> tuple[dict, dict]:
    """The same for a κ that couples parameters: its values are totals."""
    w, model = block.weights, model_of(block, entrywise=False)
    x, x_next, delta, m, m_stored, g = (
        tree.map(lambda a: a.astype(w.c.dtype), t) for t in block.trees
    )
    dm = tree.map(lambda m, g: _fall(block.beta2, m, g), m, g)
    m_tilde = tree.map(lambda m, g: _average(block.beta1, m, g), m, g)
    rounded_otherwise = tree.map(lambda m, g: m - _fall(block.beta1, m, g), m, g)
    m_next = tree.sub(m, dm)
    v_seen = tree.map(lambda *a: _observed_v(w, *a), x, x_next, delta)
    h = tree.map(
        lambda *a: model.doubt(w, *a) * tree.safe_divide(1.0, w.eps), delta, x_next
    )
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
    v, back = kappa.grad(m_tilde), kappa.grad_conjugate
    apart = lambda a, b: tree.map(lambda a, b: 8 * jnp.abs(a - b), a, b)
    slopes = Slopes(
        v=v,
        v_next=kappa.grad(m_next),
        p_before=tree.map(lambda p: star(p, w.lam), back(y)),
        p=tree.map(lambda p: star(p, w.lam), back(y_next)),
        dv=apart(v, kappa.grad(rounded_otherwise)),
        dp=apart(back(tree.add(v_seen, h)), back(tree.sub(v_seen, h))),
    )
    trees = m_stored, h, x, x_next, delta, m, dm, m_tilde, g, *slopes

    def entries(m_stored, h, x, x_next, delta, m, dm, m_tilde, g, *slopes):
        m_next = m - dm
        sums = from_products(w, model, x, x_next, delta, m, dm, m_tilde, g, slopes)
        if model.narrow:
            lost = -w.c * w.lam * (m_stored - m_next) * x_next
            sums["rounding"] = sums["rounding"] + lost
        off, allowed = _stored(block, model, m, m_next, m_stored, g)
        sums["h"] = h
        short = jnp.abs(sums["balance"]) - sums["balance±"]
        return sums, {"m": off - allowed, "balance": short}

    sums, maxima = one_pass(entries, *trees)
    totals = from_values(w, model, values)
    if model.narrow:
        totals["rounding"] = w.c * (kappa.value(m_stored) - values.m_next)
    h = sums.pop("h")
    sums = _bracketed({k: v + totals.get(k, 0) for k, v in sums.items()})
    maxima = {
        **maxima,
        "before": kappa.distance(y),
        "after": kappa.distance(y_next),
        "v": kappa.distance(v_seen),
        # ‖·‖₁ bounds every dual norm in which a distance is stated
        "h": h,
        "v±": model.gamma + h,
        "gap": jnp.maximum(sums.pop("gap") - sums["gap±"], 0),
    }
    return sums, maxima


def account(kappa: AbstractKappa, block: Block) -> tuple[dict, dict]:
    """Sums and maxima of one block: sums of blocks add up, maxima combine by max."""
    if isinstance(kappa, AbstractSeparable):
        return separable(kappa, block)
    return general(kappa, block)


def ledger(
    kappa: AbstractKappa,
    blocks: list[Block],
    index: Int[Array, ""],
    value: Scalar,
    value_next: Scalar,
    smoothness: ScalarLike | None = None,
) -> Ledger:
    """One ledger row from the blocks of a step."""
    couples = not isinstance(kappa, AbstractSeparable)
    if couples and isinstance(kappa, AbstractArrayKappa) and kappa.scope == "leaf":
        blocks = [leaf for block in blocks for leaf in by_leaf(block)] or blocks
    parts = [account(kappa, block) for block in blocks]
    s, most = merged(parts)
    f, f_next = value.astype(s["work"].dtype), value_next.astype(s["work"].dtype)
    rise = f_next - f
    names = "dissipation_1", "dissipation_2", "bregman_conjugate", "bregman_momentum"
    spent = {k: s[k] for k in names}
    predicted = rise - s["work"] - sum(spent.values()) + s["rounding"]
    terms = {"residual": rise - s["work"], **spent, "rounding": s["rounding"]}
    scale = jnp.abs(s["work"]) + sum(jnp.abs(v) for v in spent.values())

    size = sum(tree.size(b.x) for b in blocks)
    u_s, u = max(b.eps for b in blocks) / 2, float(jnp.finfo(rise.dtype).eps) / 2
    depth = rounding_depth(size) * u + 2 * u_s  # of computing a distance, storing x₊
    slack = depth * (2 + most["before"] + most["after"])
    out = jnp.maximum(most["before"], most["after"]) > slack
    inside = lambda margin: jnp.where(out, jnp.inf, margin)
    shrunk, unsure = [], []
    for block, (_, found) in zip(blocks, parts, strict=True):
        rate = block.weights.eps * block.weights.lam
        shrunk.append(found["before"] / (1 + rate) - found["after"])
        unsure.append(rate * found["h"])
    slack_out = slack + jnp.max(jnp.stack(unsure))
    zero = jnp.zeros_like(rise)
    within = most["v±"] + zero
    share = lambda noise, size: tree.safe_divide(s[noise], size, jnp.inf)
    stored = max(model_of(b, True).stored for b in blocks)
    checks = {
        "balance": Check(-most["balance"], zero, share("balance±", scale)),
        "dissipation_1": Check(inside(s["dissipation_1"]), s["step±"]),
        "dissipation_2": Check(s["dissipation_2"], s["m±"]),
        "bregman_conjugate": Check(inside(s["bregman_conjugate"]), s["conjugate±"]),
        "bregman_momentum": Check(s["bregman_momentum"], s["m±"]),
        "momentum": Check(-most["m"], zero, zero + stored),
        "subgradient": Check(-most["gap"], zero, share("gap±", s["gap size"])),
        "domain": Check(-most["v"], within, within + most["h"]),
        "contraction": Check(
            jnp.min(jnp.stack(shrunk)), slack_out, slack_out / (1 + most["before"])
        ),
    }
    if smoothness is not None:
        bound = tree.cast(smoothness, rise.dtype) / 2 * s["length"]
        noise = 64 * u_s * (jnp.abs(f) + jnp.abs(f_next)) + s["balance±"]
        checks["theorem"] = Check(bound - (rise - s["work"]), noise)
    facts = {"distance": most["before"], "stationarity": s["stationarity"]}
    return ledger_row(
        index,
        f + s["energy"],
        predicted + s["balance"],
        checks,
        predicted=predicted,
        defect=s["balance"],
        scale=scale,
        terms=terms,
        facts={"outside": out, **facts},
    )
