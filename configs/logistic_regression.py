"""Bayesian logistic regressions of known evidence, annealed from a Gaussian.

Sonar (61 weights) and ionosphere (35), columns standardised, weights N(0, 1):
the set-up of Geffner and Domke (2021) and Zhang et al. (2021), who raise the
bound of a Gaussian by Langevin and Hamiltonian bridges.

    python -m trainers.main --workdir=runs/sonar_16 --data_dir=<folder of uci> \
        --config=configs/logistic_regression.py:data=sonar,K=16

The argument: `data=sonar|ionosphere`, `posterior=flow|hamiltonian|langevin`
(`flow` is the Gaussian alone), `base=diagonal|full`, `K=<bridges>` and
`runlocal` (tiny, to see that all works).
"""

from ml_collections import config_dict

from configs import posteriors, variants

DATA = ("sonar", "ionosphere")
POSTERIORS = ("flow", "hamiltonian", "langevin")
BASES = ("diagonal", "full")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names.

    Raises:
      ValueError: if `arg` names something unknown, or K for the Gaussian alone.
    """
    variant = variants.parse_variant(
        arg,
        choices={"data": DATA, "posterior": POSTERIORS, "base": BASES},
        positive_ints=("K",),
        switches=("runlocal",),
    )
    name = variant.get("posterior", "hamiltonian")
    if name == "flow" and "K" in variant:
        raise ValueError(
            f"`K` must not be given with posterior=flow; got {variant['K']}."
        )
    config = config_dict.ConfigDict()

    config.data = config_dict.ConfigDict()
    config.data.target = variant.get("data", "sonar")  # see DATA

    config.model = config_dict.ConfigDict()
    # Which experiment trainers/run.py starts.
    config.model.name = "logistic_regression"

    config.posterior = config_dict.ConfigDict()
    config.posterior.base = variant.get("base", "diagonal")  # covariance of q_0
    config.posterior.initial_scale = 0.1  # sd of q_0, learned, at the start
    config.posterior.flow = "none"  # q_0 is what the bridges start from
    config.posterior.num_flow_steps = 0
    posteriors.add_settings(config.posterior, str(name))
    config.posterior.num_bridges = variant.get("K", 16) if name != "flow" else 0

    config.training = config_dict.ConfigDict()
    config.training.seed = 0  # of the initial weights and of all noise
    config.training.num_steps = 8_000  # optimizer steps
    config.training.num_samples = 32  # fresh samples a step
    # Of the steps, in which q_0 alone is fitted; then everything is.
    config.training.base_share = 0.25
    # reparameterized|sticking_the_landing
    config.training.gradient_estimator = "sticking_the_landing"
    config.training.annealing_steps = 0  # no annealing
    config.training.jit_compile = True  # XLA: several times faster here
    config.training.steps_per_execution = 250  # steps in one compiled call
    config.training.log_steps = 250  # between two lines of metrics.jsonl
    config.training.checkpoint_steps = 1_000  # between two checkpoints
    config.training.checkpoints_to_keep = 2  # newest ones of this run

    config.optimizer = config_dict.ConfigDict()
    # Where the cosine begins. Bridges from a full covariance, which leaves
    # them half a nat to gain, take smaller steps.
    config.optimizer.learning_rate = (
        3e-3 if config.posterior.base == "full" else 1e-2
    )
    config.optimizer.warmup_steps = 0
    config.optimizer.final_fraction = 0.0  # of it, where the cosine ends
    config.optimizer.beta_2 = 0.999  # Adam's usual value
    config.optimizer.global_clipnorm = 0.0  # on the gradient; 0: no clipping

    config.evaluation = config_dict.ConfigDict()
    config.evaluation.num_samples = 100_000  # s.e. 2e-3 to 2e-2 nats
    config.evaluation.batch_size = 5_000  # samples at once: bounds the memory

    if variant.get("runlocal"):
        config.training.num_steps = 400
        config.training.steps_per_execution = 50
        config.training.log_steps = 50
        config.training.checkpoint_steps = 200
        config.evaluation.num_samples = 10_000
    return config
