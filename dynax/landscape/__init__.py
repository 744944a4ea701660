"""Curvature along training, where methods become unstable, and solvable models.

`sharpness` and `trace` need matfree: `pip install 'dynax-lab[landscape]'`.
"""

from dynax.landscape import (
    deep_linear as deep_linear,
    generalization as generalization,
    grokking as grokking,
    opposing as opposing,
    river_valley as river_valley,
    thresholds as thresholds,
)
from dynax.landscape.curvature import (
    Estimate as Estimate,
    Ritz as Ritz,
    hessian_product as hessian_product,
    sharpness as sharpness,
    trace as trace,
)
from dynax.landscape.sgd_stability import (
    by_enumeration as by_enumeration,
    mixture as mixture,
    second_moment as second_moment,
    stability_threshold as stability_threshold,
    trace_bound as trace_bound,
)
from dynax.landscape.thresholds import (
    companion as companion,
    spectral_radius as spectral_radius,
    threshold as threshold,
)
from dynax.landscape.training import training_map as training_map
