"""Calibration errors and temperatures, on cases whose answer is known."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from cnn.evaluation import calibration
from cnn.evaluation.classification_measures import reliability


def overconfident(n: int = 20_000, temperature: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 3) that are too sure by `temperature`, and labels drawn from the true ones."""
    generator = np.random.default_rng(0)
    true = generator.dirichlet([1, 1, 1], n)
    labels = (generator.random((n, 1)) > true.cumsum(axis=1)).sum(axis=1)
    return calibration.scale(true, 1 / temperature), labels


def test_the_temperature_that_made_them_too_sure_is_found_and_mends_them():
    probabilities, labels = overconfident()
    temperature = calibration.fit_temperature(probabilities, labels)
    assert temperature == pytest.approx(2.5, rel=0.05)
    scaled = calibration.scale(probabilities, temperature)
    assert reliability(probabilities, labels).expected_error > 0.15
    assert reliability(scaled, labels).expected_error < 0.02


def test_the_temperature_is_the_one_with_the_highest_likelihood():
    for seed, true in enumerate((0.2, 0.7, 1.0, 6.0)):
        generator = np.random.default_rng(seed)
        probabilities, labels = overconfident(400, true)
        probabilities = generator.permuted(probabilities, axis=1) * 0.1 + probabilities * 0.9

        def loss(logarithm: float, probabilities=probabilities, labels=labels) -> float:
            return -np.log(calibration.scale(probabilities, np.exp(logarithm))[np.arange(len(labels)), labels]).mean()

        bounds = tuple(np.log(calibration.TEMPERATURES))
        best = np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)
        assert calibration.fit_temperature(probabilities, labels) == pytest.approx(best, rel=1e-4)


def test_answers_that_are_all_right_ask_for_a_low_temperature_and_all_wrong_for_the_highest():
    sure = np.eye(3)[[0, 1, 2]] * 0.9 + 0.1 / 3
    assert calibration.fit_temperature(sure, np.array([0, 1, 2])) < 0.1  # the sure ones are 1.0 then
    assert calibration.fit_temperature(sure, np.array([1, 2, 0])) == pytest.approx(calibration.TEMPERATURES[1])


def test_scaling_keeps_the_order_and_the_sum_and_1_changes_nothing():
    probabilities = np.random.default_rng(1).dirichlet([1, 1, 1, 1], 100)
    scaled = calibration.scale(probabilities, 3.0)
    assert (scaled.argsort(axis=1) == probabilities.argsort(axis=1)).all()
    np.testing.assert_allclose(scaled.sum(axis=1), 1)
    np.testing.assert_allclose(calibration.scale(probabilities, 1.0), probabilities)
    assert np.isfinite(calibration.scale(np.array([[1.0, 0.0]]), 0.1)).all()
