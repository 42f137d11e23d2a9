"""What is particular to stacks of couplings and of convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.flows import LAYERS
from tfp_flows.bijectors import MADEConditioner, MLPConditioner
from tfp_flows.layers import (
    CircularFlow,
    CONFFlow,
    NAFFlow,
    NICEFlow,
    RadialFlow,
    RealNVPFlow,
    SplineCouplingFlow,
    SylvesterFlow,
)

B, C, D, K = 4, 3, 5, 3


def _points(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _built(layer, context_shape=None):
    layer.build((None, D), context_shape)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign_add(0.3 * rng.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("mixing", ["orthogonal", "permutation"])
def test_mixing_is_drawn_from_the_seed_saved_and_loaded(mixing, tmp_path):
    layers = {
        seed: _built(NICEFlow(K, (6,), mixing=mixing, seed=seed), (None, C))
        for seed in (0, 1)
    }
    again = _built(NICEFlow(K, (6,), mixing=mixing, seed=0), (None, C))
    drawn = {
        seed: layer.parameters(_points(B, C))["mixing"].numpy()
        for seed, layer in layers.items()
    }
    assert np.any(drawn[0] != drawn[1])
    assert len(np.unique(drawn[0].reshape([K, -1]), axis=0)) == K
    np.testing.assert_array_equal(
        again.parameters(_points(B, C))["mixing"], drawn[0]
    )

    x, context = keras.Input((D,)), keras.Input((C,))
    model = keras.Model([x, context], layers[1](x, context=context))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [_points(B, D), _points(B, C)]
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    mixings = [w.numpy() for w in loaded.non_trainable_weights]
    np.testing.assert_array_equal(mixings[0], drawn[1][:, 0])
    back = loaded.layers[-1].bijector(inputs[1]).inverse(model(inputs))
    np.testing.assert_allclose(back, inputs[0], atol=1e-5)


def test_without_a_seed_the_mixing_follows_the_global_one():
    drawn = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        layer = NICEFlow(K)
        layer.build((None, D))
        drawn.append(layer.parameters()["mixing"].numpy())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.any(drawn[0] != drawn[2])


@pytest.mark.parametrize("size", [2, 5])
def test_orthogonal_mixing_is_uniform(size):
    """The entries of a uniform orthogonal matrix have mean 0, variance 1/D."""
    layer = NICEFlow(2_000, (1,), seed=0)
    layer.build((None, size))
    matrices = layer.parameters()["mixing"].numpy()
    gram = np.swapaxes(matrices, -1, -2) @ matrices
    np.testing.assert_allclose(
        gram, np.broadcast_to(np.eye(size), gram.shape), atol=1e-6
    )
    error = 1 / np.sqrt(size * 2_000)
    assert np.abs(matrices.mean(axis=0)).max() < 5 * error
    np.testing.assert_allclose(
        np.square(matrices).mean(axis=0), 1 / size, atol=0.03
    )


@pytest.mark.parametrize("log_scale", [-0.7, 0.4])
@pytest.mark.parametrize("is_amortized", [False, True])
def test_scaling_has_its_signed_log_det(log_scale, is_amortized):
    context = _points(B, C) if is_amortized else None
    layer = NICEFlow(K, (6,), scaling=True, seed=0)
    layer.build((None, D), (None, C) if is_amortized else None)
    layer._scaling.weights[0].assign(np.full([D], log_scale))
    flow, x = layer.bijector(context), _points(B, D)
    np.testing.assert_allclose(
        np.broadcast_to(flow.forward_log_det_jacobian(x, 1), [B]),
        np.full([B], D * log_scale),
        rtol=1e-5,
    )
    unscaled = NICEFlow(K, (6,), seed=0)
    unscaled.build((None, D), (None, C) if is_amortized else None)
    np.testing.assert_allclose(
        layer(x, context),
        np.exp(log_scale) * unscaled(x, context),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("layer", [NICEFlow, RealNVPFlow])
def test_halves_alternate(layer):
    """Two couplings without mixing move everything, one only a half."""
    x = _points(7, D)
    for steps, moved in ((1, 2), (2, D)):
        flow = _built(layer(steps, (6,), mixing="none", seed=0))
        changed = np.abs(flow(x) - x).max(axis=0) > 1e-4
        assert changed.sum() == moved


@pytest.mark.parametrize("name", ["circular", "symmetric", "conf"])
def test_fft_runs_in_float32_under_bfloat16(name):
    layer = LAYERS[name](K, seed=0, dtype="mixed_bfloat16")
    _built(layer, (None, C))
    context, x = _points(B, C), _points(B, D)
    for parameter in layer.parameters(context).values():
        assert parameter.dtype in (tf.float32, tf.int32)
    assert layer(x, context).dtype == tf.float32
    flow = layer.bijector(context)
    y = flow.forward(x)
    np.testing.assert_allclose(flow.inverse(y), x, rtol=1e-3, atol=1e-4)


def test_gates_are_all_that_keeps_convolutions_apart():
    """As their slopes vanish, the flow becomes a linear map and a shift."""
    layer = _built(CircularFlow(K, seed=0))
    slopes = next(w for w in layer.weights if w.name == "unconstrained_slope")

    def curvature():
        flow, (a, b) = layer.bijector(), _points(2, 50, D)
        middle = flow.forward((a + b) / 2)
        return np.abs(middle - (flow.forward(a) + flow.forward(b)) / 2).max()

    assert curvature() > 1e-2
    slopes.assign(np.full(slopes.shape, -50.0))
    assert curvature() < 1e-5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NICEFlow(2, mixing="swap"), "`mixing` must be one of orth"),
        (lambda: CONFFlow(2, mixing="none"), "`mixing` must be one of ortho"),
        (
            lambda: NICEFlow(2, (0,)),
            "`hidden_units` must be a sequence of",
        ),
        (lambda: NICEFlow(2, activation="sin"), "`activation` must be one of"),
        (
            lambda: NICEFlow(2).build((None, 1)),
            "`inputs_shape` must end in 2 or more, as a coupling .*; got 1",
        ),
        (lambda: SylvesterFlow(2, kind="qr"), "`kind` must be one of ortho"),
        (
            lambda: SylvesterFlow(2, num_orthogonal_columns=6).build((None, 5)),
            "`num_orthogonal_columns` must be at most .*, 5; got 6",
        ),
        (
            lambda: SylvesterFlow(2, num_householder_reflections=0),
            "`num_householder_reflections` must be an integer >= 1; got 0",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("event_size", "columns"), [(2, 2), (5, 5), (9, 8)])
def test_sylvester_has_as_many_columns_as_fit(event_size, columns):
    """By default, at most 8; a number of one's own is kept as it is."""
    layer = SylvesterFlow(2)
    layer.build((None, event_size))
    assert layer.parameters()["vectors"].shape == (2, columns, event_size)
    assert layer.get_config()["num_orthogonal_columns"] is None
    saved = SylvesterFlow(2, num_orthogonal_columns=np.int64(1)).get_config()
    again = SylvesterFlow.from_config(saved)
    again.build((None, event_size))
    assert again.parameters()["vectors"].shape == (2, 1, event_size)


