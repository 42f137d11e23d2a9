"""Tests of the configurations of the image data sets."""

import importlib
import inspect
import math
import re

import pytest

from configs import flows, image_defaults, posteriors
from configs.flows import FLOWS
from trainers.images import build, data
from trainers.images import evaluate as evaluate_images
from trainers.images import train as train_images
from trainers.sources import images as image_sources

NAMES = ("digits", "mnist", "fashion_mnist", "binarized_mnist")
GROUPS = {
    "data",
    "model",
    "posterior",
    "prior",
    "training",
    "optimizer",
    "evaluation",
}
ARGS = (
    None,
    "flow=none",
    "flow=planar,K=40",
    "flow=radial,K=7,L=2",
    "flow=conf,K=10",
    "flow=sylvester_orthogonal,K=8",
    "flow=iaf,K=4",
    "flow=none,prior=iaf,prior_K=2",
    "flow=maf,K=2,prior=planar,L=2",
    "recipe=paper,flow=planar,K=80",
    "recipe=paper,flow=none,runlocal",
    "posterior=cif,flow=planar,K=4",
    "posterior=hamiltonian,flow=none,bridges=2",
    "posterior=langevin,bridges=3,runlocal",
    "runlocal",
)


def get_config(name, arg=None):
    return importlib.import_module(f"configs.{name}").get_config(arg)


def keys(config):
    return {(group, key) for group in config for key in config[group]}


def check(config):
    for module in (build, data, train_images, evaluate_images):
        module.check_config(config)


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_can_be_run(name):
    for arg in ARGS:
        config = get_config(name, arg)
        check(config)
        assert set(config) == GROUPS
        assert keys(config) == keys(get_config("mnist"))
        assert config.data.dataset == name
        assert config.model.name == "dlgm"


def test_there_is_a_config_for_every_data_set():
    assert set(NAMES) == set(image_sources.IMAGE_SETS)


def test_variant_sets_flow_length_and_layers():
    config = get_config("mnist", "flow=radial,K=7,L=2")
    assert config.posterior.flow == "radial"
    assert config.posterior.num_flow_steps == 7
    assert config.model.num_stochastic_layers == 2
    config = get_config("mnist", "flow=none")
    assert config.posterior.flow == "none"
    assert config.posterior.num_flow_steps == 0
    assert get_config("mnist", "K=3").posterior.num_flow_steps == 3


def test_variant_sets_the_prior():
    for arg, flow, length in (
        (None, "none", 0),
        ("prior=none", "none", 0),
        ("prior=iaf", "iaf", 4),
        ("flow=none,prior=planar,prior_K=7", "planar", 7),
    ):
        prior = get_config("mnist", arg).prior
        assert (prior.flow, prior.num_flow_steps) == (flow, length)
    without = get_config("mnist", "flow=iaf,K=3")
    with_prior = get_config("mnist", "flow=iaf,K=3,prior=iaf")
    for group in GROUPS - {"prior"}:
        assert with_prior[group] == without[group]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("recipe", ["modern", "paper"])
def test_flows_are_compared_under_equal_settings(name, recipe):
    gaussian, planar = (
        get_config(name, f"recipe={recipe},flow={flow}")
        for flow in ("none", "planar")
    )
    for group in GROUPS - {"posterior"}:
        assert gaussian[group] == planar[group]


def test_variant_sets_the_posterior_and_its_bridges():
    config = get_config("mnist", "posterior=langevin,bridges=3,flow=none")
    assert config.posterior.name == "langevin"
    assert config.posterior.num_bridges == 3
    default = get_config("mnist")
    assert default.posterior.name == "flow"
    cif = get_config("mnist", "posterior=cif")
    for group in GROUPS - {"posterior"}:
        assert cif[group] == default[group]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_recipe_cif_is_the_papers_small_set_up(name):
    vae = get_config(name, "recipe=cif,flow=none")
    nsf = get_config(name, "recipe=cif")
    cif = get_config(name, "recipe=cif,posterior=cif")
    for config in (vae, nsf, cif):
        check(config)
        assert config.data.num_validation == 6_000
        assert config.training.num_steps >= 54_000
        assert config.training.recipe == "cif"
    clips = [config.optimizer.global_clipnorm for config in (vae, nsf, cif)]
    assert clips == [0.0, 5.0, 5.0]
    assert nsf.training == cif.training
    weights = [build_number_of_weights(config) for config in (vae, nsf, cif)]
    assert weights == [95_953, 395_393, 394_743]


