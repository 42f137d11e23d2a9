"""A Gaussian and flows behind it, as a Keras layer."""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import replicas
from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows._count_metric import Count
from tfp_flows.bijectors import density_gradients
from tfp_flows.layers import FlowLayer
from tfp_flows.layers.parameter_head import ParameterHead
from tfp_flows.math import noise
from tfp_flows.posteriors import gaussian_bases, priors
from tfp_flows.posteriors.kl_weights import KLWeight
from tfp_flows.schedules import Annealing

__all__ = ["FlowPosterior"]

tfb, tfd = tfp.bijectors, tfp.distributions

Parameters = dict[str, Any]


@keras.saving.register_keras_serializable(package="tfp_flows")
class FlowPosterior(keras.layers.Layer):
    """The distribution of `z = f_n(... f_1(z_0))`, `z_0` Gaussian.

        log q(z) = log q_0(z_0) - sum_i log|det df_i/dz_(i-1)|     (in nats)

    Built with a context `[B, C]`, features that an encoder made of B examples,
    its parameters are *amortized*: one distribution per example, batch shape
    `[B]` (Rezende & Mohamed 2015). Built without (`posterior.build()`), they
    are weights, batch shape `[]`: a prior, or a surrogate posterior.

    Called as an ordinary layer, in training and in inference, it maps the
    context to a sample `[B, D]` and adds to the model's losses

        kl_weight * mean over the batch of (log q(z) - log prior(z)),

    so that with a loss of `tfp_flows.losses.NegativeLogLikelihood` the total is
    the negative ELBO. The noise of calls in training is keyed by (seed, number
    of the training call, row in the global batch), that of all others by (seed,
    number of the example since Keras last reset its metrics): validation
    leaves training alone, and `evaluate` repeats its figures.

    Example:
    ```python
    import keras
    import numpy as np

    import tfp_flows

    posterior = tfp_flows.posteriors.FlowPosterior(
        latent_size=2, flow=tfp_flows.layers.PlanarFlow(num_flow_steps=4)
    )
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "relu"),
            posterior,
            keras.layers.Dense(6),
        ]
    )
    model.compile("adam", tfp_flows.losses.NegativeLogLikelihood("bernoulli"))
    x = np.random.default_rng(0).integers(0, 2, [64, 6]).astype("float32")
    model.fit(x, x, verbose=0)  # the loss is the negative ELBO, in nats
    q = posterior.distribution(np.ones([3, 8], "float32"))  # batch shape [3]
    ```

    References:
      [1]: Danilo Rezende, Shakir Mohamed. Variational Inference with
           Normalizing Flows. ICML 2015. https://arxiv.org/abs/1505.05770
    """

    def __init__(
        self,
        latent_size: int,
        flow: FlowLayer | Sequence[FlowLayer] | None = None,
        base: str = "diagonal",
        rank: int = 1,
        amortized: bool | None = None,
        initial_scale: float = 1.0,
        kl_weight: float | tf.Variable | keras.Variable | Annealing = 1.0,
        prior: keras.layers.Layer | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          latent_size: D.
          flow: a flow layer, or a list of them; the first one is applied first.
            Default: None, `q` is Gaussian.
          base: covariance of the Gaussian: "diagonal", "low_rank" (diagonal
            plus a matrix of rank `rank`) or "full".
          rank: of "low_rank".
          amortized: whether the Gaussian's parameters depend on a context.
            Default: None, they do if the layer is built with one.
          initial_scale: standard deviation of the Gaussian at the start.
          kl_weight: factor of the KL term that a call adds: a number that is
            not negative, a scalar variable, or a `tfp_flows.schedules`
            schedule of the number of training calls, such as `KLAnnealing`
            (outside of training its factor is 1). See the property.
          prior: of that KL term, a layer with a method `distribution()`.
            Default: None, the standard normal distribution.
          seed: of the noise of calls, in [0, 2**31).
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule.
          TypeError: `flow` holds something else than flow layers, or `prior`
            is no layer that is a distribution.
        """
        latent_size = as_positive_integer("latent_size", latent_size)
        if isinstance(rank, np.integer):
            rank = int(rank)
        noise.check_seed(seed)
        priors.check_prior(prior)
        if not (_is_finite(initial_scale) and initial_scale > 0):
            raise ValueError(
                "`initial_scale` must be positive and finite; "
                f"got {initial_scale!r}."
            )
        weight = KLWeight(kl_weight)
        super().__init__(**kwargs)
        check_precision(self)
        self.latent_size = latent_size
        self.flows = _list_of_flows(flow)
        for layer in self.flows:
            if layer.variable_dtype != self.variable_dtype:
                raise ValueError(
                    "`flow` must hold layers of the posterior's dtype, "
                    f"{self.variable_dtype}; got {layer.variable_dtype}."
                )
        self.base = base
        self.rank = rank
        self.amortized = amortized
        self.initial_scale = float(initial_scale)
        self._kl_weight = weight
        self.prior = prior
        self.seed = int(seed)
        self._has_been_called = False
        self._gaussian = gaussian_bases.get(
            base, latent_size, initial_scale, rank
        )

    @property
    def kl_weight(self) -> Any:
        """Factor of the KL term that a call adds, as it was given.

        Set to a number, for example by a callback, it has effect at the next
        step, also of compiled functions; if it is a variable, the variable is
        set. Saved is the value, of a schedule the schedule.

        Raises:
          ValueError: on setting anything else, or over a schedule, once the
            layer is built; or at all in a DLGM.
        """
        return self._kl_weight.given

    @kl_weight.setter
    def kl_weight(self, value: Any) -> None:
        self._kl_weight.set(value)

    def fix_kl_weight(self, reason: str) -> None:
        """Makes it an error to set `kl_weight`, where it has no effect.

        Args:
          reason: where that is, the middle of the error message.
        """
        self._kl_weight.fix(reason)

    @property
    def noise_size(self) -> int:
        """How many standard normal numbers make one sample."""
        return self._gaussian.noise_size

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        """Makes the weights for contexts of shape `input_shape`, or for none.

        Raises:
          ValueError: `input_shape` is not `[B, C]` with a known C.
        """
        if input_shape is not None and (
            len(input_shape) != 2 or input_shape[-1] is None
        ):
            raise ValueError(
                "`context` must have shape [B, C] with a known C; "
                f"got {tuple(input_shape)}."
            )
        if input_shape is None and self.amortized:
            raise ValueError(
                f"`input_shape` must be given, as `{self.name}` has "
                "amortized=True; got None."
            )
        self._head = ParameterHead(
            self._gaussian.parameter_specs(),
            dtype=self.dtype_policy,
            name="base",
        )
        self._head.build(None if self.amortized is False else input_shape)
        for flow in self.flows:
            if not flow.built:  # a loaded one is
                flow.build((None, self.latent_size), input_shape)
        if self.prior is not None and not self.prior.built:
            self.prior.build(None)
        self._num_calls = self.add_weight(
            name="num_calls",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._kl_weight.build(self.variable_dtype)
        # Not tracked, so that files and checkpoints stay as they were.
        self.__dict__["_num_evaluated"] = Count("num_evaluated")
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Those of Keras, which resets them before it evaluates.

        One of them counts the examples, once the layer has been called.
        """
        called = [self._num_evaluated] if self._has_been_called else []
        return [*super().metrics, *called]

    def parameters(self, context: tf.Tensor | None = None) -> Parameters:
        """All parameters, as a nest of tensors: all that depends on `context`.

        Args:
          context: `[B, C]`, or None if nothing is amortized.

        Raises:
          ValueError: the layer is not built, or the context does not fit.
        """
        if not self.built:
            raise ValueError(
                f"`{self.name}` must be built before it is used; call it once, "
                "or `build((None, C))`, or `build()` where there is no context."
            )
        if context is not None:
            _check_rank(context)
        return {
            "base": self._head.parameters(context),
            "flows": [flow.parameters(context) for flow in self.flows],
        }

    def push_forward(
        self, standard_normal: tf.Tensor, parameters: Parameters
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Turns noise into samples; needs no inverse.

        Args:
          standard_normal: `[..., B, noise_size]`.
          parameters: as `parameters(context)` returns them.

        Returns:
          Samples `[..., B, D]` and their log density `[..., B]`, in nats.
        """
        z, log_prob = self._gaussian.sample(standard_normal, parameters["base"])
        for bijector in self._bijectors(parameters):
            # Asked for at the same tensor, both come from one pass.
            log_det = bijector.forward_log_det_jacobian(z, event_ndims=1)
            z = bijector.forward(z)
            log_prob -= log_det
        return z, log_prob

    def log_prob_gradient(
        self, standard_normal: tf.Tensor, parameters: Parameters
    ) -> tf.Tensor:
        """The gradient of `log q(z)` in z, at the samples of `push_forward`.

        It is carried along with the samples, see `density_gradients`: no
        autoregressive flow is inverted. No derivative passes through it. A
        subclass with another `push_forward` needs another one of this too.

        Args:
          standard_normal: `[..., B, noise_size]`.
          parameters: as `parameters(context)` returns them.

        Returns:
          `[..., B, D]`, in nats per unit of z.
        """
        z, _ = self._gaussian.sample(standard_normal, parameters["base"])
        z = tf.stop_gradient(z)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            log_prob = self._gaussian.distribution(
                tf.nest.map_structure(tf.stop_gradient, parameters["base"])
            ).log_prob(z)
        gradient = tape.gradient(log_prob, z)
        for bijector in self._bijectors(parameters):
            z, gradient = density_gradients.push(bijector, z, gradient)
        return gradient

    def make_distribution(self, parameters: Parameters) -> tfd.Distribution:
        """The distribution with parameters as `parameters()` returns them."""
        base = self._gaussian.distribution(parameters["base"])
        bijectors = self._bijectors(parameters)
        if not bijectors:
            return base
        # Chain applies the last of its list first.
        bijector = (
            bijectors[0] if len(bijectors) == 1 else tfb.Chain(bijectors[::-1])
        )
        return tfd.TransformedDistribution(base, bijector)

    def distribution(
        self, context: tf.Tensor | None = None
    ) -> tfd.Distribution:
        """`q(z | context)`, differentiable; its `log_prob` takes any point.

        Args:
          context: `[B, C]`, or None if nothing is amortized.

        Returns:
          A distribution with batch shape `[B]` if the Gaussian or a flow is
          amortized, else `[]`, and event shape `[D]`.

        Raises:
          ValueError: the layer is not built, or the context does not fit.
        """
        return self.make_distribution(self.parameters(context))

    def sample_and_log_prob(
        self,
        context: tf.Tensor | None = None,
        sample_shape: int | Sequence[int] = (),
        seed: int = 0,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples and their log density, from one pass through the flow.

        Args:
          context: `[B, C]`, or None if nothing is amortized.
          sample_shape: number or shape of the samples for each example.
          seed: decides the noise, with the example's index; in [0, 2**31).

        Returns:
          `z`, `[*sample_shape, B, D]`, and `log q(z)`, `[*sample_shape, B]`, in
          nats; without context there is no axis B.

        Raises:
          ValueError: the layer is not built, the context does not fit, or
            `sample_shape` holds something else than integers >= 0.
        """
        sample_shape = _checked_sample_shape(sample_shape)
        num_samples = math.prod(sample_shape)
        parameters = self.parameters(context)
        draw = {
            "seed": seed,
            "step": 0,
            "purpose": "posterior",
            "dtype": self.variable_dtype,
        }
        if context is None:
            standard_normal = noise.normal_rows(
                num_samples, (self.noise_size,), **draw
            )
            standard_normal = tf.reshape(
                standard_normal, [*sample_shape, self.noise_size]
            )
        else:
            batch = tf.shape(context)[0]
            standard_normal = tf.transpose(
                noise.normal_rows(
                    batch, (num_samples, self.noise_size), **draw
                ),
                [1, 0, 2],
            )
            standard_normal = tf.reshape(
                standard_normal, [*sample_shape, batch, self.noise_size]
            )
        return self.push_forward(standard_normal, parameters)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """A sample for each context; adds the KL term to the losses.

        Args:
          inputs: the context, `[B, C]`.
          training: whether this is a step of training; decides the noise.

        Returns:
          `[B, D]`.
        """
        num_calls = tf.convert_to_tensor(self._num_calls)
        standard_normal = self._noise_of_call(
            tf.shape(inputs)[0], num_calls, training
        )
        z, log_prob = self.push_forward(
            standard_normal, self.parameters(inputs)
        )
        kl = log_prob - priors.log_prior(self.prior, z)
        count = tf.cast(tf.shape(kl)[0], kl.dtype)
        mean = tf.math.divide_no_nan(tf.reduce_sum(kl), count)
        weight = self._kl_weight.value(num_calls, training, mean.dtype)
        self.add_loss(weight * mean)
        return z

    def _noise_of_call(
        self, rows: tf.Tensor, num_calls: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Standard normal `[rows, noise_size]`; the next call gets other."""
        self._has_been_called = True
        batch = replicas.global_batch(rows)
        if training:
            purpose, step = "posterior call", num_calls
            first_row = batch.first_row
            self._num_calls.assign_add(1)
        else:
            purpose, step = "posterior evaluation", tf.zeros([], tf.int64)
            first_row = tf.cast(batch.first_row, tf.int64)
            first_row += self._num_evaluated.value
            self._num_evaluated.update_state(batch.size)
        return noise.normal_rows(
            rows,
            (self.noise_size,),
            first_row=first_row,
            seed=self.seed,
            step=step,
            purpose=purpose,
            dtype=self.variable_dtype,
        )

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """`[B, D]`."""
        return (input_shape[0], self.latent_size)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "latent_size": self.latent_size,
            "flow": [serialize(flow) for flow in self.flows],
            "base": self.base,
            "rank": self.rank,
            "amortized": self.amortized,
            "initial_scale": self.initial_scale,
            "kl_weight": self._kl_weight.get_config(),
            "prior": None if self.prior is None else serialize(self.prior),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FlowPosterior":
        """The layer, without its weights."""
        deserialize = keras.saving.deserialize_keras_object
        config = dict(config)
        config["kl_weight"] = KLWeight.from_config(config["kl_weight"])
        config["flow"] = [deserialize(flow) for flow in config["flow"]]
        if config["prior"] is not None:
            config["prior"] = deserialize(config["prior"])
        return cls(**config)

    def _bijectors(self, parameters: Parameters) -> list[tfb.Bijector]:
        """The flows, the first one to apply first."""
        return [
            flow.make_bijector(p)
            for flow, p in zip(self.flows, parameters["flows"], strict=True)
        ]


def _is_finite(value: Any) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)


def _checked_sample_shape(sample_shape: Any) -> tuple[int, ...]:
    """A number or a shape as a tuple of ints; NumPy's and TensorFlow's too."""
    try:
        sizes: tuple[Any, ...] = (operator.index(sample_shape),)
    except TypeError:
        try:
            sizes = tuple(operator.index(size) for size in sample_shape)
        except (TypeError, ValueError):
            sizes = (-1,)
    if min(sizes, default=0) < 0 or isinstance(sample_shape, bool):
        raise ValueError(
            "`sample_shape` must be an integer >= 0 or a shape of them; "
            f"got {sample_shape!r}."
        )
    return sizes


def _check_rank(context: tf.Tensor) -> None:
    shape = tf.convert_to_tensor(context).shape
    if shape.rank not in (None, 2):
        raise ValueError(
            f"`context` must have shape [B, C]; got {tuple(shape)}."
        )


def _list_of_flows(
    flow: FlowLayer | Sequence[FlowLayer] | None,
) -> list[FlowLayer]:
    if flow is None:
        return []
    flows = [flow] if isinstance(flow, FlowLayer) else flow
    if not isinstance(flows, Sequence) or not all(
        isinstance(f, FlowLayer) for f in flows
    ):
        raise TypeError(
            "`flow` must be a flow layer (e.g. `PlanarFlow`) or a list of "
            f"them; got {flow!r}."
        )
    return list(flows)
