"""What layers and models say to those who use another library's names."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.layers import flows
from tfp_flows import models, posteriors
from tfp_flows.layers import NAFFlow, NICEFlow, PlanarFlow, SylvesterFlow

tfb, tfd = tfp.bijectors, tfp.distributions

USES = {
    "TransformedDistribution": lambda layer: tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0]), layer
    ),
    "Chain": lambda layer: tfb.Chain([layer, tfb.Scale(2.0)]),
    "Invert": tfb.Invert,
    "JointMap": lambda layer: tfb.JointMap([layer]),
    "forward": lambda layer: layer.forward(tf.zeros([2])),
    "log-det": lambda layer: layer.inverse_log_det_jacobian(tf.zeros([2]), 1),
}


@pytest.mark.parametrize("use", USES)
def test_a_layer_used_as_a_bijector(use):
    layer = PlanarFlow(2)
    layer.build((None, 2))
    with pytest.raises(AttributeError, match="no bijector: pass what its"):
        USES[use](layer)
    USES[use](layer.bijector())


def test_a_layer_has_none_of_the_attributes_it_speaks_of():
    layer = PlanarFlow(2)
    assert not hasattr(layer, "forward")
    assert not hasattr(PlanarFlow, "inverse_min_event_ndims")
    assert "forward" not in layer.get_config()


@pytest.mark.parametrize(
    ("layer", "keywords", "hint"),
    [
        (PlanarFlow, {"K": 4}, "Did you mean `num_flow_steps`"),
        (NAFFlow, {"n_flows": 4}, "Did you mean `num_flow_steps`"),
        (PlanarFlow, {"num_layers": 4}, "Did you mean `num_flow_steps`"),
        (PlanarFlow, {"num_flow_step": 4}, "Did you mean `num_flow_steps`"),
        (NICEFlow, {"hidden_features": [8]}, "Did you mean `hidden_units`"),
        (NICEFlow, {"hiden_units": [8]}, "Did you mean `hidden_units`"),
        (SylvesterFlow, {"M": 2}, "Did you mean `num_orthogonal_columns`"),
        (PlanarFlow, {"inverse": True}, "Did you mean `inverted`"),
        (PlanarFlow, {"dim": 2}, r"is that of the first input, or of `build"),
        (PlanarFlow, {"foo": 2}, r"got foo=2\.$"),
    ],
)
@pytest.mark.parametrize("num_flow_steps", [(), (4,)], ids=["alone", "beside"])
def test_an_argument_of_another_name(layer, keywords, hint, num_flow_steps):
    (name,) = keywords
    with pytest.raises(TypeError, match=f"`{name}` must be an arg.*{hint}"):
        layer(*num_flow_steps, **keywords)


@pytest.mark.parametrize("name", flows.LAYERS)
def test_every_flow_layer_gives_hints(name):
    with pytest.raises(TypeError, match="Did you mean `num_flow_steps`"):
        flows.LAYERS[name](num_flows=4)


@pytest.mark.parametrize(
    ("made", "keywords", "message"),
    [
        (
            posteriors.FlowPosterior,
            {"latent_dim": 2},
            r"FlowPosterior, which takes latent_size, flow, .* and those of "
            r"keras.layers.Layer; got latent_dim=2. Did you mean `latent_size`",
        ),
        (posteriors.FlowPosterior, {"flows": []}, "Did you mean `flow`"),
        (
            posteriors.CIFPosterior,
            {"u_dim": 1},
            "Did you mean `auxiliary_size`",
        ),
        (posteriors.HamiltonianPosterior, {"K": 4}, "mean `num_bridges`"),
        (
            posteriors.LangevinPosterior,
            {"step_size": 0.1},
            "`initial_step_size`",
        ),
        (
            models.DLGM,
            {"image_shape": (2,)},
            r"those of keras.Model; .* Did you mean `event_shape`",
        ),
        (models.DLGM, {"K": 5}, "Did you mean `num_importance_samples`"),
        (models.LogJointModel, {"beta": 5}, "mean `annealing`"),
        (models.FlowDensity, {"normalise": True}, "Did you mean `standardize`"),
        (models.FlowDensity, {"dim": 3}, "is that of the first input"),
        (models.BernoulliMADE, {"hiden_units": [8]}, "mean `hidden_units`"),
    ],
)
def test_an_argument_of_a_posterior_or_model(made, keywords, message):
    with pytest.raises(TypeError, match=message):
        made(**keywords)


def test_a_subclass_may_take_more():
    class Mine(PlanarFlow):
        def __init__(self, num_flow_steps, **kwargs):
            self.extra = kwargs.pop("extra")
            super().__init__(num_flow_steps, **kwargs)

    assert Mine(3, extra=1).extra == 1
    with pytest.raises(TypeError, match="`steps` must be an argument of Mine"):
        Mine(3, extra=1, steps=2)


def test_a_trainable_bijector_of_an_amortized_layer():
    layer = PlanarFlow(2)
    layer.build((None, 3), (None, 2))
    with pytest.raises(
        ValueError, match=r"parameters are shared; .*`frozen_bijector\(context"
    ):
        layer.trainable_bijector()
    context = np.ones([4, 2], np.float32)
    assert layer.frozen_bijector(context).experimental_batch_shape() == [4]
