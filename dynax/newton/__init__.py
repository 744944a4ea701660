"""Second-order methods: least squares in optimistix's form, quasi-Newton in optax's."""

from dynax.newton.levenberg_marquardt import (
    LevenbergMarquardt as LevenbergMarquardt,
    LevenbergMarquardtState as LevenbergMarquardtState,
)
from dynax.newton.ssbroyden import (
    ScaleBySSBroydenState as ScaleBySSBroydenState,
    scale_by_ssbroyden as scale_by_ssbroyden,
    ssbroyden as ssbroyden,
)
