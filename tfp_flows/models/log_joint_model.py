"""A user's own latent variable model, with an amortized posterior."""

import types
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import schedules
from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows.models import log_joint_checks, supports
from tfp_flows.models.annealing_plan import AnnealingPlan
from tfp_flows.models.event_shapes import resolve_event_shape
from tfp_flows.models.latent_variable_model import LatentVariableModel
from tfp_flows.posteriors import Posterior, has_piecewise_linear_activation

__all__ = ["LogJointModel"]

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="tfp_flows")
class LogJointModel(LatentVariableModel):
    """A model of your own, given by `log p(x, z)`, with q(z | x) for all x.

    Each example x has latent variables z of its own, such as the coefficients
    of one group of a hierarchical regression. One network turns examples into
    their posteriors (amortized inference [1]), so that those of new examples
    take no training. With g from R^D onto the support of z,

        z = g(y),    y ~ q(y | encoder(x)),
        ELBO = E_q[log p(x, g(y)) + log|det dg/dy| - log q(y | x)]  (in nats)

    of which training maximises the mean over examples [2], in the weights of
    encoder and posterior, and of `log_joint` if it is a layer: then parameters
    that all examples share are fitted by (variational) maximum likelihood.
    Progress bar, history and `evaluate` show `elbo`, `log_joint` (of y, its
    log-det included) and `negative_entropy`, the mean of `log q(y | x)`.

    All else is as in `DLGM`: importance-weighted bounds, gradient estimators,
    posteriors without a density, keyed noise, replicas, checks of the data.

    Example:
    ```python
    import numpy as np
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfp_flows

    tfd = tfp.distributions


    def log_joint(x, z):  # five measurements each, of a mean and a scale
        mean, scale = z[..., :1], z[..., 1:]
        return (
            tfd.Normal(0.0, 3.0).log_prob(z[..., 0])
            + tfd.HalfNormal(1.0).log_prob(z[..., 1])
            + tf.reduce_sum(tfd.Normal(mean, scale).log_prob(x), axis=-1)
        )


    model = tfp_flows.models.LogJointModel(
        encoder=tfp_flows.layers.MLP([32]),
        posterior=tfp_flows.posteriors.FlowPosterior(2, base="full"),
        log_joint=log_joint,
        support=["real", "positive"],
    )
    model.compile("adam")
    x = np.random.default_rng(0).normal(1.0, 0.5, [200, 5])
    model.fit(x, epochs=2, verbose=0)
    z = model.sample_posterior(x[:3], num_samples=10)  # [10, 3, 2]
    ```

    References:
      [1]: Samuel Gershman, Noah Goodman. Amortized Inference in Probabilistic
           Reasoning. CogSci 2014.
      [2]: Danilo Rezende, Shakir Mohamed. Variational Inference with
           Normalizing Flows. ICML 2015. https://arxiv.org/abs/1505.05770
    """

    NOUN = "example"
    METRICS = "elbo, negative_entropy and log_joint"
    TERM_NAMES = ("negative_entropy", "log_joint")
    PLAIN = ("dtype", "support")

    def __init__(
        self,
        encoder: keras.layers.Layer,
        posterior: Posterior,
        log_joint: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        support: Any = None,
        annealing: str | schedules.Annealing | None = None,
        num_importance_samples: int = 1,
        gradient_estimator: str = "auto",
        event_shape: Sequence[int] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        """Constructs the model.

        Args:
          encoder: layer or model from examples to features `[B, C]`.
          posterior: q(y | x) given those features, a `FlowPosterior` or another
            `Posterior`.
          log_joint: `log p(x, z)`, in nats: a function, or a layer with
            `call(x, z)`, of examples `[B, *event_shape]` and latent variables
            `[S, B, D]`, on their support, that returns `[S, B]`: of each pair
            on its own. A constant that is left out, which depends on neither x
            nor weights, is missing from all bounds. Variables of a function
            are not trained; to be saved, it has to be a named one, registered
            with `keras.saving.register_keras_serializable`.
          support: of z: "real", "positive", "unit_interval", "simplex", a
            bijector onto it, or a list of one for each variable. Default: None,
            "real".
          annealing: "joint" (Rezende & Mohamed 2015: the weight of
            `log p(x, z)`, here with the log-det of g), a schedule that weighs
            prior and likelihood alike, or None, the default.
          num_importance_samples: S, in training and in `evaluate`.
          gradient_estimator: as in `DLGM`.
          event_shape: of one example. Default: None, the encoder's own input
            shape if it has one, else that of the first data.
          seed: of all noise, in [0, 2**31).
          **kwargs: those of `keras.Model`.

        Raises:
          ValueError: an argument breaks its rule.
          TypeError: a part is no layer, or function, as it must be.
        """
        super().__init__(**kwargs)
        check_precision(self)
        log_joint_checks.check_log_joint(log_joint)
        self._init_latent_variable_model(
            encoder,
            posterior,
            annealing,
            num_importance_samples,
            gradient_estimator,
            seed,
        )
        self.log_joint = log_joint
        self.support = support
        self._bijector = log_joint_checks.bijector_onto(
            support, posterior.latent_size
        )
        self.event_shape = resolve_event_shape(event_shape, encoder)
        if (
            posterior.follows_log_joint
            and isinstance(log_joint, keras.layers.Layer)
            and has_piecewise_linear_activation(log_joint)
        ):
            name = type(posterior).__name__
            self._said.no_second_derivatives(name, "log_joint")

    def _plan_of(
        self, annealing: str | schedules.Annealing | None
    ) -> AnnealingPlan:
        plan = AnnealingPlan(annealing, schedules.NoAnnealing())
        if not _weighs_the_joint(plan.schedule):
            raise ValueError(
                "`annealing` must weigh `log p(x, z)` as a whole, as 'joint' "
                f"does, since it is given as a whole; got {annealing!r}."
            )
        return plan

    @property
    def _data_support(self) -> tuple[str, str]:
        return "real", "log_joint"

    @property
    def _takes_integers(self) -> bool:
        return True  # counts

    # Building and configuration.

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes all weights.

        Args:
          input_shape: `[B, ...]` of the examples.

        Raises:
          ValueError: the parts do not fit each other or the examples.
        """
        self._build_posterior(input_shape)
        self._build_log_joint()
        self.built = True

    def _build_log_joint(self) -> None:
        """Makes its weights, if it has any, and checks what it returns."""
        dtype, latent_size = self.variable_dtype, self.posterior.latent_size
        taken = {*self.image_shape, latent_size, self._size}
        # No sum over a wrong axis has the shape of one over the right one.
        draws, rows = [n for n in range(11, 99) if n not in taken][:2]
        x_shape = (rows, *self.image_shape)
        log_joint_checks.check_log_det(
            self._bijector, (draws, rows, latent_size), dtype
        )
        shapes = [x_shape, (draws, rows, self._size)]
        try:
            found = self._traced(shapes)
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise ValueError(
                "`log_joint` must take examples and latent variables, here of "
                f"shapes {shapes[0]} and {shapes[1]}; got "
                f"{type(error).__name__}: {error}"
            ) from error
        log_joint_checks.check_returned(found, (draws, rows), shapes, dtype)

    def _traced(self, shapes: Sequence[tuple[int, ...]]) -> Any:
        """What `log_joint` returns of arguments of these shapes, symbolic."""
        dtype = self.variable_dtype
        if isinstance(self.log_joint, keras.layers.Layer):
            return self.log_joint(
                *(keras.KerasTensor(shape, dtype=dtype) for shape in shapes)
            )
        traced = tf.function(self.log_joint, autograph=False)
        return traced.get_concrete_function(
            *(tf.TensorSpec(shape, dtype) for shape in shapes)
        ).structured_outputs

    @property
    def _size(self) -> int:
        """The number of latent variables on their support."""
        latent_size = self.posterior.latent_size
        return int(self._bijector.forward_event_shape([latent_size])[-1])

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs.

        Raises:
          ValueError: `log_joint` is neither a layer nor a function.
        """
        kinds = keras.layers.Layer | types.FunctionType
        if not isinstance(self.log_joint, kinds):
            raise ValueError(
                "`log_joint` must be a layer or a function, for the model to "
                f"be saved; got {self.log_joint!r}."
            )
        return {
            **super().get_config(),
            **self._common_config(),
            "log_joint": keras.saving.serialize_keras_object(self.log_joint),
            "support": supports.serialize(self.support),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict | None = None
    ) -> "LogJointModel":
        """The model, without its weights."""
        support = supports.deserialize(config["support"])
        return super().from_config(
            {**config, "support": support}, custom_objects
        )

    # The densities.

    def log_joint_terms(
        self, x: tf.Tensor, z: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`log p(x, g(y)) + log|det dg/dy|` of y = `z`, and 0, each `[S, B]`.

        Args:
          x: `[B, *event_shape]`.
          z: y, `[S, B, D]`.
          training: passed to a layer.
        """
        on_support = self._bijector.forward(z)
        # Keras hands it on to layers within, also where `call` has none.
        is_layer = isinstance(self.log_joint, keras.layers.Layer)
        kwargs = {"training": training} if is_layer else {}
        log_joint = self.log_joint(x, on_support, **kwargs)
        log_det = self._bijector.forward_log_det_jacobian(z, event_ndims=1)
        total = tf.ensure_shape(log_joint, z.shape[:-1]) + log_det
        return total, tf.zeros_like(total)

    def posterior_distribution(self, x: Any) -> tfd.Distribution:
        """q(z | x) on the support of z, batch shape `[N]`.

        Its `log_prob` takes any z of the support.

        Args:
          x: examples in any form that `fit` takes.

        Raises:
          ValueError: the model is not built, or cannot take the examples.
          NotImplementedError: the posterior has no density; `sample_posterior`
            and `log_marginal_likelihood` need none.
        """
        unconstrained = super().posterior_distribution(x)
        if self.support is None:
            return unconstrained
        return tfd.TransformedDistribution(unconstrained, self._bijector)

    def posterior_mean(self, x: Any) -> tf.Tensor:
        """The z that the posterior makes of no noise: `g` of the middle of y.

        On a support that is no mean: of "positive", behind a Gaussian, it is
        the median.

        Args:
          x: examples in any form that `fit` takes.

        Returns:
          `[N, D]`.

        Raises:
          ValueError: the model is not built, or cannot take the examples.
        """
        return super().posterior_mean(x)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The z that the posterior makes of no noise, `[B, D]`."""
        x = self._in_event_shape(inputs)
        return self._latents(x, self._no_noise(x), training)[0]

    # Use of a trained model.

    def sample_posterior(
        self, x: Any, num_samples: int = 1, seed: int = 0
    ) -> tf.Tensor:
        """Draws of q(z | x), on the support of z.

        Args:
          x: examples in any form that `fit` takes.
          num_samples: S.
          seed: decides the noise, with the example's index, in [0, 2**31).

        Returns:
          `[S, N, D]`.

        Raises:
          ValueError: the model is not built, or cannot take the examples.
        """
        num_samples = as_positive_integer("num_samples", num_samples)

        def draws(x: tf.Tensor, first: Any, seed: Any) -> tf.Tensor:
            standard_normal = self.posterior.noise(
                x.shape[0],
                num_samples,
                first_row=first,
                seed=seed,
                step=0,
                purpose="posterior draws",
            )
            return tf.transpose(self._latents(x, standard_normal), [1, 0, 2])

        passes = self._passes(
            draws,
            self._checked_images(x),
            "posterior draws",
            num_samples,
            seed=seed,
        )
        return tf.concat(
            [tf.transpose(z, [1, 0, 2]) for _, z in passes], axis=1
        )

    def _latents(
        self, x: tf.Tensor, standard_normal: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Samples of q(z | x) on the support, `[S, B, D]`."""
        return self._bijector.forward(
            super()._latents(x, standard_normal, training)
        )


def _weighs_the_joint(schedule: schedules.Annealing) -> bool:
    """Whether prior and likelihood have one weight."""
    if type(schedule) in (schedules.NoAnnealing, schedules.JointAnnealing):
        return True
    if isinstance(schedule, schedules.KLAnnealing):
        return False
    weights = schedule.weights(0)
    return float(weights.likelihood) == float(weights.prior)
