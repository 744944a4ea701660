"""Laws that every constitutive law must pass, as numbers of one material point."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dynax import material as mat


def rotation(w):
    """Rodrigues: Q = I + sin|w| K + (1 − cos|w|) K², K = [w]×/|w|; in the plane w₃."""
    size = np.linalg.norm(w)
    x, y, z = w / size
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(size) * K + (1 - np.cos(size)) * K @ K


def rotations(rng, n, d):
    axes = rng.normal(size=(n, 3)) * (np.array([1, 1, 1]) if d == 3 else [0, 0, 1])
    return np.stack([rotation(w)[:d, :d] for w in axes])


def states(d, seed=0):
    """F as a law may meet it: at rest, repeated and nearly repeated σ, generic."""
    rng = np.random.default_rng(seed)
    rows = [[1, 1, 1], [0.9, 0.9, 0.9], [1.2, 1.2, 0.9], [1.1, 1.1 + 1e-7, 0.9]]
    sigma = np.array(rows + list(rng.uniform(0.8, 1.2, (8, 3))))[:, :d]
    U, V = rotations(rng, len(sigma), d), rotations(rng, len(sigma), d)
    F = U * sigma[:, None] @ V.transpose(0, 2, 1)
    F[0] = np.eye(d)
    return F, rng.normal(size=F.shape) / d, rotations(rng, len(F), d)


def stored(law):
    """(F, α, dF) → all that is said of a state, for many points; compiled once."""

    def point(law, F, alpha, dF):
        tau, slope = jax.jvp(lambda F: law.kirchhoff(F, alpha), (F,), (dF,))
        out = {"stress": tau, "slope": slope, "stiffness": law.stiffness(F, alpha)}
        if isinstance(law, mat.AbstractHyperelastic):
            energy, P = jax.value_and_grad(law.energy)(F, alpha)
            out |= {"energy": energy, "derived": P @ F.T}
        if isinstance(law, mat.Maxwell | mat.GSM):
            out["dissipation"] = law.dissipation(F, alpha)
        return out

    run = eqx.filter_jit(jax.vmap(point, (None, 0, 0, 0)))
    return lambda *given: jax.tree.map(np.asarray, run(law, *given))


def updates(law):
    """(F, α, dt) → what `update` gives, and the gradient of ½‖F‖² after it."""

    def point(law, F, alpha, dt):
        def half(F):
            after, alpha_after = law.update(F, alpha, dt)
            return jnp.sum(after**2) / 2, (after, alpha_after)

        (_, after), gradient = jax.value_and_grad(half, has_aux=True)(F)
        return *after, gradient

    run = eqx.filter_jit(jax.vmap(point, (None, 0, 0, None)))
    return lambda F, alpha, dt: run(law, F, alpha, jnp.asarray(dt))


def measured(law, d, h=1e-4, dt=0.05):
    """What the laws below compare. α has flowed at another F: it is not at rest."""
    F, dF, Q = map(jnp.asarray, states(d))
    Qt = jnp.swapaxes(Q, 1, 2)
    at, update = stored(law), updates(law)
    rest = jax.vmap(law.init)(F)
    _, alpha, _ = update(F + 0.1 * jnp.sin(7 * F), rest, dt)
    now = at(F, alpha, dF)
    moved, after, gradient = update(F, alpha, dt)
    later = at(moved, after, dF)
    stress = lambda F, alpha: at(F, alpha, dF)["stress"]
    far = lambda k: stress(F + k * h * dF, alpha)
    start = at(jnp.broadcast_to(jnp.eye(d)[None], F.shape), rest, dF)
    out = now | {
        "at rest": start["stress"],
        "turned": Qt @ stress(Q @ F, alpha) @ Q,
        "plain": stress(F, rest),
        "isotropic": stress(F @ Q, rest),
        "asymmetry": now["stress"] - now["stress"].transpose(0, 2, 1),
        "difference": (far(-2) - 8 * far(-1) + 8 * far(1) - far(2)) / (12 * h),
        "returned": moved,
        "turned return": Qt @ update(Q @ F, alpha, dt)[0],
        "again": update(moved, after, 0.0)[0],
        "gradient": gradient,
    }
    if "energy" in now:
        out |= {"energy at rest": start["energy"], "energy after": later["energy"]}
    if "dissipation" in now:
        short = 1e-6
        soon = at(F, update(F, alpha, short)[1], dF)["energy"]
        back = at(F, update(F, alpha, -short)[1], dF)["energy"]
        out["lost"] = (back - soon) / (2 * short)
    return jax.tree.map(np.asarray, out)


def size(a):
    return np.max(np.abs(a))


def check_all(found, *, isotropic=True, symmetric=True, smooth: Any = ..., tol=1e-10):
    """Round-off of stresses of 10⁴–10⁶ Pa: relative 10⁻¹⁰ is 10⁵ ε of them; energies
    may rise by as much of themselves. `smooth`: where the stress has a derivative."""
    scale = size(found["stress"])
    close = lambda a, b: size(found[a] - found[b]) <= tol * scale
    assert all(np.all(np.isfinite(v)) for v in found.values())
    assert size(found["at rest"]) <= tol * scale, "stress at rest"
    assert close("turned", "stress"), "objectivity"
    assert close("isotropic", "plain") == isotropic, "isotropy"
    assert (size(found["asymmetry"]) <= tol * scale) == symmetric, "symmetry"
    # central differences of fourth order: h⁴ f⁽⁵⁾/30 ≈ 10⁻¹⁴ beside ε/h ≈ 10⁻¹¹
    error = size((found["slope"] - found["difference"])[smooth])
    assert error <= 1e-8 * size(found["slope"]), "derivative of the stress"
    C = lambda F: F.transpose(0, 2, 1) @ F  # water forgets rotations
    turned = C(found["turned return"]) - C(found["returned"])
    assert size(turned) <= tol, "return, turned"
    assert size(found["again"] - found["returned"]) <= tol, "return, twice"
    if "energy" in found:
        assert close("derived", "stress"), "stress of the energy"
        assert size(found["energy at rest"]) <= tol * scale, "energy at rest"
        rise = found["energy after"] - found["energy"]
        assert np.max(rise) <= tol * size(found["energy"]), "energy of a return"
    if "dissipation" in found:
        assert np.all(found["dissipation"] >= 0), "dissipation"
        # ψ to ε of itself over a time of 10⁻⁶ s of 10⁻¹ s
        noise = 1e-8 * size(found["energy"]) / 0.1
        np.testing.assert_allclose(
            found["lost"], found["dissipation"], rtol=1e-6, atol=noise
        )
