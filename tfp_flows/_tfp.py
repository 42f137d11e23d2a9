"""The only file that imports private names of TFP and TensorFlow.

`Chain`, `Invert`, `Independent` and `Sample` are the base classes that TFP
gives both to the composite and to the plain instances of those of `tfp`.
"""

from tensorflow.python.eager.forwardprop_util import pack_tangents
from tensorflow.python.eager.record import (
    could_possibly_record,
    should_record_backprop,
    stop_recording,
)
from tensorflow.python.framework.composite_tensor import CompositeTensor
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
from tensorflow.python.ops.gradients_util import PossibleTapeGradientTypes
from tensorflow_probability.python.bijectors.chain import _Chain as Chain
from tensorflow_probability.python.bijectors.invert import _Invert as Invert
from tensorflow_probability.python.distributions.independent import (
    _Independent as Independent,
)
from tensorflow_probability.python.distributions.joint_distribution import (
    _DefaultJointBijector as DefaultJointBijector,
)
from tensorflow_probability.python.distributions.joint_distribution import (
    _DefaultJointBijectorAutoBatched as DefaultJointBijectorAutoBatched,
)
from tensorflow_probability.python.distributions.sample import (
    _Sample as Sample,
)
from tensorflow_probability.python.experimental.distributions.joint_distribution_pinned import (  # noqa: E501
    _DefaultJointBijectorAutoBatchedWithPins as DefaultJointBijectorAutoBatchedWithPins,  # noqa: E501
)
from tensorflow_probability.python.internal import dtype_util, tensor_util
from tensorflow_probability.python.internal import prefer_static as ps
from tensorflow_probability.python.internal.cache_util import (
    BijectorCacheWithGreedyAttrs,
)
from tensorflow_probability.python.internal.nest_util import call_fn
from tensorflow_probability.python.internal.parameter_properties import (
    BatchedComponentProperties,
    ShapeParameterProperties,
)
from tensorflow_probability.python.internal.slicing import batch_slice

__all__ = [
    "BatchedComponentProperties",
    "BijectorCacheWithGreedyAttrs",
    "Chain",
    "CompositeTensor",
    "DefaultJointBijector",
    "DefaultJointBijectorAutoBatched",
    "DefaultJointBijectorAutoBatchedWithPins",
    "GraphOrParentsInXlaContext",
    "Independent",
    "Invert",
    "PossibleTapeGradientTypes",
    "Sample",
    "ShapeParameterProperties",
    "batch_slice",
    "call_fn",
    "could_possibly_record",
    "dtype_util",
    "pack_tangents",
    "ps",
    "should_record_backprop",
    "stop_recording",
    "tensor_util",
]
