"""A flow distribution as a posterior of models, and as an ordinary layer."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from tfp_flows import replicas
from tfp_flows._count_metric import Count
from tfp_flows.layers import FlowLayer
from tfp_flows.losses import gradient_estimators
from tfp_flows.math import noise
from tfp_flows.posteriors import priors
from tfp_flows.posteriors.flow_arguments import is_own
from tfp_flows.posteriors.flow_distribution import FlowDistribution
from tfp_flows.posteriors.kl_weights import KLWeight
from tfp_flows.posteriors.posterior import Parameters, Posterior
from tfp_flows.schedules import Annealing

__all__ = ["FlowPosterior"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class FlowPosterior(FlowDistribution, Posterior):
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

    def __init__(  # noqa: D417 -- the others are those of the base
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
          kl_weight: factor of the KL term that a call adds: a number that is
            not negative, a scalar variable, or a `tfp_flows.schedules`
            schedule of the number of training calls, such as
            `KLAnnealing(num_steps)` (outside of training its factor is 1). See
            the property.
          prior: of that KL term, a layer with a method `distribution()`.
            Default: None, the standard normal distribution.
          seed: of the noise of calls, in [0, 2**31).

        The others, and what is refused of them: see `FlowDistribution`.

        Raises:
          ValueError: an argument breaks its rule.
          TypeError: `prior` is no layer that is a distribution.
        """
        noise.check_seed(seed)
        priors.check_prior(prior)
        if base == "mixture":
            raise ValueError(
                "`base` must be a Gaussian in a posterior, as no gradient of a "
                "sample reaches the weights of a mixture; got 'mixture'. A "
                "`FlowDistribution` takes it."
            )
        weight = KLWeight(kl_weight)
        super().__init__(
            latent_size, flow, base, rank, amortized, initial_scale, **kwargs
        )
        self._kl_weight = weight
        self.prior = prior
        self.seed = int(seed)
        self._has_been_called = False

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

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        """Makes the weights for contexts of shape `input_shape`, or for none.

        Raises:
          ValueError: `input_shape` is not `[B, C]` with a known C.
        """
        super().build(input_shape)
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

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Those of Keras, which resets them before it evaluates.

        One of them counts the examples, once the layer has been called.
        """
        called = [self._num_evaluated] if self._has_been_called else []
        return [*super().metrics, *called]

    @property
    def can_leave_out_score(self) -> bool:
        """Whether its class and its flows give the gradient that this takes.

        Of flow layers of other packages the inverse may be missing, or have no
        gradient.
        """
        return self.has_log_prob_gradient and all(map(is_own, self.flows))

    @property
    def has_flow(self) -> bool:
        """Whether there is one."""
        return bool(self.flows)

    def sample_and_log_weight(
        self,
        standard_normal: tf.Tensor,
        parameters: Parameters,
        *,
        log_joint: Callable[[tf.Tensor], tf.Tensor] | None = None,
        score: bool = True,
        through: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Posterior`; the log weight is `-log q(z | context)`."""
        del log_joint
        z, log_prob = self.push_forward(standard_normal, parameters)
        z = through(z)
        if not score:
            stopped = gradient_estimators.stop_parameters(parameters)
            gradient = self.log_prob_gradient(standard_normal, stopped)
            log_prob = gradient_estimators.without_score(z, log_prob, gradient)
        return z, -log_prob

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
        return self.noise(
            rows,
            1,
            first_row=first_row,
            seed=self.seed,
            step=step,
            purpose=purpose,
        )[0]

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """`[B, D]`."""
        return (input_shape[0], self.latent_size)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        prior = self.prior
        return {
            **super().get_config(),
            "kl_weight": self._kl_weight.get_config(),
            "prior": prior and keras.saving.serialize_keras_object(prior),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer, without its weights."""
        prior = config["prior"]
        given = {
            "kl_weight": KLWeight.from_config(config["kl_weight"]),
            "prior": prior and keras.saving.deserialize_keras_object(prior),
        }
        return super().from_config({**config, **given})
