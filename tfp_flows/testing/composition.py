"""Checks of what TFP builds out of bijectors and transformed distributions."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.testing.case import NUM_EXAMPLES, Arrays, BijectorCase
from tfp_flows.testing.evaluation import (
    SIGNATURE,
    Evaluator,
    base_distribution,
    close_outputs,
    outputs,
)
from tfp_flows.testing.report import Findings
from tfp_flows.testing.structure import compare

__all__ = ["check_composition"]

tfb = tfp.bijectors
tfd = tfp.distributions


def check_composition(case: BijectorCase, findings: Findings) -> None:
    """What TFP builds of the bijector is what it stands for.

    `tfb.Invert`, `tfb.Chain`, `tfb.Reshape` around it, `tfb.JointMap`,
    `tfb.Blockwise`, and `tfd.MixtureSameFamily` and `tfd.BatchReshape` of its
    distributions.
    """
    first = case.parameters("parameters", (NUM_EXAMPLES,))
    second = case.parameters("other parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    evaluate = Evaluator(case)
    with findings.attempt("tfb.Invert"):
        straight = evaluate.values(y, x, first)
        expected = {"forward": straight["inverse"], "ildj": straight["fldj"]}
        inverted = tfb.Invert(case.fresh(first))
        compare(case, "tfb.Invert", inverted, expected, x, y, findings)
    with findings.attempt("tfb.Chain"):
        # tfb.Chain applies the last of its list first.
        chain = tfb.Chain([case.fresh(second), case.fresh(first)])
        shape = chain.experimental_batch_shape(x_event_ndims=case.event_ndims)
        findings.require(
            shape.rank is not None and shape.as_list() == [NUM_EXAMPLES],
            "batch shape of tfb.Chain",
            expected=[NUM_EXAMPLES],
            found=shape,
        )
        one = evaluate.values(x, y, first)
        two = evaluate.values(one["forward"], y, second)
        last = evaluate.values(x, two["inverse"], first)
        expected = {
            "forward": two["forward"],
            "ildj": two["ildj"] + last["ildj"],
        }
        compare(case, "tfb.Chain", chain, expected, x, y, findings)
    parts = {
        "tfb.Reshape": _check_reshape,
        "tfb.JointMap": _check_joint_map,
        "tfb.Blockwise": _check_blockwise,
        "batches of distributions": _check_distributions,
    }
    for what, check in parts.items():
        with findings.attempt(what):
            check(case, x, y, first, second, findings)


def _check_reshape(
    case: BijectorCase,
    x: np.ndarray,
    y: np.ndarray,
    first: Arrays,
    second: Arrays,
    findings: Findings,
) -> None:
    """Rows and columns of one more axis, mapped as the event that they are."""
    del second
    event = list(case.event_shape)
    shaped = tfb.Chain(
        [
            tfb.Reshape([*event, 1], event),
            case.fresh(first),
            tfb.Reshape(event, [*event, 1]),
        ]
    )
    findings.require(
        shaped.forward_event_shape([*event, 1]) == [*event, 1],
        "event shape inside tfb.Reshape",
        expected=[*event, 1],
        found=shaped.forward_event_shape([*event, 1]),
    )
    expected = Evaluator(case).values(x, y, first)
    for q in ("forward", "inverse"):
        expected[q] = expected[q][..., np.newaxis]
    found = outputs(
        shaped,
        tf.constant(x[..., np.newaxis]),
        tf.constant(y[..., np.newaxis]),
        case.event_ndims + 1,
        SIGNATURE,
    )
    what = "{} inside tfb.Reshape"
    close_outputs(findings, what, found, expected, case.tolerances.same)


def _check_joint_map(
    case: BijectorCase,
    x: np.ndarray,
    y: np.ndarray,
    first: Arrays,
    second: Arrays,
    findings: Findings,
) -> None:
    """Two parts, each with its own parameters; the log-dets add up."""
    both = tfb.JointMap([case.fresh(first), case.fresh(second)])
    one, two = (Evaluator(case).values(x, y, p) for p in (first, second))
    findings.close(
        "ildj of tfb.JointMap",
        both.inverse_log_det_jacobian(
            [tf.constant(y), tf.constant(y)],
            event_ndims=[case.event_ndims] * 2,
        ),
        one["ildj"] + two["ildj"],
        case.tolerances.same,
        broadcast=True,
    )


def _check_blockwise(
    case: BijectorCase,
    x: np.ndarray,
    y: np.ndarray,
    first: Arrays,
    second: Arrays,
    findings: Findings,
) -> None:
    """Two blocks of one vector."""
    if case.event_ndims != 1:
        return
    size = case.event_size
    blocks = tfb.Blockwise(
        [case.fresh(first), case.fresh(second)], block_sizes=[size, size]
    )
    one, two = (Evaluator(case).values(x, y, p) for p in (first, second))
    findings.close(
        "forward of tfb.Blockwise",
        blocks.forward(tf.constant(np.concatenate([x, x], axis=-1))),
        np.concatenate([one["forward"], two["forward"]], axis=-1),
        case.tolerances.same,
    )


def _check_distributions(
    case: BijectorCase,
    x: np.ndarray,
    y: np.ndarray,
    first: Arrays,
    second: Arrays,
    findings: Findings,
) -> None:
    """A mixture of the batch, and the batch in another shape."""
    del second
    event = list(case.event_shape)
    base = base_distribution(case, tf.float64)
    flows = tfd.TransformedDistribution(base, case.fresh(first))

    def log_density(y: np.ndarray) -> np.ndarray:
        values = Evaluator(case).values(x, y, first)
        return base.log_prob(values["inverse"]).numpy() + values["ildj"]

    log_prob = log_density(y)
    reshaped = tfd.BatchReshape(flows, [2, NUM_EXAMPLES // 2])
    found = reshaped.log_prob(
        tf.constant(y.reshape(-1, 2, NUM_EXAMPLES // 2, *event))
    )
    findings.close(
        "log_prob of tfd.BatchReshape",
        np.reshape(found, log_prob.shape),
        log_prob,
        case.tolerances.same,
    )
    # The same points for all the examples, one component each.
    log_prob = log_density(np.repeat(y[:, :1], NUM_EXAMPLES, axis=1))
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.zeros([NUM_EXAMPLES], tf.float64)), flows
    )
    findings.close(
        "log_prob of tfd.MixtureSameFamily",
        mixture.log_prob(tf.constant(y[:, 0])),
        np.logaddexp.reduce(log_prob, axis=1) - np.log(NUM_EXAMPLES),
        case.tolerances.same,
        scale=1.0 + np.abs(log_prob).max(1),
    )
    findings.require(
        mixture.event_shape == event,
        "event shape of tfd.MixtureSameFamily",
        expected=event,
        found=mixture.event_shape,
    )
