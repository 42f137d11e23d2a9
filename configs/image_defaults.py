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
    latents=<number>          of each of these
    likelihood=bernoulli|discretized_logistic|gaussian|logit_normal
                              of a pixel; the first is that of binary images
    network=mlp|residual|conv|gated_conv
                              encoder and decoder
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

from configs import flows, image_recipes, posteriors, variants

FLOWS = ("none", *flows.FLOWS)
RECIPES = ("modern", "paper", "cif")
LIKELIHOODS = ("bernoulli", "discretized_logistic", "gaussian", "logit_normal")
NETWORKS = ("mlp", "residual", "conv", "gated_conv")


def get_config(
    dataset: str | None,
    arg: str | None,
    modern: Mapping[str, Any] | None = None,
    every: Mapping[str, Any] | None = None,
) -> config_dict.ConfigDict:
    """Returns the configuration of one data set.

    Args:
      dataset: one of those that `trainers/sources/images.py` knows; None: the
        argument names it.
      arg: the argument behind the colon.
      modern: what the data set changes in `recipe=modern`, by dotted key.
      every: what it changes in every recipe.

    Raises:
      ValueError: if `arg` names something unknown.
    """
    variant = variants.parse_variant(
        arg,
        choices={
            "flow": FLOWS,
            "prior": FLOWS,
            "posterior": posteriors.POSTERIORS,
            "likelihood": LIKELIHOODS,
            "network": NETWORKS,
            "recipe": RECIPES,
        },
        positive_ints=("K", "prior_K", "L", "latents", "bridges"),
        words=() if dataset else ("dataset",),
        switches=("runlocal",),
    )
    if dataset is None and "dataset" not in variant:
        raise ValueError(
            "`dataset` must be given in the config's argument, as in "
            "configs/images.py:dataset=npz; got none."
        )
    for flow, length in (("flow", "K"), ("prior", "prior_K")):
        variants.check_length(variant, flow, length)
    if "prior_K" in variant and "prior" not in variant:
        raise ValueError(
            "`prior` must be given with prior_K; got prior_K="
            f"{variant['prior_K']} alone."
        )
    config = _modern(dataset or str(variant["dataset"]))
    config.posterior.name = variant.get("posterior", "flow")
    recipe = variant.get("recipe")
    if recipe == "paper":
        image_recipes.change_to_paper(config)
    elif recipe == "cif":
        image_recipes.change_to_cif(config)
    else:
        config.update_from_flattened_dict(dict(modern or {}))
    config.update_from_flattened_dict(dict(every or {}))
    if "likelihood" in variant:
        _set_likelihood(config, str(variant["likelihood"]))
    config.model.network = variant.get("network", config.model.network)
    if "latents" in variant:
        config.model.latent_size = variant["latents"]
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
        image_recipes.shrink(config)
    return config


def _set_likelihood(config: config_dict.ConfigDict, likelihood: str) -> None:
    """Sets it, and what it asks of the pixels."""
    config.model.likelihood = likelihood
    is_binary = likelihood == "bernoulli"
    config.data.binarization = "dynamic" if is_binary else "none"
    is_density = likelihood in ("gaussian", "logit_normal")
    config.data.dequantization = "uniform" if is_density else "none"


def _modern(dataset: str) -> config_dict.ConfigDict:
    config = config_dict.ConfigDict()

    config.data = config_dict.ConfigDict()
    config.data.dataset = dataset
    config.data.name = ""  # for reports; empty: that of the set or of the file
    config.data.path = ""  # of npz and folder: what --data_path says
    config.data.train_mask = ""  # of npz: see trainers/sources/image_files.py
    config.data.num_test = 0  # where no split is for testing; 0: a tenth
    config.data.split_seed = 0  # of the order of images of npz and folder
    # Pixels under the likelihood bernoulli. dynamic: training images are drawn
    # anew at every step; static: once. Those of validation and test are always
    # drawn once. none: under the other likelihoods.
    config.data.binarization = "dynamic"
    config.data.binarization_seed = 0  # of all that is drawn once
    # Pixels that are whole numbers under the likelihoods of a density. uniform:
    # (pixel + U(0, 1)) / 256, drawn as above; none: pixel / 255.
    config.data.dequantization = "none"
    # Last of the training split. None: a tenth of it, at most 1,000, where
    # there is no split for validation.
    config.data.num_validation = config_dict.placeholder(int)
    config.data.num_validation = 1_000

    config.model = config_dict.ConfigDict()
    config.model.name = "dlgm"  # which experiment trainers/run.py starts
    config.model.likelihood = "bernoulli"  # see LIKELIHOODS
    config.model.latent_size = 40  # per stochastic layer; the paper's
    config.model.num_stochastic_layers = 1  # L
    config.model.stochastic_hidden_units = (400,)  # between layers, if L > 1
    # mlp, of `hidden_units`; residual, of as many blocks, of that width; conv
    # or gated_conv, of `filters`, `strides` and `kernel_size`, and a dense
    # layer of `dense_units`.
    config.model.network = "mlp"
    config.model.hidden_units = (400, 400)  # encoder and decoder, if dense
    config.model.filters = (32, 64)  # of the encoder; the decoder's reversed
    config.model.strides = (2, 2)  # of each convolution
    config.model.kernel_size = 4  # of each convolution
    config.model.dense_units = 256  # 0: no such layer
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
