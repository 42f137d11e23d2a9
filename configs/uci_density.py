"""Densities of one to four targets of a UCI table, given its other columns.

    python -m trainers.main --workdir=runs/energy --data_dir=<folder of uci> \
        --config=configs/uci_density.py:data=energy,model=nsf,split=0

The argument: `data=fish|concrete|energy|skillcraft`,
`model=gaussian|mdn|maf|nsf`, `split=0|...|19` and `runlocal` (tiny, to see that
all works). Targets and inputs are standardised by the rows that are not for
testing; the log-likelihood is that of standardised targets. Concrete and energy
have 20 published splits of nine to one, the others seeded ones. Of the rows for
training some are kept for validation, which decides when to stop, and the model
is not fitted to them in the end.

`gaussian` has a covariance that depends on the inputs; `mdn` is a mixture
density network; `maf` is an autoregressive flow of affine maps, which for a
single target is Gaussian; `nsf` is one of splines. All start from the same
network of the inputs.
"""

from ml_collections import config_dict

from configs import density_defaults, variants

DATA = ("fish", "concrete", "energy", "skillcraft")
# By name: flow, its length, base, number of components of the base.
MODELS = {
    "gaussian": ("none", 0, "full", 1),
    "mdn": ("none", 0, "mixture", 10),
    "maf": ("maf", 5, "diagonal", 1),
    "nsf": ("spline_autoregressive", 3, "diagonal", 1),
}
SPLITS = tuple(map(str, range(20)))


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    variant = variants.parse_variant(
        arg,
        choices={"data": DATA, "model": tuple(MODELS), "split": SPLITS},
        switches=("runlocal",),
    )
    config = density_defaults.get_config(
        str(variant.get("data", "fish")), "uci_density"
    )
    config.data.split = int(variant.get("split", 0))  # see SPLITS
    # Of the rows that are not for testing.
    config.data.validation_share = 0.15
    config.data.largest_input = 10.0  # where standardised inputs are clipped

    model = config.model
    model.kind = str(variant.get("model", "nsf"))  # see MODELS
    flow, length, base, num_components = MODELS[model.kind]
    density_defaults.add_flow(model, flow, length, base)
    model.num_components = num_components
    model.standardize = False  # the targets are
    model.conditioner_hidden_units = (64, 64)
    model.tail_bound = 4.0  # in standard deviations
    model.hidden_units = (64, 64)  # of the network of the inputs
    model.activation = "relu"  # in it
    model.dropout = 0.0  # behind each of its layers, in training
    model.context_noise_scale = 0.0  # as `noise_scale`, of the inputs

    training = config.training
    training.num_steps = 6_000  # some 600 epochs of 700 rows
    training.batch_size = 64
    training.steps_per_execution = 50
    training.log_steps = 50
    training.validation_steps = 50  # some 5 epochs of 700 rows
    training.checkpoint_steps = 2_000
    training.early_stopping_patience = 20

    config.optimizer.warmup_steps = 100
    config.optimizer.final_fraction = 1.0  # the rate stays: it stops early

    if variant.get("runlocal"):
        training.num_steps = 100
        training.batch_size = 32
        training.steps_per_execution = 10
        training.log_steps = 10
        training.validation_steps = 20
        training.checkpoint_steps = 50
        training.early_stopping_patience = 4
        config.optimizer.warmup_steps = 10
    return config
