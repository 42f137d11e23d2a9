"""A Gaussian and flows behind it: a density with weights, as a Keras layer."""

import math
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import (
    as_positive_integer,
    as_positive_number,
    check_precision,
)
from tfp_flows.bijectors import (
    density_gradients,
    forward_and_log_det,
    inverse_and_log_det,
)
from tfp_flows.layers import FlowLayer
from tfp_flows.layers.parameter_head import ParameterHead
from tfp_flows.posteriors import flow_arguments, gaussian_bases
from tfp_flows.posteriors.circular_base import CircularBase, check_circles
from tfp_flows.posteriors.mixture_base import MixtureBase
from tfp_flows.posteriors.posterior import Parameters, sample_noise

__all__ = ["FlowDistribution"]

tfb, tfd = tfp.bijectors, tfp.distributions


@keras.saving.register_keras_serializable(package="tfp_flows")
class FlowDistribution(keras.layers.Layer):
    """The distribution of `z = f_n(... f_1(z_0))`, `z_0` Gaussian.

        log q(z) = log q_0(z_0) - sum_i log|det df_i/dz_(i-1)|     (in nats)

    Built without a context (`flow.build()`) its parameters are weights and its
    batch shape is `[]`: a trainable prior, or a density of data. Built with a
    context `[B, C]`, features of B examples, they are *amortized*: one
    distribution per example, batch shape `[B]`. `FlowPosterior` is one that
    models train.

    Example:
    ```python
    import tensorflow as tf

    import tfp_flows

    p = tfp_flows.posteriors.FlowDistribution(
        latent_size=2, flow=tfp_flows.layers.PlanarFlow(num_flow_steps=4)
    )
    p.build()
    p.log_prob(tf.zeros([5, 2]))  # [5], in nats
    z, log_prob = p.sample_and_log_prob(sample_shape=3)  # [3, 2], [3]
    ```

    References:
      [1]: Danilo Rezende, Shakir Mohamed. Variational Inference with
           Normalizing Flows. ICML 2015. https://arxiv.org/abs/1505.05770
    """

    flows: Sequence[FlowLayer]

    def __init__(
        self,
        latent_size: int,
        flow: FlowLayer | Sequence[FlowLayer] | None = None,
        base: str = "diagonal",
        rank: int = 1,
        amortized: bool | None = None,
        initial_scale: float = 1.0,
        inverted: bool | Sequence[bool] = False,
        num_components: int = 1,
        circular: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          latent_size: D.
          flow: a flow layer, or a list of them; the first one is applied first.
            Default: None, `q` is Gaussian.
          base: covariance of the Gaussian: "diagonal", "log_diagonal" (the
            same, with the logarithm of the scale for a weight, not its inverse
            softplus), "low_rank" (diagonal plus a matrix of rank `rank`),
            "full", or "fixed": `N(0, initial_scale**2 I)`, never trained. For
            densities of data also "mixture", of `num_components` diagonal ones.
          rank: of "low_rank".
          amortized: whether the Gaussian's parameters depend on a context.
            Default: None, they do if the layer is built with one.
          initial_scale: standard deviation of the Gaussian at the start.
          inverted: whether a flow's inverse takes its place: of all flows, or
            of each one. Then the direction in which most flows are computed at
            once, forward, is that of densities of given points.
          num_components: of "mixture".
          circular: coordinates with period `2 pi`, over which the base is
            uniform, not Gaussian; the flows must be circular in them too.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule.
          TypeError: `flow` holds something else than flow layers.
        """
        latent_size = as_positive_integer("latent_size", latent_size)
        if isinstance(rank, np.integer):
            rank = int(rank)
        initial_scale = as_positive_number("initial_scale", initial_scale)
        super().__init__(**kwargs)
        check_precision(self)
        self.latent_size = latent_size
        self.flows = flow_arguments.list_of_flows(flow, self.variable_dtype)
        self.base = base
        self.rank = rank
        self.amortized = amortized
        self.initial_scale = initial_scale
        self.inverted = flow_arguments.one_for_each(inverted, self.flows)
        self.num_components = as_positive_integer(
            "num_components", num_components
        )
        self.circular = flow_arguments.checked_coordinates(
            circular, latent_size
        )
        check_circles(self.flows, self.circular, latent_size)
        self._gaussian = self._make_base()

    def _make_base(self) -> gaussian_bases.GaussianBase:
        num_lines = self.latent_size - len(self.circular)
        base: gaussian_bases.GaussianBase | None = None
        if self.base == "mixture":
            base = MixtureBase(
                num_lines, self.initial_scale, self.num_components
            )
        elif num_lines:
            base = gaussian_bases.get(
                self.base, num_lines, self.initial_scale, self.rank
            )
        if base is None or self.circular:
            return CircularBase(
                self.latent_size, self.circular, base, self.variable_dtype
            )
        return base

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
        self.built = True

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
            flow_arguments.check_rank(context)
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
            z, log_det = forward_and_log_det(bijector, z)
            log_prob -= log_det
        return z, log_prob

    def pull_back(
        self, z: tf.Tensor, parameters: Parameters
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The way back: points of the base and the density, in one pass.

        Args:
          z: `[..., B, D]`.
          parameters: as `parameters(context)` returns them.

        Returns:
          `z_0`, `[..., B, D]`, and `log q(z)`, `[..., B]`, in nats.
        """
        log_det = 0.0
        for bijector in reversed(self._bijectors(parameters)):
            z, term = inverse_and_log_det(bijector, z)
            log_det += term
        base = self._gaussian.distribution(parameters["base"])
        return z, base.log_prob(z) + log_det

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

        Raises:
          NotImplementedError: a subclass defines `push_forward` alone.
        """
        flow_arguments.check_defined_together(
            self, "push_forward", "log_prob_gradient"
        )
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

    @property
    def has_log_prob_gradient(self) -> bool:
        """Whether `log_prob_gradient` is that of its class's `push_forward`."""
        definer, of_other = flow_arguments.definers(
            self, "push_forward", "log_prob_gradient"
        )
        return issubclass(of_other, definer)

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

    def log_prob(
        self, z: tf.Tensor, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        """`log q(z | context)`, in nats, at any points.

        Args:
          z: `[..., B, D]`; `[..., D]` where nothing is amortized.
          context: `[B, C]`, or None if nothing is amortized.

        Raises:
          ValueError: the layer is not built, or the context does not fit.
        """
        return self.distribution(context).log_prob(z)

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
        sample_shape = flow_arguments.checked_sample_shape(sample_shape)
        num_samples = math.prod(sample_shape)
        parameters = self.parameters(context)
        if context is None:  # the samples are the rows
            rows, batch, samples_per_row = num_samples, [], 1
        else:
            rows = tf.shape(context)[0]
            batch, samples_per_row = [rows], num_samples
        drawn = sample_noise(
            rows,
            samples_per_row,
            self.noise_size,
            seed=seed,
            step=0,
            purpose="posterior",
            dtype=self.variable_dtype,
        )
        standard_normal = tf.reshape(
            drawn, [*sample_shape, *batch, self.noise_size]
        )
        return self.push_forward(standard_normal, parameters)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "latent_size": self.latent_size,
            "flow": [
                keras.saving.serialize_keras_object(flow) for flow in self.flows
            ],
            "base": self.base,
            "rank": self.rank,
            "amortized": self.amortized,
            "initial_scale": self.initial_scale,
            "inverted": self.inverted,
            "num_components": self.num_components,
            "circular": self.circular,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer, without its weights."""
        flows = map(keras.saving.deserialize_keras_object, config["flow"])
        return cls(**{**config, "flow": list(flows)})

    def _bijectors(self, parameters: Parameters) -> list[tfb.Bijector]:
        """The flows, the first one to apply first."""
        bijectors = [
            flow.make_bijector(p)
            for flow, p in zip(self.flows, parameters["flows"], strict=True)
        ]
        return [
            tfb.Invert(bijector) if inverted else bijector
            for bijector, inverted in zip(bijectors, self.inverted, strict=True)
        ]
