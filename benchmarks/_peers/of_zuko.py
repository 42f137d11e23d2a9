"""zuko, on PyTorch."""

from typing import Any

import numpy as np
import torch
import zuko

from benchmarks import _peers
from benchmarks._peers import _torch_loop

__all__ = ["make"]


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """The functions that are timed; see `_peers`."""
    torch.manual_seed(settings.seed)
    arguments: dict[str, Any] = {
        "features": x.shape[-1],
        "transforms": settings.steps,
        "hidden_features": settings.hidden,
    }
    if flow.startswith("nsf"):
        arguments |= {"bins": settings.bins}
        arguments |= {"passes": 2} if flow == "nsf_coupling" else {}
        model = zuko.flows.NSF(**arguments)
    else:
        model = zuko.flows.MAF(**arguments)
    if flow == "iaf":
        model = zuko.lazy.Flow(
            [part.inv for part in model.transform.transforms], model.base
        )
    return _torch_loop.calls(
        x,
        model.parameters(),
        log_prob=lambda points: model().log_prob(points),
        sample=lambda n: model().sample((n,)),
        sample_and_log_prob=(lambda n: model().rsample_and_log_prob((n,)))
        if flow == "iaf"
        else None,
    )
