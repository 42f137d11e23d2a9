"""Leapfrog steps, and the annealed estimator in cases that are known."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import hamiltonian
from tfp_flows.targets import get

D = 2
EPSILON = np.array([0.3, 0.2])
U1 = get("u1").unnormalized_log_prob
Z, RHO = np.random.default_rng(0).normal(size=[2, 6, D])
A = np.array([[2.0, 0.6], [0.6, 1.5]])  # the precision of a Gaussian target
B = np.array([0.4, -0.7])
SCALE = 0.8  # of its base, around 0


def _log_joint(z):
    return tf.linalg.matvec(z, B) - 0.5 * tf.reduce_sum(
        z * tf.linalg.matvec(A, z), axis=-1
    )


def _log_base(z):
    constant = np.log(2.0 * np.pi * SCALE**2)
    return -0.5 * tf.reduce_sum((z / SCALE) ** 2, axis=-1) - constant


def _leapfrog(z, momentum, num_steps=3):
    densities, weights = [U1, _log_base], [0.7, 0.3]
    point = hamiltonian.evaluate(densities, z)
    for _ in range(num_steps):
        point, momentum = hamiltonian.leapfrog(
            point, momentum, EPSILON, densities, weights
        )
    return point.z, momentum


def test_leapfrog_is_reversible():
    z, momentum = _leapfrog(tf.constant(Z), tf.constant(RHO))
    assert np.all(np.abs(z - Z) > 1e-3)
    z, momentum = _leapfrog(z, -momentum)
    np.testing.assert_allclose(z, Z, atol=1e-10)
    np.testing.assert_allclose(-momentum, RHO, atol=1e-10)


def test_leapfrog_keeps_volumes():
    both = tf.constant(np.concatenate([Z, RHO], axis=-1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(both)
        moved = tf.concat(_leapfrog(*tf.split(both, 2, axis=-1)), axis=-1)
        coordinates = tf.unstack(moved, axis=-1)
    jacobian = np.stack([tape.gradient(y, both) for y in coordinates], axis=-2)
    assert np.abs(jacobian - np.eye(2 * D)).max() > 0.1
    np.testing.assert_allclose(np.linalg.det(jacobian), 1.0, atol=1e-10)


def _exact_mean(function, size):
    """Of a quadratic function of so many standard normal numbers."""
    directions = np.concatenate(
        [np.zeros([1, size]), np.eye(size), -np.eye(size)]
    )
    center, *others = np.split(
        np.asarray(function(tf.constant(directions))), [1, size + 1]
    )
    return center[0] + 0.5 * np.sum(sum(others) - 2.0 * center)


class _Linear:
    """The annealed bound of the Gaussian target: means and covariances."""

    def __init__(self, betas, step_sizes, num_leapfrog_steps, persistence):
        self.mean = np.zeros(2 * D)
        self.covariance = np.diag([SCALE**2] * D + [1.0] * D)
        # E[-log q_0(z_0)] of the base.
        self.bound = D * 0.5 * (1.0 + np.log(2.0 * np.pi * SCALE**2))
        for k, (beta, eps) in enumerate(zip(betas, step_sizes, strict=True)):
            if k:
                self._refresh(persistence)
            self.bound += 0.5 * self._squared_momentum()
            for _ in range(num_leapfrog_steps):
                self._kick(beta, 0.5 * eps)
                self._drift(eps)
                self._kick(beta, 0.5 * eps)
            self.bound -= 0.5 * self._squared_momentum()
        mean = self.mean[:D]
        second = self.covariance[:D, :D] + np.outer(mean, mean)
        self.bound += B @ mean - 0.5 * np.sum(A * second)

    def _map(self, matrix, shift=0.0):
        self.mean = matrix @ self.mean + shift
        self.covariance = matrix @ self.covariance @ matrix.T

    def _refresh(self, eta):
        self._map(np.diag([1.0] * D + [eta] * D))
        self.covariance += np.diag([0.0] * D + [1.0 - eta**2] * D)

    def _kick(self, beta, half):
        matrix, shift = np.eye(2 * D), np.zeros(2 * D)
        hessian = beta * A + (1.0 - beta) * np.eye(D) / SCALE**2
        matrix[D:, :D] = -half[:, None] * hessian
        shift[D:] = half * beta * B
        self._map(matrix, shift)

    def _drift(self, eps):
        matrix = np.eye(2 * D)
        matrix[:D, D:] = np.diag(eps)
        self._map(matrix)

    def _squared_momentum(self):
        mean = self.mean[D:]
        return np.trace(self.covariance[D:, D:]) + mean @ mean


@pytest.mark.parametrize(
    ("num_leapfrog_steps", "persistence"),
    [*itertools.product([1, 3], [0.0, 0.9, 1.0])],
)
def test_bound_of_a_gaussian_is_exact(num_leapfrog_steps, persistence):
    betas = np.array([0.2, 0.5, 1.0])
    step_sizes = EPSILON * np.array([[1.0], [0.8], [1.2]])
    num_draws = hamiltonian.num_momentum_draws(3, persistence)
    assert num_draws == (1 if persistence == 1.0 else 3)

    def log_weight(noise):
        base_noise, momenta = tf.split(noise, [D, -1], axis=-1)
        z = SCALE * base_noise
        found = hamiltonian.anneal(
            z,
            _log_joint,
            _log_base,
            tf.stack(tf.split(momenta, num_draws, axis=-1)),
            betas=tf.constant(betas),
            step_sizes=step_sizes,
            num_leapfrog_steps=num_leapfrog_steps,
            persistence=persistence,
        )
        return _log_joint(found.z) + found.log_weight - _log_base(z)

    expected = _Linear(betas, step_sizes, num_leapfrog_steps, persistence)
    found = _exact_mean(log_weight, D + num_draws * D)
    np.testing.assert_allclose(found, expected.bound, rtol=1e-10)
    log_evidence = 0.5 * B @ np.linalg.solve(A, B) + 0.5 * np.log(
        (2.0 * np.pi) ** D / np.linalg.det(A)
    )
    base_bound = _Linear([], [], 1, 0.0).bound
    assert base_bound + 0.01 < found < log_evidence


def test_tempered_momenta_are_those_of_the_paper():
    """One step after the other, as Caterini et al. write it."""
    num_bridges, temperature = 3, 1.7
    alphas = hamiltonian.quadratic_tempering(
        tf.constant(temperature, tf.float64), num_bridges
    )
    np.testing.assert_allclose(np.prod(alphas), temperature**-0.5, rtol=1e-12)
    found = hamiltonian.anneal(
        tf.constant(Z),
        U1,
        None,
        tf.constant(RHO[None]),
        betas=tf.ones([num_bridges], tf.float64),
        step_sizes=EPSILON,
        persistence=1.0,
        tempering=alphas,
    )
    point = hamiltonian.evaluate([U1], tf.constant(Z))
    momentum = np.sqrt(temperature) * RHO
    for k in range(1, num_bridges + 1):
        point, momentum = hamiltonian.leapfrog(
            point, momentum, EPSILON, [U1], [1.0]
        )
        now, before = (
            temperature + (1.0 - temperature) * i**2 / num_bridges**2
            for i in (k, k - 1)
        )
        momentum *= np.sqrt(now / before)
    log_weight = 0.5 * np.sum(RHO**2 - momentum**2, axis=-1)
    np.testing.assert_allclose(found.z, point.z, rtol=1e-12)
    np.testing.assert_allclose(found.log_weight, log_weight, rtol=1e-10)


def test_each_step_costs_one_gradient():
    calls = []

    def counted(name, log_density):
        def count(z):
            calls.append(name)
            return log_density(z)

        return count

    hamiltonian.anneal(
        tf.constant(Z),
        counted("joint", _log_joint),
        counted("base", _log_base),
        tf.constant(np.stack([RHO] * 4)),
        betas=hamiltonian.linear_betas(4),
        step_sizes=0.1,
        num_leapfrog_steps=3,
    )
    assert calls.count("joint") == calls.count("base") == 4 * 3 + 1


def test_energy_error_is_the_mean_over_the_bridges():
    found = hamiltonian.anneal(
        tf.constant(Z),
        _log_joint,
        None,
        tf.constant(np.stack([RHO] * 2)),
        betas=tf.ones([2]),
        step_sizes=EPSILON,
        num_leapfrog_steps=2,
        persistence=0.0,
    )
    z, errors = tf.constant(Z), []
    for _ in range(2):
        point = hamiltonian.evaluate([_log_joint], z)
        momentum = tf.constant(RHO)
        for _ in range(2):
            point, momentum = hamiltonian.leapfrog(
                point, momentum, EPSILON, [_log_joint], [1.0]
            )
        before = 0.5 * np.sum(RHO**2, axis=-1) - _log_joint(z)
        z = point.z
        after = 0.5 * np.sum(momentum**2, axis=-1) - _log_joint(z)
        errors.append(np.abs(after - before))
    np.testing.assert_allclose(
        found.energy_error, np.mean(errors, axis=0), rtol=1e-9
    )
    np.testing.assert_allclose(found.z, z, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_step_is_the_base(dtype):
    z, noise = tf.constant(Z, dtype), tf.constant(np.stack([RHO] * 3), dtype)
    betas = hamiltonian.linear_betas(3)
    still = hamiltonian.anneal(
        z, U1, _log_base, noise, betas=betas, step_sizes=0.0
    )
    none = hamiltonian.anneal(
        z, U1, _log_base, noise[:0], betas=betas[:0], step_sizes=0.1
    )
    for found in (still, none):
        np.testing.assert_array_equal(found.z, z)
        np.testing.assert_array_equal(found.log_weight, np.zeros(len(Z)))
        assert found.log_weight.dtype == dtype
