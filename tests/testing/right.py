"""Small honest bijectors, on TFP's own base class, that the kit must pass."""

import itertools

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.parameters import convert_parameters

tfb = tfp.bijectors
Properties = tfp.util.ParameterProperties

_UNIQUE = itertools.count()


def _times(matrix, x):
    # tf.linalg.matvec reads past its end where float32 matrices of batch
    # [6, 1] share a vector.
    return tf.reduce_sum(matrix * x[..., tf.newaxis, :], axis=-1)


class Example(tfb.AutoCompositeTensorBijector):
    """Keeps its parameters as `_<name>`; vectors in, vectors out."""

    def __init__(self, tensors, arguments, **options):
        converted = convert_parameters(**tensors)
        for name, value in converted.items():
            setattr(self, f"_{name}", value)
        self._size = next(iter(converted.values())).shape[-1]
        super().__init__(
            forward_min_event_ndims=1,
            dtype=getattr(self, f"_{name}").dtype,
            parameters={
                k: v for k, v in arguments.items() if not k.startswith("__")
            },
            name=arguments["name"],
            **options,
        )

    def __hash__(self):
        # TFP's cache does not see assignments: with variables, no hit.
        return next(_UNIQUE) if self.variables else super().__hash__()

    def _check_size(self, name, value):
        if value.shape.rank and value.shape[-1] not in (None, self._size):
            raise ValueError(
                f"`{name}` must have shape [..., {self._size}]; got "
                f"{value.shape}."
            )

    def _call_forward(self, x, name, **kwargs):
        self._check_size("x", x)
        return super()._call_forward(x, name, **kwargs)

    def _call_inverse(self, y, name, **kwargs):
        self._check_size("y", y)
        return super()._call_inverse(y, name, **kwargs)

    def _call_forward_log_det_jacobian(self, x, event_ndims, name, **kwargs):
        self._check_size("x", x)
        return super()._call_forward_log_det_jacobian(
            x, event_ndims, name, **kwargs
        )

    def _call_inverse_log_det_jacobian(self, y, event_ndims, name, **kwargs):
        self._check_size("y", y)
        return super()._call_inverse_log_det_jacobian(
            y, event_ndims, name, **kwargs
        )


class Radial(Example):
    """`y = x + beta (x - z0) / (alpha + r)`."""

    def __init__(self, z0, a, b, name="radial"):
        super().__init__({"z0": z0, "a": a, "b": b}, locals())

    @classmethod
    def _parameter_properties(cls, dtype):
        scalar = Properties(
            event_ndims=0, shape_fn=lambda sample_shape: sample_shape[:-1]
        )
        return {"z0": Properties(event_ndims=1), "a": scalar, "b": scalar}

    def _centre(self):
        return tf.convert_to_tensor(self._z0)

    def _alpha_beta(self):
        alpha = tf.math.softplus(tf.convert_to_tensor(self._a))
        return alpha, tf.math.softplus(self._b) - alpha

    def _norm(self, offset):
        squared = tf.reduce_sum(offset**2, -1)
        is_zero = tf.equal(squared, 0.0)
        root = tf.sqrt(tf.where(is_zero, tf.ones_like(squared), squared))
        return tf.where(is_zero, tf.zeros_like(squared), root)

    def _forward(self, x):
        alpha, beta = self._alpha_beta()
        offset = x - self._centre()
        h = 1.0 / (alpha + self._norm(offset))
        return x + (beta * h)[..., tf.newaxis] * offset

    def _inverse(self, y):
        alpha, beta = self._alpha_beta()
        centre = self._centre()
        offset = y - centre
        radius = self._norm(offset)
        linear = alpha + beta - radius
        root = tf.sqrt(linear**2 + 4.0 * alpha * radius)
        positive = linear > 0.0
        below = tf.where(positive, linear + root, tf.ones_like(root))
        r = tf.where(
            positive, 2.0 * alpha * radius / below, 0.5 * (root - linear)
        )
        ratio = (alpha + r) / (alpha + r + beta)
        return centre + ratio[..., tf.newaxis] * offset

    def _forward_log_det_jacobian(self, x):
        alpha, beta = self._alpha_beta()
        r = self._norm(x - self._centre())
        across = beta / (alpha + r)
        along = across + beta * self._radial_slope(alpha, r)
        size = tf.cast(tf.shape(x)[-1], x.dtype)
        return (size - 1.0) * tf.math.log1p(across) + tf.math.log(
            tf.abs(1.0 + along)
        )

    def _radial_slope(self, alpha, r):
        return -r / (alpha + r) ** 2


class Scaling(Example):
    """`y = exp(log_scale) x`."""

    def __init__(self, log_scale, name="scaling"):
        super().__init__({"log_scale": log_scale}, locals())

    @classmethod
    def _parameter_properties(cls, dtype):
        return {"log_scale": Properties(event_ndims=1)}

    def _forward(self, x):
        return x * tf.exp(self._log_scale)

    def _inverse(self, y):
        return y * tf.exp(-tf.convert_to_tensor(self._log_scale))

    def _forward_log_det_jacobian(self, x):
        log_det = tf.reduce_sum(self._log_scale, -1)
        shape = tf.broadcast_dynamic_shape(tf.shape(log_det), tf.shape(x)[:-1])
        return tf.broadcast_to(log_det, shape)


