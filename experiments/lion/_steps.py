"""Random single steps of Lion-κ, for every κ of the library, and their books."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from dynax import LionKappa, LionState, kappa as K
from dynax.flow import Step
from dynax.monitor import row_of_step
from dynax.optim import _lion_balance


ONE = {"w": (4, 4)}


TWO = {"w": (3, 4), "b": (2, 2)}  # for what acts on a whole tree, or spares some leaves


MASK = {"w": True, "b": False}


N = 16


def kappas() -> Mapping[str, tuple[K.AbstractKappa, dict, dict | None]]:
    """Every row of the library: κ, the shapes it is given, and a mask of decay."""

    def simplex(g):
        hot = jax.nn.one_hot(jnp.argmin(g["w"]), N, dtype=g["w"].dtype)
        return {"w": hot.reshape(g["w"].shape)}

    like = {"w": jnp.zeros(ONE["w"])}
    rows = {
        "ℓ₁": K.L1(),
        "ℓ₁.₅": K.Lp(1.5),
        "ℓ_∞": K.LInf(),
        "group ℓ₂": K.GroupL2(0),
        "top 3": K.TopK(3),
        "sparse ℓ₁": K.SparseL1(0.3),
        "Huber": K.Huber(0.3),
        "√(m²+δ²)": K.SoftAbs(0.2),
        "log cosh": K.LogCosh(2.0),
        "log Σ exp": K.LogSumExp(0.5),
        "½ℓ₂²": K.HalfSquared(),
        "½ℓ₁.₅²": K.HalfSquaredLp(1.5),
        "quartic": K.Quartic(),
        "nuclear": K.nuclear(),
        "spectral": K.spectral(),
        "Ky Fan 2": K.ky_fan(2),
        "smooth nuclear": K.OrthogonallyInvariant(K.SoftAbs(0.2)),
        "support function": K.Support(simplex, like),
    }
    return {name: (kappa, ONE, None) for name, kappa in rows.items()} | {
        "ℓ₃, whole tree": (K.Lp(3.0, "tree"), TWO, None),
        "ℓ₁, masked": (K.L1(), TWO, MASK),
        "nuclear, masked": (K.nuclear(), TWO, MASK),
    }


def loss(seed: int, dtype: type = np.float64):
    """f(z) = ½zᵀQz + Σ cos(Wz + φ), Q indefinite, and L = ‖Q‖ + ‖W‖² ≥ ‖∇²f‖."""
    rng = np.random.default_rng(seed)
    Q = rng.normal(size=(N, N)) / 4
    Q, W, phase = (Q + Q.T) / 2, rng.normal(size=(8, N)) / 4, rng.normal(size=8)
    L = np.linalg.norm(Q, 2) + np.linalg.norm(W, 2) ** 2
    Q, W, phase = (jnp.asarray(a, dtype) for a in (Q, W, phase))

    def f(x):
        z = ravel_pytree(x)[0]
        return z @ (Q @ z) / 2 + jnp.sum(jnp.cos(W @ z + phase))

    return f, float(L)


def draw(shapes: dict, n: int, seed: int, least: float, dtype=np.float64) -> dict:
    """ε ≥ least, λ, β₁ < β₂, m, ξ, and four directions whose ∇κ will mix to λx."""
    rng = np.random.default_rng(seed)
    number = lambda a: jnp.asarray(a, dtype)

    def normal(size=1.0):
        return {k: number(size * rng.normal(size=(n, *s))) for k, s in shapes.items()}

    return {
        "eps": number(10 ** rng.uniform(np.log10(least), -0.5, n)),
        "lam": number(rng.uniform(0.5, 2.0, n)),
        "undecayed": jnp.asarray(rng.uniform(size=n) < 0.1),
        "explicit": jnp.asarray(rng.uniform(size=n) < 0.5),
        "noise": number(np.arange(n) % 2),
        "beta": number(np.sort(rng.uniform(0.3, 0.995, (n, 2)), axis=1)),
        "mix": number(rng.dirichlet(3 * np.ones(4), n)),
        "m": normal(2.0),
        "xi": normal(3.0),
        "x": normal(),
        "directions": [normal() for _ in range(4)],
    }


def observed(step_kappa, claim_kappa, mask, f, s):
    """A step of Lion-κ from the state s, and the optimizer that answers for it.

    Explicit decay at ε is implicit decay at ε/(1 − ελ): one claim covers both.
    """
    undecayed = s["undecayed"] & claim_kappa.zero_in_domain
    lam = jnp.where(undecayed, 0, s["lam"])
    vertices = [claim_kappa.grad(d) for d in s["directions"]]
    y = jax.tree.map(
        lambda *v: sum(w * a for w, a in zip(s["mix"], v, strict=True)), *vertices
    )
    x = jax.tree.map(lambda y, r: jnp.where(undecayed, r, y / s["lam"]), y, s["x"])
    g = jax.tree.map(lambda d, xi: d + s["noise"] * xi, jax.grad(f)(x), s["xi"])
    m = LionState(s["m"])

    def method(kappa, decay):
        return LionKappa(kappa, s["beta"][0], s["beta"][1], lam, decay, mask)

    explicit = s["explicit"] & (mask is None)
    one, m_next = method(step_kappa, "explicit").step(x, m, g, s["eps"])
    two, _ = method(step_kappa, "implicit").step(x, m, g, s["eps"])
    x_next = jax.tree.map(lambda a, b: jnp.where(explicit, a, b), one, two)
    eps = jnp.where(explicit, s["eps"] / (1 - s["eps"] * lam), s["eps"])
    index = jnp.zeros((), jnp.int32)
    step = Step(index, x, m, g, eps, x_next, m_next, f(x), f(x_next))
    return method(claim_kappa, "implicit"), step


def audit(step_kappa, claim_kappa, mask, f, L, s) -> dict:
    """The ledger of one step, and H₊ − H once more from the definition of H."""
    opt, step = observed(step_kappa, claim_kappa, mask, f, s)
    row = row_of_step(opt, step, L)
    assert row.predicted is not None and row.defect is not None
    before = opt.energy(0.0, step.x, step.state, step.value, step.lr)
    after = opt.energy(0.0, step.x_next, step.state_next, step.value_next, step.lr)
    delta = ravel_pytree(step.x_next)[0] - ravel_pytree(step.x)[0]
    spent = row.terms["dissipation_1"] + row.terms["dissipation_2"]
    scale = row.scale + jnp.abs(step.value) + jnp.abs(step.value_next)
    losses = [v / row.scale for k, v in row.terms.items() if k != "residual"]
    failed = {k: c.margin < -c.tolerance for k, c in row.checks.items()}
    bound = failed.pop("theorem")
    return {
        "error": jnp.abs(row.defect) / row.scale,
        "oracle": jnp.abs(after - before - row.predicted)
        / (jnp.abs(before) + jnp.abs(after) + scale),
        "residual": jnp.abs(row.terms["residual"]) / row.scale,
        "descent": (L / 2 * jnp.sum(delta**2) - row.change - spent) / scale,
        "signs": functools.reduce(jnp.minimum, losses),
        "subgradient": failed["subgradient"],
        "failed": jnp.any(jnp.stack(list(failed.values())))
        | (bound & (s["noise"] == 0)),
        "exact": s["noise"] == 0,
    }


def misweighed(kappa, f, s):
    """The relative defects when the ledger's c is off by ±10 %, its a being kept."""
    opt, step = observed(kappa, kappa, None, f, s)

    def defect(factor):
        (block,) = opt.blocks(step)
        wrong = block.weights._replace(c=factor * block.weights.c)
        row = _lion_balance.ledger(
            kappa,
            [block._replace(weights=wrong)],
            step.index,
            step.value,
            step.value_next,
        )
        assert row.defect is not None
        return jnp.abs(row.defect) / row.scale

    return jax.vmap(defect)(jnp.asarray([0.9, 1.1]))
