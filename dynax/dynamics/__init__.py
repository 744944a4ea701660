"""What a given system does: exponents, directions, dimensions. Anything that steps."""

from dynax.dynamics._checks import agree as agree
from dynax.dynamics.covariant import (
    Covariant as Covariant,
    covariant as covariant,
)
from dynax.dynamics.dimension import (
    Correlation as Correlation,
    correlation_dimension as correlation_dimension,
    kaplan_yorke as kaplan_yorke,
)
from dynax.dynamics.finite_size import (
    FiniteSize as FiniteSize,
    finite_size as finite_size,
)
from dynax.dynamics.ftle import (
    FiniteTime as FiniteTime,
    flow_map as flow_map,
    ftle as ftle,
)
from dynax.dynamics.spectrum import (
    Spectrum as Spectrum,
    Walked as Walked,
    resume as resume,
    spectrum as spectrum,
)
from dynax.dynamics.steps import (
    FlowStep as FlowStep,
    rk4 as rk4,
    solver_step as solver_step,
)
