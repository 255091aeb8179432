import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cnn.evaluation import classification_measures

REPEATS = pd.DataFrame({"val_accuracy": [0.6, 0.8], "val_loss": [0.5, 0.7]})
COUNTS = np.array([[8, 2, 0], [1, 9, 0], [0, 5, 5]])


def test_confusion_has_a_row_for_the_actual_and_a_column_for_the_predicted_class():
    counts = classification_measures.confusion(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"])
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_macro_f1_by_hand():
    by_hand = (2 * 8 / (10 + 9) + 2 * 9 / (10 + 16) + 2 * 5 / (10 + 5)) / 3
    assert classification_measures.macro_f1(COUNTS) == pytest.approx(by_hand)
    assert classification_measures.macro_f1(np.array([[4, 0], [0, 0]])) == 0.5


def test_metrics_are_flat_rounded_and_hold_the_wilson_interval():
    metrics = classification_measures.metrics(COUNTS, 0.51234567, REPEATS, {"temperature": 1.23456})
    # Wilson's interval for 22 of 30, written out from its formula.
    n, p, z = 30, 22 / 30, 1.959964
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert metrics["accuracy_low"] == pytest.approx((centre - half) / (1 + z * z / n), abs=1e-4)
    assert metrics["accuracy_high"] == pytest.approx((centre + half) / (1 + z * z / n), abs=1e-4)
    assert (metrics["accuracy"], metrics["loss"], metrics["chance"]) == (0.7333, 0.5123, 0.3333)
    assert metrics["learned"] is True
    assert (metrics["val_accuracy"], metrics["val_accuracy_std"], metrics["val_loss"]) == (0.7, 0.1414, 0.6)
    assert metrics["temperature"] == 1.2346


@pytest.mark.parametrize(("right", "total"), [(0, 1), (1, 1), (0, 50), (50, 50), (22, 30), (99_000, 100_000)])
def test_the_interval_is_scipys(right, total):
    expected = stats.binomtest(right, total).proportion_ci(classification_measures.CONFIDENCE, method="wilson")
    assert classification_measures.wilson(right, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_model_that_names_one_class_has_not_learned():
    metrics = classification_measures.metrics(np.array([[50, 0], [50, 0]]), 0.7, REPEATS[:1], {})
    assert (metrics["accuracy"], metrics["chance"], metrics["learned"]) == (0.5, 0.5, False)
    assert metrics["val_accuracy_std"] == 0


def test_the_table_and_its_worst_mistakes():
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.6, 0.4]])
    table = classification_measures.table(["w", "x", "y", "z"], np.array([0, 0, 1, 1]), probabilities, ["cat", "dog"])
    assert table["predicted"].tolist() == ["cat", "dog", "cat", "cat"]
    assert table["probability"].tolist() == [0.9, 0.7, 0.8, 0.6]
    assert table["p_dog"].tolist() == [0.1, 0.7, 0.2, 0.4]
    assert classification_measures.worst_mistakes(table, 2) == [2, 1]


def test_the_curve_counts_what_each_threshold_gives():
    probability, labels = np.array([0.9, 0.8, 0.8, 0.4, 0.1]), np.array([1, 1, 0, 1, 0])
    curve = classification_measures.two_class_curve(probability, labels)
    assert curve.threshold.tolist() == [np.inf, 0.9, 0.8, 0.4, 0.1]  # equal probabilities are one point
    assert curve.found.tolist() == [0, 1, 2, 3, 3] and curve.false.tolist() == [0, 0, 1, 1, 2]
    assert curve.precision.tolist() == [1, 1, 2 / 3, 3 / 4, 3 / 5]
    assert [curve.at(threshold) for threshold in (0.95, 0.9, 0.85, 0.4, 0.0)] == [0, 1, 1, 3, 4]


def test_two_class_measures_by_their_definitions():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    probability = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 1)  # with many equal ones
    curve = classification_measures.two_class_curve(probability, labels)
    measured = classification_measures.two_class_metrics(curve, probability, labels)
    pairs = np.subtract.outer(probability[labels == 1], probability[labels == 0])
    assert measured["roc_auc"] == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-4)
    assert measured["roc_auc"] == pytest.approx(np.trapezoid(curve.recall, curve.false_rate), abs=1e-4)
    said = [probability >= threshold for threshold in sorted(set(probability), reverse=True)]
    recalls = [np.mean(each[labels == 1]) for each in said]
    precisions = [np.mean(labels[each]) for each in said]
    average = np.sum(np.diff([0, *recalls]) * precisions)
    assert measured["average_precision"] == pytest.approx(average, abs=1e-4)
    assert measured["learned"] is True
    assert classification_measures.two_class_metrics(curve, probability, rng.permutation(labels))["learned"] is False


def test_the_threshold_has_the_highest_macro_f1():
    rng = np.random.default_rng(1)
    labels = (rng.random(200) < 0.2).astype(int)
    probability = np.clip(rng.normal(0.1 + 0.15 * labels, 0.1), 0, 1)
    best = classification_measures.best_threshold(probability, labels)

    def f1(threshold: float) -> float:
        said = probability >= threshold
        return classification_measures.macro_f1(
            np.array([[np.sum((labels == a) & (said == b)) for b in (0, 1)] for a in (0, 1)])
        )

    assert f1(best) == pytest.approx(max(f1(threshold) for threshold in np.linspace(0, 1, 2001)))
    assert f1(best) > f1(0.5) + 0.1
    # All surely of the second class: the threshold above any probability names nobody.
    nobody = classification_measures.best_threshold(np.ones(4), np.array([0, 0, 0, 1]))
    assert nobody > 1
    # Nothing to choose from: as near to one half as can be, between two probabilities.
    assert classification_measures.best_threshold(np.array([0.1, 0.2, 0.9]), np.array([0, 0, 1])) == pytest.approx(0.55)


def test_of_two_classes_the_threshold_decides_and_the_probability_is_that_of_the_named_one():
    probabilities = np.array([[0.7, 0.3], [0.9, 0.1]])
    table = classification_measures.table(["a", "b"], np.array([1, 0]), probabilities, ["ok", "bad"], threshold=0.3)
    assert table["predicted"].tolist() == ["bad", "ok"]
    assert table["probability"].tolist() == [0.3, 0.9]
