"""One fault each: the bijectors of `right` but for the method overridden."""

import tensorflow as tf
import tensorflow_probability as tfp

from tests.testing import right
from tfp_flows.bijectors import FlowBijector
from tfp_flows.bijectors.parameters import convert_parameters

tfb = tfp.bijectors


class RadialWithoutR(right.Radial):
    """`1 + beta h + beta h'` instead of `1 + beta h + beta h' r`."""

    def _radial_slope(self, alpha, r):
        return -1.0 / (alpha + r) ** 2


class AbsoluteSumScaling(right.Scaling):
    """`|sum s|` instead of `sum s`."""

    def _forward_log_det_jacobian(self, x):
        return tf.abs(super()._forward_log_det_jacobian(x))


class NearlyIdentity(right.Scaling):
    """Not the identity at zero, by 1e-6."""

    def _forward(self, x):
        return super()._forward(x) * (1.0 + 1e-6)

    def _inverse(self, y):
        return super()._inverse(y) / (1.0 + 1e-6)


class DetachedScaling(right.Scaling):
    """A log-det without gradient."""

    def _forward_log_det_jacobian(self, x):
        return tf.stop_gradient(super()._forward_log_det_jacobian(x))


class BinsCountedOnce(right.CircularConvolution):
    """The half spectrum's bins count once, as if they were all bins."""

    def _counts(self):
        return [1.0] * (self._offset.shape[-1] // 2 + 1)


class WrongTriangle(right.Sylvester):
    """The second matrix is lower triangular; the log-det assumes upper."""

    def _second(self, r2):
        return tf.linalg.band_part(r2, -1, 0)


class WrongSign(right.InverseAutoregressive):
    """The log-det of the other direction."""

    def _forward_log_det_jacobian(self, x):
        return -super()._forward_log_det_jacobian(x)


class SharedNoise(right.Scaling):
    """Declares no batch shape, as TFP's MaskedAutoregressiveFlow."""

    def _batch_shape(self, x_event_ndims):
        return tf.TensorShape([])

    def _batch_shape_tensor(self, x_event_ndims):
        return tf.constant([], tf.int32)


class ClippedInverse(right.Radial):
    """The inverse is right only near 0."""

    def _inverse(self, y):
        return super()._inverse(tf.clip_by_value(y, -5.0, 5.0))


class WrongBatchShape(right.Radial):
    """Declares `a` a vector, so that its batch axis counts as event."""

    @classmethod
    def _parameter_properties(cls, dtype):
        properties = super()._parameter_properties(dtype)
        properties["a"] = right.Properties(
            event_ndims=1, shape_fn=lambda sample_shape: sample_shape[:-1]
        )
        return properties


class ForgetsCentre(right.Radial):
    """No gradient to `z0` in either direction."""

    def _centre(self):
        return tf.stop_gradient(super()._centre())


class ForgetsCentreInInverse(right.Radial):
    """A gradient to `z0` in the forward direction only."""

    def _inverse(self, y):
        copy = right.Radial(tf.stop_gradient(self._z0), self._a, self._b)
        return copy.inverse(y)


class InverseFromCache(right.Radial):
    """No inverse at all, but for the values that TFP has cached."""

    def _inverse(self, y):
        return y


class Upcasting(right.Scaling):
    """Returns float64 for float32."""

    def _forward(self, x):
        return tf.cast(super()._forward(x), tf.float64)


class Frozen(right.Scaling):
    """Reads a variable once, at construction."""

    def __init__(self, log_scale, name="frozen"):
        super().__init__(log_scale, name)
        self._log_scale = tf.convert_to_tensor(self._log_scale)


class PointsShapeOnly(right.Scaling):
    """The shape of the log-det from the points alone."""

    def _forward_log_det_jacobian(self, x):
        log_det = super()._forward_log_det_jacobian(x)
        return tf.reshape(log_det, [-1])[: tf.size(x[..., 0])]


class PoolsParameters(right.Scaling):
    """Uses the mean of the batch's parameters for every example."""

    def _pooled(self):
        value = tf.convert_to_tensor(self._log_scale)
        return tf.reduce_mean(value, axis=list(range(value.shape.rank - 1)))

    def _forward(self, x):
        return x * tf.exp(self._pooled())

    def _inverse(self, y):
        return y * tf.exp(-self._pooled())

    def _forward_log_det_jacobian(self, x):
        return tf.reduce_sum(self._pooled() + tf.zeros_like(x), -1)


class CallsPython(right.Scaling):
    """Leaves TensorFlow for a value, which XLA cannot compile."""

    def _forward(self, x):
        y = super()._forward(x)
        in_python = tf.numpy_function(lambda a: a, [y], y.dtype)
        in_python = tf.ensure_shape(in_python, y.shape)
        return y + tf.stop_gradient(in_python - y)


class StaticShapes(right.Scaling):
    """Needs a batch of known size."""

    def _forward(self, x):
        return super()._forward(x) * tf.ones(x.shape[:-1] + [1], x.dtype)


class WrongCachedLogDet(FlowBijector):
    """`y = exp(log_scale) x`; forward leaves a wrong log-det in the cache."""

    def __init__(self, log_scale, name="wrong_cached_log_det"):
        parameters = dict(locals())
        self._log_scale = convert_parameters(log_scale=log_scale)["log_scale"]
        super().__init__(
            forward_min_event_ndims=1,
            dtype=self._log_scale.dtype,
            parameters=parameters,
            name=name,
        )

    _parameter_properties = right.Scaling._parameter_properties

    def _event_size(self):
        return self._log_scale.shape[-1]

    def _constrained_parameters(self):
        return (tf.convert_to_tensor(self._log_scale),)

    def _forward_and_log_det(self, x, parameters):
        (log_scale,) = parameters
        fldj = tf.reduce_sum(log_scale + tf.zeros_like(x), -1)
        return x * tf.exp(log_scale), fldj

    def _inverse_and_log_det(self, y, parameters):
        (log_scale,) = parameters
        ildj = -tf.reduce_sum(log_scale + tf.zeros_like(y), -1)
        return y * tf.exp(-log_scale), ildj

    def _augmented_forward(self, x):
        y, log_dets = super()._augmented_forward(x)
        return y, {**log_dets, "ildj": log_dets["fldj"]}


class BranchingOnValues(right.Scaling):
    """A Python branch on a tensor's value."""

    def _forward(self, x):
        if tf.reduce_sum(x) > 1e30:
            return x
        return super()._forward(x)


class CoarseInFloat32(right.Scaling):
    """Loses half of float32's digits."""

    def _forward(self, x):
        y = super()._forward(x)
        if x.dtype == tf.float32:
            # Rounds to 12 bits; straight through in the gradient.
            y += tf.stop_gradient(tf.cast(tf.cast(y, tf.bfloat16), x.dtype) - y)
        return y


class UnsafeNorm(right.Radial):
    """A gradient of 0 / 0 at the centre."""

    def _norm(self, offset):
        return tf.norm(offset, axis=-1)


class ForgetsOption(right.Scaling):
    """Leaves an option out of `parameters`: a copy has the default."""

    def __init__(self, log_scale, gain=1.0, name="forgets_option"):
        self._gain = gain
        super().__init__(log_scale, name)

    def _forward(self, x):
        return super()._forward(x) * self._gain

    def _inverse(self, y):
        return super()._inverse(y) / self._gain

    def _forward_log_det_jacobian(self, x):
        size = tf.cast(tf.shape(x)[-1], x.dtype)
        log_gain = size * tf.math.log(tf.constant(self._gain, x.dtype))
        return super()._forward_log_det_jacobian(x) + log_gain


class NotComposite(tfb.Bijector):
    """A plain `tfb.Bijector`."""

    def __init__(self, log_scale, name="not_composite"):
        parameters = dict(locals())
        self._log_scale = log_scale
        super().__init__(
            forward_min_event_ndims=1, parameters=parameters, name=name
        )

    __hash__ = right.Example.__hash__
    _parameter_properties = right.Scaling._parameter_properties
    _forward = right.Scaling._forward
    _inverse = right.Scaling._inverse
    _forward_log_det_jacobian = right.Scaling._forward_log_det_jacobian


class StaleCache(right.Scaling):
    """TFP's cache as it is."""

    __hash__ = tfb.AutoCompositeTensorBijector.__hash__


class AcceptsKeras(right.Scaling):
    """Freezes a `keras.Variable`."""

    def __init__(self, log_scale, name="accepts_keras"):
        if "keras" in type(log_scale).__module__:
            log_scale = tf.convert_to_tensor(log_scale)
        super().__init__(log_scale, name)


def _with_gradient(gradient):
    """A function that is the identity but for its gradient."""

    @tf.custom_gradient
    def identity(x):
        return tf.identity(x), lambda bar: gradient(x, bar)

    return identity


class GradientOfEagerTensors(right.Scaling):
    """A gradient that needs the values of what was computed eagerly."""

    def _forward(self, x):
        def gradient(x, bar):
            if tf.is_symbolic_tensor(x):
                return bar
            return tf.identity(bar) + tf.constant(0.0 * bar.numpy())

        return super()._forward(_with_gradient(gradient)(x))


class FirstDerivativesOnly(right.Radial):
    """A right gradient, itself without a gradient."""

    def _forward(self, x):
        stopped = _with_gradient(lambda x, bar: tf.stop_gradient(bar))
        return super()._forward(stopped(x))


class LostInMaps(right.Scaling):
    """A stopped value with a gradient of its own, which pfor forgets."""

    def _forward(self, x):
        @tf.custom_gradient
        def reattached(x):
            return tf.stop_gradient(x), lambda bar: bar

        return super()._forward(reattached(x))


class LostInLoops(right.Scaling):
    """A gradient by a tape that watches a tensor of the forward pass.

    In a loop the tensor was captured before the tape began, which then sees
    nothing of it.
    """

    def _forward(self, x):
        def gradient(x, bar):
            bar += tf.zeros_like(x) * x
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = tf.identity(x)
            return tape.gradient(
                value,
                x,
                output_gradients=bar,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        return super()._forward(_with_gradient(gradient)(x))


class NeedsAnExample(right.Scaling):
    """Looks at the first number of a batch."""

    def _forward(self, x):
        first = tf.reshape(x, [-1])[0]
        return super()._forward(x) + tf.zeros_like(first)


class TurnsColumns(right.Scaling):
    """A kernel of its own, and a wrong one, for float32 batches `[6, 1]`."""

    def _forward(self, x):
        scale = tf.exp(tf.convert_to_tensor(self._log_scale))
        if x.dtype == tf.float32 and scale.shape[:-1] == [6, 1]:
            scale = tf.reverse(scale, axis=[0])
        return x * scale


class StaticRank(right.Scaling):
    """Needs points of known rank."""

    def _forward(self, x):
        return super()._forward(tf.transpose(tf.transpose(x), _reversed(x)))


def _reversed(x):
    return list(range(x.shape.rank))[::-1]


class AnySize(right.Scaling):
    """Broadcasts points of another size, or leaves the error to TensorFlow."""

    def _check_size(self, name, value):
        del name, value


class ShapeByPosition(right.Scaling):
    """A `shape_fn` whose argument has a name of its own."""

    @classmethod
    def _parameter_properties(cls, dtype):
        return {
            "log_scale": right.Properties(
                event_ndims=1, shape_fn=lambda shape: shape
            )
        }


class ReadsTwice(right.Scaling):
    """Reads its variable twice in one pass."""

    def _forward(self, x):
        first = tf.convert_to_tensor(self._log_scale)
        second = tf.convert_to_tensor(self._log_scale)
        return x * tf.exp(0.5 * (first + second))


class KeepsPoints(right.Scaling):
    """Keeps every eager point that it has seen."""

    seen = []

    def _forward(self, x):
        if not tf.is_symbolic_tensor(x):
            self.seen.append(x)
        return super()._forward(x)


class LooksAhead(right.InverseAutoregressive):
    """A mask of 1e-17 instead of 0: nothing that a value shows."""

    def _strictly_lower(self, weights):
        return super()._strictly_lower(weights) + 1e-17 * weights


class IgnoresSteps(right.Scaling):
    """Slices without regard to the step."""

    def __getitem__(self, slices):
        slices = slices if isinstance(slices, tuple) else (slices,)
        return super().__getitem__(
            tuple(
                slice(s.start, s.stop) if isinstance(s, slice) else s
                for s in slices
            )
        )


class ForgetsEventShape(right.Scaling):
    """Does not say the shape of its results."""

    def _forward_event_shape(self, input_shape):
        return tf.TensorShape([None])


class RefusesBranches(right.Scaling):
    """Cannot be a branch of `tf.cond`, and says so."""

    def _inverse(self, y):
        if "cond_true" in tf.compat.v1.get_default_graph().name:
            raise NotImplementedError("Scaling has no branches.")
        return super()._inverse(y)