def build_number_of_weights(config):
    model = build.build_model(config)
    return sum(math.prod(v.shape) for v in model.trainable_variables)


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_the_usual_ones_or_all_is_for_training(name):
    usual = image_sources.IMAGE_SETS[name].num_validation
    assert get_config(name).data.num_validation == usual
    paper = get_config(name, "recipe=paper")
    assert paper.data.num_validation == 0
    assert paper.training.validation_steps == 0
    binarization = "static" if name == "binarized_mnist" else "dynamic"
    assert paper.data.binarization == binarization


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", ["", ",runlocal"])
def test_what_the_library_chooses_is_left_to_it(name, variant):
    for flow in FLOWS:
        config = get_config(name, f"flow={flow},K=2{variant}")
        assert config.posterior.context_scale is None
        assert config.training.annealing == "auto"
        assert config.training.annealing_steps is None
        assert config.training.gradient_estimator == "auto"


def test_recipe_paper_is_the_same_for_every_data_set():
    mnist = get_config("mnist", "recipe=paper")
    for name in NAMES:
        paper = get_config(name, "recipe=paper")
        for group in ("model", "posterior", "training", "optimizer"):
            assert paper[group] == mnist[group]
    assert mnist.training.recipe == "paper"


@pytest.mark.parametrize("name", NAMES)
def test_runlocal_is_small(name):
    config = get_config(name, "runlocal")
    assert config.training.num_steps <= 500
    assert config.evaluation.num_images <= 100
    assert config.training.validation_steps <= config.training.num_steps


def test_digits_are_evaluated_as_the_issue_says():
    config = get_config("digits")
    assert config.posterior.flow == "planar"
    assert config.evaluation.num_elbo_samples >= 64
    assert config.evaluation.num_importance_samples == 1_000
    assert config.evaluation.num_images == 300


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("flow=nice", "`flow` must be one of none, planar, .*conf, .*; got 'n"),
        ("recipe=old", "`recipe` must be one of modern, paper, cif; got 'old"),
        ("posterior=vae", "`posterior` must be one of flow, cif, .*; got 'v"),
        ("K=0", "`K` must be a positive integer; got '0'"),
        ("L=x", "`L` must be a positive integer; got 'x'"),
        ("flow=none,K=4", "`K` must not be given with flow=none; got 4"),
        ("prior=x", "`prior` must be one of none, planar, .*; got 'x'"),
        (
            "prior=none,prior_K=4",
            "`prior_K` must not be given with prior=none; got 4",
        ),
        ("prior_K=4", "`prior` must be given with prior_K; got prior_K=4"),
        ("depth=2", "one of flow=.*, recipe=.*, K=.*, L=.*runlocal; got 'dep"),
    ],
)
def test_unknown_variant_is_refused(name, arg, message):
    with pytest.raises(ValueError, match=message):
        get_config(name, arg)


@pytest.mark.parametrize("name", NAMES)
def test_command_in_the_header_names_a_variant_that_exists(name):
    header = importlib.import_module(f"configs.{name}").__doc__
    assert "python -m trainers.main" in header
    path, arg = re.search(r"--config=configs/(\w+)\.py:?(\S*)", header).groups()
    assert path == name
    check(get_config(name, arg))


def test_every_key_is_explained():
    explained = set()
    for function in (
        image_defaults._modern,
        flows.add_settings,
        posteriors.add_settings,
    ):
        lines = inspect.getsource(function).splitlines()
        for before, line in zip(lines, lines[1:], strict=False):
            match = re.match(r"    (?:config\.)?(\w+)\.(\w+) = .*", line)
            if match and ("#" in line or before.strip().startswith("#")):
                group, key = match.groups()
                groups = (
                    ("posterior", "prior") if group == "group" else (group,)
                )
                explained |= {(g, key) for g in groups}
    unexplained = keys(get_config("mnist")) - explained
    # Values whose name and comment above say it all.
    assert unexplained <= {
        ("data", "dataset"),
        ("training", "gradient_estimator"),
        ("posterior", "name"),
    }
