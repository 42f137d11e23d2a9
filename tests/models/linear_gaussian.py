"""Linear-Gaussian DLGMs, in which every density is known; in float64.

    h_2 = G_2 xi_2;  h_1 = T h_2 + t + G_1 xi_1;  x = W h_1 + m + sigma eps

or, with one layer, `h_1 = xi`. So `x = A xi + c + sigma eps`, and the posterior
of xi = (xi_2, xi_1) is Gaussian, with a covariance that is not diagonal. What
is computed here uses none of the model's code.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import layers, models, posteriors, schedules

tfd = tfp.distributions

SIGMA = 0.6
SIZES = {1: (2,), 2: (2, 2)}  # latents of each layer, from the top
NUM_PIXELS = 3
LOG_2PI = math.log(2.0 * math.pi)


def normal_likelihood(outputs):
    return tfd.MultivariateNormalDiag(outputs, SIGMA * tf.ones_like(outputs))


class Affine(NamedTuple):
    """`x = A xi + c + SIGMA eps`."""

    A: np.ndarray
    c: np.ndarray

    @property
    def covariance(self):
        """Of x."""
        return self.A @ self.A.T + SIGMA**2 * np.eye(len(self.c))

    @property
    def posterior_covariance(self):
        precision = np.eye(self.A.shape[1]) + self.A.T @ self.A / SIGMA**2
        return np.linalg.inv(precision)

    @property
    def gain(self):
        """The posterior's mean is `gain @ (x - c)`."""
        return self.posterior_covariance @ self.A.T / SIGMA**2

    def log_marginal(self, x):
        return log_normal(x, self.c, self.covariance)

    def sample(self, size, seed=0):
        rng = np.random.default_rng(seed)
        x = rng.multivariate_normal(self.c, self.covariance, size)
        # Keras casts arrays to its floatx; so they lose nothing.
        return x.astype("float32").astype("float64")


def log_normal(x, loc, covariance):
    difference = x - loc
    distance = np.sum(difference @ np.linalg.inv(covariance) * difference, -1)
    log_det = np.linalg.slogdet(covariance)[1]
    return -0.5 * (distance + log_det + x.shape[-1] * LOG_2PI)


def build(
    num_layers=1, base="full", flow=None, likelihood=normal_likelihood, **kwargs
):
    """A model whose weights are random, all of them."""
    sizes = SIZES[num_layers]
    latent_size = sum(sizes)
    stochastic_layers = None
    if num_layers == 2:
        below = keras.layers.Dense(sizes[1], dtype="float64", name="dense")
        stochastic_layers = [
            layers.StochasticLayer(
                sizes[0], scale="full", dtype="float64", name="top"
            ),
            layers.StochasticLayer(
                sizes[1], below, "full", dtype="float64", name="bottom"
            ),
        ]
    per_pixel = 2 if likelihood == "gaussian" else 1
    model = models.DLGM(
        encoder=keras.layers.Dense(
            latent_size, dtype="float64", name="encoder"
        ),
        posterior=posteriors.FlowPosterior(
            latent_size, flow, base, dtype="float64", name="posterior"
        ),
        decoder=keras.layers.Dense(
            per_pixel * NUM_PIXELS, dtype="float64", name="decoder"
        ),
        likelihood=likelihood,
        stochastic_layers=stochastic_layers,
        event_shape=(NUM_PIXELS,),
        dtype="float64",
        **{"gradient_estimator": "reparameterized", **kwargs},
    )
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    model.build((None, NUM_PIXELS))
    randomize(model)
    if likelihood == "gaussian":
        # Its scale is 1e-4 + softplus(second half of the outputs).
        w = weights(model)
        w["decoder/kernel"][:, NUM_PIXELS:].assign(
            tf.zeros([sizes[-1], NUM_PIXELS], tf.float64)
        )
        w["decoder/bias"][NUM_PIXELS:].assign(
            tf.fill([NUM_PIXELS], inverse_softplus(SIGMA - 1e-4))
        )
    return model


