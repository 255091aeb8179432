"""Which pictures are shown and explained: the surest right answers, the worst mistakes, and ties by file name."""

import numpy as np

from cnn.common.task import Classification, Regression
from cnn.model import examples

FILES = ["f", "e", "d", "c", "b", "a"]
ACTUAL = np.array([0, 0, 1, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 0, 2, 1])
PROBABILITY = np.array([0.9, 0.9, 0.6, 0.7, 0.7, 0.8])


def test_mistakes_begin_with_the_most_confident_and_ties_go_by_file_name():
    assert examples.mistakes(FILES, ACTUAL, PREDICTED, PROBABILITY) == [5, 4, 3]  # a, then b before c
    assert examples.mistakes(FILES, ACTUAL, ACTUAL, PROBABILITY) == []


def test_the_surest_is_one_right_answer_a_class_and_of_equal_ones_the_first_by_name():
    assert examples.surest(FILES, ACTUAL, PREDICTED, PROBABILITY) == [1, 2]  # e before f; class 2 is never right
    assert examples.surest(FILES, ACTUAL, np.array([1, 1, 0, 0, 0, 0]), PROBABILITY) == []


def test_the_largest_errors_come_first_whatever_their_sign_and_ties_go_by_file_name():
    assert examples.largest_errors(["c", "b", "a", "d"], np.array([1.0, -2.0, 2.0, 0.0])) == [2, 1, 0, 3]


def test_the_smallest_error_of_each_range_of_numbers_is_shown():
    targets = np.arange(50.0)
    errors = np.full(50, 3.0)
    errors[[4, 17, 23, 31, 49]] = [-0.1, 0.2, -0.3, 0.4, 0.5]
    files = [f"{number:02d}" for number in range(50)]
    assert examples.smallest_errors(files, targets, errors) == [4, 17, 23, 31, 49]
    # Of equal errors the first by file name; two numbers are the ends of one range.
    assert examples.smallest_errors(["b", "c", "a", "d"], np.array([1.0, 1, 9, 9]), np.ones(4)) == [2]


def test_ranges_of_numbers_have_about_as_many_pictures_each():
    targets = np.random.default_rng(0).exponential(size=1000)
    borders = examples.target_ranges(targets)
    assert (borders[0], borders[-1]) == (targets.min(), targets.max())
    assert np.allclose(np.histogram(targets, borders)[0], 200, atol=2)
    assert examples.target_ranges(np.array([1.0, 1, 1])).tolist() == [1.0]


def test_the_first_right_answers_and_the_worst_mistakes_are_explained_for_the_class_that_is_named():
    task = Classification(tuple("abc"))
    predicted = np.eye(3)[PREDICTED] * (PROBABILITY[:, None] - 0.05) + 0.05
    validation = np.array([0]), np.array([[1.0, 0, 0]])
    requests = examples.heatmap_requests(task, FILES, ACTUAL, predicted, validation)
    assert [(request.row, request.predicted_class) for request in requests] == [(1, 0), (2, 1), (5, 1), (4, 2), (3, 0)]
    assert all(request.reference is None for request in requests)


def test_of_two_classes_the_threshold_of_the_validation_pictures_says_which_is_named():
    task = Classification(("a", "b"))
    # Between 0.1 and 0.2 lies the threshold: the test picture's 0.3 names the second class.
    validation = np.array([0, 0, 1, 1]), np.array([[0.95, 0.05], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    requests = examples.heatmap_requests(task, ["x"], np.array([0]), np.array([[0.7, 0.3]]), validation)
    assert [(request.row, request.predicted_class) for request in requests] == [(0, 1)]


def test_of_numbers_good_and_bad_answers_are_explained_in_units_of_the_margin():
    known = np.arange(20, dtype=np.float32)
    predicted = known[:, None] + np.where(known == 7, 9, 0.5)[:, None].astype(np.float32)
    validation = known, known[:, None] + np.float32(2)
    files = [f"{number:02d}" for number in range(20)]
    requests = examples.heatmap_requests(Regression(10.0, 5.0), files, known, predicted, validation)
    assert len(requests) == 2 * examples.EXPLAINED
    assert requests[examples.EXPLAINED].row == 7  # the worst mistake
    assert all(request.unit == 2 and request.reference == predicted[request.row] for request in requests)
