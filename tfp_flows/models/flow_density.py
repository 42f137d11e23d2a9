"""Densities of data by maximum likelihood, conditional or not."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows.bijectors import inverse_and_log_det
from tfp_flows.layers import FlowLayer
from tfp_flows.layers.standardization import Standardization
from tfp_flows.math import circles, noise, stable
from tfp_flows.models import dlgm_parts, supports
from tfp_flows.models.event_shapes import check_event_shape
from tfp_flows.models.inputs import examples
from tfp_flows.models.inputs.images import InputRules
from tfp_flows.models.inputs.prepare import prepare_checked
from tfp_flows.models.maximum_likelihood import (
    MaximumLikelihoodModel,
    NoiseKey,
)
from tfp_flows.posteriors.flow_arguments import list_of_flows
from tfp_flows.posteriors.flow_distribution import FlowDistribution

__all__ = ["FlowDensity"]

tfb, tfd = tfp.bijectors, tfp.distributions

_BATCH_SIZE = 2_000  # examples at a time where nobody says how many
# Dequantised values lie in (0, L); a float32 may be rounded to an end.
_MARGIN = 1e-6


@keras.saving.register_keras_serializable(package="tfp_flows")
class FlowDensity(MaximumLikelihoodModel):
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
        if inverted not in (None, True, False):
            raise ValueError(
                f"`inverted` must be a bool or None; got {inverted!r}."
            )
        self.flows = list_of_flows(flow, self.variable_dtype)
        self.event_shape = check_event_shape(event_shape)
        self.base = base
        self.encoder = encoder
        self.support = support
        self.standardize = bool(standardize)
        self.inverted = inverted
        self.num_components = as_positive_integer(
            "num_components", num_components
        )
        self.rank = rank
        self.num_levels = (
            None
            if num_levels is None
            else as_positive_integer("num_levels", num_levels)
        )
        self.noise_scale = _checked_scale("noise_scale", noise_scale)
        self.context_noise_scale = _checked_scale(
            "context_noise_scale", context_noise_scale
        )
        self.seed = int(seed)
        self.context_shape: tuple[int, ...] | None = None
        self._init_metrics(
            "log_likelihood", *(["bits_per_dim"] if num_levels else [])
        )
        self.__dict__["_compiled"] = {}

    # Building and configuration.

    @property
    def conditional(self) -> bool | None:
        """Whether there is a context; None if that is not known yet."""
        if self.built:
            return self.context_shape is not None
        return True if self.encoder is not None else None

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
        given = input_shape
        if not isinstance(given, Mapping):
            given = {"x": given}
        found = {n: tuple(shape)[1:] or (1,) for n, shape in given.items()}
        for name, shape in found.items():
            if any(n is None for n in shape):
                raise ValueError(
                    f"`input_shape` must be [B, ...] with known axes of "
                    f"{name}; got {tuple(given[name])}."
                )
        self.event_shape = self.event_shape or found["x"]
        self.context_shape = found.get("context")
        if self.encoder is not None and self.context_shape is None:
            raise ValueError(
                "`input_shape` must be a dict of 'x' and 'context', as there "
                f"is an encoder; got {input_shape}."
            )
        size = math.prod(self.event_shape)
        support = self.support
        if support is None and self.num_levels is not None:
            margin = _MARGIN * self.num_levels
            support = tfb.Sigmoid(
                low=tf.constant(-margin, self.variable_dtype),
                high=tf.constant(self.num_levels + margin, self.variable_dtype),
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
        self._distribution.build(self._build_context())
        self.built = True

    def _is_inverted(self, flow: FlowLayer) -> bool:
        if self.inverted is not None:
            return self.inverted
        return flow.fast_direction == "forward"

    def _build_context(self) -> tuple[int | None, ...] | None:
        """Builds what turns contexts into features; their shape."""
        if self.context_shape is None:
            return None
        size = math.prod(self.context_shape)
        self._context_standardization = Standardization(
            dtype=self.variable_dtype, name="context_standardization"
        )
        self._context_standardization.build((None, size))
        if self.encoder is None:
            return (None, size)
        contexts = keras.KerasTensor(
            (None, *self.context_shape), dtype=self.variable_dtype
        )
        return (
            None,
            dlgm_parts.context_size(self.encoder(contexts), contexts),
        )

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that the model was built for."""
        if not self.built:
            return None
        shapes = {"x": (None, *self.image_shape)}
        if self.context_shape is not None:
            shapes["context"] = (None, *self.context_shape)
        return {"input_shape": shapes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the model as it was saved."""
        self.build(config["input_shape"])

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
    def _is_binary(self) -> bool:
        return False

    def _rules(self, argument: str) -> examples.Rules:
        def rules(name: str, shape: Any, **others: Any) -> InputRules:
            return InputRules(
                event_shape=shape or (),
                support="real",
                dtype=self.variable_dtype,
                likelihood="",
                argument=name,
                once=self._said,
                noun="example" if name != "context" else "context",
                scalars=True,
                **others,
            )

        region = (
            supports.region(self.support, self.variable_dtype)
            if self.num_levels is None
            else supports.whole_numbers(self.num_levels)
        )
        return {
            "x": rules(
                argument,
                self.event_shape,
                region=region,
                integers=self.num_levels is not None,
            ),
            "context": rules("context", self.context_shape),
        }

    def _checked(self, data: Any, argument: str) -> Any:
        rules = self._rules(argument)
        check = examples.examples_check(data, rules, self.conditional)
        return prepare_checked(data, check, self._has_one_worker)

    def _shape_to_build(self, prepared: Any, argument: str) -> Any:
        del argument
        return examples.shapes(prepared)

    def _serving_spec(self) -> Any:
        def spec(shape: tuple[int, ...]) -> keras.InputSpec:
            return keras.InputSpec(
                shape=(None, *shape), dtype=self.variable_dtype
            )

        if self.context_shape is None:
            return spec(self.image_shape)
        return {
            "x": spec(self.image_shape),
            "context": spec(self.context_shape),
        }

    def _see_training_data(self, prepared: Any) -> None:
        if self.standardize and not self._standardization.is_adapted:
            self._adapt(prepared)

    def adapt(self, x: Any) -> None:
        """Takes mean and scale of data, as the first `fit` does.

        Args:
          x: as in `fit`, and finite.

        Raises:
          ValueError: data that the model cannot take.
        """
        self._adapt(self._prepare(x, "x"))

    def _adapt(self, prepared: Any) -> None:
        vectors, contexts = [], []
        first_row = 0
        for batch in examples.batches(prepared, _BATCH_SIZE):
            rows = len(batch["x"])
            x = self._dequantized(
                self._flat(batch["x"]), NoiseKey(first_row, 0, "adapt")
            )
            vectors.append(self._support.bijector.inverse(x).numpy())
            if "context" in batch:
                contexts.append(np.reshape(batch["context"], [rows, -1]))
            first_row += rows
        self._standardization.adapt(vectors)
        circular = self._support.circular
        if circular:
            is_line = np.ones(vectors[0].shape[-1], bool)
            is_line[list(circular)] = False
            standardization = self._standardization
            for weight, identity in (
                (standardization.mean, 0.0),
                (standardization.scale, 1.0),
            ):
                value = keras.ops.convert_to_numpy(weight)
                weight.assign(np.where(is_line, value, identity))
        if contexts and len(self.context_shape or ()) == 1:
            self._context_standardization.adapt(contexts)

    def _flat(self, x: Any) -> tf.Tensor:
        x = tf.cast(x, self.variable_dtype)
        return tf.reshape(x, [-1, math.prod(self.image_shape)])

    def _inputs(self, data: Any) -> dict[str, tf.Tensor]:
        shapes = {"x": self.image_shape}
        if self.context_shape is not None:
            shapes["context"] = self.context_shape
        return examples.to_tensors(data, shapes, self.variable_dtype)

    # The density.

    def _dequantized(self, x: tf.Tensor, key: NoiseKey) -> tf.Tensor:
        if self.num_levels is None:
            return x
        drawn = self._normal(tf.shape(x)[0], x.shape[-1], key, "dequantisation")
        return x + stable.standard_normal_cdf(drawn)

    def _normal(
        self, rows: tf.Tensor, size: int, key: NoiseKey, what: str
    ) -> tf.Tensor:
        return noise.normal_rows(
            rows,
            (size,),
            first_row=key.first_row,
            seed=self.seed,
            step=key.step,
            purpose=f"{key.purpose} {what}",
            dtype=self.variable_dtype,
        )

    def _features(
        self, context: tf.Tensor | None, key: NoiseKey | None, training: bool
    ) -> tf.Tensor | None:
        if context is None or self.context_shape is None:
            return None
        size = math.prod(self.context_shape)
        flat = self._context_standardization(tf.reshape(context, [-1, size]))
        if training and key is not None and self.context_noise_scale:
            flat += self.context_noise_scale * self._normal(
                tf.shape(flat)[0], size, key, "context noise"
            )
        if self.encoder is None:
            return flat
        return self.encoder(
            tf.reshape(flat, [-1, *self.context_shape]), training=training
        )

    def _log_likelihoods(
        self, inputs: Mapping[str, tf.Tensor], key: NoiseKey, training: bool
    ) -> tf.Tensor:
        x = self._dequantized(self._flat(inputs["x"]), key)
        y, log_det = inverse_and_log_det(self._to_data(), x)
        y = self._on_circles(y)
        if training and self.noise_scale:
            y += self.noise_scale * self._normal(
                tf.shape(y)[0], y.shape[-1], key, "noise"
            )
        features = self._features(inputs.get("context"), key, training)
        parameters = self._distribution.parameters(features)
        return self._distribution.pull_back(y, parameters)[1] + log_det

    def _on_circles(self, y: tf.Tensor) -> tf.Tensor:
        """Circular variables in `[-pi, pi)`, as the flows have them."""
        if not self._support.circular:
            return y
        is_circle = np.isin(np.arange(y.shape[-1]), self._support.circular)
        return tf.where(is_circle, circles.wrap(y, math.pi), y)

    def _to_data(self) -> tfb.Bijector:
        """From standardised vectors to flat data."""
        return tfb.Chain(
            [self._support.bijector, self._standardization.bijector()]
        )

    def _metrics_of(self, log_likelihoods: tf.Tensor) -> dict[str, tf.Tensor]:
        metrics = {"log_likelihood": log_likelihoods}
        if self.num_levels is not None:
            nats_per_bit = math.log(2.0) * math.prod(self.image_shape)
            metrics["bits_per_dim"] = -log_likelihoods / nats_per_bit
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
        bijectors = [self._to_data()]
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

    def _checked_context(self, context: Any) -> tf.Tensor | None:
        if self.context_shape is None:
            if context is not None:
                raise ValueError(
                    "`context` must be None, as the density was built without "
                    f"one; got {type(context).__name__}."
                )
            return None
        if context is None:
            raise ValueError(
                "`context` must be given, as the density is conditional; got "
                "None."
            )
        if isinstance(context, tf.Tensor) and tf.is_symbolic_tensor(context):
            return tf.cast(context, self.variable_dtype)
        rules = self._rules("x")["context"]
        return tf.convert_to_tensor(examples.one_check(rules).whole(context))

    def log_prob(self, x: Any, context: Any = None) -> tf.Tensor:
        """`log p(x | context)` of each example, `[N]`, in nats.

        Of discrete data, the bound with the noise of `evaluate`.

        Args:
          x: examples, in any form that `fit` takes.
          context: one for each, unless x holds them.

        Raises:
          ValueError: the model is not built, or cannot take the data.
        """
        self.require_built()
        if context is not None:
            x = {"x": x, "context": context}
        prepared = self._checked(x, "x")
        found, first_row = [], 0
        for batch in examples.batches(prepared, _BATCH_SIZE):
            found.append(self._log_prob(batch, first_row))
            first_row += len(batch["x"])
        return tf.concat(found, axis=0)

    def _log_prob(self, batch: Any, first_row: int) -> tf.Tensor:
        inputs = self._inputs(batch)
        if "log_prob" not in self._compiled:
            of_any_size = {
                name: tf.TensorSpec([None, *part.shape[1:]], part.dtype)
                for name, part in inputs.items()
            }
            self._compiled["log_prob"] = tf.function(
                lambda inputs, row: self._log_likelihoods(
                    inputs, NoiseKey(row, 0, "evaluation"), training=False
                ),
                input_signature=[of_any_size, tf.TensorSpec([], tf.int64)],
            )
        return self._compiled["log_prob"](
            inputs, tf.constant(first_row, tf.int64)
        )

    def sample(self, n: int, context: Any = None, seed: int = 0) -> tf.Tensor:
        """Samples of `p(x | context)`; whole numbers where data are discrete.

        Args:
          n: how many, of each context.
          context: `[B, ...]`, of a conditional density.
          seed: decides the noise.

        Returns:
          `[n, *event_shape]`; with contexts `[n, B, *event_shape]`.

        Raises:
          ValueError: the model is not built, n is not a positive integer, or
            the context does not fit.
        """
        n = as_positive_integer("n", n)
        noise.check_seed(seed)
        self.require_built()
        context = self._checked_context(context)
        features = self._features(context, None, training=False)
        y, _ = self._distribution.sample_and_log_prob(features, n, seed)
        x = self._to_data().forward(y)
        if self.num_levels is not None:
            x = tf.clip_by_value(tf.floor(x), 0.0, self.num_levels - 1.0)
        shape = tf.concat([tf.shape(x)[:-1], self.image_shape], axis=0)
        return tf.reshape(x, shape)


def _checked_scale(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(
            f"`{name}` must be finite and not negative; got {value!r}."
        )
    return number
