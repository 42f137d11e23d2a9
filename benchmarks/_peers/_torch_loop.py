"""What the libraries on PyTorch share: eager updates by its Adam."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks import _peers

__all__ = ["autoencoder_step", "calls", "energy", "step"]


def energy(z: torch.Tensor) -> torch.Tensor:
    """That of the target of posteriors, `[B]`."""
    distance = (z - _peers.ENERGY_MEAN) / _peers.ENERGY_SCALE
    return 0.5 * (distance**2).sum(-1)


def step(loss_of: Callable[[], torch.Tensor], parameters: Any) -> Any:
    """One update."""
    optimizer = torch.optim.Adam(parameters, lr=_peers.LEARNING_RATE)

    def update() -> float:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.item()

    return update


def calls(
    x: np.ndarray,
    parameters: Any,
    *,
    log_prob: Callable[[torch.Tensor], torch.Tensor] | None,
    sample: Callable[[int], torch.Tensor],
    sample_and_log_prob: Callable[[int], Any] | None = None,
) -> _peers.Calls:
    """The functions that are timed.

    Args:
      x: `[B, D]`.
      parameters: what is trained.
      log_prob: of given points; None where the library has no inverse.
      sample: so many points.
      sample_and_log_prob: so many, differentiable; for posteriors.
    """
    points = torch.from_numpy(x)

    def loss() -> torch.Tensor:
        if sample_and_log_prob is None:
            assert log_prob is not None
            return -log_prob(points).mean()
        z, log_q = sample_and_log_prob(len(x))
        return (log_q + energy(z)).mean()

    def without_gradient(function: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            with torch.no_grad():
                return function()

        return call

    made = {
        "step": step(loss, parameters),
        "samples": without_gradient(lambda: sample(len(x))),
    }
    if log_prob is not None:
        made["density"] = without_gradient(lambda: log_prob(points))
    return made


def autoencoder_step(
    x: np.ndarray,
    settings: Any,
    make_flow: Callable[[int, int], tuple[torch.nn.Module, Any]],
) -> Callable[[], Any]:
    """One update of a VAE.

    Args:
      x: `[B, D]`, for its sizes.
      settings: of the benchmark.
      make_flow: of D and the number of features, parameters and a function of
        `(loc, scale, features)`, which returns z and log q.
    """
    size, hidden = x.shape[-1], settings.autoencoder
    images = torch.from_numpy(
        np.random.default_rng(0).random([len(x), settings.pixels]) < 0.5
    ).float()

    def network(*widths: int) -> list[torch.nn.Module]:
        parts: list[torch.nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            parts += [torch.nn.Linear(before, after), torch.nn.ReLU()]
        return parts

    encoder = torch.nn.Sequential(*network(settings.pixels, *hidden))
    head = torch.nn.Linear(hidden[-1], 2 * size)
    decoder = torch.nn.Sequential(
        *network(size, *hidden), torch.nn.Linear(hidden[-1], settings.pixels)
    )
    flow, sample = make_flow(size, hidden[-1])
    parts = torch.nn.ModuleList([encoder, head, decoder, flow])

    def negative_elbo() -> torch.Tensor:
        features = encoder(images)
        loc, raw = head(features).chunk(2, dim=-1)
        z, log_q = sample(loc, torch.nn.functional.softplus(raw), features)
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(
            decoder(z), images, reduction="none"
        )
        log_p = -0.5 * (z**2).sum(-1) - cross_entropy.sum(-1)
        return (log_q - log_p).mean()

    return step(negative_elbo, parts.parameters())