def weights(model):
    """The trainable variables by path, without the model's name."""
    return {w.path.split("/", 1)[1]: w.value for w in model.trainable_weights}


def randomize(model, scale=0.6, seed=0):
    """All weights but a flow's."""
    rng = np.random.default_rng(seed)
    for name, w in weights(model).items():
        if "/planar_flow" not in name:
            loc = np.eye(w.shape[0]) if name.endswith("scale_factor") else 0.0
            w.assign(loc + scale * rng.standard_normal(w.shape))


def inverse_softplus(x):
    return np.log(np.expm1(x))


def affine(w):
    """A and c of the weights by path, in TensorFlow operations."""
    A = tf.transpose(w["decoder/kernel"])[:NUM_PIXELS]
    c = w["decoder/bias"][:NUM_PIXELS]
    if "top/scale_factor" in w:
        c += tf.linalg.matvec(A, w["bottom/dense/bias"])
        T = tf.transpose(w["bottom/dense/kernel"])
        G_1, G_2 = w["bottom/scale_factor"], w["top/scale_factor"]
        A = tf.concat([A @ T @ G_2, A @ G_1], axis=1)
    return A, c


def truth(model):
    A, c = affine(weights(model))
    return Affine(A.numpy(), c.numpy())


def set_posterior(model, gain, bias, covariance):
    """Makes `q(xi | x) = N(gain @ x + bias, covariance)`."""
    w = weights(model)
    size = len(bias)
    w["encoder/kernel"].assign(gain.T)
    w["encoder/bias"].assign(bias)
    for name, value in w.items():
        if name.startswith("posterior/base"):
            value.assign(tf.zeros_like(value))
    w["posterior/base/kernel"][:, :size].assign(np.eye(size))
    base = model.posterior.base
    if base == "full":
        scale_tril = np.linalg.cholesky(covariance)
        scale = np.diag(scale_tril)
        w["posterior/base/lower"].assign(scale_tril[np.tril_indices(size, -1)])
    elif base == "low_rank":  # of size 2 and rank 1
        variance = np.diag(covariance)
        shared = covariance[0, 1] / np.sqrt(np.prod(variance))
        factor = np.sqrt(abs(shared) * variance) * [1.0, np.sign(shared)]
        w["posterior/base/factor"].assign(factor[:, np.newaxis])
        scale = np.sqrt((1.0 - abs(shared)) * variance)
    else:
        scale = np.sqrt(np.diag(covariance))
    w["posterior/base/unconstrained_scale"].assign(inverse_softplus(scale))


def set_exact_posterior(model):
    exact = truth(model)
    gain = exact.gain
    set_posterior(model, gain, -gain @ exact.c, exact.posterior_covariance)
    return exact


def posterior_parameters(w, x):
    """`loc` `[B, D]` and `scale_tril` `[B, D, D]` of a full-covariance base."""
    size = w["posterior/base/loc"].shape[0]
    features = x @ w["encoder/kernel"] + w["encoder/bias"]
    columns = features @ w["posterior/base/kernel"]
    loc = w["posterior/base/loc"] + columns[:, :size]
    diagonal = tf.math.softplus(
        w["posterior/base/unconstrained_scale"] + columns[:, size : 2 * size]
    )
    lower = w["posterior/base/lower"] + columns[:, 2 * size :]
    rows, k = [], 0
    for i in range(size):
        zeros = tf.zeros_like(diagonal[:, : size - i - 1])
        row = [lower[:, k : k + i], diagonal[:, i : i + 1], zeros]
        rows.append(tf.concat(row, axis=1))
        k += i
    return loc, tf.stack(rows, axis=1)


