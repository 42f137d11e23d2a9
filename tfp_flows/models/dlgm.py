"""The deep latent Gaussian model, trained by variational inference."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import likelihoods, schedules
from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows.layers.stochastic_layer import StochasticLayer
from tfp_flows.math import noise
from tfp_flows.models import compilation, dlgm_parts
from tfp_flows.models.event_shapes import resolve_event_shape
from tfp_flows.models.latent_variable_model import (
    BATCH_SIZE,
    LatentVariableModel,
)
from tfp_flows.posteriors import (
    FlowDistribution,
    Posterior,
    has_piecewise_linear_activation,
    priors,
)

__all__ = ["DLGM"]

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="tfp_flows")
class DLGM(LatentVariableModel):
    """Deep latent Gaussian model with an amortized flow posterior.

    With standard normal `xi_1 ... xi_L`, from the top layer L down,

        h_L = G_L xi_L;   h_l = T_l(h_(l+1)) + G_l xi_l;   x ~ p(x | T_0(h_1))

    where T_0 is the decoder and the T_l, G_l are `stochastic_layers`. Without
    them L = 1 and `h_1 = xi_1`: the variational autoencoder. The posterior is
    over the concatenated `z = (xi_L, ..., xi_1)`, so one flow covers all
    layers. Training maximises the mean over examples of

        log 1/S sum_s p(x, z_s) / q(z_s | x),    z_s ~ q(z | x),

    for S = 1 the ELBO `E_q[log p(x|z)] - KL(q(z|x) || p(z))`. Progress bar,
    history and `evaluate` show `elbo`, `kl` and `reconstruction`, per example
    and in nats, never annealed (and `iwae_S` for S > 1); `loss` is the annealed
    free energy in training, minus the bound in validation.

    Images may come as `[28, 28]`, `[28, 28, 1]` or `[784]`, in arrays or in
    data sets of `x`, `(x, y)` (y is ignored) or `{"image": x}`. They are
    checked on the host: finite and, for likelihoods on [0, 1], in that range;
    beyond it by rounding in float32 (1e-6), they are clipped. Noise is keyed by
    (seed, batch trained on, row in the global batch), in evaluation by (seed,
    index of the example): equal with XLA on and off and on any number of
    replicas.

    Example:
    ```python
    import keras
    import sklearn.datasets

    import tfp_flows

    digits = (sklearn.datasets.load_digits().images > 7).astype("float32")
    model = tfp_flows.models.DLGM(
        encoder=tfp_flows.layers.MLP([64]),
        posterior=tfp_flows.posteriors.FlowPosterior(
            latent_size=8, flow=tfp_flows.layers.PlanarFlow(num_flow_steps=4)
        ),
        decoder=tfp_flows.layers.MLP([64], output_size=64),
        likelihood="bernoulli",
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.fit(digits[:1500], batch_size=100, verbose=0)
    images = model.sample(4, seed=1)  # means, [4, 8, 8]
    ```

    References:
      [1]: Danilo Rezende, Shakir Mohamed, Daan Wierstra. Stochastic
           Backpropagation and Approximate Inference in Deep Generative Models.
           ICML 2014. https://arxiv.org/abs/1401.4082 (the model; its
           recognition model differs: here one flow for all layers).
      [2]: Danilo Rezende, Shakir Mohamed. Variational Inference with
           Normalizing Flows. ICML 2015. https://arxiv.org/abs/1505.05770
      [3]: Yuri Burda, Roger Grosse, Ruslan Salakhutdinov. Importance Weighted
           Autoencoders. ICLR 2016. https://arxiv.org/abs/1509.00519
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        posterior: Posterior,
        decoder: keras.layers.Layer,
        likelihood: str | Callable[[tf.Tensor], tfd.Distribution] = "bernoulli",
        stochastic_layers: Sequence[StochasticLayer] | None = None,
        prior: keras.layers.Layer | None = None,
        annealing: str | schedules.Annealing | None = "auto",
        num_importance_samples: int = 1,
        gradient_estimator: str = "auto",
        event_shape: Sequence[int] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        """Constructs the model.

        Args:
          encoder: layer or model from images to features `[B, C]`.
          posterior: q(z | x) given those features, a `FlowPosterior` or
            another `Posterior`.
          decoder: T_0, layer or model from `h_1`, `[B, H]`, to the parameters
            of the likelihood.
          likelihood: "bernoulli", "logit_normal", "gaussian",
            "discretized_logistic" (see `tfp_flows.likelihoods`), or a callable
            from the decoder's output `[..., *out]` to a `tfd.Distribution` with
            batch shape `[...]` over as many elements as an image has.
          stochastic_layers: from the top down. Default: None, one layer with
            `h_1 = xi_1`.
          prior: p(z), a layer with a method `distribution()`, for example an
            unconditional `FlowPosterior`; trained with the model. Default:
            None, standard normal.
          annealing: "joint" (Rezende & Mohamed 2015: the weight of
            `log p(x, z)`), "kl" (the weight of the KL term), a schedule of
            `tfp_flows.schedules`, or None. Default: "auto", "kl" over the
            first sixth of the updates of `fit`; None without a flow, for
            several samples, outside of `fit` (see `plan_annealing`), and for
            data sets of unknown length.
          num_importance_samples: S, in training and in `evaluate`.
          gradient_estimator: "reparameterized", "sticking_the_landing" (S = 1)
            or "doubly_reparameterized". Default: "auto", the second, for S > 1
            the third; of posteriors that cannot, and flow layers of others,
            the first.
          event_shape: shape of one image as the encoder is fed. Default: None,
            the encoder's own input shape if it has one, else that of the
            first data.
          seed: of all noise, in [0, 2**31).
          **kwargs: those of `keras.Model`.

        Raises:
          ValueError: an argument breaks its rule.
          TypeError: a part is no layer of the kind that it must be.
        """
        super().__init__(**kwargs)
        check_precision(self)
        dlgm_parts.check_posterior(posterior, type(self).__name__)
        dlgm_parts.check_stochastic_layers(stochastic_layers, posterior)
        dlgm_parts.check_network("decoder", decoder)
        priors.check_prior(prior)
        self._init_latent_variable_model(
            encoder,
            posterior,
            annealing,
            num_importance_samples,
            gradient_estimator,
            seed,
        )
        self.decoder = decoder
        self.likelihood = likelihoods.get(likelihood)
        self.stochastic_layers = list(stochastic_layers or ())
        self.prior = prior
        self.event_shape = resolve_event_shape(event_shape, encoder)
        if posterior.follows_log_joint and any(
            map(has_piecewise_linear_activation, self._generative_layers)
        ):
            self._said.no_second_derivatives(type(posterior).__name__)

    @property
    def _generative_layers(self) -> list[keras.layers.Layer]:
        return [self.decoder, *self.stochastic_layers]

    @property
    def _num_flow_steps(self) -> int:
        return compilation.count_flow_steps(self.posterior, self.prior)

    # Building and configuration.

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes all weights.

        Args:
          input_shape: `[B, ...]` of the images.

        Raises:
          ValueError: the parts do not fit each other or the images.
        """
        self._build_posterior(input_shape)
        if self.prior is not None and not self.prior.built:
            self.prior.build(None)
        dtype = self.posterior.variable_dtype
        pieces = [
            keras.KerasTensor((None, size), dtype=dtype)
            for size in self._xi_sizes
        ]
        h = dlgm_parts.descend(self.stochastic_layers, pieces)
        outputs = self.decoder(h)
        dlgm_parts.check_decoder(
            self.likelihood, tuple(outputs.shape), self.image_shape
        )
        self.built = True

    @property
    def _xi_sizes(self) -> list[int]:
        """Of the layers, from the top down; their sum is the posterior's D."""
        sizes = [layer.units for layer in self.stochastic_layers]
        return sizes or [self.posterior.latent_size]

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        serialize = keras.saving.serialize_keras_object
        likelihood = self.likelihood.identifier
        return {
            **super().get_config(),
            **self._common_config(),
            "decoder": serialize(self.decoder),
            "likelihood": likelihood
            if isinstance(likelihood, str)
            else serialize(likelihood),
            "stochastic_layers": [
                serialize(layer) for layer in self.stochastic_layers
            ],
            "prior": None if self.prior is None else serialize(self.prior),
        }

    # The densities.

    def decode(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The decoder's output for latents `z`, `[..., D]` to `[..., *out]`."""
        rows = tf.reshape(z, [-1, z.shape[-1]])
        pieces = tf.split(rows, self._xi_sizes, axis=-1)
        h = dlgm_parts.descend(self.stochastic_layers, pieces, training)
        output = self.decoder(h, training=training)
        shape = tf.concat([tf.shape(z)[:-1], tf.shape(output)[1:]], axis=0)
        unfolded = tf.reshape(output, shape)
        return tf.ensure_shape(unfolded, [*z.shape[:-1], *output.shape[1:]])

    def likelihood_distribution(
        self, z: tf.Tensor, training: bool = False
    ) -> tfd.Distribution:
        """p(x | z) for latents `[..., D]`, batch shape `[...]`."""
        outputs = self.decode(z, training)
        event_ndims = dlgm_parts.likelihood_event_ndims(
            self.likelihood, outputs, batch_ndims=z.shape.rank - 1
        )
        return self.likelihood.distribution(outputs, event_ndims)

    def log_likelihood(
        self, x: tf.Tensor, z: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """`log p(x | z)`, `[S, B]`, of `x` `[B, ...]` and `z` `[S, B, D]`."""
        distribution = self.likelihood_distribution(z, training)
        dlgm_parts.check_likelihood_shape(
            distribution, z.shape.rank - 1, self.image_shape
        )
        x = tf.reshape(x, [-1, *distribution.event_shape])
        return distribution.log_prob(tf.cast(x, distribution.dtype))

    def log_prior(self, z: tf.Tensor) -> tf.Tensor:
        """`log p(z)`, `[...]`, of latents `[..., D]`."""
        return priors.log_prior(self.prior, z)

    def log_joint_terms(
        self, x: tf.Tensor, z: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`log p(x | z)` and `log p(z)`, each `[S, B]`, of `z` `[S, B, D]`."""
        log_likelihood = self.log_likelihood(x, z, training=training)
        return log_likelihood, self.log_prior(z)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Reconstruction without noise: the mean of p(x | z) at one z.

        That z is what the posterior's flow makes of the middle of its Gaussian.
        """
        x = self._in_event_shape(inputs)
        z = self._latents(x, self._no_noise(x), training)[0]
        return self._images(self.decode(z, training))

    # Use of a trained model.

    def sample(self, n: int, seed: int = 0, draws: bool = False) -> tf.Tensor:
        """New images: the means of p(x | z) at z from the prior.

        Args:
          n: how many.
          seed: decides the noise.
          draws: draw the pixels from p(x | z) instead of returning its means.

        Returns:
          `[n, *event_shape]`.

        Raises:
          ValueError: the model is not built, or n is not a positive integer.
        """
        n = as_positive_integer("n", n)
        self.require_built()
        rows = [
            self._prior_noise(min(BATCH_SIZE, n - first), first, seed)
            for first in range(0, n, BATCH_SIZE)
        ]
        decoded = self._passes(
            lambda standard_normal, *_: self.decode(
                self._prior_latents(standard_normal)
            ),
            tf.concat(rows, axis=0),
            "sample",
        )
        return self._all_images(decoded, "sample", seed if draws else None)

    def reconstruct(
        self, x: Any, seed: int = 0, draws: bool = False
    ) -> tf.Tensor:
        """The means of p(x | z) at z from q(z | x).

        Args:
          x: images in any form that `fit` takes.
          seed: decides the noise, with the example's index.
          draws: draw the pixels from p(x | z) instead of returning its means.

        Returns:
          `[N, *event_shape]`.

        Raises:
          ValueError: the model is not built, or cannot take the images.
        """

        def decoded(x: tf.Tensor, first: Any, seed: Any) -> tf.Tensor:
            standard_normal = self.posterior.noise(
                x.shape[0],
                1,
                first_row=first,
                seed=seed,
                step=0,
                purpose="reconstruction",
            )
            return self.decode(self._latents(x, standard_normal)[0])

        passes = self._passes(
            decoded, self._checked_images(x), "reconstruction", seed=seed
        )
        return self._all_images(
            passes, "reconstruction", seed if draws else None
        )

    def _prior_noise(self, rows: int, first: int, seed: int) -> tf.Tensor:
        """What `_prior_latents` makes latents of, `[rows, noise_size]`."""
        prior = self.prior
        if prior is None:
            size = self.posterior.latent_size
        elif isinstance(prior, FlowDistribution):
            size = prior.noise_size
        else:  # that says nothing of its noise
            key = noise.key(seed=seed, step=first, purpose="prior")
            return prior.distribution().sample(rows, seed=noise.tfp_seed(key))
        return noise.normal_rows(
            rows,
            (size,),
            first_row=first,
            seed=seed,
            step=0,
            purpose="prior",
            dtype=self.posterior.variable_dtype,
        )

    def _prior_latents(self, standard_normal: tf.Tensor) -> tf.Tensor:
        """Latents of the prior, `[rows, D]`."""
        prior = self.prior
        if not isinstance(prior, FlowDistribution):
            return standard_normal
        return prior.push_forward(standard_normal, prior.parameters())[0]

    def _all_images(
        self,
        passes: Iterator[tuple[int, tf.Tensor]],
        purpose: str,
        seed: int | None,
    ) -> tf.Tensor:
        """Means of p(x | z) of decoded passes, or draws of a seed."""
        images = [
            self._images(
                outputs,
                None if seed is None else _pixel_key(purpose, seed, first),
            )
            for first, outputs in passes
        ]
        return tf.concat(images, axis=0)

    def _images(
        self, outputs: tf.Tensor, key: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Means of p(x | z), or draws of a key, in the shape of images."""
        event_ndims = dlgm_parts.likelihood_event_ndims(
            self.likelihood, outputs, batch_ndims=1
        )
        images = (
            self.likelihood.mean(outputs, event_ndims)
            if key is None
            else self.likelihood.sample(outputs, key, event_ndims=event_ndims)
        )
        return tf.reshape(images, [-1, *self.image_shape])


def _pixel_key(what: str, seed: int, first: int) -> tf.Tensor:
    """Of the noise in the pixels of a batch that begins at `first`."""
    return noise.key(seed=seed, step=first, purpose=f"pixels of a {what}")
