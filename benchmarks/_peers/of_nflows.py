"""nflows, on PyTorch."""

from typing import Any

import numpy as np
import torch
from nflows import distributions, flows, transforms
from nflows.nn import nets

from benchmarks import _peers
from benchmarks._peers import _torch_loop

__all__ = ["make"]


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """The functions that are timed; see `_peers`."""
    torch.manual_seed(settings.seed)
    size = x.shape[-1]
    steps: list[Any] = []
    if flow == "householder":
        steps.append(transforms.HouseholderSequence(size, settings.reflections))
    else:
        for i in range(settings.steps):
            steps.append(transforms.ReversePermutation(size))
            steps.append(_transform(flow, size, i, settings))
    is_posterior = flow in ("iaf", "householder")
    transform = transforms.CompositeTransform(steps)
    if is_posterior:
        transform = transforms.InverseTransform(transform)
    model = flows.Flow(transform, distributions.StandardNormal([size]))
    return _torch_loop.calls(
        x,
        model.parameters(),
        log_prob=model.log_prob,
        sample=model.sample,
        sample_and_log_prob=model.sample_and_log_prob if is_posterior else None,
    )


def _transform(flow: str, size: int, index: int, settings: Any) -> Any:
    width, *others = settings.hidden
    network = {
        "hidden_features": width,
        "num_blocks": len(others),
        "use_residual_blocks": False,
    }
    splines = {
        "num_bins": settings.bins,
        "tails": "linear",
        "tail_bound": 3.0,
    }
    if flow in ("maf", "iaf"):
        return transforms.MaskedAffineAutoregressiveTransform(
            features=size, **network
        )
    if flow == "nsf_autoregressive":
        name = "MaskedPiecewiseRationalQuadraticAutoregressiveTransform"
        return getattr(transforms, name)(features=size, **network, **splines)
    return transforms.PiecewiseRationalQuadraticCouplingTransform(
        mask=[(i + index) % 2 for i in range(size)],
        transform_net_create_fn=lambda inputs, outputs: nets.ResidualNet(
            inputs, outputs, width, num_blocks=len(others)
        ),
        **splines,
    )