@pytest.mark.parametrize("value", [True, np.bool_(True), 2.0, "2", None, 0])
def test_what_is_no_positive_integer_is_refused(value):
    for make, name in (
        (RadialFlow, "num_flow_steps"),
        (lambda n: NAFFlow(2, num_sigmoids=n), "num_sigmoids"),
        (lambda n: SplineCouplingFlow(2, num_bins=n), "num_bins"),
        (lambda n: MADEConditioner(n), "event_size"),
        (lambda n: MLPConditioner((3, n)), "hidden_units"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be .*intege"):
            make(value)


def test_integers_of_numpy_are_integers():
    layer = NAFFlow(np.int32(2), (np.int64(6),), num_sigmoids=np.int8(2))
    config = layer.get_config()
    assert config["num_flow_steps"] == config["num_sigmoids"] == 2
    assert all(
        type(n) is int
        for n in (
            config["num_flow_steps"],
            *config["hidden_units"],
            config["num_sigmoids"],
        )
    )


def test_no_point_is_broadcast_to_the_size_of_the_scaling():
    layer = NICEFlow(2, (4,), scaling=True)
    layer.build((None, 3))
    context = np.zeros([5, 2], np.float32)
    amortized = NICEFlow(2, (4,), scaling=True)
    amortized.build((None, 3), (None, 2))
    for flow in (layer.bijector(), amortized.bijector(context)):
        for point in (np.zeros([5, 1], np.float32), np.float32(0.0)):
            for method in (flow.forward, flow.inverse):
                with pytest.raises(
                    ValueError, match=r"have shape \[\.\.\., 3\]"
                ):
                    method(point)
