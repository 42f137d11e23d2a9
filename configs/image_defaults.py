"""What the configurations of the image data sets share.

The argument behind the colon of `--config=configs/mnist.py:...`:

    flow=none|planar|...      the posterior's flow, one of `FLOWS`
    K=<flow steps>            its length
    posterior=flow|cif|hamiltonian|langevin
                              what is made of it, see `configs/posteriors.py`
    bridges=<number>          of hamiltonian and langevin
    prior=none|planar|...     p(z): standard normal, or one of `FLOWS`
    prior_K=<flow steps>      its length, 4 if not given
    L=<stochastic layers>     each with `model.latent_size` latents
    recipe=modern|paper|cif   optimizer, networks and schedule
    runlocal                  a few hundred steps, to see that all works

`recipe=paper` is the set-up of Rezende and Mohamed (2015), section 6.2. What
the paper leaves open is marked so below. `recipe=modern` keeps its number of
latents, the batch size and one sample per image.

`recipe=cif` is the small set-up of Caterini et al. (2021) for images of 28 by
28 pixels: ten autoregressive splines of K = 10, or `flow=none`, the VAE; with
`posterior=cif` they are continuously indexed. The splines have 395,393 weights
and their CIF 394,743 (the paper's 396,013 and 386,463), the VAE 95,953.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

from configs import flows, posteriors, variants

FLOWS = ("none", *flows.FLOWS)
RECIPES = ("modern", "paper", "cif")


def get_config(
    dataset: str,
    arg: str | None,
    modern: Mapping[str, Any] | None = None,
) -> config_dict.ConfigDict:
    """Returns the configuration of one data set.

    Args:
      dataset: one of those that `trainers/sources/images.py` knows.
      arg: the argument behind the colon.
      modern: what the data set changes in `recipe=modern`, by dotted key.

    Raises:
      ValueError: if `arg` names something unknown.
    """
    variant = variants.parse_variant(
        arg,
        choices={
            "flow": FLOWS,
            "prior": FLOWS,
            "posterior": posteriors.POSTERIORS,
            "recipe": RECIPES,
        },
        positive_ints=("K", "prior_K", "L", "bridges"),
        switches=("runlocal",),
    )
    for flow, length in (("flow", "K"), ("prior", "prior_K")):
        variants.check_length(variant, flow, length)
    if "prior_K" in variant and "prior" not in variant:
        raise ValueError(
            "`prior` must be given with prior_K; got prior_K="
            f"{variant['prior_K']} alone."
        )
    config = _modern(dataset)
    config.posterior.name = variant.get("posterior", "flow")
    recipe = variant.get("recipe")
    if recipe == "paper":
        _change_to_paper(config)
    elif recipe == "cif":
        _change_to_cif(config)
    else:
        config.update_from_flattened_dict(dict(modern or {}))
    if "bridges" in variant:
        config.posterior.num_bridges = variant["bridges"]
    config.posterior.flow = variant.get("flow", config.posterior.flow)
    if config.posterior.flow == "none":
        config.posterior.num_flow_steps = 0
    elif "K" in variant:
        config.posterior.num_flow_steps = variant["K"]
    config.prior.flow = variant.get("prior", "none")
    if config.prior.flow != "none":
        config.prior.num_flow_steps = variant.get("prior_K", 4)
    if recipe == "cif" and config.posterior.flow != "none":
        config.optimizer.global_clipnorm = 5.0
    for group in (config.posterior, config.prior):
        is_set = recipe == "cif" and group is config.posterior
        if group.flow in flows.AUTOREGRESSIVE and not is_set:
            # Masks leave a coordinate half of these units on average.
            group.conditioner_hidden_units = (256, 256)
    config.model.num_stochastic_layers = variant.get("L", 1)
    if variant.get("runlocal"):
        _shrink(config)
    return config


def _modern(dataset: str) -> config_dict.ConfigDict:
    config = config_dict.ConfigDict()

    config.data = config_dict.ConfigDict()
    config.data.dataset = dataset
    # dynamic: training images are drawn anew at every step; static: once.
    # Those of validation and test are always drawn once.
    config.data.binarization = "dynamic"
    config.data.binarization_seed = 0  # of the images that are drawn once
    config.data.num_validation = 1_000  # last of the training split

    config.model = config_dict.ConfigDict()
    config.model.name = "dlgm"  # which experiment trainers/run.py starts
    config.model.likelihood = "bernoulli"  # the one for binary images
    config.model.latent_size = 40  # per stochastic layer; the paper's
    config.model.num_stochastic_layers = 1  # L
    config.model.stochastic_hidden_units = (400,)  # between layers, if L > 1
    # mlp, of `hidden_units`; or convolutional, of stride 2 and `filters`
    # channels each, with no further layer.
    config.model.networks = "mlp"
    config.model.hidden_units = (400, 400)  # encoder and decoder, if mlp
    config.model.filters = (8,)  # of the encoder; the decoder's are reversed
    config.model.kernel_size = 4  # of each convolution
    # Costs what relu does, and learns faster: after 3,000 steps on MNIST
    # without a flow, the validation ELBO was 1.6 nats higher.
    config.model.activation = "gelu"
    config.model.maxout_window = 4  # only for the activation maxout

    config.posterior = config_dict.ConfigDict()
    config.posterior.base = "diagonal"  # covariance of q_0
    config.posterior.initial_scale = 1.0  # its sd at the start
    config.posterior.flow = "planar"  # see FLOWS
    config.posterior.num_flow_steps = 40  # K; 0 without a flow
    flows.add_settings(config.posterior)
    posteriors.add_settings(config.posterior, "flow")
    # Whether the flow's parameters depend on the image, or its base's alone.
    config.posterior.amortized_flow = True
    # Slows the learning of the amortized part of the flow's parameters. None:
    # the library's default, by flow and K, see `layers.FlowLayer`.
    config.posterior.context_scale = config_dict.placeholder(float)

    # p(z): standard normal, or a flow in the direction in which the density of
    # a point is the fast one.
    config.prior = config_dict.ConfigDict()
    config.prior.flow = "none"  # see FLOWS
    config.prior.num_flow_steps = 0  # K; 0 without a flow
    flows.add_settings(config.prior)

    config.training = config_dict.ConfigDict()
    config.training.seed = 0  # of initial weights, data order and all noise
    config.training.recipe = "modern"  # which one this is, for reports
    config.training.num_steps = 60_000  # 102 epochs of 59,000 images
    # Ends the run here, as an unfinished one of `num_steps`; 0: does not.
    config.training.stop_after_steps = 0
    config.training.batch_size = 100  # images a step, over all replicas
    config.training.num_importance_samples = 1  # of the bound, per image
    # auto|reparameterized|sticking_the_landing (of one importance sample, else
    # it is biased, and refused)|doubly_reparameterized.
    config.training.gradient_estimator = "auto"
    # auto|none|joint|kl, of the free energy; auto: by the flow.
    config.training.annealing = "auto"
    # Until joint or kl is over; None: kl takes the library's share of the
    # steps, joint 10,000.
    config.training.annealing_steps = config_dict.placeholder(int)
    config.training.jit_compile = True  # XLA; off under several replicas
    config.training.steps_per_execution = 100  # steps in one compiled call
    config.training.log_steps = 500  # between two lines of metrics.jsonl
    config.training.validation_steps = 2_000  # between validations; 0: none
    config.training.checkpoint_steps = 2_000  # between two checkpoints
    config.training.checkpoints_to_keep = 2  # newest ones of this run
    # Validations without a better ELBO after which to stop; 0: never.
    config.training.early_stopping_patience = 0

    config.optimizer = config_dict.ConfigDict()
    config.optimizer.name = "adam"  # adam|rmsprop
    config.optimizer.learning_rate = 2e-3  # peak of the schedule
    config.optimizer.warmup_steps = 1_000  # linear, from 0
    config.optimizer.final_fraction = 0.01  # of the peak, at the cosine's end
    config.optimizer.beta_2 = 0.999  # of adam; its usual value
    # Of adam, decoupled: the part of a weight that a step takes away is the
    # learning rate times this. Against overfitting.
    config.optimizer.weight_decay = 0.05
    config.optimizer.momentum = 0.9  # of rmsprop
    config.optimizer.rho = 0.9  # of rmsprop; Keras's, the paper has none
    config.optimizer.global_clipnorm = 0.0  # on the gradient; 0: no clipping

    config.evaluation = config_dict.ConfigDict()
    config.evaluation.num_elbo_samples = 16  # per test image
    config.evaluation.num_importance_samples = 500  # S of iwae_S
    config.evaluation.fewer_importance_samples = 0  # a second S; 0: none
    config.evaluation.num_images = 2_000  # first test images, for iwae_S
    config.evaluation.batch_size = 100  # images at once: bounds the memory
    return config


def _change_to_paper(config: config_dict.ConfigDict) -> None:
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


def _change_to_cif(config: config_dict.ConfigDict) -> None:
    if config.data.dataset in ("mnist", "fashion_mnist"):
        config.data.num_validation = 6_000  # of 60,000
    config.model.latent_size = 20
    config.model.networks = "convolutional"
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


def _shrink(config: config_dict.ConfigDict) -> None:
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
