"""What the configurations of the densities of data share."""

from ml_collections import config_dict

from configs import flows

__all__ = ["add_flow", "get_config"]


def get_config(dataset: str, experiment: str) -> config_dict.ConfigDict:
    """Returns a configuration that lacks its model and its length.

    Args:
      dataset: its name.
      experiment: one of those that `trainers/run.py` starts.
    """
    config = config_dict.ConfigDict()

    config.data = config_dict.ConfigDict()
    config.data.dataset = dataset

    config.model = config_dict.ConfigDict()
    config.model.name = experiment

    config.training = config_dict.ConfigDict()
    config.training.seed = 0  # of initial weights, data order and all noise
    config.training.num_steps = 20_000  # optimizer steps, at most
    config.training.batch_size = 500  # examples a step, over all replicas
    config.training.jit_compile = True  # XLA; off under several replicas
    config.training.steps_per_execution = 250  # steps in one compiled call
    config.training.log_steps = 250  # between two lines of metrics.jsonl
    config.training.validation_steps = 0  # between validations; 0: none
    config.training.checkpoint_steps = 5_000  # between two checkpoints
    config.training.checkpoints_to_keep = 2  # newest ones of this run
    # Validations without a better log-likelihood after which to stop; 0: never.
    config.training.early_stopping_patience = 0

    config.optimizer = config_dict.ConfigDict()
    config.optimizer.learning_rate = 1e-3  # peak of the schedule
    config.optimizer.warmup_steps = 500  # linear, from 0
    config.optimizer.final_fraction = 0.0  # of the peak, at the cosine's end
    config.optimizer.beta_2 = 0.999  # Adam's usual value
    # Decoupled: the part of a weight that a step takes away is the learning
    # rate times this. Against overfitting.
    config.optimizer.weight_decay = 0.0
    config.optimizer.global_clipnorm = 5.0  # on the gradient; 0: no clipping

    config.evaluation = config_dict.ConfigDict()
    config.evaluation.batch_size = 2_000  # examples at once: bounds the memory
    config.evaluation.pictures = True  # whether to draw some
    return config


def add_flow(
    group: config_dict.ConfigDict, flow: str, num_flow_steps: int, base: str
) -> None:
    """Adds to the group `model` a flow, its base and what they need.

    Args:
      group: of a `FlowDensity`.
      flow: a name in `configs.flows.FLOWS`, or "none".
      num_flow_steps: K; 0 without a flow.
      base: what the flow starts from, see `FlowDensity`.
    """
    group.flow = flow
    group.num_flow_steps = num_flow_steps
    flows.add_settings(group)
    group.base = base
    group.num_components = 1  # of the base mixture
    # Whether the model takes mean and scale of the data, as its own weights.
    group.standardize = True
    # Standard deviation of Gaussian noise on x in training, in the units of
    # standardised data. Against overfitting.
    group.noise_scale = 0.0
