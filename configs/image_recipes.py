"""Recipes of training on images: what each changes in the defaults."""

from ml_collections import config_dict

__all__ = ["change_to_cif", "change_to_paper", "shrink"]


def change_to_paper(config: config_dict.ConfigDict) -> None:
    """Rezende and Mohamed (2015), section 6.2."""
    # The paper trains on all 60,000 images, so there are none left to
    # validate with, and the weights of the last step are the result.
    config.data.num_validation = 0
    config.model.hidden_units = (400,)  # linear units: 100 maxout outputs
    config.model.stochastic_hidden_units = (400,)
    config.model.activation = "maxout"
    config.model.maxout_window = 4
    config.posterior.context_scale = 1.0
    config.training.recipe = "paper"
    config.training.gradient_estimator = "reparameterized"
    config.training.num_steps = 500_000
    config.training.annealing = "joint"  # min(1, 0.01 + t / 10000)
    config.training.annealing_steps = 10_000
    config.training.log_steps = 1_000
    config.training.validation_steps = 0
    config.training.checkpoint_steps = 5_000
    config.optimizer.name = "rmsprop"
    config.optimizer.learning_rate = 1e-5
    config.optimizer.weight_decay = 0.0
    config.optimizer.momentum = 0.9
    config.optimizer.warmup_steps = 0  # the learning rate is constant
    config.optimizer.final_fraction = 1.0
    config.evaluation.num_importance_samples = 200
    config.evaluation.num_images = 10_000  # all test images of MNIST


def change_to_cif(config: config_dict.ConfigDict) -> None:
    """The small set-up of Caterini et al. (2021) for images."""
    if config.data.dataset in ("mnist", "fashion_mnist"):
        config.data.num_validation = 6_000  # of 60,000
    config.model.latent_size = 20
    config.model.network = "conv"
    config.model.filters = (8,)
    config.model.strides = (2,)
    config.model.dense_units = 0
    config.model.activation = "tanh"
    config.posterior.flow = "spline_autoregressive"
    config.posterior.num_flow_steps = 10
    config.posterior.amortized_flow = False
    # The paper's are of two residual blocks of 44 units, of a CIF 32; five
    # plain layers have as many weights. Those of u have (10, 10) there, and r a
    # convolution of its own on the image, for which it has the encoder's here.
    is_cif = config.posterior.name == "cif"
    units = 31 if is_cif else 44
    config.posterior.conditioner_hidden_units = (units,) * 5
    config.posterior.conditioner_activation = "relu"
    config.posterior.auxiliary_size = 2
    config.posterior.auxiliary_hidden_units = (6, 6)
    config.training.recipe = "cif"
    config.training.num_steps = 54_000  # 100 epochs of at most 1,000
    config.training.gradient_estimator = "reparameterized"
    config.training.annealing = "none"
    config.training.steps_per_execution = 108
    config.training.log_steps = 540  # an epoch
    config.training.validation_steps = 540
    config.training.checkpoint_steps = 2_700
    config.training.early_stopping_patience = 50
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 0  # the learning rate is constant
    config.optimizer.final_fraction = 1.0
    config.optimizer.weight_decay = 0.0
    config.evaluation.num_elbo_samples = 100
    config.evaluation.num_importance_samples = 1_000
    config.evaluation.fewer_importance_samples = 100
    config.evaluation.num_images = 10_000  # all test images


def shrink(config: config_dict.ConfigDict) -> None:
    """A few hundred steps, to see that all works."""
    config.training.num_steps = 200
    config.training.steps_per_execution = 50
    config.training.early_stopping_patience = 0
    config.training.log_steps = 50
    config.training.checkpoint_steps = 100
    if config.training.annealing_steps:
        config.training.annealing_steps = 50
    if config.training.validation_steps:
        config.training.validation_steps = 100
    config.optimizer.warmup_steps = min(config.optimizer.warmup_steps, 20)
    config.evaluation.num_elbo_samples = 2
    config.evaluation.num_importance_samples = 20
    if config.evaluation.fewer_importance_samples:
        config.evaluation.fewer_importance_samples = 10
    config.evaluation.num_images = 100
