"""Planar, radial and NICE flows fitted to four two-dimensional energies.

Rezende and Mohamed (2015), section 6.1, Table 1 and Figure 3: the flow starts
from a diagonal Gaussian, and the free energy is minimised with fresh samples at
every step. One set of hyperparameters for all targets, flows and lengths, but
for the annealing of NICE.

    python -m trainers.main --workdir=runs/u1_planar32 \
        --config=configs/energy_2d.py:target=u1,flow=planar,K=32

The argument: `target=u1|u2|u3|u4`, `flow=planar|radial|nice_ortho|nice_perm`,
`K=<flow steps>`, `posterior=flow|cif|hamiltonian|langevin` (of which the flow
is a part, see `configs/posteriors.py`) and `runlocal` (a few hundred steps,
under a minute, to see that all works).
"""

from ml_collections import config_dict

from configs import posteriors, variants

TARGETS = ("u1", "u2", "u3", "u4")
FLOWS = ("planar", "radial", "nice_ortho", "nice_perm")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    variant = variants.parse_variant(
        arg,
        choices={
            "target": TARGETS,
            "flow": FLOWS,
            "posterior": posteriors.POSTERIORS,
        },
        positive_ints=("K",),
        switches=("runlocal",),
    )
    config = config_dict.ConfigDict()

    config.data = config_dict.ConfigDict()
    config.data.target = variant.get("target", "u1")  # see TARGETS

    config.model = config_dict.ConfigDict()
    config.model.name = "energy"  # which experiment trainers/run.py starts

    config.posterior = config_dict.ConfigDict()
    config.posterior.flow = variant.get("flow", "planar")  # see FLOWS
    config.posterior.num_flow_steps = variant.get("K", 32)  # longest in Fig. 3
    # The network of each NICE coupling, of which the paper says nothing. Those
    # of Dinh et al. are of relu, here also the cheapest.
    config.posterior.conditioner_hidden_units = (64, 64)
    config.posterior.conditioner_activation = "relu"
    config.posterior.base = "log_diagonal"  # covariance of q_0
    config.posterior.initial_scale = 1.0  # sd of q_0, learned, at the start
    kind = str(variant.get("posterior", "flow"))
    posteriors.add_settings(config.posterior, kind)

    config.training = config_dict.ConfigDict()
    config.training.seed = 0  # of the initial weights and of all noise
    config.training.num_steps = 20_000  # optimizer steps
    config.training.num_samples = 256  # fresh samples a step
    # reparameterized|sticking_the_landing
    config.training.gradient_estimator = "reparameterized"
    # Joint annealing, as in the paper; 32 couplings lose a mode of U1 without.
    config.training.annealing_steps = 0
    if config.posterior.flow.startswith("nice"):
        config.training.annealing_steps = 10_000
    config.training.jit_compile = True  # XLA: several times faster here
    config.training.steps_per_execution = 250  # steps in one compiled call
    config.training.log_steps = 250  # between two lines of metrics.jsonl
    config.training.checkpoint_steps = 5_000  # between two checkpoints
    config.training.checkpoints_to_keep = 2  # newest ones of this run

    config.optimizer = config_dict.ConfigDict()
    config.optimizer.learning_rate = 5e-3  # peak of the schedule
    config.optimizer.warmup_steps = 500  # linear, from 0
    config.optimizer.final_fraction = 0.0  # of the peak, where the cosine ends
    config.optimizer.beta_2 = 0.999  # Adam's usual value
    config.optimizer.global_clipnorm = 10.0  # on the gradient; 0: no clipping

    config.evaluation = config_dict.ConfigDict()
    config.evaluation.num_samples = 200_000  # s.e. 1e-4 to 2e-2 nats
    config.evaluation.batch_size = 20_000  # samples at once: bounds the memory
    # Of u, for each z, in the bounds on the density of a CIF.
    config.evaluation.num_auxiliary_samples = 100
    config.evaluation.auxiliary_batch_size = 1_000  # z at once in these
    config.evaluation.num_bins = 100  # of a histogram, along a side
    config.evaluation.grid_size = 300  # pixels along a side of the figure
    config.evaluation.half_width = 5.0  # of the square that figures show

    if variant.get("runlocal"):
        config.training.num_steps = 500
        config.training.annealing_steps //= 40
        config.training.steps_per_execution = 50
        config.training.log_steps = 50
        config.training.checkpoint_steps = 250
        config.optimizer.warmup_steps = 50
        config.evaluation.num_samples = 20_000
        config.evaluation.num_auxiliary_samples = 10
        config.evaluation.grid_size = 100
    return config
