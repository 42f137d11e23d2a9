"""The kit passes right bijectors and rejects each wrong one, by name."""

import functools

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.testing import right, wrong
from tfp_flows import testing

tfb = tfp.bijectors

# XLA alone takes a third of the time, and sees none of these faults.
ALL_BUT_XLA = tuple(name for name in testing.CHECKS if name != "modes")

# name: (bijector class, D)
RIGHT = {
    "radial": (right.Radial, 3),
    "scaling": (right.Scaling, 3),
    # N = 2 has no bin that stands for two, N = 4 has one.
    "circular_convolution": (right.CircularConvolution, 4),
    "sylvester": (right.Sylvester, 2),
    "iaf": (right.InverseAutoregressive, 2),
}

# name: (bijector class, D, the checks that must fail: these and no others)
WRONG = {
    "radial log-det without r": (
        wrong.RadialWithoutR,
        3,
        {"log_det", "density"},
    ),
    "|sum s| for a scaling": (
        wrong.AbsoluteSumScaling,
        3,
        {"log_det", "density"},
    ),
    "detached log-det": (wrong.DetachedScaling, 3, {"gradients"}),
    "half spectrum's bins count once": (wrong.BinsCountedOnce, 4, {"log_det"}),
    "Sylvester with the wrong triangle": (wrong.WrongTriangle, 2, {"log_det"}),
    "wrong IAF sign": (wrong.WrongSign, 2, {"log_det", "density"}),
    "shared noise under an amortized batch": (
        wrong.SharedNoise,
        3,
        {
            "batch_shape",
            "dynamic_shapes",
            "amortized_noise",
            "slicing",
            "composition",
            "make_trainable",
        },
    ),
    "inverse right only near 0": (
        wrong.ClippedInverse,
        3,
        {"round_trip", "cache", "log_det"},
    ),
    "wrong batch shape": (
        wrong.WrongBatchShape,
        3,
        {"batch_shape", "slicing"},
    ),
    "gradient that skips one parameter": (
        wrong.ForgetsCentre,
        3,
        {"gradients", "variables", "cached_variables", "make_trainable"},
    ),
    "gradient that skips one parameter in the inverse": (
        wrong.ForgetsCentreInInverse,
        3,
        {"gradients"},
    ),
    "inverse from the cache": (
        wrong.InverseFromCache,
        3,
        {
            "shapes",
            "round_trip",
            "cache",
            "log_det",
            "density",
            "amortized_noise",
            "batches",
        },
    ),
    "upcast to float64": (
        wrong.Upcasting,
        3,
        {"round_trip", "dtypes", "extreme_inputs", "make_trainable"},
    ),
    "value frozen at construction": (
        wrong.Frozen,
        3,
        {"variables", "cached_variables"},
    ),
    **{
        f"only {check}: {bijector_class.__name__}": (bijector_class, 3, {check})
        for check, bijector_class in (
            ("jacobians", wrong.GradientOfEagerTensors),
            ("hessians", wrong.FirstDerivativesOnly),
            ("vectorized_map", wrong.LostInMaps),
            ("control_flow", wrong.LostInLoops),
            ("batches", wrong.NeedsAnExample),
            ("batches", wrong.TurnsColumns),
            ("dynamic_shapes", wrong.StaticRank),
            ("wrong_sizes", wrong.AnySize),
            ("parameter_properties", wrong.ShapeByPosition),
            ("variable_reads", wrong.ReadsTwice),
            ("memory", wrong.KeepsPoints),
            ("slicing", wrong.IgnoresSteps),
            ("composition", wrong.ForgetsEventShape),
        )
    },
}

# Those of which the default run sees that no other check rejects them.
ALONE = ("detached log-det", "only hessians: FirstDerivativesOnly")

# (check, bijector class, options): the check rejects it
REJECTED_BY = [
    ("shapes", wrong.PointsShapeOnly, {}),
    ("shapes", wrong.PoolsParameters, {}),
    ("batch_shape", wrong.PoolsParameters, {}),
    ("dynamic_shapes", wrong.StaticShapes, {}),
    ("cache", wrong.WrongCachedLogDet, {}),
    ("modes", wrong.BranchingOnValues, {}),
    ("modes", wrong.CallsPython, {}),
    ("dtypes", wrong.CoarseInFloat32, {}),
    ("extreme_inputs", wrong.UnsafeNorm, {}),
    ("identity", wrong.NearlyIdentity, {"identity_at": ["log_scale"]}),
    ("composite", wrong.NotComposite, {}),
    ("autoregressive", wrong.LooksAhead, {"autoregressive_order": range(3)}),
    ("copy", functools.partial(wrong.ForgetsOption, gain=2.0), {}),
    ("cached_variables", wrong.StaleCache, {}),
    ("keras_variables", wrong.AcceptsKeras, {}),
]


