"""From outputs to the class that is named, and from labels to targets; the threshold and the margin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from cnn.model import labels


def test_targets_fit_the_outputs():
    assert labels.targets(np.array([1, 0]), 1).tolist() == [[1.0], [0.0]]
    assert labels.targets(np.array([1, 0]), 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert labels.targets(np.array([2.5, -1.0], dtype=np.float32), 1).tolist() == [[2.5], [-1.0]]
    assert labels.targets(np.array([1, 0]), 1).dtype == labels.targets(np.array([1, 0]), 3).dtype == np.float32


def test_a_sigmoid_units_probability_is_that_of_the_second_class():
    assert np.allclose(labels.probabilities(np.array([[0.25], [1.0]])), [[0.75, 0.25], [0.0, 1.0]])
    three = np.array([[0.2, 0.3, 0.5]])
    assert labels.probabilities(three) is three


def test_the_most_probable_class_is_named_or_with_a_threshold_the_second_from_there_on():
    probabilities = np.array([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])
    assert labels.predicted_class(probabilities, None).tolist() == [0, 0, 1]  # the first of equal ones
    assert labels.predicted_class(probabilities, 0.3).tolist() == [1, 1, 1]
    assert labels.predicted_class(probabilities, 0.6).tolist() == [0, 0, 1]
    assert labels.predicted_class(probabilities, 1.1).tolist() == [0, 0, 0]


def macro_f1(probability: np.ndarray, of_pictures: np.ndarray, threshold: float) -> float:
    second = labels.predicted_class(np.stack([1 - probability, probability], axis=1), threshold)
    return f1_score(of_pictures, second, average="macro", labels=[0, 1], zero_division=0)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=30))
def test_the_threshold_is_the_best_of_all_that_part_the_pictures(drawn):
    probability = np.array([step / 20 for step, _ in drawn])  # with many equal ones
    of_pictures = np.array([int(label) for _, label in drawn])
    of_pictures[:2] = 0, 1  # no class is without pictures
    values = np.unique(probability)
    between = [1.05, *(values[:-1] + values[1:]) / 2, values[0] / 2]  # above all, between two, below all
    best = max(macro_f1(probability, of_pictures, threshold) for threshold in between)
    chosen = labels.best_threshold(probability, of_pictures)
    assert macro_f1(probability, of_pictures, chosen) == pytest.approx(best)
    as_good = [each for each in between if macro_f1(probability, of_pictures, each) == pytest.approx(best)]
    assert abs(chosen - 0.5) <= min(abs(each - 0.5) for each in as_good) + 1e-12


def test_the_threshold_moves_to_a_rare_class_and_otherwise_stays_near_one_half():
    rng = np.random.default_rng(1)
    rare = (rng.random(200) < 0.2).astype(int)
    probability = np.clip(rng.normal(0.1 + 0.15 * rare, 0.1), 0, 1)
    best = macro_f1(probability, rare, labels.best_threshold(probability, rare))
    assert best > macro_f1(probability, rare, 0.5) + 0.1
    # All surely of the second class: the threshold above any probability names nobody.
    assert labels.best_threshold(np.ones(4), np.array([0, 0, 0, 1])) > 1
    # Nothing to choose from: as near to one half as can be, between two probabilities.
    assert labels.best_threshold(np.array([0.1, 0.2, 0.9]), np.array([0, 0, 1])) == pytest.approx(0.55)


def test_the_margin_is_an_error_of_the_pictures_and_holds_for_nine_of_ten():
    assert labels.margin(np.arange(1.0, 20.0)) == 18  # of 19 the ceil(20 * 0.9) = 18th
    assert labels.margin(-np.arange(1.0, 20.0)[::-1]) == 18
    assert labels.margin(np.array([-3.0, 1.0])) == 3  # of so few the largest is all there is
    drawn = np.random.default_rng(0).normal(size=(200, 2, 100))
    covered = [np.mean(np.abs(new) <= labels.margin(old)) for old, new in drawn]
    assert np.mean(covered) == pytest.approx(labels.COVERED, abs=0.01)
