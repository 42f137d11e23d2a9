"""Planar and radial flows in NumPy, from their formulas, to compare with.

The log-det is that of the whole Jacobian matrix.
"""

import numpy as np

__all__ = ["base_log_prob", "forward", "log_prob"]


def _softplus(a):
    return np.logaddexp(a, 0.0)


def _planar(x, u, w, b):
    a = np.sum(w * u, axis=-1, keepdims=True)
    m = -1.0 + _softplus(a + np.log(np.e - 1.0))
    u_hat = u + (m - a) * w / np.sum(w * w, axis=-1, keepdims=True)
    h = np.tanh(np.sum(w * x, axis=-1) + b)[..., np.newaxis]
    outer = u_hat[..., :, np.newaxis] * w[..., np.newaxis, :]
    jacobian = np.eye(x.shape[-1]) + (1.0 - h**2)[..., np.newaxis] * outer
    return x + u_hat * h, jacobian


def _radial(x, z0, unconstrained_alpha, unconstrained_beta):
    alpha = _softplus(unconstrained_alpha)[..., np.newaxis]
    beta = -alpha + _softplus(unconstrained_beta)[..., np.newaxis]
    offset = x - z0
    r = np.linalg.norm(offset, axis=-1, keepdims=True)
    h = 1.0 / (alpha + r)
    outer = offset[..., :, np.newaxis] * offset[..., np.newaxis, :]
    jacobian = (1.0 + beta * h)[..., np.newaxis] * np.eye(x.shape[-1]) - (
        beta * h**2 / r
    )[..., np.newaxis] * outer
    return x + beta * h * offset, jacobian


def forward(name, x, parameters):
    """`(y, fldj)` of the flow called `name`; see `flows.NAMES`."""
    step = _planar if name.endswith("planar") else _radial
    values = list(parameters.values())
    if not name.startswith("scan"):
        values = [value[np.newaxis] for value in values]
    fldj = 0.0
    for member in zip(*values, strict=True):
        x, jacobian = step(x, *member)
        fldj = fldj + np.linalg.slogdet(jacobian)[1]
    return x, fldj


def base_log_prob(x):
    """Log density of a standard normal with events `[D]`."""
    return -0.5 * np.sum(x**2 + np.log(2.0 * np.pi), axis=-1)


def log_prob(name, x, parameters):
    """Log density of the flow over a standard normal, at `forward(x)`."""
    return base_log_prob(x) - forward(name, x, parameters)[1]
