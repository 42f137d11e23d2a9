"""Densities of data by maximum likelihood, conditional or not."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows.layers import FlowLayer
from tfp_flows.layers.standardization import Standardization
from tfp_flows.math import noise
from tfp_flows.models import (
    density_arguments,
    dequantization,
    dlgm_parts,
    supports,
)
from tfp_flows.models.conditional_model import ConditionalModel
from tfp_flows.models.coordinates import Coordinates
from tfp_flows.models.event_shapes import check_event_shape
from tfp_flows.models.inputs.images import Region
from tfp_flows.models.maximum_likelihood import NoiseKey
from tfp_flows.posteriors.flow_arguments import (
    check_density_directions,
    list_of_flows,
)
from tfp_flows.posteriors.flow_distribution import FlowDistribution

__all__ = ["FlowDensity"]

tfb, tfd = tfp.bijectors, tfp.distributions


@keras.saving.register_keras_serializable(package="tfp_flows")
class FlowDensity(ConditionalModel):
    """A density of data by a flow, given a context or not; units are nats.

        x = g(m + s * f_n(... f_1(z_0))),    z_0 ~ q_0(. | h(c))
        log p(x | c) = log q_0(z_0) - log|det dx/dz_0|

    with g onto the support, mean m and scale s of the data, which the first
    `fit` takes and which are saved with the model, flows f_i that may depend on
    the features h(c) as the base q_0 does, and an encoder h. Training maximises
    the mean of `log p(x | c)` over examples; progress bar, history and
    `evaluate` show it as `log_likelihood`.

    Each flow is turned so that densities are what it computes at once, one pass
    through each step: `IAFFlow` and all others are inverted, `MAFFlow` is not.
    An autoregressive flow then takes up to D passes, one after the other, for
    samples. `inverted` says otherwise.

    Data are `x`, or for a conditional density `{"x": x, "context": c}`, in
    arrays or data sets of batches; whether it is conditional, the first data
    decide, or an encoder. Events have any rank: they are flattened for the
    flow; `[N]` are N events of one number. Without an encoder, contexts are
    flattened too. A `simplex` of D numbers has D - 1 degrees of freedom: its
    density is that of the first D - 1.

    Of discrete data, whole numbers from 0 to L - 1, `num_levels=L` gives
    uniformly dequantised density: `log_likelihood` is then the lower bound
    `E_u[log p(x + u)]` on `log P(x)`, u uniform on `[0, 1)^D`, keyed as all
    noise; `evaluate` shows `bits_per_dim` too.

    Example:
    ```python
    import sklearn.datasets

    import tfp_flows

    x = sklearn.datasets.make_moons(1000, noise=0.05, random_state=0)[0]
    model = tfp_flows.models.FlowDensity(
        tfp_flows.layers.SplineCouplingFlow(num_flow_steps=4)
    )
    model.compile("adam")
    model.fit(x, batch_size=200, epochs=2, verbose=0)
    model.log_prob(x[:5])  # [5]
    model.sample(3, seed=1)  # [3, 2]
    ```

    References:
      [1]: George Papamakarios, Eric Nalisnick, Danilo Rezende, Shakir Mohamed,
           Balaji Lakshminarayanan. Normalizing Flows for Probabilistic Modeling
           and Inference. JMLR 2021. https://arxiv.org/abs/1912.02762
      [2]: Lucas Theis, Aaron van den Oord, Matthias Bethge. A note on the
           evaluation of generative models. ICLR 2016.
           https://arxiv.org/abs/1511.01844 (dequantisation).
    """

    def __init__(
        self,
        flow: FlowLayer | Sequence[FlowLayer] | None = None,
        event_shape: Sequence[int] | None = None,
        base: str = "diagonal",
        encoder: keras.layers.Layer | None = None,
        support: Any = None,
        standardize: bool = True,
        inverted: bool | None = None,
        num_components: int = 1,
        rank: int = 1,
        num_levels: int | None = None,
        noise_scale: float = 0.0,
        context_noise_scale: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        """Constructs the model.

        Args:
          flow: a flow layer, or a list of them, the first one next to the base.
            Default: None, the base alone: with "mixture" and an encoder the
            mixture density network.
          event_shape: of one example. Default: None, that of the first data.
          base: q_0: "diagonal", "log_diagonal", "low_rank" or "full", Gaussians
            that are trained, "fixed", the standard normal, or "mixture", of
            `num_components` diagonal ones; see `FlowDistribution`. Of circular
            variables it is uniform.
          encoder: layer or model from contexts to features `[B, C]`.
          support: where the data lie: "real", "positive", "unit_interval",
            "simplex" or "circular" (any number, with period 2 pi), a bijector
            onto it, or a list of one for each variable. Default: None, "real";
            of discrete data the interval of their dequantised values.
          standardize: whether the first `fit` takes mean and standard deviation
            of the data (behind the inverse of g; not of circular variables) and
            of contexts that are vectors. See `adapt`.
          inverted: whether the flows' inverses take their place. Default: None,
            as above.
          num_components: of "mixture".
          rank: of "low_rank".
          num_levels: L, for whole numbers from 0 to L - 1. Default: None, data
            are continuous.
          noise_scale: standard deviation of Gaussian noise that training adds
            to the standardised data, a regulariser for small data sets.
          context_noise_scale: the same for contexts.
          seed: of all noise, in [0, 2**31).
          **kwargs: those of `keras.Model`.

        Raises:
          ValueError: an argument breaks its rule.
          TypeError: a part is no layer of the kind that it must be.
        """
        super().__init__(**kwargs)
        check_precision(self)
        noise.check_seed(seed)
        if encoder is not None:
            dlgm_parts.check_network("encoder", encoder)
        self.flows = list_of_flows(flow, self.variable_dtype)
        self.event_shape = check_event_shape(event_shape)
        self.base = base
        self.encoder = encoder
        self.support = support
        self.standardize = bool(standardize)
        self.inverted = density_arguments.checked_inverted(inverted)
        self.num_components = as_positive_integer(
            "num_components", num_components
        )
        self.rank = rank
        self.num_levels = density_arguments.checked_levels(num_levels)
        self.noise_scale = density_arguments.checked_scale(
            "noise_scale", noise_scale
        )
        self.context_noise_scale = density_arguments.checked_scale(
            "context_noise_scale", context_noise_scale
        )
        self.seed = int(seed)
        self.context_shape: tuple[int, ...] | None = None
        self._init_metrics(
            "log_likelihood", *(["bits_per_dim"] if num_levels else [])
        )

    # Building and configuration.

    @property
    def _num_flow_steps(self) -> int:
        return sum(flow.num_flow_steps for flow in self.flows)

    def build(self, input_shape: Any) -> None:
        """Makes all weights.

        Args:
          input_shape: `[B, ...]` of the data; of a conditional density a dict
            of it as "x" and of the contexts' as "context".

        Raises:
          ValueError: the parts do not fit each other or the data.
        """
        self._take_shapes(input_shape)
        size = math.prod(self.image_shape)
        support = self.support
        if support is None and self.num_levels is not None:
            support = dequantization.support(
                self.num_levels, self.variable_dtype
            )
        self._support = supports.get(support, size)
        latent_size = int(
            self._support.bijector.inverse_event_shape([size])[-1]
        )
        self._standardization = Standardization(
            dtype=self.variable_dtype, name="standardization"
        )
        self._standardization.build((None, latent_size))
        self._distribution = FlowDistribution(
            latent_size,
            self.flows,
            base=self.base,
            rank=self.rank,
            num_components=self.num_components,
            inverted=[self._is_inverted(flow) for flow in self.flows],
            circular=self._support.circular,
            dtype=self.dtype_policy,
            name="distribution",
        )
        context_shape = self._build_context()
        self._distribution.build(context_shape)
        check_density_directions(
            self.flows,
            self._distribution.inverted,
            latent_size,
            None if context_shape is None else context_shape[-1],
        )
        self.built = True

    def _is_inverted(self, flow: FlowLayer) -> bool:
        if self.inverted is not None:
            return self.inverted
        return flow.fast_direction == "forward"

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "flow": [serialize(flow) for flow in self.flows],
            "event_shape": self.event_shape,
            "base": self.base,
            "encoder": None
            if self.encoder is None
            else serialize(self.encoder),
            "support": supports.serialize(self.support),
            "standardize": self.standardize,
            "inverted": self.inverted,
            "num_components": self.num_components,
            "rank": self.rank,
            "num_levels": self.num_levels,
            "noise_scale": self.noise_scale,
            "context_noise_scale": self.context_noise_scale,
            "seed": self.seed,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict | None = None
    ) -> "FlowDensity":
        """The model, without its weights."""

        def restored(value: Any) -> Any:
            return keras.saving.deserialize_keras_object(
                value, custom_objects=custom_objects
            )

        encoder = config["encoder"]
        return cls(
            **{
                **config,
                "flow": [restored(flow) for flow in config["flow"]],
                "encoder": None if encoder is None else restored(encoder),
                "support": supports.deserialize(config["support"]),
            }
        )

    # Data.

    @property
    def _region(self) -> Region | None:
        if self.num_levels is not None:
            return supports.whole_numbers(self.num_levels)
        return supports.region(self.support, self.variable_dtype)

    @property
    def _takes_integers(self) -> bool:
        return self.num_levels is not None

    def _to_standardize(self, x: np.ndarray, first_row: int) -> np.ndarray:
        x = self._dequantized(self._flat(x), NoiseKey(first_row, 0, "adapt"))
        return self._coordinates.to_standardize(x)

    @property
    def _should_vary(self) -> np.ndarray:
        return ~self._coordinates.is_circle

    def _flat(self, x: Any) -> tf.Tensor:
        x = tf.cast(x, self.variable_dtype)
        return tf.reshape(x, [-1, math.prod(self.image_shape)])

    # The density.

    def _dequantized(self, x: tf.Tensor, key: NoiseKey) -> tf.Tensor:
        if self.num_levels is None:
            return x
        drawn = self._normal(tf.shape(x)[0], x.shape[-1], key, "dequantisation")
        return dequantization.dequantized(x, drawn)

    def _log_likelihoods(
        self, inputs: Mapping[str, tf.Tensor], key: NoiseKey, training: bool
    ) -> tf.Tensor:
        x = self._dequantized(self._flat(inputs["x"]), key)
        y, log_det = self._coordinates.inverse_and_log_det(x)
        if training and self.noise_scale:
            y += self.noise_scale * self._normal(
                tf.shape(y)[0], y.shape[-1], key, "noise"
            )
            y = self._coordinates.on_circles(y)
        features = self._features(inputs.get("context"), key, training)
        parameters = self._distribution.parameters(features)
        return self._distribution.pull_back(y, parameters)[1] + log_det

    @property
    def _coordinates(self) -> Coordinates:
        return Coordinates(self._support, self._standardization)

    def _metrics_of(self, log_likelihoods: tf.Tensor) -> dict[str, tf.Tensor]:
        metrics = {"log_likelihood": log_likelihoods}
        if self.num_levels is not None:
            metrics["bits_per_dim"] = dequantization.bits_per_dim(
                log_likelihoods, math.prod(self.image_shape)
            )
        return metrics

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """`log p(x | context)` of a batch, `[B]`."""
        return self._log_likelihoods(
            self._inputs(inputs), NoiseKey(0, 0, "evaluation"), training
        )

    # Use of a trained model.

    def distribution(self, context: Any = None) -> tfd.Distribution:
        """`p(x | context)`; its `log_prob` takes any points.

        Of discrete data it is the density of the dequantised ones.

        Args:
          context: `[B, ...]`, of a conditional density.

        Returns:
          A distribution with event shape `event_shape` and batch shape `[B]`,
          without context `[]`.

        Raises:
          ValueError: the model is not built, or the context does not fit.
        """
        self.require_built()
        context = self._checked_context(context)
        parameters = self._distribution.parameters(
            self._features(context, None, training=False)
        )
        size = math.prod(self.image_shape)
        bijectors = [self._coordinates.bijector()]
        if self.image_shape != (size,):
            bijectors.insert(
                0,
                tfb.Reshape(
                    event_shape_out=self.image_shape, event_shape_in=[size]
                ),
            )
        return tfd.TransformedDistribution(
            self._distribution.make_distribution(parameters),
            tfb.Chain(bijectors),
        )

    @property
    def _noise_size(self) -> int:
        return self._distribution.noise_size

    def _samples(
        self, standard_normal: tf.Tensor, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        features = self._features(context, None, training=False)
        parameters = self._distribution.parameters(features)
        y, _ = self._distribution.push_forward(standard_normal, parameters)
        x = self._coordinates.bijector().forward(y)
        if self.num_levels is not None:
            x = dequantization.quantized(x, self.num_levels)
        shape = tf.concat([tf.shape(x)[:-1], self.image_shape], axis=0)
        return tf.reshape(x, shape)