def _failed(build, size, checks=None, **options):
    try:
        testing.check_bijector(build, [size], checks=checks, **options)
    except testing.ConformanceError as error:
        return set(error.failed)
    return set()


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_bijector_passes(name):
    build, size = RIGHT[name]
    report = testing.check_bijector(build, [size])
    promises = {"identity", "autoregressive"}
    assert set(report.passed) == set(testing.CHECKS) - promises


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_bijector_is_rejected(name):
    build, size, expected = WRONG[name]
    assert _failed(build, size, sorted(expected)) == expected


@pytest.mark.parametrize(
    "name",
    [
        name if name in ALONE else pytest.param(name, marks=pytest.mark.slow)
        for name in WRONG
    ],
)
def test_no_other_check_rejects_it(name):
    build, size, expected = WRONG[name]
    assert _failed(build, size, ALL_BUT_XLA) == expected


@pytest.mark.parametrize(("check", "build", "options"), REJECTED_BY)
def test_each_check_rejects_something(check, build, options):
    assert _failed(build, 3, [check], **options) == {check}


def test_every_check_is_seen_to_fail():
    seen = {check for check, _, _ in REJECTED_BY}
    assert seen.union(*(row[2] for row in WRONG.values())) == set(
        testing.CHECKS
    )


def test_the_same_option_kept_in_a_copy_passes():
    # The twin of `ForgetsOption`: no option, no loss.
    checks = ["copy", "slicing", "identity"]
    build = functools.partial(wrong.ForgetsOption, gain=1.0)
    assert not _failed(build, 3, checks, identity_at=["log_scale"])


def test_tfp_s_cached_round_trip_passes_the_inverse_that_the_kit_rejects():
    bijector = wrong.InverseFromCache(z0=[1.0, 2.0], a=0.5, b=1.5)
    x = tf.constant([3.0, -1.0])
    y = bijector.forward(x)
    assert not (bijector.inverse(y) - x).numpy().any()
    assert (bijector.inverse(tf.identity(y)) - x).numpy().all()
    assert _failed(wrong.InverseFromCache, 2, ["round_trip"])


def test_tfp_s_shared_noise_is_what_the_kit_rejects():
    # TFP's own MaskedAutoregressiveFlow with amortized parameters.
    log_scale = tf.reshape(tf.linspace(-1.0, 1.0, 12), [4, 3])

    def build(log_scale):
        return tfb.MaskedAutoregressiveFlow(
            lambda x: (tf.zeros_like(x), log_scale + tf.zeros_like(x))
        )

    assert build(log_scale).experimental_batch_shape() == []
    failed = _failed(
        build,
        3,
        ["amortized_noise", "log_det"],
        parameter_shapes={"log_scale": testing.ParameterShape([3])},
    )
    assert failed == {"amortized_noise"}


@pytest.mark.parametrize(
    ("build", "event_shape", "parameter_shapes", "others"),
    [
        (
            tfb.Scale,
            [3],
            lambda event: {
                "scale": testing.ParameterShape(event, (), tfb.Softplus())
            },
            (),
        ),
        (
            lambda shift, log_scale: tfb.Chain(
                [tfb.Shift(shift), tfb.Scale(log_scale=log_scale)]
            ),
            [2, 2],
            {
                "shift": testing.ParameterShape([2, 2]),
                "log_scale": testing.ParameterShape([2, 2]),
            },
            # tfb.Chain also reads them for the shapes of its parts.
            ("variable_reads",),
        ),
    ],
    ids=["scale", "chain of events of rank 2"],
)
def test_tfp_s_own_bijectors_fail_for_cache_keras_and_sizes_alone(
    build, event_shape, parameter_shapes, others
):
    with pytest.raises(testing.ConformanceError) as caught:
        testing.check_bijector(
            build,
            event_shape,
            parameter_shapes=parameter_shapes,
            checks=ALL_BUT_XLA,
        )
    assert caught.value.failed == (
        "wrong_sizes",
        *others,
        "cached_variables",
        "keras_variables",
    )
