"""Mixtures of Gaussians on a lattice, from a fixed Gaussian and by splines.

Caterini et al. (2021): a neural spline flow and the same one continuously
indexed (CIF), which bends a Gaussian of standard deviation sigma0 into 9 or 16
separate modes. The splines are the identity outside of [-3, 3].

    python -m trainers.main --workdir=runs/mog9_cif \
        --config=configs/mog_2d.py:modes=9,sigma0=0.1,posterior=cif

The argument: `modes=9|16`, `sigma0=0.1|1|10`, `posterior=flow|cif`,
`hidden=<units of each hidden layer>` and `runlocal` (tiny, to see that all
works). The paper's networks have two residual blocks of 32 units; five plain
layers of 32 have the same number of weights, 29,190 in all (CIF: 31,680). With
hidden=34 the flow alone has 32,360.
"""

from ml_collections import config_dict

from configs import posteriors, variants

MODES = ("9", "16")
SCALES = ("0.1", "1", "10")
POSTERIORS = ("flow", "cif")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    variant = variants.parse_variant(
        arg,
        choices={"modes": MODES, "sigma0": SCALES, "posterior": POSTERIORS},
        positive_ints=("hidden",),
        switches=("runlocal",),
    )
    config = config_dict.ConfigDict()

    config.data = config_dict.ConfigDict()
    config.data.target = f"mog{variant.get('modes', '9')}"  # 9 or 16 modes

    config.model = config_dict.ConfigDict()
    config.model.name = "mixture"  # which experiment trainers/run.py starts

    config.posterior = config_dict.ConfigDict()
    config.posterior.base = "fixed"  # q_0 is not trained
    config.posterior.initial_scale = float(variant.get("sigma0", 1))  # its sd
    config.posterior.flow = "spline_autoregressive"
    config.posterior.num_flow_steps = 5
    config.posterior.conditioner_hidden_units = (variant.get("hidden", 32),) * 5
    config.posterior.conditioner_activation = "relu"
    config.posterior.mixing = "permutation"  # before each step
    config.posterior.num_bins = 8  # of each spline
    config.posterior.tail_bound = 3.0  # beyond which splines are the identity
    kind = str(variant.get("posterior", "cif"))
    posteriors.add_settings(config.posterior, kind)

    config.training = config_dict.ConfigDict()
    config.training.seed = 0  # of the initial weights and of all noise
    config.training.num_steps = 20_000  # optimizer steps
    config.training.num_samples = 1_000  # fresh samples a step
    config.training.gradient_estimator = "reparameterized"
    config.training.annealing_steps = 0  # no annealing
    config.training.jit_compile = True  # XLA: several times faster here
    config.training.steps_per_execution = 250  # steps in one compiled call
    config.training.log_steps = 250  # between two lines of metrics.jsonl
    config.training.checkpoint_steps = 1_000  # between two checkpoints
    config.training.checkpoints_to_keep = 2  # newest ones of this run

    config.optimizer = config_dict.ConfigDict()
    config.optimizer.learning_rate = 1e-3  # constant
    config.optimizer.warmup_steps = 0
    config.optimizer.final_fraction = 1.0
    config.optimizer.beta_2 = 0.999  # Adam's usual value
    config.optimizer.global_clipnorm = 5.0  # on the gradient; 0: no clipping

    config.evaluation = config_dict.ConfigDict()
    config.evaluation.num_samples = 100_000  # of z
    config.evaluation.batch_size = 10_000  # samples at once: bounds the memory
    # Of u, for each z, in the bounds on the density of a CIF.
    config.evaluation.num_auxiliary_samples = 100
    config.evaluation.auxiliary_batch_size = 1_000  # z at once in these
    config.evaluation.grid_size = 300  # pixels along a side of the figure
    config.evaluation.num_bins = 96  # of the histogram, along a side
    config.evaluation.half_width = 4.0  # of the square that figures show

    if variant.get("runlocal"):
        config.training.num_steps = 500
        config.training.num_samples = 250
        config.training.steps_per_execution = 50
        config.training.log_steps = 50
        config.training.checkpoint_steps = 250
        config.evaluation.num_samples = 10_000
        config.evaluation.batch_size = 5_000
        config.evaluation.num_auxiliary_samples = 10
        config.evaluation.grid_size = 100
    return config
