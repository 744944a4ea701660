"""How fast is an equilibrium?  Against scikit-fem with scipy's sparse solver.

Cook's membrane of Müller's neo-Hookean law, bilinear quadrilaterals, one load step in
plane strain, float64, from rest to ‖K⁻¹r‖ ≤ ε^0.6 ‖u‖. CPU time of this process,
compilation apart: ours is `statics.load`; theirs is Newton's method with forms that are
written for NumPy and scipy's `spsolve`, the same number of iterations.

    speed ×     time(scikit-fem)/time(dynax): over 1 where dynax is the faster
    difference  of the displacement of the corner, relative

Examples:
    python scripts/bench.py statics
    python scripts/bench.py statics --cells 100 --json statics.json
"""

import functools
import importlib.metadata

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import compare, options, session
from dynax.mechanics import Solid, statics, traction
from experiments.material.known_solids import Ciarlet, mapped, panel


try:
    import skfem  # pyright: ignore[reportMissingImports]
    from skfem.helpers import ddot, grad  # pyright: ignore[reportMissingImports]
except ImportError:
    raise SystemExit(
        "scikit-fem is not installed, the peer of this benchmark: pip install "
        "scikit-fem."
    ) from None


def theirs(X, elements, iterations, shear=4.0, young=200.0, poisson=0.35):
    """u of the nodes, (n, 2)."""
    lam = young * poisson / (1 + poisson) / (1 - 2 * poisson)
    mu = young / 2 / (1 + poisson)
    mesh = skfem.MeshQuad(X.T.copy(), elements.T.copy())
    vector = skfem.ElementVector(skfem.ElementQuad1())
    basis = skfem.Basis(mesh, vector, intorder=3)
    end = mesh.facets_satisfying(lambda x: np.isclose(x[0], 48.0))
    side = skfem.FacetBasis(mesh, vector, facets=end)
    load = skfem.LinearForm(lambda v, w: shear * v[1]).assemble(side)

    def deformed(w):
        F = grad(w["u"]) + np.eye(2)[:, :, None, None]
        J = F[0, 0] * F[1, 1] - F[0, 1] * F[1, 0]
        G = np.array([[F[1, 1], -F[1, 0]], [-F[0, 1], F[0, 0]]]) / J  # F⁻ᵀ
        return F, J, G

    @skfem.LinearForm
    def inner(v, w):
        F, J, G = deformed(w)
        return ddot(mu * F + (lam / 2 * (J**2 - 1) - mu) * G, grad(v))

    @skfem.BilinearForm
    def tangent(du, v, w):
        _, J, G = deformed(w)
        A, B = grad(du), grad(v)
        turned = np.einsum("ij...,kj...,kl...->il...", G, A, G)
        back = (mu - lam / 2 * (J**2 - 1)) * ddot(turned, B)
        return mu * ddot(A, B) + back + lam * J**2 * ddot(G, A) * ddot(G, B)

    u = basis.zeros()
    held = basis.get_dofs(lambda x: np.isclose(x[0], 0.0))
    for _ in range(iterations):
        now = basis.interpolate(u)
        K, r = tangent.assemble(basis, u=now), load - inner.assemble(basis, u=now)
        u = u + skfem.solve(*skfem.condense(K, r, D=held))
    return u[basis.nodal_dofs].T


def bench(n: int, repeats: int):
    mesh = mapped((n, n), panel)
    X = np.asarray(mesh.nodes)
    pull = traction(mesh, X[:, 0] == 48.0, jnp.array([0.0, 4.0]))
    body = Solid(Ciarlet(), mesh, 1.0, X[:, 0] == 0, force=pull)
    ours = functools.partial(statics.load, body)
    path = ours()
    iterations = int(path.iterations[-1]) + 1  # the last step of `load` is one more
    peer = functools.partial(theirs, X, np.asarray(mesh.elements), iterations)
    tips = [u[np.argmax(X.sum(1)), 1] for u in (path.u[-1], peer())]
    facts = {
        "iterations": iterations,
        "difference": f"{abs(tips[0] / tips[1] - 1):.1e}",
    }
    return compare(lambda: ours().u, peer, repeats, facts=facts)


def main(argv: list[str]) -> None:
    parser = options("statics", __doc__, repeats=5)
    parser.add_argument("--cells", type=int, nargs="+", default=[16, 50, 100])
    versions = {p: importlib.metadata.version(p) for p in ("jaxlib", "scikit-fem")}
    jax.config.update("jax_enable_x64", True)
    with session(parser, argv, facts=versions) as (args, result):
        print("  ms a solve of dynax; speed × (median, range)")
        for n in args.cells:
            row = bench(n, args.repeats)
            row.show(f"{n * n} quadrilaterals")
            result[f"{n * n}"] = row
