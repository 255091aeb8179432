"""Calibration errors, temperatures, and heat maps, on cases whose answer is known."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from cnn.evaluation import calibration
from cnn.model import occlusion


def overconfident(n: int = 20_000, temperature: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 3) that are too sure by `temperature`, and labels drawn from the true ones."""
    generator = np.random.default_rng(0)
    true = generator.dirichlet([1, 1, 1], n)
    labels = (generator.random((n, 1)) > true.cumsum(axis=1)).sum(axis=1)
    return calibration.scale(true, 1 / temperature), labels


def test_the_temperature_that_made_them_too_sure_is_found_and_mends_them():
    probabilities, labels = overconfident()
    found = calibration.fit_temperature(probabilities, labels)
    assert found == pytest.approx(2.5, rel=0.05)
    before = calibration.expected_error(calibration.bins(probabilities, labels))
    after = calibration.expected_error(calibration.bins(calibration.scale(probabilities, found), labels))
    assert before > 0.15 and after < 0.02


def test_the_temperature_is_the_one_with_the_highest_likelihood():
    for seed, true in enumerate((0.2, 0.7, 1.0, 6.0)):
        generator = np.random.default_rng(seed)
        probabilities, labels = overconfident(400, true)
        probabilities = generator.permuted(probabilities, axis=1) * 0.1 + probabilities * 0.9

        def loss(logarithm: float, given=probabilities, labels=labels) -> float:
            return -np.log(calibration.scale(given, np.exp(logarithm))[np.arange(len(labels)), labels]).mean()

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


def test_the_error_by_hand():
    # 0.95 twice, one right; 0.65 twice, both right: (2 * |0.5 - 0.95| + 2 * |1 - 0.65|) / 4
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.65, 0.35]])
    found = calibration.bins(probabilities, np.array([0, 1, 0, 0]))
    assert [(each.count, each.accuracy) for each in found] == [(2, 1.0), (2, 0.5)]
    assert calibration.expected_error(found) == pytest.approx((0.45 + 0.35) / 2)


def test_heat_is_where_the_answer_comes_from():
    image = np.full((48, 48, 3), 60, np.uint8)
    image[8:16, 32:40] = 250

    def bright_corner(images: np.ndarray) -> np.ndarray:
        p = images[:, 8:16, 32:40].mean(axis=(1, 2, 3)) / 255
        return np.stack([p, 1 - p], axis=1)

    found = occlusion.heat(bright_corner, image, 0)
    assert found.shape == (48, 48) and found.max() == 1
    assert found[8:16, 32:40].mean() > 0.5
    assert found[:, :20].max() == 0 and found[30:].max() == 0
    assert occlusion.heat(lambda images: np.full((len(images), 2), 0.5), image, 0).max() == 0
    painted = occlusion.overlay(image, found)
    assert painted.shape == image.shape and (painted[40, 4] == 60).all()
