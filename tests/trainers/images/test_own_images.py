"""Images of a user's own, by the config alone, from a file to a model."""

import keras
import numpy as np
import pytest

import tfp_flows
from configs import image_defaults, images
from trainers import run
from trainers.images import build
from trainers.runs import errors

NETWORKS = {
    "mlp": {"hidden_units": (8,)},
    "residual": {"hidden_units": (8, 8)},
    "conv": {"filters": (4, 4), "dense_units": 0},
    "gated_conv": {"filters": (4, 4), "strides": (1, 2), "dense_units": 8},
}


def make_config(path, arg, network):
    config = images.get_config(f"dataset=npz,{arg},network={network},runlocal")
    config.data.path = str(path)
    config.model.update({"latent_size": 2, **NETWORKS[network]})
    config.training.update(
        {
            "num_steps": 20,
            "batch_size": 10,
            "steps_per_execution": 10,
            "log_steps": 10,
            "validation_steps": 10,
            "jit_compile": False,
        }
    )
    return config


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Grey, coloured and real-valued images, none of them square."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, shape in (("grey", (7, 5)), ("colour", (6, 8, 3))):
        pictures = rng.integers(0, 256, [60, *shape], dtype=np.uint8)
        train, test = pictures[:45], pictures[45:]
        np.savez(folder / f"{name}.npz", train=train, test=test)
    np.savez(folder / "real.npz", rng.normal(size=[60, 7, 5]))
    return folder


CASES = [
    ("grey", "likelihood=logit_normal,flow=planar,K=2", "mlp"),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("grey", "likelihood=bernoulli,flow=none", "gated_conv"),
            ("colour", "likelihood=discretized_logistic,flow=none", "conv"),
            ("real", "likelihood=gaussian,flow=none", "residual"),
        )
    ),
]


@pytest.mark.parametrize(("name", "arg", "network"), CASES)
def test_a_run_gives_a_model(files, tmp_path, name, arg, network):
    config = make_config(files / f"{name}.npz", arg, network)
    results = run.train_and_evaluate(config, str(tmp_path))
    assert results["dataset"] == results["protocol"]["dataset"] == name
    assert np.isfinite(results["elbo"])
    is_discrete = "bernoulli" not in arg
    assert ("bits_per_dimension" in results) == is_discrete
    pictures = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"samples", "contact_sheet", "posteriors"} <= pictures

    found = tfp_flows.load_run(tmp_path)
    assert found.results["elbo"] == results["elbo"]
    assert found.config["data"]["path"].endswith(f"{name}.npz")
    # The weights that were evaluated, which can be used and trained further.
    shape = results["protocol"]["image_shape"]
    assert found.model.sample(3).shape[1:3] == tuple(shape[:2])
    per_image = np.load(tmp_path / "per_image.npz")["elbo"]
    x = _test_images(config)
    bounds = found.model.bounds(x, config.evaluation.num_elbo_samples)
    np.testing.assert_allclose(bounds["elbo"], per_image, rtol=1e-4)
    found.model.fit(x, epochs=1, verbose=0)
    loaded = keras.saving.load_model(tmp_path / "best" / "model.keras")
    np.testing.assert_array_equal(
        loaded.sample(2), tfp_flows.load_run(tmp_path).model.sample(2)
    )


def _test_images(config):
    from trainers.images import data

    return data.evaluation_images(data.load_splits(config), config, "test")


def test_a_directory_without_a_finished_run(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"`workdir` .*without results.json, best/model.keras"
    ):
        tfp_flows.load_run(tmp_path)


@pytest.mark.parametrize("network", ["conv", "gated_conv"])
def test_strides_that_are_too_many_for_the_images(network):
    config = make_config("x.npz", "flow=none", network)
    config.model.filters, config.model.strides = (4,) * 3, (2,) * 3
    with pytest.raises(errors.InputError, match=r"6 and 9; got \(2, 2, 2\)"):
        build.build_model(config, (6, 9))


@pytest.mark.parametrize(
    ("network", "key", "value", "message"),
    [
        ("residual", "hidden_units", (8, 4), r"be equal .*; got \(8, 4\)"),
        ("residual", "activation", "maxout", "for the network residual"),
        ("conv", "activation", "maxout", "for the network conv; got 'maxout'"),
        ("conv", "filters", (), r"hold integers .*; got \(\)"),
    ],
)
def test_networks_that_cannot_be_made(network, key, value, message):
    config = make_config("x.npz", "flow=none", network)
    config.model[key] = value
    with pytest.raises(errors.InputError, match=f"`model.{key}`.*{message}"):
        build.build_model(config, (8, 8))


@pytest.mark.parametrize("network", image_defaults.NETWORKS)
@pytest.mark.parametrize("likelihood", image_defaults.LIKELIHOODS)
@pytest.mark.parametrize("shape", [(7, 5), (6, 8, 3)])
def test_every_network_fits_every_likelihood(network, likelihood, shape):
    config = make_config("x.npz", f"likelihood={likelihood}", network)
    model = build.build_model(config, shape)
    x = np.zeros([2, *shape], np.float32)
    outputs = model.decode(model.posterior_mean(x)[None])
    assert outputs.shape[:2] == (1, 2)
    assert model.reconstruct(x).numpy().size == x.size
