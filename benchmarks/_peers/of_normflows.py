"""normflows, on PyTorch."""

from typing import Any

import normflows
import numpy as np
import torch

from benchmarks import _peers
from benchmarks._peers import _torch_loop

__all__ = ["make"]


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """The functions that are timed; see `_peers`."""
    torch.manual_seed(settings.seed)
    size = x.shape[-1]
    base = normflows.distributions.DiagGaussian(size, trainable=False)
    model = normflows.NormalizingFlow(base, _steps(flow, size, settings))
    is_of_data = flow in _peers.OF_DATA

    def sample_and_log_prob(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        z, log_q = model.q0(n)
        for step in model.flows:
            z, log_det = step(z)
            log_q = log_q - log_det
        return z, log_q

    return _torch_loop.calls(
        x,
        model.parameters(),
        log_prob=model.log_prob if is_of_data else None,
        sample=lambda n: model.sample(n)[0],
        sample_and_log_prob=None if is_of_data else sample_and_log_prob,
    )


def _steps(flow: str, size: int, settings: Any) -> list[Any]:
    flows, (width, *others) = normflows.flows, settings.hidden
    if flow in ("planar", "radial"):
        make = flows.Planar if flow == "planar" else flows.Radial
        return [make((size,)) for _ in range(settings.long)]
    steps: list[Any] = []
    for _ in range(settings.steps):
        if flow == "iaf":
            step = flows.MaskedAffineAutoregressive(
                size, width, num_blocks=len(others)
            )
        else:
            make = (
                flows.CoupledRationalQuadraticSpline
                if flow == "nsf_coupling"
                else flows.AutoregressiveRationalQuadraticSpline
            )
            step = make(size, len(others), width, num_bins=settings.bins)
        steps += [step, flows.Permute(size, mode="swap")]
    return steps
