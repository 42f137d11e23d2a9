"""Posteriors whose density is an integral over auxiliary variables u."""

import keras
import tensorflow as tf

from tfp_flows.posteriors import FlowPosterior, Posterior
from tfp_flows.posteriors.priors import log_prior


@keras.saving.register_keras_serializable(package="tests")
class AuxiliaryPosterior(Posterior):
    """A flow makes z and u; `r(u | z, context)` is a Gaussian."""

    def __init__(self, latent_size, auxiliary_size, flow=None, **kwargs):
        super().__init__(**kwargs)
        self.latent_size = latent_size
        self.auxiliary_size = auxiliary_size
        self.joint = FlowPosterior(
            latent_size + auxiliary_size, flow, dtype=self.dtype_policy
        )
        self.reverse = keras.layers.Dense(
            2 * auxiliary_size, dtype=self.dtype_policy, name="reverse"
        )

    @property
    def noise_size(self):
        return self.joint.noise_size

    def build(self, input_shape):
        self.joint.build(input_shape)
        self.reverse.build((None, self.latent_size + input_shape[-1]))
        self.built = True

    def parameters(self, context=None):
        return {"joint": self.joint.parameters(context), "context": context}

    def log_reverse(self, u, z, context):
        shape = tf.concat([tf.shape(z)[:-1], [context.shape[-1]]], axis=0)
        context = tf.broadcast_to(context, shape)
        loc, log_scale = tf.split(
            self.reverse(tf.concat([z, context], axis=-1)), 2, axis=-1
        )
        log_scale = 0.5 * (tf.tanh(log_scale) - 1.0)  # no tails beyond q's
        standardized = (u - loc) * tf.exp(-log_scale)
        return log_prior(None, standardized) - tf.reduce_sum(log_scale, -1)

    def sample_and_log_weight(
        self,
        standard_normal,
        parameters,
        *,
        log_joint=None,
        score=True,
        through=tf.identity,
    ):
        both, log_weight = self.joint.sample_and_log_weight(
            standard_normal, parameters["joint"], score=score, through=through
        )
        z, u = tf.split(both, [self.latent_size, self.auxiliary_size], axis=-1)
        return z, log_weight + self.log_reverse(u, z, parameters["context"])

    def get_config(self):
        return {
            **super().get_config(),
            "latent_size": self.latent_size,
            "auxiliary_size": self.auxiliary_size,
            "flow": [
                keras.saving.serialize_keras_object(f) for f in self.joint.flows
            ],
        }

    @classmethod
    def from_config(cls, config):
        flow = map(keras.saving.deserialize_keras_object, config["flow"])
        return cls(**{**config, "flow": list(flow)})


class LeapfrogPosterior(AuxiliaryPosterior):
    """A step of Hamiltonian dynamics of the model itself; u, the momentum."""

    step_size = 0.3

    def __init__(self, latent_size, **kwargs):
        super().__init__(latent_size, latent_size, **kwargs)

    def log_reverse(self, u, z, context):
        return log_prior(None, u)

    def sample_and_log_weight(
        self,
        standard_normal,
        parameters,
        *,
        log_joint=None,
        score=True,
        through=tf.identity,
    ):
        both, log_weight = self.joint.sample_and_log_weight(
            standard_normal, parameters["joint"], score=score, through=through
        )
        z, momentum = tf.split(both, 2, axis=-1)

        def kick(z, momentum):
            with tf.GradientTape() as tape:
                tape.watch(z)
                log_p = log_joint(z)
            return momentum + 0.5 * self.step_size * tape.gradient(log_p, z)

        momentum = kick(z, momentum)
        z += self.step_size * momentum
        momentum = kick(z, momentum)  # all three keep volumes
        return z, log_weight + self.log_reverse(momentum, z, None)
