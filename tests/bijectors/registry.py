"""Every bijector that has to pass the conformance kit; one line adds one."""

import functools

import tensorflow_probability as tfp

from tests.bijectors.autoregressive_cases import autoregressive_cases
from tests.bijectors.coupling_cases import coupling_cases
from tests.bijectors.sylvester_cases import householder_cases, sylvester_cases
from tfp_flows.bijectors import (
    AdditiveCoupling,
    AffineCoupling,
    AutoregressiveBijector,
    CircularConvolution,
    CircularConvolution2D,
    CircularSpline,
    ConvolutionCoupling,
    DataAdaptiveConvolution,
    DeepSigmoidal,
    InverseAutoregressive,
    LULinear,
    MaskedAutoregressive,
    MaskedCoupling,
    MLPConditioner,
    NeuralAutoregressive,
    Planar,
    Radial,
    RationalQuadraticSpline,
    Scan,
    SLog,
    SplineAutoregressive,
    SplineCoupling,
    SplitCoupling,
    SymmetricConvolution,
    transformers,
)
from tfp_flows.layers.gated_convolution_flow import MAX_EXPONENT
from tfp_flows.testing import BijectorCase, parameter_shapes_of

tfb = tfp.bijectors

SIZES = (1, 2, 3, 64)
NUM_MEMBERS = 4


def _scan(bijector_class, **parameters):
    return Scan(bijector_class(**parameters))


def _cases(
    name,
    bijector_class,
    event_sizes=SIZES,
    identity_at=(),
    rolled=None,
    parameter_scale=1.0,
    circular=False,
):
    """The bijector and, at the sizes `rolled` (None: the second), its Scan.

    An event size is D, or `(H, W)` for images. What a Scan adds does not
    depend on it.
    """
    if rolled is None:
        rolled = event_sizes[1:2]
    for size in event_sizes:
        shape = size if isinstance(size, tuple) else (size,)
        label = "x".join(map(str, shape))
        yield BijectorCase(
            f"{name}-{label}",
            bijector_class,
            event_shape=shape,
            parameter_scale=parameter_scale,
            identity_at=identity_at,
            circular=circular,
        )
        if size in rolled:
            yield BijectorCase(
                f"scan-{name}-{label}",
                functools.partial(_scan, bijector_class),
                event_shape=shape,
                parameter_scale=parameter_scale,
                parameter_shapes=parameter_shapes_of(
                    getattr(bijector_class, "func", bijector_class),
                    leading=(NUM_MEMBERS,),
                ),
                identity_at=identity_at,
                circular=circular,
            )


def _gated(unconstrained_slope, unconstrained_spectrum):
    """What `layers.CircularFlow` rolls, without its scales and shifts."""
    gate = SLog(unconstrained_slope, MAX_EXPONENT)
    return Scan(tfb.Chain([gate, CircularConvolution(unconstrained_spectrum)]))


def _gated_shapes(event_shape):
    shapes = {}
    for bijector_class in (SLog, CircularConvolution):
        shapes |= parameter_shapes_of(bijector_class, leading=(3,))(event_shape)
    return shapes


