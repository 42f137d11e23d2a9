"""Continuously-indexed flows as posteriors of models."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from tfp_flows._arguments import (
    as_integer,
    as_positive_integer,
    check_positive_integers,
    check_precision,
)
from tfp_flows.auxiliary.continuously_indexed import (
    ContinuouslyIndexedFlow,
    Paths,
    log_mean_ratio,
)
from tfp_flows.layers import FlowLayer
from tfp_flows.losses import gradient_estimators
from tfp_flows.math import stable
from tfp_flows.posteriors.cif_networks import CIFNetworks
from tfp_flows.posteriors.cif_noise import CIFNoise
from tfp_flows.posteriors.circular_base import check_circles
from tfp_flows.posteriors.flow_arguments import is_own, list_of_flows
from tfp_flows.posteriors.flow_distribution import FlowDistribution
from tfp_flows.posteriors.posterior import Parameters, Posterior
from tfp_flows.types import TensorLike

__all__ = ["CIFPosterior"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class CIFPosterior(Posterior):
    """A posterior whose flow is indexed by continuous auxiliary variables.

    Each flow step of each layer of `flow` is the bijector g_l of one step,

        u_l ~ q(u_l | z_(l-1)),   z_l = G_l(z_(l-1); u_l),   l = 1, ..., L

    where an affine map of u_l stands before g_l or behind it, see
    `tfp_flows.auxiliary.IndexedStep`, and z_0 is Gaussian. q(z | context) is
    an integral over u, which no bijector's density has to follow: it may have
    holes and separate modes. A reverse model `r(u | z, context)` gives the

        log_weight = -log(1/(M+1) sum_(m=0..M) q(z, u^m | context)
                                               / r(u^m | z, context))

    of `tfp_flows.auxiliary.ContinuouslyIndexedFlow`: u^0 made z, the others
    are drawn from r. The base's parameters and the flows' are amortized as in a
    `FlowPosterior`; q(u | z) and s, t of the affine map are not, r is.

    In a `DLGM` the bound is called `auxiliary_elbo`; it is below the ELBO of
    the marginal q(z | x), and `log_marginal_likelihood` has joint weights.
    Sticking the landing and the doubly reparameterized gradient leave out the
    score of q, never that of r. With M > 0, and under the doubly
    reparameterized gradient, each step is run backwards: of flows whose inverse
    is sequential (`IAFFlow`, `SplineAutoregressiveFlow`, ...) that takes D
    passes.

    As a density of given points it has `log_prob_lower_bound`, which is below
    `log q` on average, differentiable, and cheap with flows whose inverse is
    (`inverted=True`, couplings).

    Example:
    ```python
    import keras
    import sklearn.datasets

    import tfp_flows

    digits = (sklearn.datasets.load_digits().images > 7).astype("float32")
    model = tfp_flows.models.DLGM(
        encoder=tfp_flows.layers.MLP([64]),
        posterior=tfp_flows.posteriors.CIFPosterior(
            latent_size=8,
            flow=[tfp_flows.layers.PlanarFlow(4) for _ in range(2)],
            auxiliary_size=2,
        ),
        decoder=tfp_flows.layers.MLP([64], output_size=64),
        likelihood="bernoulli",
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.fit(digits[:1500], batch_size=100, verbose=0)  # auxiliary_elbo
    ```

    References:
      [1]: Rob Cornish, Anthony Caterini, George Deligiannidis, Arnaud Doucet.
           Relaxing Bijectivity Constraints with Continuously Indexed
           Normalising Flows. ICML 2020. https://arxiv.org/abs/1909.13833
      [2]: Anthony Caterini, Rob Cornish, Dino Sejdinovic, Arnaud Doucet.
           Variational Inference with Continuously-Indexed Normalizing Flows.
           UAI 2021. https://arxiv.org/abs/2007.05426 (there r is a network of
           its own on the images; here of the features that an encoder made.)
    """

    _integrated_out = "the indices of its flow"
    _bound_on_density = "; `log_prob_lower_bound` is one on `log q(z)`"

    def __init__(
        self,
        latent_size: int,
        flow: FlowLayer | Sequence[FlowLayer],
        auxiliary_size: int,
        order: str = "before",
        base: str = "diagonal",
        rank: int = 1,
        amortized: bool | None = None,
        initial_scale: float = 1.0,
        num_auxiliary_samples: int = 0,
        index_every: str = "step",
        hidden_units: Sequence[int] = (10, 10),
        activation: str = "tanh",
        scale_and_shift_network: Any = None,
        auxiliary_network: Any = None,
        reverse_network: Any = None,
        identity_start: bool = False,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          latent_size: D.
          flow: a flow layer, or a list of them, the first one to apply first.
          auxiliary_size: m, how many numbers u_l has.
          order: "before" (the affine map stands before g, as in the published
            runs: what it moves may first be brought to where a spline is not
            the identity) or "after" (the paper's formulas).
          base: see `FlowDistribution`, of z_0; so are the next three.
          rank: of "low_rank".
          amortized: whether anything depends on a context.
          initial_scale: standard deviation of z_0 at the start.
          num_auxiliary_samples: M, in training and in evaluation. Default: 0.
          index_every: "step" (each step of a flow layer is a g with an index)
            or "layer" (all steps of a layer are one g, as those always are
            that are not its whole bijector: `FlowLayer.is_scan`).
          hidden_units: of the networks of each step where none are given.
          activation: in these, that of `MLPConditioner`.
          scale_and_shift_network: from u, `[N, m]`, to s and t, `[N, 2 D]`. A
            Keras layer, made anew for each index by its config, a list with one
            for each, or None. The steps are not rolled into one loop then, and
            take the longer to compile the more there are.
          auxiliary_network: of q, from z_(l-1), `[N, D]`, to loc and log scale
            of u, `[N, 2 m]`.
          reverse_network: of r, from `[N, D]` (see `IndexedStep`) and, behind
            it, the context `[N, C]`, to loc and log scale of u, `[N, 2 m]`.
          identity_start: whether the networks' last layers start at zero where
            none are given: s = t = 0 and r = q, so that the posterior starts as
            that of its flows alone. Default: False, as in the published runs.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule.
          TypeError: `flow` holds something else than flow layers, or a network
            is no Keras layer.
        """
        latent_size = as_positive_integer("latent_size", latent_size)
        auxiliary_size = as_positive_integer("auxiliary_size", auxiliary_size)
        num_auxiliary_samples = as_integer(
            "num_auxiliary_samples", num_auxiliary_samples, 0
        )
        hidden_units = check_positive_integers("hidden_units", hidden_units)
        super().__init__(**kwargs)
        check_precision(self)
        self.latent_size = latent_size
        self.auxiliary_size = auxiliary_size
        self.order = order
        self.num_auxiliary_samples = num_auxiliary_samples
        self.hidden_units = hidden_units
        self.activation = activation
        self.index_every = index_every
        self.identity_start = identity_start
        self.flows = list_of_flows(flow, self.variable_dtype)
        check_circles(self.flows, (), latent_size)
        if not self.flows:
            raise ValueError(
                "`flow` must hold at least one flow layer, as each has an "
                f"index; got {flow!r}."
            )
        self.base = FlowDistribution(
            latent_size,
            None,
            base,
            rank,
            amortized,
            initial_scale,
            dtype=self.dtype_policy,
            name="base",
        )
        self._networks = CIFNetworks(
            latent_size,
            auxiliary_size,
            self.flows,
            order,
            index_every,
            {
                "scale_and_shift": scale_and_shift_network,
                "auxiliary": auxiliary_network,
                "reverse": reverse_network,
            },
            hidden_units=hidden_units,
            activation=activation,
            starts_at_zero=identity_start,
            dtype=self.dtype_policy,
        )
        self._given_layers = self._networks.given_layers
        self._stacked = self._networks.stacks

    @property
    def noise_size(self) -> int:
        """How many standard normal numbers make one sample and its weight."""
        return self._noise.size

    @property
    def _noise(self) -> CIFNoise:
        return CIFNoise(
            self.base.noise_size,
            self._networks.indices_size,
            self.num_auxiliary_samples,
        )

    @property
    def can_leave_out_score(self) -> bool:
        """Whether all its flows are of this package."""
        return all(map(is_own, self.flows))

    @property
    def has_flow(self) -> bool:
        """It has."""
        return True

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        """Makes the weights for contexts of shape `input_shape`, or for none.

        Raises:
          ValueError: `input_shape` is not `[B, C]` with a known C, or a given
            network does not fit.
        """
        self.base.build(input_shape)
        if self.base.amortized is False:
            input_shape = None
        for flow in self.flows:
            if not flow.built:
                flow.build((None, self.latent_size), input_shape)
        self._networks.build(input_shape)
        self._is_amortized = input_shape is not None
        self.built = True

    def parameters(self, context: tf.Tensor | None = None) -> Parameters:
        """All that depends on `context`, as a nest of tensors.

        Args:
          context: `[B, C]`, or None if nothing is amortized.

        Raises:
          ValueError: the layer is not built, or the context does not fit.
        """
        self._require_built()
        if not self._is_amortized:
            context = None
        return {
            "base": self.base.parameters(context),
            "flows": [flow.parameters(context) for flow in self.flows],
            "networks": self._networks.parameters(context),
        }

    def indexed_flow(self, parameters: Parameters) -> ContinuouslyIndexedFlow:
        """The flow over tensors, with the joint densities of z and u.

        Args:
          parameters: as `parameters(context)` returns them.
        """
        bijectors = [
            flow.make_bijector(of_flow)
            for flow, of_flow in zip(
                self.flows, parameters["flows"], strict=True
            )
        ]
        return ContinuouslyIndexedFlow(
            self.base.make_distribution(parameters["base"]),
            self._networks.steps(bijectors, parameters["networks"]),
        )

    def sample_and_log_weight(
        self,
        standard_normal: tf.Tensor,
        parameters: Parameters,
        *,
        log_joint: Callable[[tf.Tensor], tf.Tensor] | None = None,
        score: bool = True,
        through: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Posterior`; the log weight is that of M further draws."""
        del log_joint
        flow = self.indexed_flow(parameters)
        base_noise, own_noise, further_noise = self._noise.split(
            standard_normal
        )
        z_0, log_prob = self.base.push_forward(base_noise, parameters["base"])
        z, own = flow.forward(z_0, log_prob, flow.split(own_noise))
        made_of = own.indices
        if through is not tf.identity:
            # r's own derivatives are those at given z and u.
            z = through(z)
            own = flow.inverse(z, tuple(map(through, made_of)))
        if not score:
            stopped = gradient_estimators.stop_parameters(parameters["base"])
            of_base = self.base.log_prob_gradient(base_noise, stopped)
            gradients = flow.push_gradient(z_0, of_base, made_of)
            own = _without_score(z, own, gradients)
        if further_noise is None:
            return z, own.log_r - own.log_q
        further = flow.draw_indices(z, flow.split(further_noise))
        if not score:
            points = tf.broadcast_to(
                z, tf.concat([tf.shape(further.log_q), [z.shape[-1]]], axis=0)
            )
            gradients = flow.inverse_gradient(points, further.indices)
            further = _without_score(points, further, gradients)
        return z, -log_mean_ratio(own, further)

    def log_prob_lower_bound(
        self,
        z: tf.Tensor,
        context: tf.Tensor | None = None,
        num_samples: int = 1,
        seed: int = 0,
        step: TensorLike = 0,
    ) -> tf.Tensor:
        """A lower bound on `log q(z | context)` at any points, in expectation.

        See `ContinuouslyIndexedFlow.log_prob_lower_bound`: it does not fall as
        the number of samples grows, and tends to `log q(z | context)`.

        Args:
          z: `[..., B, D]`; `[..., D]` where nothing is amortized.
          context: `[B, C]`, or None if nothing is amortized.
          num_samples: how many draws of `r(u | z, context)`.
          seed: decides them, with `step`; in [0, 2**31).
          step: of a training on this bound.

        Returns:
          `[..., B]` or `[...]`, in nats.

        Raises:
          ValueError: the layer is not built, the context does not fit, or an
            argument breaks its rule.
        """
        num_samples = as_positive_integer("num_samples", num_samples)
        z = tf.convert_to_tensor(z, self.variable_dtype)
        if z.shape.rank is None or z.shape[-1:] != [self.latent_size]:
            raise ValueError(
                f"`z` must have a last axis of size {self.latent_size}; got "
                f"shape {z.shape}."
            )
        flow = self.indexed_flow(self.parameters(context))
        drawn = self._noise.of_points(z, num_samples, seed, step)
        paths = flow.draw_indices(z, flow.split(drawn))
        return stable.log_mean_exp(paths.log_q - paths.log_r)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "latent_size": self.latent_size,
            "flow": [serialize(flow) for flow in self.flows],
            "auxiliary_size": self.auxiliary_size,
            "order": self.order,
            "base": self.base.base,
            "rank": self.base.rank,
            "amortized": self.base.amortized,
            "initial_scale": self.base.initial_scale,
            "num_auxiliary_samples": self.num_auxiliary_samples,
            "hidden_units": self.hidden_units,
            "activation": self.activation,
            "index_every": self.index_every,
            "identity_start": self.identity_start,
            **self._networks.get_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer, without its weights."""
        restored: dict[str, Any] = {
            name: [keras.saving.deserialize_keras_object(v) for v in value]
            if name == "flow" or name.endswith("_network")
            else value
            for name, value in config.items()
        }
        return cls(**restored)


def _without_score(z: tf.Tensor, paths: Paths, gradients: Any) -> Paths:
    """`log q(z, u)` with the derivative through z and u alone."""
    log_q = gradient_estimators.without_score(
        (z, paths.indices), paths.log_q, gradients
    )
    return paths._replace(log_q=log_q)
