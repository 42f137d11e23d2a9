"""What a model runs on a TPU, lowered by TensorFlow where there is none."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple
from unittest import mock

import keras
import tensorflow as tf
from ml_collections import config_dict
from tensorflow.compiler.tf2xla.python import xla

from configs import mnist
from configs.flows import FLOWS
from tfp_flows import models
from tfp_flows.math import noise
from tfp_flows.models import importance_sampling
from trainers.images import build
from trainers.runs.optimizers import build_optimizer

__all__ = ["CASES", "PROGRAMS", "Case", "Program", "Sizes", "lower", "programs"]

PROGRAMS = (
    *("train", "evaluate", "importance", "log_prob", "remainder"),
    "train_bfloat16",
)
_BFLOAT16 = "_bfloat16"  # at the end of a program's name


class Case(NamedTuple):
    """A posterior by its names in configs.

    Attributes:
      flow: one of `configs.flows.FLOWS`, or "none".
      posterior: one of `configs.posteriors.POSTERIORS`.
    """

    flow: str
    posterior: str = "flow"

    @property
    def name(self) -> str:
        """Such as "planar" or "cif planar"."""
        kind = "" if self.posterior == "flow" else f"{self.posterior} "
        return f"{kind}{self.flow}"


CASES = (
    Case("none"),
    *(Case(flow) for flow in FLOWS),
    Case("planar", "cif"),
    Case("none", "hamiltonian"),
    Case("none", "langevin"),
)


class Sizes(NamedTuple):
    """Of a model and of what it is given.

    Batch and samples are like no other size, so that a shape says what it is
    of.

    Attributes:
      hidden: units of the layers of encoder and decoder; at most so many have
        those of the flow's networks.
      latent: D.
      num_flow_steps: K.
      batch: images.
      num_samples: of an image at once, of importance sampling.
    """

    hidden: int = 12
    latent: int = 6
    num_flow_steps: int = 2
    batch: int = 9
    num_samples: int = 7


class Program(NamedTuple):
    """A function of tensors, and what its HLO may hold.

    Attributes:
      function: takes `arguments`.
      arguments: tensors.
      float64_shapes: see `_hlo.unfit`.
      is_bounded: see `_hlo.unfit`.
    """

    function: Callable[..., Any]
    arguments: tuple[tf.Tensor, ...]
    float64_shapes: Collection[str] = ()
    is_bounded: bool = False


def programs(
    case: Case, sizes: Sizes, names: Collection[str] = PROGRAMS
) -> dict[str, Program]:
    """The programs of a case, not yet traced; those that it has.

    - train: an update of the weights, with its metrics
    - evaluate: the bound of a batch, with its metrics
    - importance: encodes a batch and adds samples to its importance weights
    - log_prob: the density of any z and its gradients, through the inverse; of
      a CIF its lower bound. Other posteriors without a density do not have it
    - remainder: evaluate, of a batch whose size XLA does not know
    - train_bfloat16: train, under the policy "mixed_bfloat16"

    Args:
      case: one of `CASES`.
      sizes: of the model and of the batch.
      names: of `PROGRAMS`.
    """
    policies = {
        name: f"mixed{_BFLOAT16}" if name.endswith(_BFLOAT16) else "float32"
        for name in names
    }
    by_policy = {
        policy: _model(case, sizes, policy)
        for policy in dict.fromkeys(policies.values())
    }
    made = {
        name: _MAKERS[name.removesuffix(_BFLOAT16)](by_policy[policy], sizes)
        for name, policy in policies.items()
    }
    return {name: program for name, program in made.items() if program}


def lower(program: Program) -> str:
    """The HLO of a program as TensorFlow makes it.

    TensorFlow lowers for a CPU here. Its kernels are those for a TPU, apart
    from their types (`_hlo.unfit`); what the library itself does otherwise on
    a TPU, it does here too.

    Args:
      program: one of `programs`.

    Raises:
      ValueError: an operation cannot be compiled.
    """
    function = tf.function(program.function, jit_compile=True, autograph=False)
    with mock.patch.object(noise, "_shapes_are_bounds", return_value=True):
        return function.experimental_get_compiler_ir(*program.arguments)("hlo")


def _config(case: Case, sizes: Sizes) -> config_dict.ConfigDict:
    length = "" if case.flow == "none" else f",K={sizes.num_flow_steps}"
    config = mnist.get_config(
        f"flow={case.flow}{length},posterior={case.posterior}"
    )
    config.model.hidden_units = (sizes.hidden,) * 2
    config.model.latent_size = sizes.latent
    settings = config.posterior
    settings.num_orthogonal_columns = min(
        settings.num_orthogonal_columns, sizes.latent
    )
    settings.conditioner_hidden_units = tuple(
        min(units, sizes.hidden) for units in settings.conditioner_hidden_units
    )
    return config


def _model(case: Case, sizes: Sizes, policy: str) -> models.DLGM:
    config = _config(case, sizes)
    with _dtype_policy(policy):
        model = build.build_model(config)
        model.compile(build_optimizer(config), jit_compile=True)
        model.optimizer.build(model.trainable_variables)
    return model


@contextlib.contextmanager
def _dtype_policy(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _images(model: models.DLGM, sizes: Sizes) -> tf.Tensor:
    return tf.zeros([sizes.batch, *model.event_shape])


def _train(model: models.DLGM, sizes: Sizes) -> Program:
    return Program(model.train_step, (_images(model, sizes),))


def _evaluate(model: models.DLGM, sizes: Sizes) -> Program:
    return Program(model.test_step, (_images(model, sizes),))


def _remainder(model: models.DLGM, sizes: Sizes) -> Program:
    def evaluate(x: tf.Tensor, count: tf.Tensor) -> dict[str, tf.Tensor]:
        # As a TPU gets it: padded, with its size beside it. And as a data set
        # hands it over: TensorFlow does not know the size either.
        x = xla.set_dynamic_dimension_size(x, 0, count)
        shape = [None, *model.event_shape]
        return model.test_step(tf.compat.v1.placeholder_with_default(x, shape))

    arguments = _images(model, sizes), tf.constant(1)
    return Program(evaluate, arguments, is_bounded=True)


def _importance(model: models.DLGM, sizes: Sizes) -> Program:
    # Private, but it is what `log_marginal_likelihood` calls, with loops of
    # Python around it.
    begin, accumulate, _ = importance_sampling._compiled(
        model, importance_sampling._WEIGHTS, sizes.num_samples, True
    )

    def add_samples(
        x: tf.Tensor,
        first_row: tf.Tensor,
        last: tf.Tensor,
        num: tf.Tensor,
        seed: tf.Tensor,
    ) -> Any:
        share, sums = begin(x, first_row)
        return accumulate(share, sums, tf.zeros_like(last), last, num, seed)

    numbers = (
        tf.constant(n, tf.int64) for n in (0, 2, 2 * sizes.num_samples, 1)
    )
    # The sums, and the weights that are added to them.
    batch = f"{sizes.batch}"
    float64_shapes = ("", batch, f"{sizes.num_samples},{batch}")
    arguments = _images(model, sizes), *numbers
    return Program(add_samples, arguments, float64_shapes)


def _log_prob(model: models.DLGM, sizes: Sizes) -> Program | None:
    posterior: Any = model.posterior
    if posterior.has_density:

        def density(x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
            return posterior.distribution(model.encoder(x)).log_prob(z)

    elif hasattr(posterior, "log_prob_lower_bound"):

        def density(x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
            return posterior.log_prob_lower_bound(z, model.encoder(x))

    else:
        return None

    def gradients(x: tf.Tensor, z: tf.Tensor) -> Any:
        weights = [v.value for v in model.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_prob = density(x, z)
        found = tape.gradient(
            log_prob, [z, *weights], unconnected_gradients="zero"
        )
        return log_prob, found

    z = tf.zeros([sizes.batch, sizes.latent])
    return Program(gradients, (_images(model, sizes), z))


_MAKERS: dict[str, Callable[[models.DLGM, Sizes], Program | None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "importance": _importance,
    "log_prob": _log_prob,
    "remainder": _remainder,
}