SPLITTABLE = (2, 3, 64)
_additive = functools.partial(
    coupling_cases, bijector_class=AdditiveCoupling, sizes=lambda d: (d, d)
)
_affine = functools.partial(
    coupling_cases, bijector_class=AffineCoupling, sizes=lambda d: (d, 2 * d)
)
_data_adaptive = functools.partial(
    coupling_cases,
    bijector_class=DataAdaptiveConvolution,
    sizes=lambda d: (d - d // 2, d // 2),
)
_conf = functools.partial(
    coupling_cases,
    bijector_class=ConvolutionCoupling,
    sizes=lambda d: (d - d // 2, 3 * (d // 2)),
    own={"unconstrained_slope": lambda d: (d // 2,)},
    identity_at=(),
)

_iaf, _maf = (
    functools.partial(
        autoregressive_cases, bijector_class=bijector_class, num_outputs=2
    )
    for bijector_class in (InverseAutoregressive, MaskedAutoregressive)
)

NUM_BINS, NUM_SIGMOIDS = 4, 3
_splines = functools.partial(
    _cases,
    bijector_class=RationalQuadraticSpline,
    identity_at=[
        "unconstrained_widths",
        "unconstrained_heights",
        "unconstrained_slopes",
    ],
)
_spline_autoregressive = functools.partial(
    autoregressive_cases,
    bijector_class=SplineAutoregressive,
    num_outputs=3 * NUM_BINS - 1,
    num_bins=NUM_BINS,
)
_spline_coupling = functools.partial(
    coupling_cases,
    bijector_class=SplineCoupling,
    sizes=lambda d: (d - d // 2, (3 * NUM_BINS - 1) * (d // 2)),
    num_bins=NUM_BINS,
)
_circular_spline_autoregressive = functools.partial(
    autoregressive_cases,
    bijector_class=SplineAutoregressive,
    num_inputs=2,
    num_outputs=3 * NUM_BINS + 2,
    num_bins=NUM_BINS,
)
_circular_spline_coupling = functools.partial(
    coupling_cases,
    bijector_class=SplineCoupling,
    sizes=lambda d: (2 * (d - d // 2), (3 * NUM_BINS + 2) * (d // 2)),
    num_bins=NUM_BINS,
)
_naf = functools.partial(
    autoregressive_cases,
    bijector_class=NeuralAutoregressive,
    num_sigmoids=NUM_SIGMOIDS,
)


def _combined(name, bijector_class, transformer, **keywords):
    """Couplings, or autoregressive maps, of any transformer."""
    outputs = transformer.num_parameters
    if bijector_class is AutoregressiveBijector:
        cases = functools.partial(autoregressive_cases, num_outputs=outputs)
    elif bijector_class is MaskedCoupling:
        cases = functools.partial(
            coupling_cases, sizes=lambda d: (d, outputs * d)
        )
    else:
        cases = functools.partial(
            coupling_cases, sizes=lambda d: (d - d // 2, outputs * (d // 2))
        )
    return cases(
        name,
        bijector_class=bijector_class,
        transformer=transformer,
        **keywords,
    )


_circular, _circular_2d = (
    functools.partial(
        _cases,
        bijector_class=bijector_class,
        identity_at=["unconstrained_spectrum"],
    )
    for bijector_class in (CircularConvolution, CircularConvolution2D)
)
_symmetric = functools.partial(
    _cases,
    bijector_class=SymmetricConvolution,
    identity_at=["unconstrained_log_magnitude"],
)

CASES = [
    *_cases("planar", Planar, identity_at=["u"]),
    *_cases(
        "planar-paper",
        functools.partial(Planar, constraint="paper"),
        event_sizes=(2, 8),
        rolled=(8,),
    ),
    *_cases(
        "radial",
        Radial,
        identity_at=["unconstrained_alpha", "unconstrained_beta"],
    ),
    *_circular("circular", event_sizes=(2, 3, 64), rolled=(3,)),
    # Four scalings of one coordinate multiply: gentler, to stay on the grid.
    *_circular("circular", event_sizes=(1,), rolled=(), parameter_scale=0.5),
    *_circular_2d("circular", event_sizes=((2, 3), (5, 4)), rolled=((2, 3),)),
    *_circular_2d("circular", event_sizes=((3, 3), (4, 4)), rolled=()),
    *_symmetric("symmetric", event_sizes=(3, 64), rolled=(3,)),
    *_symmetric("symmetric", event_sizes=(1, 2), rolled=()),
    *_cases("s-log", SLog, rolled=(3,)),
    *_cases(
        "deep-sigmoidal",
        DeepSigmoidal,
        event_sizes=(1, 3),
        identity_at=["unconstrained_slopes", "offsets"],
    ),
    *_additive("additive", event_sizes=SPLITTABLE),
    *_additive(
        "nice-ortho",
        event_sizes=(2, 64),
        mixing=("mask", "orthogonal"),
        identity_at=(),
    ),
    *_additive(
        "nice-perm",
        event_sizes=(3, 64),
        mixing=("mask", "permutation"),
        identity_at=(),
    ),
    *_affine("affine", event_sizes=SPLITTABLE),
    *_affine(
        "affine-context",
        event_sizes=(3,),
        conditioner=MLPConditioner((4,), "tanh", context_size=2),
        own={"context": lambda d: (2,)},
    ),
    *_affine(
        "real-nvp",
        event_sizes=(8,),
        mixing=("mask", "permutation"),
        identity_at=(),
    ),
    *_data_adaptive("data-adaptive", event_sizes=SPLITTABLE),
    *_data_adaptive(
        "scan-data-adaptive",
        event_sizes=(8,),
        mixing=("permutation",),
        identity_at=(),
    ),
    *_conf("conf", event_sizes=(2, 5, 64)),
    *_conf("scan-conf", event_sizes=(8,), mixing=("permutation",)),
    *householder_cases(),
    *sylvester_cases(),
    *_iaf("iaf", event_sizes=(2, 3, 64)),
    *_iaf(
        "iaf-gated",
        event_sizes=(2, 3),
        update="gated",
        identity_at=(),
        order=lambda d: [*range(1, d), 0],
    ),
    *_iaf("iaf-context", event_sizes=(3,), context_size=2),
    *_iaf("scan-iaf", event_sizes=(3,), num_members=3, identity_at=()),
    *_maf("maf", event_sizes=(2, 64)),
    *_maf("scan-maf", event_sizes=(3,), num_members=3, identity_at=()),
    *_cases("lu-linear", LULinear, (1, 2), ["lower_upper"], (2,), 0.3),
    *_cases("lu-linear", LULinear, (64,), ["lower_upper"], (), 0.1),
    *_splines("spline", event_sizes=(1, 3)),
    *_spline_coupling("spline-coupling", event_sizes=(2, 3, 64)),
    *_spline_coupling(
        "scan-spline-coupling",
        event_sizes=(8,),
        mixing=("permutation",),
        identity_at=(),
    ),
    *_spline_autoregressive("spline-autoregressive", event_sizes=(2, 3, 64)),
    *_spline_autoregressive(
        "spline-autoregressive-context", event_sizes=(3,), context_size=2
    ),
    *_spline_autoregressive(
        "scan-spline-autoregressive",
        event_sizes=(3,),
        num_members=3,
        identity_at=(),
    ),
    *_cases(
        "circular-spline",
        CircularSpline,
        event_sizes=(1, 3),
        identity_at=[
            "unconstrained_widths",
            "unconstrained_heights",
            "unconstrained_slopes",
            "phases",
        ],
        circular=True,
    ),
    *_circular_spline_coupling(
        "circular-spline-coupling", event_sizes=(2, 3), circular=True
    ),
    *_circular_spline_coupling(
        "half-circular-spline-coupling", event_sizes=(2, 3), circular=(1,)
    ),
    *_circular_spline_coupling(
        "scan-circular-spline-coupling",
        event_sizes=(4,),
        circular=True,
        mixing=("permutation",),
        identity_at=(),
    ),
    *_circular_spline_autoregressive(
        "circular-spline-autoregressive", event_sizes=(3,), circular=True
    ),
    *_circular_spline_autoregressive(
        "half-circular-spline-autoregressive",
        event_sizes=(3,),
        circular=(0,),
        context_size=2,
    ),
    *_circular_spline_autoregressive(
        "scan-circular-spline-autoregressive",
        event_sizes=(3,),
        num_members=3,
        circular=True,
        identity_at=(),
    ),
    *_naf("naf", num_outputs=3 * NUM_SIGMOIDS, event_sizes=(2, 3, 16)),
    *_naf(
        "naf-two-layers",
        num_outputs=6 * NUM_SIGMOIDS,
        num_layers=2,
        event_sizes=(3,),
        context_size=2,
    ),
    *_naf(
        "scan-naf",
        num_outputs=3 * NUM_SIGMOIDS,
        event_sizes=(3,),
        num_members=3,
        identity_at=(),
    ),
    *_combined(
        "masked-deep-sigmoidal",
        MaskedCoupling,
        transformers.DeepSigmoidal(NUM_SIGMOIDS),
        event_sizes=(2, 3),
    ),
    *_combined(
        "scan-masked-spline",
        MaskedCoupling,
        transformers.RationalQuadratic(NUM_BINS),
        event_sizes=(3,),
        mixing=("mask", "permutation"),
        identity_at=(),
    ),
    *_combined(
        "split-affine", SplitCoupling, transformers.Affine(), event_sizes=(2, 5)
    ),
    *_combined(
        "split-gated-convolution",
        SplitCoupling,
        transformers.GatedConvolution(),
        event_sizes=(5, 8),
        identity_at=(),
    ),
    *_combined(
        "autoregressive-shift",
        AutoregressiveBijector,
        transformers.Shift(),
        event_sizes=(2, 3),
    ),
    *_combined(
        "scan-autoregressive-gated",
        AutoregressiveBijector,
        transformers.Inverse(transformers.Gated()),
        event_sizes=(3,),
        num_members=3,
        identity_at=(),
    ),
    BijectorCase(
        "scan-gated-circular-8",
        _gated,
        event_shape=[8],
        parameter_shapes=_gated_shapes,
    ),
]
