"""How far from exact each check lets a right bijector be, and why."""

import dataclasses

__all__ = ["Tolerances"]

# Round trips are judged in units of eps * (|x| + |J^-1| (1 + |y|)), the error
# that rounding the input alone explains; a composition of a few steps adds its
# own factor.
ROUND_TRIP_ROUNDINGS = 50.0

# A Jacobian more singular than this earns no further allowance, so that a
# singular map cannot excuse a wrong inverse.
LARGEST_INVERSE_JACOBIAN = 1e6

# Round trips in float64 also at parameters this much larger, where an inverse
# by iteration has to work harder.
STEEP = 3.0

# Formula and slogdet of the autodiff Jacobian agree to eps times the condition
# of the Jacobian; wrong formulas differ by 1e-2 and more.
LOG_DET = 1e-8

# Differences with five points and step h, along directions of norm one, in
# float64. h = 1e-4 truncates at (|x| h)**4 / 30 times the fifth derivative,
# 1e-8 at |x| = 1000, and rounds at eps |f| / h, that is 2e-9 there. The small
# step is for points that lie within the large one of a kink.
FINITE_DIFFERENCE_STEPS = (1e-4, 1e-6)
GRADIENT = 1e-6

# Two evaluations of one formula in float64 (broadcast or not, cached or not,
# eager or compiled) differ by the order of their sums and by XLA's own tanh
# and exp; gradients through an inverse amplify that by |J^-1|.
SAME_FLOAT64 = 1e-8

# A promised identity: rounding, in eps, of the few operations that cancel.
IDENTITY_ROUNDINGS = 16.0

# float32 against float64 from the same numbers: eps is 1e-7, |w x| up to 100
# at the points used, and |J^-1| of a few.
FLOAT32 = 1e-4

# The trapezoid rule on a smooth density, 20 points per unit of base scale,
# leaves under 1e-5; a kink of the density (radial, at its centre) 1e-4.
INTEGRAL = 1e-3

# Standard errors that an importance estimate may be from 1, and the largest
# standard error from which a verdict is drawn.
STANDARD_ERRORS = 5.0
LARGEST_STANDARD_ERROR = 0.02

# Recovered noise of two examples: 1e-10 apart if shared, about 1 if not.
DISTINCT_NOISE = 1e-4


@dataclasses.dataclass(frozen=True)
class Tolerances:
    """Largest errors that count as right; the module says where from.

    An error is |found - expected| / (1 + |expected|) unless said otherwise.

    Attributes:
      round_trip: in units of eps * (|x| + |J^-1| (1 + |y|)).
      log_det: against slogdet of a float64 Jacobian.
      gradient: against finite differences in float64.
      same: of two float64 evaluations of one quantity.
      float32: of float32 values against float64.
      float32_gradient: of float32 gradients against float64, relative to the
        largest entry of the gradient.
      integral: of the density's integral.
    """

    round_trip: float = ROUND_TRIP_ROUNDINGS
    log_det: float = LOG_DET
    gradient: float = GRADIENT
    same: float = SAME_FLOAT64
    float32: float = FLOAT32
    float32_gradient: float = 10.0 * FLOAT32
    integral: float = INTEGRAL
