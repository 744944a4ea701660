"""What an equation hides: formulas from data, or that the data cannot tell."""

from dynax.identify.discovery import Discovery as Discovery, identify as identify
from dynax.identify.hidden import WithHidden as WithHidden
from dynax.identify.library import (
    Library as Library,
    Polynomial as Polynomial,
    monomials as monomials,
)
from dynax.identify.pysr import to_pysr as to_pysr
from dynax.identify.regression import Regression as Regression, regress as regress
from dynax.identify.sparse import collinear as collinear, stlsq as stlsq