class CircularConvolution(Example):
    """`y = irfft(rfft(kernel) rfft(x))`, the kernel near a unit impulse."""

    def __init__(self, offset, name="circular_convolution"):
        super().__init__(
            {"offset": offset}, locals(), is_constant_jacobian=True
        )

    @classmethod
    def _parameter_properties(cls, dtype):
        return {"offset": Properties(event_ndims=1)}

    def _spectrum(self):
        kernel = 0.5 * tf.tanh(tf.convert_to_tensor(self._offset)) / self._size
        impulse = tf.one_hot(0, self._size, dtype=kernel.dtype)
        return tf.signal.rfft(kernel + impulse)

    def _filter(self, x, spectrum):
        length = [self._size]
        return tf.signal.irfft(tf.signal.rfft(x) * spectrum, length)

    def _forward(self, x):
        return self._filter(x, self._spectrum())

    def _inverse(self, y):
        return self._filter(y, 1.0 / self._spectrum())

    def _counts(self):
        """How many of the D bins each bin of the half spectrum stands for."""
        twice = (self._size - 1) // 2
        return [1.0] + [2.0] * twice + [1.0] * (1 - self._size % 2)

    def _forward_log_det_jacobian(self, x):
        gains = tf.math.log(tf.abs(self._spectrum()))
        return tf.reduce_sum(tf.constant(self._counts(), x.dtype) * gains, -1)


class Sylvester(Example):
    """`y = x + r1 tanh(r2 x + b)`, both matrices upper triangular."""

    def __init__(self, r1, r2, b, name="sylvester"):
        super().__init__({"r1": r1, "r2": r2, "b": b}, locals())

    @classmethod
    def _parameter_properties(cls, dtype):
        matrix = Properties(
            event_ndims=2,
            shape_fn=lambda sample_shape: sample_shape + sample_shape[-1:],
        )
        return {"r1": matrix, "r2": matrix, "b": Properties(event_ndims=1)}

    def _tensors(self):
        # Small enough for x -> r1 tanh(r2 x + b) to contract by 0.01.
        r1, r2 = (tf.tanh(r) / self._size for r in (self._r1, self._r2))
        first = tf.linalg.band_part(0.01 * r1, 0, -1)
        return first, self._second(r2), tf.convert_to_tensor(self._b)

    def _second(self, r2):
        return tf.linalg.band_part(r2, 0, -1)

    def _tanh(self, x, r2, b):
        return tf.tanh(_times(r2, x) + b)

    def _forward(self, x):
        r1, r2, b = self._tensors()
        return x + _times(r1, self._tanh(x, r2, b))

    def _inverse(self, y):
        (r1, r2, b), x = self._tensors(), y
        for _ in range(8):  # Each step gains two digits.
            x = y - _times(r1, self._tanh(x, r2, b))
        return x

    def _forward_log_det_jacobian(self, x):
        r1, r2, b = self._tensors()
        slope = 1.0 - self._tanh(x, r2, b) ** 2
        diagonal = tf.linalg.diag_part(r1) * tf.linalg.diag_part(r2)
        return tf.reduce_sum(tf.math.log1p(slope * diagonal), -1)


class InverseAutoregressive(Example):
    """`y_i = exp(s_i(x_<i)) x_i + m_i(x_<i)`."""

    def __init__(self, shift, scale, log_scale, name="iaf"):
        super().__init__(
            {"shift": shift, "scale": scale, "log_scale": log_scale}, locals()
        )

    @classmethod
    def _parameter_properties(cls, dtype):
        matrix = Properties(
            event_ndims=2,
            shape_fn=lambda sample_shape: sample_shape + sample_shape[-1:],
        )
        return {
            "shift": matrix,
            "scale": matrix,
            "log_scale": Properties(event_ndims=1),
        }

    def _tensors(self):
        shift, scale = (
            self._strictly_lower(tf.convert_to_tensor(weights))
            for weights in (self._shift, self._scale)
        )
        return shift, scale, tf.convert_to_tensor(self._log_scale)

    def _strictly_lower(self, weights):
        lower = tf.linalg.band_part(weights, -1, 0)
        return lower - tf.linalg.band_part(weights, 0, 0)

    def _shift_and_log_scale(self, x, tensors):
        shift, scale, log_scale = tensors
        steep = log_scale + tf.tanh(_times(scale, x))
        return _times(shift, x), steep

    def _forward(self, x):
        shift, log_scale = self._shift_and_log_scale(x, self._tensors())
        return x * tf.exp(log_scale) + shift

    def _inverse(self, y):
        tensors = self._tensors()
        x = tf.zeros_like(y)
        for _ in range(self._size):  # Each pass makes one more entry right.
            shift, log_scale = self._shift_and_log_scale(x, tensors)
            x = (y - shift) * tf.exp(-log_scale)
        return x

    def _forward_log_det_jacobian(self, x):
        log_scale = self._shift_and_log_scale(x, self._tensors())[1]
        return tf.reduce_sum(log_scale, -1)
