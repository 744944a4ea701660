r"""Linear algebra of the deformation gradient: d = 2 or 3, one matrix or many.

Every function takes leading axes as a batch and acts entry by entry on them: no LAPACK,
no loop over matrices, no matrix unit that rounds to TF32 or bfloat16.

Derivatives are exact where those of an SVD are not: no 1/(σᵢ² − σⱼ²) appears.

    polar              dR = R[ω]×,  (tr(S)I − S) ω = axl(RᵀdF − dFᵀR)   (1/(σᵢ + σⱼ))
    singular values    dσᵢ = uᵢᵀ dF vᵢ;  log stretches  dεᵢ = uᵢᵀ dF vᵢ/σᵢ
    isotropic_function G = V diag(g(log σ)) Vᵀ,  dG = V(diag dg + Γ∘sym L)Vᵀ,
                       Γᵢⱼ = (gᵢ − gⱼ)/sinh(log σᵢ − log σⱼ),  L = Uᵀ dF F⁻¹ U

`polar` has derivatives of every order. The others have the first, forward and
reverse; a second one raises NotImplementedError.

det F < 0 (inverted): polar gives det R = −1 with S > 0, the orthogonal matrix nearest
to F, and the last singular value is negative. det F = 0: polar is NaN or inf; singular
values are finite if the rank is d − 1; isotropic functions are NaN or inf.
"""

from dynax.material._algebra import (
    axial as axial,
    cofactor as cofactor,
    det as det,
    displacement as displacement,
    entries as entries,
    inverse as inverse,
    log_volume as log_volume,
    matmul as matmul,
    matrix as matrix,
    product as product,
    spatial as spatial,
    spherical as spherical,
    square as square,
    trace as trace,
    transpose as transpose,
    twice_green_lagrange as twice_green_lagrange,
    volume_change as volume_change,
)
from dynax.material._polar import polar as polar
from dynax.material._spectral import (
    isotropic_function as isotropic_function,
    log_stretches as log_stretches,
    singular_values as singular_values,
)
