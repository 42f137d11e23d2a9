"""One stochastic layer of a deep latent Gaussian model."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import as_positive_integer

__all__ = ["StochasticLayer"]

_SCALES = ("diagonal", "full", "identity")


@keras.saving.register_keras_serializable(package="tfp_flows")
class StochasticLayer(keras.layers.Layer):
    """`h_l = T_l(h_(l+1)) + G_l xi_l`; at the top, `h_L = G_L xi_L`.

    With `xi ~ N(0, I)`, `h_l` given the layer above it is Gaussian with
    covariance `G_l G_l^T`. Initially `G` is the identity.

    Shapes: `xi` is `[N, units]`, what is above it is whatever `transform`
    takes, `h` is `[N, units]`.

    Attributes:
      scale_factor: the weight `G`: `[units]` if `scale` is "diagonal",
        `[units, units]` if it is "full", None if it is "identity".

    #### References

    [1]: Danilo Rezende, Shakir Mohamed, Daan Wierstra. Stochastic
         Backpropagation and Approximate Inference in Deep Generative Models.
         ICML, 2014.
    """

    def __init__(
        self,
        units: int,
        transform: keras.layers.Layer | None = None,
        scale: str = "diagonal",
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          units: the size of `xi` and of `h`.
          transform: T, a Keras layer from the layer above to `[N, units]`.
            Default: None, for the top layer.
          scale: what G is: "diagonal", "full" or "identity".
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: `units` is not a positive integer, `transform` is no
            Keras layer, or an unknown `scale`.
        """
        units = as_positive_integer("units", units)
        if not isinstance(transform, keras.layers.Layer | None):
            raise ValueError(
                f"`transform` must be a Keras layer or None; got {transform!r}."
            )
        if scale not in _SCALES:
            known = ", ".join(f'"{name}"' for name in _SCALES)
            raise ValueError(f"`scale` must be one of {known}; got {scale!r}.")
        super().__init__(**kwargs)
        self.units = units
        self.transform = transform
        self.scale = scale
        self.scale_factor: keras.Variable | None = None

    def build(
        self,
        xi_shape: tuple[int | None, ...],
        above_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        """Makes the weights, those of the transform included.

        Raises:
          ValueError: `xi`, or the transform's output, is not of size `units`,
            or there is a transform and nothing above, or the reverse.
        """
        if xi_shape[-1] != self.units:
            raise ValueError(
                f"`xi` must have shape [N, {self.units}]; got "
                f"{tuple(xi_shape)}."
            )
        self._check_above(above_shape is not None)
        if self.transform is not None:
            if not self.transform.built:
                self.transform.build(above_shape)
            output_shape = self.transform.compute_output_shape(above_shape)
            if output_shape[-1] != self.units:
                raise ValueError(
                    "`transform` must have an output of size `units`, "
                    f"{self.units}; got {tuple(output_shape)}."
                )
        if self.scale == "diagonal":
            self.scale_factor = self.add_weight(
                name="scale_factor", shape=(self.units,), initializer="ones"
            )
        elif self.scale == "full":
            self.scale_factor = self.add_weight(
                name="scale_factor",
                shape=(self.units, self.units),
                initializer="identity",
            )
        self.built = True

    def call(self, xi: tf.Tensor, above: tf.Tensor | None = None) -> tf.Tensor:
        """`h`, `[N, units]`.

        Args:
          xi: standard normal noise `[N, units]`.
          above: what the layer above returned; None for the top layer.

        Raises:
          ValueError: there is a transform and nothing above, or the reverse.
        """
        self._check_above(above is not None)
        h = xi
        if self.scale == "diagonal":
            h = xi * self.scale_factor
        elif self.scale == "full":
            h = keras.ops.matmul(xi, keras.ops.transpose(self.scale_factor))
        if self.transform is None:
            return h
        return h + keras.ops.cast(self.transform(above), h.dtype)

    def _check_above(self, is_given: bool) -> None:
        if is_given and self.transform is None:
            raise ValueError(
                "`above` must be None in a layer without `transform`; got a "
                "value."
            )
        if not is_given and self.transform is not None:
            raise ValueError(
                "`above` must be given to a layer with `transform`; got None."
            )

    def compute_output_shape(
        self,
        xi_shape: tuple[int | None, ...],
        above_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[int | None, ...]:
        """The shape of `xi`."""
        del above_shape
        return xi_shape

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        transform = self.transform
        if transform is not None:
            transform = keras.saving.serialize_keras_object(transform)
        return {
            **super().get_config(),
            "units": self.units,
            "transform": transform,
            "scale": self.scale,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "StochasticLayer":
        """The layer of `get_config`, with a transform of its own."""
        transform = config.get("transform")
        if isinstance(transform, dict):
            transform = keras.saving.deserialize_keras_object(transform)
        return cls(**{**config, "transform": transform})
