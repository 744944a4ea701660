"""Laws that every constitutive law must pass, as numbers of one material point."""

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


def flowed(law, F, dt=0.05):
    """Internal variables that have flowed at another F: not at rest."""
    return law.update(F + 0.1 * jnp.sin(7 * F), law.init(F), dt)[1]


def facts(law, F, dF, Q, h=1e-4):
    """What the laws below compare, at one point."""
    T = jnp.transpose
    alpha, rest = flowed(law, F), law.init(F)
    stress = lambda F: law.kirchhoff(F, alpha)
    tau, slope = jax.jvp(stress, (F,), (dF,))
    far = lambda k: stress(F + k * h * dF)
    moved, after = law.update(F, alpha, 0.05)
    out = {
        "at rest": law.kirchhoff(jnp.eye(len(F)), rest),
        "stress": tau,
        "turned": Q.T @ law.kirchhoff(Q @ F, alpha) @ Q,
        "plain": law.kirchhoff(F, rest),
        "isotropic": law.kirchhoff(F @ Q, rest),
        "asymmetry": tau - T(tau),
        "slope": slope,
        "difference": (far(-2) - 8 * far(-1) + 8 * far(1) - far(2)) / (12 * h),
        "returned": moved,
        "turned return": Q.T @ law.update(Q @ F, alpha, 0.05)[0],
        "again": law.update(moved, after, 0.0)[0],
        "gradient": jax.grad(lambda F: jnp.sum(law.update(F, alpha, 0.05)[0] ** 2))(F),
        "stiffness": law.stiffness(F),
    }
    if isinstance(law, mat.AbstractHyperelastic):
        derived = mat.AbstractHyperelastic.kirchhoff
        out["derived"] = derived(law, F, alpha)
        out["energy"] = law.energy(F, alpha)
        out["energy after"] = law.energy(moved, after)
        out["energy at rest"] = law.energy(jnp.eye(len(F)), rest)
    if isinstance(law, mat.Maxwell | mat.GSM):
        out["dissipation"] = law.dissipation(F, alpha)
        step = lambda dt: law.energy(*law.update(F, alpha, dt))
        out["lost"] = -jax.jvp(step, (jnp.zeros(()),), (jnp.ones(()),))[1]
    return out


def measured(law, d):
    run = eqx.filter_jit(lambda *given: jax.vmap(lambda *p: facts(law, *p))(*given))
    return jax.tree.map(np.asarray, run(*map(jnp.asarray, states(d))))


def size(a):
    return np.max(np.abs(a))


def check_all(found, *, isotropic=True, symmetric=True, tol=1e-10):
    """Round-off of stresses of 10⁴–10⁶ Pa: relative 10⁻¹⁰ is 10⁵ ε of them; energies
    may rise by as much of themselves."""
    scale = size(found["stress"])
    close = lambda a, b: size(found[a] - found[b]) <= tol * scale
    assert all(np.all(np.isfinite(v)) for v in found.values())
    assert size(found["at rest"]) <= tol * scale, "stress at rest"
    assert close("turned", "stress"), "objectivity"
    assert close("isotropic", "plain") == isotropic, "isotropy"
    assert (size(found["asymmetry"]) <= tol * scale) == symmetric, "symmetry"
    # central differences of fourth order: h⁴ f⁽⁵⁾/30 ≈ 10⁻¹⁴ beside ε/h ≈ 10⁻¹¹
    error = size(found["slope"] - found["difference"])
    assert error <= 1e-8 * size(found["slope"]), "derivative of the stress"
    assert size(found["turned return"] - found["returned"]) <= tol, "return, turned"
    assert size(found["again"] - found["returned"]) <= tol, "return, twice"
    if "energy" in found:
        assert close("derived", "stress"), "stress of the energy"
        assert size(found["energy at rest"]) <= tol * scale, "energy at rest"
        rise = found["energy after"] - found["energy"]
        assert np.max(rise) <= tol * size(found["energy"]), "energy of a return"
    if "dissipation" in found:
        assert np.all(found["dissipation"] >= 0), "dissipation"
        np.testing.assert_allclose(found["lost"], found["dissipation"], rtol=1e-8)
