import numpy as np
import pandas as pd
import pytest

from stages.lib import predictions

REPEATS = pd.DataFrame({"val_accuracy": [0.6, 0.8], "val_loss": [0.5, 0.7]})
COUNTS = np.array([[8, 2, 0], [1, 9, 0], [0, 5, 5]])


def test_confusion_has_a_row_for_the_actual_and_a_column_for_the_predicted_class():
    counts = predictions.confusion(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"])
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_macro_f1_by_hand():
    by_hand = (2 * 8 / (10 + 9) + 2 * 9 / (10 + 16) + 2 * 5 / (10 + 5)) / 3
    assert predictions.macro_f1(COUNTS) == pytest.approx(by_hand)
    assert predictions.macro_f1(np.array([[4, 0], [0, 0]])) == 0.5


def test_metrics_are_flat_rounded_and_hold_the_wilson_interval():
    metrics = predictions.metrics(COUNTS, 0.51234567, REPEATS, {"temperature": 1.23456})
    # Wilson's interval for 22 of 30, written out from its formula.
    n, p, z = 30, 22 / 30, 1.959964
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert metrics["accuracy_low"] == pytest.approx((centre - half) / (1 + z * z / n), abs=1e-4)
    assert metrics["accuracy_high"] == pytest.approx((centre + half) / (1 + z * z / n), abs=1e-4)
    assert (metrics["accuracy"], metrics["loss"], metrics["chance"]) == (0.7333, 0.5123, 0.3333)
    assert metrics["learned"] is True
    assert (metrics["val_accuracy"], metrics["val_accuracy_std"], metrics["val_loss"]) == (0.7, 0.1414, 0.6)
    assert metrics["temperature"] == 1.2346


def test_a_model_that_names_one_class_has_not_learned():
    metrics = predictions.metrics(np.array([[50, 0], [50, 0]]), 0.7, REPEATS[:1], {})
    assert (metrics["accuracy"], metrics["chance"], metrics["learned"]) == (0.5, 0.5, False)
    assert metrics["val_accuracy_std"] == 0


def test_the_table_and_its_worst_mistakes():
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.6, 0.4]])
    table = predictions.table(["w", "x", "y", "z"], np.array([0, 0, 1, 1]), probabilities, ["cat", "dog"])
    assert table["predicted"].tolist() == ["cat", "dog", "cat", "cat"]
    assert table["probability"].tolist() == [0.9, 0.7, 0.8, 0.6]
    assert table["p_dog"].tolist() == [0.1, 0.7, 0.2, 0.4]
    assert predictions.worst_mistakes(table, 2) == [2, 1]
