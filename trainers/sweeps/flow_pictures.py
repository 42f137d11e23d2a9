"""The pictures of docs/flows.md: every flow after a short training.

    python -m trainers.sweeps.flow_pictures --pictures=docs/pictures/flows

Each is `<flow>.png`, the density after 2,000 updates on two moons; `data.png`
has the data. Flows whose picture is there are left alone.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence

import numpy as np
from matplotlib import figure
from ml_collections import config_dict

from configs import density_2d
from configs.flows import FLOWS
from trainers import run
from trainers.densities import planar, planar_data
from trainers.runs import figures, planes

__all__ = ["main"]

_HALF_WIDTH, _SIZE = 3.0, 200
_NUM_POINTS = 1_000_000


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.sweeps.flow_pictures"
    )
    parser.add_argument("--pictures", default="docs/pictures/flows")
    parser.add_argument("--num_steps", type=int, default=2_000)
    parser.add_argument("--flows", nargs="+", choices=FLOWS, default=FLOWS)
    arguments = parser.parse_args(argv)
    os.makedirs(arguments.pictures, exist_ok=True)

    points = planar_data.PLANAR_DATA["two_moons"].samples(
        _NUM_POINTS, seed=0, purpose="picture"
    )
    data = planes.density_of(points, _HALF_WIDTH, _SIZE)
    _save(os.path.join(arguments.pictures, "data.png"), data, data.max())
    for flow in arguments.flows:
        path = os.path.join(arguments.pictures, f"{flow}.png")
        if os.path.exists(path):
            continue
        with tempfile.TemporaryDirectory() as workdir:
            run.train_and_evaluate(_config(flow, arguments.num_steps), workdir)
            density = planar.read_density(workdir)
        _save(path, density, data.max())


def _config(flow: str, num_steps: int) -> config_dict.ConfigDict:
    config = density_2d.get_config(f"data=two_moons,flow={flow},runlocal")
    config.training.num_steps = num_steps
    config.training.checkpoint_steps = num_steps
    config.evaluation.half_width = _HALF_WIDTH
    config.evaluation.grid_size = _SIZE
    return config


def _save(path: str, density: np.ndarray, highest: float) -> None:
    fig = figure.Figure(figsize=(2.0, 2.0))
    axes = fig.add_axes((0.0, 0.0, 1.0, 1.0))
    figures.draw_density(axes, density, _HALF_WIDTH, float(highest))
    axes.set_axis_off()
    figures.save(fig, path, dpi=100)


if __name__ == "__main__":
    main()
