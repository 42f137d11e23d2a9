"""Binary digits and small models of them."""

import keras
import numpy as np
import sklearn.datasets

from tfp_flows.layers import MLP, PlanarFlow
from tfp_flows.models import DLGM
from tfp_flows.posteriors import FlowPosterior

LATENT_SIZE = 3


def images(count=100):
    """`[count, 8, 8]`, zeros and ones."""
    digits = sklearn.datasets.load_digits().images[:count]
    return (digits > 7).astype(np.float32)


def model(posterior=None, num_parameters=1, **kwargs):
    """A model with eager weights from seed 0; not compiled."""
    keras.utils.set_random_seed(0)
    parts = {
        "encoder": MLP([16]),
        "posterior": posterior
        or FlowPosterior(LATENT_SIZE, PlanarFlow(2, seed=0)),
        "decoder": MLP([16], output_size=64 * num_parameters),
        "annealing": None,
    }
    return DLGM(**{**parts, **kwargs})


def compiled(
    jit_compile=False, run_eagerly=False, learning_rate=1e-2, **kwargs
):
    """The same, compiled with Adam; a few steps are soonest done eagerly."""
    dlgm = model(**kwargs)
    dlgm.compile(
        keras.optimizers.Adam(learning_rate),
        jit_compile=jit_compile,
        run_eagerly=run_eagerly,
    )
    return dlgm
