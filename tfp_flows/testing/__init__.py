'''The conformance kit: one call that checks a bijector.

It checks what `tfp.bijectors` promises and TFP's own tests of a round trip do
not see: TFP answers `inverse(forward(x))` from its cache, so that a wrong
inverse looks right. Nothing here trusts the cache.

    report = check_bijector(Planar, event_shape=[3])
    print(report)  # every check with the largest error it measured

A failure raises `ConformanceError`, an `AssertionError` that lists each failed
check with what was expected, what was found and at which parameters. `CHECKS`
holds the checks by name, for `pytest.mark.parametrize`:

    CASES = [
        BijectorCase("planar-3", Planar, event_shape=[3]),
        BijectorCase(
            "scan-planar-3",
            lambda **parameters: Scan(Planar(**parameters)),
            event_shape=[3],
            parameter_shapes=parameter_shapes_of(Planar, leading=(4,)),
        ),
    ]

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    @pytest.mark.parametrize("check", CHECKS)
    def test_conformance(case, check):
        CHECKS[check](case)

A bijector of your own needs complete `_parameter_properties` (or
`parameter_shapes`), and must map all of `R^D` onto itself, for any free reals
behind its parameters, zeros among them:

```python
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import testing
from tfp_flows.bijectors import FlowBijector
from tfp_flows.bijectors.parameters import convert_parameters


class Stretch(FlowBijector):
    """`y = exp(log_scale) * x`."""

    def __init__(self, log_scale, name="stretch"):
        parameters = dict(locals())
        converted = convert_parameters(log_scale=log_scale)
        self._log_scale = converted["log_scale"]
        super().__init__(
            forward_min_event_ndims=1,
            dtype=self._log_scale.dtype,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype):
        return {"log_scale": tfp.util.ParameterProperties(event_ndims=1)}

    def _event_size(self):
        return self._log_scale.shape[-1]

    def _constrained_parameters(self):
        return (tf.convert_to_tensor(self._log_scale),)

    def _forward_and_log_det(self, x, parameters):
        (log_scale,) = parameters
        fldj = tf.reduce_sum(log_scale + tf.zeros_like(x), axis=-1)
        return x * tf.exp(log_scale), fldj

    def _inverse_and_log_det(self, y, parameters):
        (log_scale,) = parameters
        ildj = -tf.reduce_sum(log_scale + tf.zeros_like(y), axis=-1)
        return y * tf.exp(-log_scale), ildj


report = testing.check_bijector(Stretch, [2], identity_at=["log_scale"])
assert set(report.passed) == set(testing.CHECKS)
```

A class derived from TFP's own base fails two checks as it stands:
`cached_variables` (TFP's cache is stale after an assignment) and
`keras_variables` (nothing refuses them); leave them out by
`checks=[name for name in CHECKS if name not in (...)]`.

What the kit does not see: faults at points or parameters it does not draw,
faults that need more than a few dimensions or steps, non-injective or partial
maps, speed and memory, devices other than the one it runs on, and whether the
map is the one its author meant.
'''

from tfp_flows.testing.case import (
    BijectorCase,
    ParameterShape,
    parameter_shapes_of,
)
from tfp_flows.testing.report import (
    CheckReport,
    CheckResult,
    ConformanceError,
    Failure,
    Measurement,
)
from tfp_flows.testing.runner import CHECKS, check_bijector, check_case
from tfp_flows.testing.tolerances import Tolerances

__all__ = [
    "CHECKS",
    "BijectorCase",
    "CheckReport",
    "CheckResult",
    "ConformanceError",
    "Failure",
    "Measurement",
    "ParameterShape",
    "Tolerances",
    "check_bijector",
    "check_case",
    "parameter_shapes_of",
]
