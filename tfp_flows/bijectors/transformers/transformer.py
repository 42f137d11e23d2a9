"""What transformers have in common, and their inverses."""

import abc
import dataclasses

import tensorflow as tf

__all__ = ["Inverse", "Transformer", "ValueAndTerms"]

ValueAndTerms = tuple[tf.Tensor, tf.Tensor]


class Transformer(abc.ABC):
    """An invertible map of `[..., N]` under parameters `[..., P, N]`.

    It holds no tensors. Instances are settings: hashable, and equal if they
    compute the same. A subclass is a frozen dataclass.

    Attributes:
      num_parameters: P, the parameters of each coordinate.
      is_elementwise: whether each coordinate is mapped on its own, and by its
        own parameters alone; only then can coordinates be masked, or come one
        after the other.
      num_features: what a conditioner reads of each coordinate: one number,
        itself, or more.
    """

    num_parameters: int
    is_elementwise = True
    num_features = 1

    def kinds(
        self, event_size: int | None, dtype: tf.DType
    ) -> tuple[tf.Tensor, ...]:
        """What the other methods need to know of each coordinate, `[D]`.

        A bijector may know it better, `[..., D]`, and hands on the part of the
        coordinates that it maps.
        """
        del event_size, dtype
        return ()

    def features(self, x: tf.Tensor, *kinds: tf.Tensor) -> tf.Tensor:
        """What a conditioner reads of x, `[..., num_features N]`; blocks of N.

        Args:
          x: `[..., N]`.
          *kinds: those of these coordinates, `[..., N]`.
        """
        del kinds
        return x

    def wrapped(self, x: tf.Tensor, *kinds: tf.Tensor) -> tf.Tensor:
        """The points x as the map takes and returns them: x itself on lines."""
        del kinds
        return x

    @abc.abstractmethod
    def forward(self, x: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """`(y, terms)`, of which the terms add up to `log|det dy/dx|`.

        Args:
          x: `[..., N]`.
          theta: `[..., P, N]`, free reals. A map with `kinds` takes them
            behind it, in all methods.

        Returns:
          y `[..., N]`, and `[..., N]`, the logarithms of `dy_i/dx_i`, of an
          element-wise map; else `[..., 1]`.
        """

    @abc.abstractmethod
    def inverse(self, y: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """`(x, terms)`, of which the terms add up to `log|det dx/dy|`."""

    def root(
        self, y: tf.Tensor, theta: tf.Tensor, *kinds: tf.Tensor
    ) -> tf.Tensor:
        """X of `inverse`, whose derivatives nobody asks for."""
        return self.inverse(y, theta, *kinds)[0]

    def __call__(self, x: tf.Tensor, theta: tf.Tensor) -> tf.Tensor:
        """Y of `forward`."""
        return self.forward(x, theta)[0]


@dataclasses.dataclass(frozen=True)
class Inverse(Transformer):
    """Another element-wise transformer in the other direction."""

    transformer: Transformer

    def __post_init__(self) -> None:
        if not isinstance(self.transformer, Transformer):
            raise TypeError(
                "`transformer` must be a Transformer; got "
                f"{self.transformer!r}."
            )
        if not self.transformer.is_elementwise:
            raise ValueError(
                "`transformer` must be element-wise; got "
                f"{type(self.transformer).__name__}."
            )

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        """That of the other."""
        return self.transformer.num_parameters

    @property
    def num_features(self) -> int:  # type: ignore[override]
        """That of the other."""
        return self.transformer.num_features

    def kinds(
        self, event_size: int | None, dtype: tf.DType
    ) -> tuple[tf.Tensor, ...]:
        """Those of the other."""
        return self.transformer.kinds(event_size, dtype)

    def features(self, x: tf.Tensor, *kinds: tf.Tensor) -> tf.Tensor:
        """Those of the other."""
        return self.transformer.features(x, *kinds)

    def wrapped(self, x: tf.Tensor, *kinds: tf.Tensor) -> tf.Tensor:
        """As of the other."""
        return self.transformer.wrapped(x, *kinds)

    def forward(
        self, x: tf.Tensor, theta: tf.Tensor, *kinds: tf.Tensor
    ) -> ValueAndTerms:
        """`inverse` of the other."""
        return self.transformer.inverse(x, theta, *kinds)

    def inverse(
        self, y: tf.Tensor, theta: tf.Tensor, *kinds: tf.Tensor
    ) -> ValueAndTerms:
        """`forward` of the other."""
        return self.transformer.forward(y, theta, *kinds)
