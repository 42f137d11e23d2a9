"""Densities of two-dimensional data, drawn anew at every step.

    python -m trainers.main --workdir=runs/checkerboard \
        --config=configs/density_2d.py:data=checkerboard,flow=spline_coupling

The argument: `data=two_moons|pinwheel|checkerboard|eight_gaussians`,
`flow=none|planar|maf|...` (a name in `configs/flows.py`), `K=<flow steps>` and
`runlocal` (a few hundred steps, to see that all works). One set of
hyperparameters for all data and flows, but for the number of steps.
"""

from ml_collections import config_dict

from configs import density_defaults, variants
from configs.flows import FLOWS

DATA = ("two_moons", "pinwheel", "checkerboard", "eight_gaussians")

_NUM_SPLINES = 4


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names.

    Raises:
      ValueError: if `arg` names something unknown, or K without a flow.
    """
    variant = variants.parse_variant(
        arg,
        choices={"data": DATA, "flow": ("none", *FLOWS)},
        positive_ints=("K",),
        switches=("runlocal",),
    )
    flow = str(variant.get("flow", "spline_coupling"))
    variants.check_length(variant)
    config = density_defaults.get_config(
        str(variant.get("data", "two_moons")), "density_2d"
    )
    length = variant.get("K", _length(flow))
    density_defaults.add_flow(config.model, flow, int(length), "diagonal")
    config.model.conditioner_hidden_units = (64, 64)
    config.model.num_orthogonal_columns = 2  # all that there can be
    config.model.num_bins = 16
    # Of standardised data, and of a normal base, all but 6e-5 lie within.
    config.model.tail_bound = 4.0

    config.evaluation.num_samples = 200_000  # s.e. about 2e-3 nats
    config.evaluation.grid_size = 200  # pixels along a side of the figure
    config.evaluation.half_width = 5.0  # of the square that figures show

    if variant.get("runlocal"):
        config.training.num_steps = 400
        config.training.batch_size = 250
        config.training.steps_per_execution = 50
        config.training.log_steps = 50
        config.training.checkpoint_steps = 200
        config.optimizer.warmup_steps = 20
        config.evaluation.num_samples = 20_000
        config.evaluation.grid_size = 100
    return config


def _length(flow: str) -> int:
    """K, where it is not given."""
    if flow == "none":
        return 0
    if flow.startswith("spline"):
        return _NUM_SPLINES
    return 32 if FLOWS[flow].kind == "direct" else 8
