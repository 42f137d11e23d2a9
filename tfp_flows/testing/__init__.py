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
`parameter_shapes`), and must map all of `R^D` onto itself, or circles where a
case says so by `circular`, for any free reals behind its parameters, zeros
among them:

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


report = testing.check_bijector(
    Stretch, [2], identity_at=["log_scale"], autoregressive_order=[0, 1]
)
assert set(report.passed) == set(testing.CHECKS)
```

A class derived from TFP's own base fails three checks as it stands:
`cached_variables` (TFP's cache is stale after an assignment),
`keras_variables` (nothing refuses them) and `wrong_sizes` (the error is
TensorFlow's, or none); leave them out by
`checks=[name for name in CHECKS if name not in (...)]`. A `tfb.Chain` may also
read a variable too often for `variable_reads`.

What it checks, by the names of `CHECKS`:

- shapes: `shapes` (every pair of batches broadcasts), `batch_shape`,
  `dynamic_shapes` (unknown batch, sizes and rank in a graph), `batches`
  (`[6, 1]` in float32, empty), `wrong_sizes` (all four methods refuse them).
- values: `round_trip`, `cache`, `log_det`, `autoregressive` (zeros of the
  Jacobian that are exact, where promised), `dtypes`, `extreme_inputs`,
  `identity`, `density`, `amortized_noise`.
- derivatives: `gradients` and `hessians` against finite differences,
  `jacobians` (by pfor, as `tape.batch_jacobian` and `tape.jacobian` do).
- how it is run: `modes` (eager, graph, XLA), `vectorized_map`,
  `control_flow` (`tf.while_loop`, `tf.cond`, `tf.map_fn`), with the gradient
  tape inside and outside.
- the object: `composite`, `copy`, `slicing`, `composition` (what TFP builds
  around it), `memory` (nothing is kept), `variable_reads`, `variables`,
  `cached_variables`, `make_trainable`, `parameter_properties`,
  `keras_variables`.

`thorough=True` (of a case or of `check_bijector`) lets `dynamic_shapes`,
`jacobians`, `hessians`, `vectorized_map` and `control_flow` run all the
programs that they know: over points, parameters and both, every place of the
tape, auto-batched joint distributions, Jacobians and second derivatives in a
`tf.function`, and each of them under XLA. Without it they run the few that
find the most: `jacobians` and `hessians` eagerly, the others in a
`tf.function`.

What a bijector cannot do it must refuse by an error that says so. Name such a
step, as a failure names it, in `refuses`, with what the error says: the step
then fails unless it is refused.

    BijectorCase(..., refuses={"tape.jacobian, xla": "static trip count"})

The bijectors of this package give right values, log-dets, gradients and
Hessians eagerly, in a `tf.function` and under XLA, each of them by itself, in
`tf.vectorized_map`, `tf.map_fn`, `tf.while_loop`, `tf.cond` and in an
auto-batched `tfd.JointDistribution`, but for what follows. All but the last
is refused by a `LookupError` that says so:

- A `tf.function` of the sequential direction of an autoregressive flow, or of
  S-Log, that was traced outside of a `tf.vectorized_map` and is called in it:
  the gradient, by a tape outside of the map. Make the `tf.function` around the
  map.
- Circular convolutions in three dimensions: the gradient, by a tape outside of
  the `tf.vectorized_map`. The error names IRFFT3D.
- Doubly reparameterized gradients through a `tf.vectorized_map`: the rescaling
  `tfp_flows.losses.GradientScale` is refused there.
- Flows with a search (the inverses of splines, Sylvester and planar flows, the
  sequential direction of autoregressive flows, neural autoregressive flows),
  mapped with the tape outside of the `tf.vectorized_map`: derivatives are right
  up to the third order. By themselves they are right in every order, those of
  the planar inverse up to the third.

What TensorFlow itself cannot do, whatever the bijector: under XLA, the
gradient of a loop whose number of steps is unknown at compilation
(`tf.while_loop` needs `maximum_iterations`); and `tf.vectorized_map` forgets
`tf.custom_gradient`, so that what is inside must have right derivatives of its
own.

What the kit does not see: faults at points or parameters it does not draw,
faults that need more than a few dimensions or steps, non-injective or partial
maps, speed, devices other than the one it runs on, and whether the
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
