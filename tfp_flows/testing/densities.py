"""Checks of the density that a bijector gives, and of its noise."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.testing import tolerances
from tfp_flows.testing.case import NUM_EXAMPLES, Arrays, BijectorCase
from tfp_flows.testing.evaluation import base_distribution
from tfp_flows.testing.report import Findings

__all__ = ["check_amortized_noise", "check_density"]

tfd = tfp.distributions

# Parameters are halved for integrals: a density with sharp folds would need a
# finer grid.
GENTLE = 0.5

# Grids of the integral: 12 standard deviations of the base. The finer one is
# for densities with kinks, whose integral on a grid is off by its square.
GRID_LIMIT = 12.0
GRID_STEPS = {1: (0.002,), 2: (0.1, 0.04)}

NUM_IMPORTANCE_SAMPLES = 50_000


def check_density(case: BijectorCase, findings: Findings) -> None:
    """The density of a transformed normal integrates to one.

    By the trapezoid rule in one dimension if the event is `[1]`, else in two,
    at the same map for event `[2]`. Where the parameter shapes at `[2]` are
    not known (`parameter_shapes` is a dict), by importance sampling at the
    case's own event shape: E_q[p / q] = 1 for a normal p fitted to q (which is
    none on circles).
    """
    with findings.attempt("the integral of the density"):
        if tuple(case.event_shape) == (1,):
            return _integrate(case, 1, findings)
        plane = case.at_event_shape((2,)) if case.event_ndims == 1 else None
        if plane is not None:
            return _integrate(plane, 2, findings)
        return _sample_integral(case, findings)


def _integrate(case: BijectorCase, num_axes: int, findings: Findings) -> None:
    # Two maps: one batch axis behind that of the grid.
    parameters = case.parameters("density", (2,), GENTLE)
    for step in GRID_STEPS[num_axes]:
        lines = [_line(case, i, step) for i in range(num_axes)]
        grid = np.stack(np.meshgrid(*lines), -1).reshape(-1, num_axes)
        log_prob = _log_prob(case, grid[:, np.newaxis], parameters)
        cell = np.prod([line[1] - line[0] for line in lines])
        integral = np.exp(log_prob).sum(0) * cell
        if np.abs(integral - 1.0).max() <= case.tolerances.integral:
            break
    findings.close(
        f"integral of the density in {num_axes}-D",
        integral,
        np.ones(2),
        case.tolerances.integral,
        scale=1.0,
        where=case.describe_example(parameters),
    )


def _line(case: BijectorCase, coordinate: int, step: float) -> np.ndarray:
    """Points at this distance, or a smaller one that goes into a circle."""
    if case.is_circular[coordinate]:
        num = int(np.ceil(2.0 * case.half_width / step))
        line = np.linspace(-1.0, 1.0, num, endpoint=False)
        return case.half_width * line
    return np.arange(-GRID_LIMIT, GRID_LIMIT + step / 2, step)


def _log_prob(
    case: BijectorCase, points: np.ndarray, parameters: Arrays
) -> np.ndarray:
    q = tfd.TransformedDistribution(
        base_distribution(case, tf.float64), case.fresh(parameters)
    )
    return q.log_prob(tf.constant(points)).numpy()


def _sample_integral(case: BijectorCase, findings: Findings) -> None:
    parameters = case.parameters("density", (2,), GENTLE)
    num = NUM_IMPORTANCE_SAMPLES
    rng = case.rng("density")
    noise = rng.standard_normal((2 * num, 2, *case.event_shape))
    noise *= case.base_scale
    y = case.fresh(parameters).forward(tf.constant(noise)).numpy()
    # A normal fitted to the samples that it weighs would be biased.
    fitted, y = y[:num].reshape(num, 2, -1), y[num:]
    log_q = _log_prob(case, y, parameters)
    flat = y.reshape(num, 2, -1)
    for b in range(2):
        mean, covariance = fitted[:, b].mean(0), np.cov(fitted[:, b].T)
        target = tfd.MultivariateNormalTriL(
            mean, np.linalg.cholesky(np.atleast_2d(covariance))
        )
        weight = np.exp(target.log_prob(flat[:, b]).numpy() - log_q[:, b])
        error = float(weight.std() / np.sqrt(num))
        findings.require(
            error <= tolerances.LARGEST_STANDARD_ERROR,
            "standard error of the importance estimate",
            expected=(
                f"at most {tolerances.LARGEST_STANDARD_ERROR}; give "
                "`parameter_shapes` as a function of the event shape, so that "
                "the density is integrated in two dimensions"
            ),
            found=f"{error:.3g}",
        )
        findings.close(
            "importance estimate of the density's integral",
            [weight.mean()],
            [1.0],
            tolerances.STANDARD_ERRORS * error + case.tolerances.integral,
            scale=1.0,
            where=case.describe_example(case.take(parameters, [b])),
        )


def check_amortized_noise(case: BijectorCase, findings: Findings) -> None:
    """Parameters `[B]` give B distributions, each with noise of its own.

    Whatever base is used, the batch shape is `[B]`, the noise recovered from
    one sample differs between the examples, and the log-prob of a sample is
    that of the same value unseen.
    """
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    event = list(case.event_shape)
    batch = [NUM_EXAMPLES]
    full = tf.zeros(batch + event, tf.float64)
    scale = tf.constant(case.base_scale)
    standard = tfd.Normal(tf.constant(0.0, tf.float64), tf.reduce_min(scale))
    bases = {
        "a base of batch [B]": lambda: tfd.Independent(
            tfd.Normal(full, scale),
            reinterpreted_batch_ndims=case.event_ndims,
        ),
        "tfd.Sample": lambda: tfd.Sample(standard, event),
    }
    for kind, make_base in bases.items():
        with findings.attempt(f"amortized samples, {kind}"):
            q = tfd.TransformedDistribution(make_base(), case.fresh(parameters))
            findings.require(
                q.batch_shape.rank is not None
                and q.batch_shape.as_list() == batch,
                f"batch_shape of the distribution, {kind}",
                expected=batch,
                found=q.batch_shape,
            )
            sample = q.sample(seed=[case.seed, 1])
            _check_distinct(case, kind, sample.numpy(), parameters, findings)

            samples, log_prob = q.experimental_sample_and_log_prob(
                3, seed=[case.seed, 2]
            )
            findings.require(
                samples.shape.as_list() == [3, *batch, *event],
                f"shape of 3 samples, {kind}",
                expected=[3, *batch, *event],
                found=samples.shape,
            )
            unseen = tfd.TransformedDistribution(
                make_base(), case.fresh(parameters)
            )
            findings.close(
                f"log_prob of a sample against the same value unseen, {kind}",
                log_prob.numpy(),
                unseen.log_prob(tf.constant(samples.numpy())).numpy(),
                case.tolerances.same,
            )


def _check_distinct(
    case: BijectorCase,
    kind: str,
    sample: np.ndarray,
    parameters: Arrays,
    findings: Findings,
) -> None:
    expected = [NUM_EXAMPLES, *case.event_shape]
    findings.require(
        list(sample.shape) == expected,
        f"shape of one sample, {kind}",
        expected=expected,
        found=list(sample.shape),
    )
    if list(sample.shape) != expected:
        return
    noise = case.fresh(parameters).inverse(tf.constant(sample)).numpy()
    noise = noise.reshape(NUM_EXAMPLES, -1)
    apart = np.abs(noise[:, None] - noise[None]).max(-1)
    apart = apart[~np.eye(NUM_EXAMPLES, dtype=bool)].min()
    findings.require(
        apart > tolerances.DISTINCT_NOISE,
        f"base noise of two examples, {kind}",
        expected="independent draws",
        found=f"the same draw, {apart:.1e} apart",
    )
