"""Pyro, on PyTorch."""

from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from pyro.distributions import transforms

from benchmarks import _peers
from benchmarks._peers import _torch_loop

__all__ = ["make"]


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """The functions that are timed; see `_peers`."""
    torch.manual_seed(settings.seed)
    if flow == "dlgm_planar":
        step = _torch_loop.autoencoder_step(x, settings, _amortized(settings))
        return {"step": step}
    size = x.shape[-1]
    steps = _steps(flow, size, settings)
    parts = torch.nn.ModuleList(s for s in steps if hasattr(s, "parameters"))
    parameters = list(parts.parameters())
    if flow in _peers.OF_DATA and flow != "nsf_coupling":
        steps = [s.inv for s in steps]  # densities in one pass
    base = dist.Normal(torch.zeros(size), torch.ones(size)).to_event(1)
    model = dist.TransformedDistribution(base, steps)

    def log_prob(points: torch.Tensor) -> torch.Tensor:
        model.clear_cache()
        return model.log_prob(points)

    def sample_and_log_prob(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        model.clear_cache()
        z = model.rsample((n,))
        return z, model.log_prob(z)

    has_inverse = flow not in ("planar", "radial")
    return _torch_loop.calls(
        x,
        parameters,
        log_prob=log_prob if has_inverse else None,
        sample=lambda n: model.sample((n,)),
        sample_and_log_prob=None
        if flow in _peers.OF_DATA
        else sample_and_log_prob,
    )


def _steps(flow: str, size: int, settings: Any) -> list[Any]:
    hidden = list(settings.hidden)
    if flow == "householder":
        return [transforms.householder(size, settings.reflections)]
    if flow in ("planar", "radial"):
        make = getattr(transforms, flow)
        return [make(size) for _ in range(settings.long)]
    steps = []
    for _ in range(settings.steps):
        if flow in ("maf", "iaf"):
            step = transforms.affine_autoregressive(size, hidden)
        elif flow == "nsf_coupling":
            step = transforms.spline_coupling(
                size, hidden_dims=hidden, count_bins=settings.bins, bound=3.0
            )
        else:
            step = transforms.spline_autoregressive(
                size, hidden, count_bins=settings.bins, bound=3.0
            )
        order = torch.arange(size - 1, -1, -1)
        steps += [step, transforms.Permute(order)]
    return steps[:-1]


def _amortized(settings: Any) -> Any:
    def make_flow(size: int, num_features: int) -> tuple[Any, Any]:
        steps = torch.nn.ModuleList(
            transforms.conditional_planar(size, num_features, [num_features])
            for _ in range(settings.very_long)
        )

        def sample(loc: Any, scale: Any, features: Any) -> tuple[Any, Any]:
            base = dist.Normal(loc, scale).to_event(1)
            q = dist.ConditionalTransformedDistribution(base, list(steps))
            q = q.condition(features)
            z = q.rsample()
            return z, q.log_prob(z)

        return steps, sample

    return make_flow