def closed_form_elbo(w, x):
    """`E_q[log p(x, xi)] + entropy of q`, `[B]`."""
    A, c = affine(w)
    loc, scale_tril = posterior_parameters(w, x)
    size = loc.shape[1]
    residual = x - c - tf.linalg.matvec(A, loc)
    likelihood = -0.5 * (
        (
            tf.reduce_sum(residual**2, axis=1)
            + tf.reduce_sum((A @ scale_tril) ** 2, axis=(1, 2))
        )
        / SIGMA**2
        + NUM_PIXELS * (LOG_2PI + 2.0 * math.log(SIGMA))
    )
    prior = -0.5 * (
        tf.reduce_sum(loc**2, axis=1)
        + tf.reduce_sum(scale_tril**2, axis=(1, 2))
        + size * LOG_2PI
    )
    log_det = tf.reduce_sum(
        tf.math.log(tf.linalg.diag_part(scale_tril)), axis=1
    )
    return likelihood + prior + 0.5 * size * (1.0 + LOG_2PI) + log_det


def log_joint(w, x, xi):
    """`log p(x, xi)`, `[S, B]`, of `xi` `[S, B, D]`."""
    A, c = affine(w)
    residual = (x - c - tf.linalg.matvec(A, xi)) / SIGMA
    return -0.5 * (
        tf.reduce_sum(residual**2, axis=-1)
        + tf.reduce_sum(xi**2, axis=-1)
        + NUM_PIXELS * (LOG_2PI + 2.0 * math.log(SIGMA))
        + xi.shape[-1] * LOG_2PI
    )


def log_posterior(loc, scale_tril, xi):
    """`log q(xi)`, `[S, B]`."""
    noise = tf.linalg.triangular_solve(scale_tril, (xi - loc)[..., tf.newaxis])[
        ..., 0
    ]
    log_det = tf.reduce_sum(
        tf.math.log(tf.linalg.diag_part(scale_tril)), axis=-1
    )
    squares = tf.reduce_sum(noise**2 + LOG_2PI, axis=-1)
    return -0.5 * squares - log_det


def chi_square_moments(offset, covariance, exact_covariance):
    """`E_q[(p / q)**k]`, k = 2, 3, of two Gaussians `offset` apart.

    p = N(0, exact_covariance), q = N(offset, covariance):
    the integral of `p**k q**(1 - k)`, which is a Gaussian one.
    """
    inverse, exact_inverse = map(np.linalg.inv, (covariance, exact_covariance))
    log_dets = [np.linalg.slogdet(v)[1] for v in (covariance, exact_covariance)]
    moments = []
    for k in (2, 3):
        precision = k * exact_inverse + (1 - k) * inverse
        assert np.all(np.linalg.eigvalsh(precision) > 0.0)
        linear = (1 - k) * inverse @ offset
        exponent = (
            k - 1
        ) * offset @ inverse @ offset + linear @ np.linalg.solve(
            precision, linear
        )
        log_det = np.linalg.slogdet(precision)[1]
        log_moment = 0.5 * (
            exponent - log_det + (k - 1) * log_dets[0] - k * log_dets[1]
        )
        moments.append(np.exp(log_moment))
    return moments


def bound(model, x, standard_normal, annealing=None):
    """The bound of each example that the model trains on, `[B]`."""
    if annealing is None:
        annealing = schedules.get(None).weights(0, tf.float64)
    return model.annealed_bound(
        tf.convert_to_tensor(x),
        tf.convert_to_tensor(standard_normal),
        annealing,
        training=True,
    )[0]


def gradients(model, function):
    """Of a scalar function of the model, by the weights' paths."""
    variables = weights(model)
    with tf.GradientTape() as tape:
        value = function()
    return tape.gradient(
        value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )


def normal_noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def cubature(size):
    """Equally weighted points `[1, 2 * size, size]`.

    The mean of a polynomial of degree at most 3 is that under N(0, I).
    """
    points = math.sqrt(size) * np.concatenate([np.eye(size), -np.eye(size)])
    return points[np.newaxis]
