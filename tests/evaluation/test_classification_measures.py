"""scikit-learn's and SciPy's measures, as this project calls them, against their definitions written out."""

from itertools import product
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from cnn.evaluation import classification_measures

REPEATS = pd.DataFrame({"val_accuracy": [0.6, 0.8], "val_loss": [0.5, 0.7]})
COUNTS = np.array([[8, 2, 0], [1, 9, 0], [0, 5, 5]])
EXACT = {"rel": 0, "abs": 1e-12}


def table_of(counts: np.ndarray, classes: str = "abcdefgh") -> pd.DataFrame:
    """A table with these counts, rows in no order. counts: int (classes, classes), row = actual class."""
    cells = [(row, column) for row, column in np.ndindex(counts.shape) for _ in range(counts[row, column])]
    names = [(classes[row], classes[column]) for row, column in np.random.default_rng(0).permutation(cells)]
    return pd.DataFrame(names, columns=["actual", "predicted"])


def metrics(counts: np.ndarray, repeats: pd.DataFrame = REPEATS, loss: float = 0.5, **more: float) -> dict:
    classes = "abcdefgh"[: len(counts)]
    return classification_measures.metrics(table_of(counts), classes, loss, repeats, more)


@pytest.fixture
def unrounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification_measures, "DIGITS", 15)


def random_counts(seed: int) -> np.ndarray:
    """Of 2 to 6 classes, some of them without a picture or never predicted."""
    generator = np.random.default_rng(seed)
    classes = generator.integers(2, 7)
    counts = generator.integers(0, 9, (classes, classes)) * generator.integers(0, 2, (classes, classes))
    counts[0, 0] += 1
    return counts


@pytest.mark.parametrize("seed", range(20))
def test_confusion_has_a_row_for_the_actual_and_a_column_for_the_predicted_class(seed):
    counts = random_counts(seed)
    found = classification_measures.confusion(table_of(counts), "abcdefgh"[: len(counts)])
    assert found.tolist() == counts.tolist()
    reverse = classification_measures.confusion(table_of(counts), "abcdefgh"[: len(counts)][::-1])
    assert reverse.tolist() == counts[::-1, ::-1].tolist(), "in the order of the classes, not of their names"


def test_macro_f1_by_hand():
    by_hand = (2 * 8 / (10 + 9) + 2 * 9 / (10 + 16) + 2 * 5 / (10 + 5)) / 3
    assert metrics(COUNTS)["macro_f1"] == pytest.approx(by_hand, abs=5e-5)
    assert metrics(np.array([[4, 0], [0, 0]]))["macro_f1"] == 0.5


@pytest.mark.parametrize("seed", range(20))
def test_accuracy_macro_f1_and_chance_are_what_their_definitions_give(unrounded, seed):
    counts = random_counts(seed)
    found = metrics(counts)
    f1 = []
    for k in range(len(counts)):
        true, actual, predicted = counts[k, k], counts[k].sum(), counts[:, k].sum()
        precision, recall = true / predicted if predicted else 0.0, true / actual if actual else 0.0
        f1.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    assert found["macro_f1"] == pytest.approx(sum(f1) / len(f1), **EXACT)
    assert found["accuracy"] == pytest.approx(np.trace(counts) / counts.sum(), **EXACT)
    assert found["chance"] == pytest.approx(counts.sum(axis=1).max() / counts.sum(), **EXACT)


@pytest.mark.parametrize(("right", "total"), [(0, 1), (1, 1), (0, 50), (50, 50), (22, 30), (99_000, 100_000)])
def test_the_interval_is_wilsons(unrounded, right, total):
    found = metrics(np.array([[right, total - right], [0, 0]]))
    n, p, z = total, right / total, NormalDist().inv_cdf(0.975)
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found["accuracy_low"] == pytest.approx((centre - half) / (1 + z * z / n), **EXACT)
    assert found["accuracy_high"] == pytest.approx((centre + half) / (1 + z * z / n), **EXACT)


def test_metrics_are_flat_and_rounded():
    found = metrics(COUNTS, loss=0.51234567, temperature=1.23456)
    assert (found["accuracy"], found["loss"], found["chance"]) == (0.7333, 0.5123, 0.3333)
    assert (found["accuracy_low"], found["accuracy_high"]) == (0.5555, 0.8582)
    assert found["learned"] is True
    assert (found["val_accuracy"], found["val_accuracy_std"], found["val_loss"]) == (0.7, 0.1414, 0.6)
    assert found["temperature"] == 1.2346


def test_a_model_that_names_one_class_has_not_learned():
    found = metrics(np.array([[50, 0], [50, 0]]), REPEATS[:1])
    assert (found["accuracy"], found["chance"], found["learned"]) == (0.5, 0.5, False)
    assert found["val_accuracy_std"] == 0


def test_the_table_has_a_row_a_picture():
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.6, 0.4]])
    table = classification_measures.table(["w", "x", "y", "z"], np.array([0, 0, 1, 1]), probabilities, ["cat", "dog"])
    assert table["file"].tolist() == ["w", "x", "y", "z"]
    assert table["actual"].tolist() == ["cat", "cat", "dog", "dog"]
    assert table["predicted"].tolist() == ["cat", "dog", "cat", "cat"]
    assert table["probability"].tolist() == [0.9, 0.7, 0.8, 0.6]
    assert table["p_dog"].tolist() == [0.1, 0.7, 0.2, 0.4]


def test_of_two_classes_the_threshold_decides_and_the_probability_is_that_of_the_predicted_one():
    probabilities = np.array([[0.7, 0.3], [0.9, 0.1]])
    table = classification_measures.table(["a", "b"], np.array([1, 0]), probabilities, ["ok", "bad"], threshold=0.3)
    assert table["predicted"].tolist() == ["bad", "ok"]
    assert table["probability"].tolist() == [0.3, 0.9]


@pytest.mark.parametrize("seed", range(10))
def test_the_bins_of_a_reliability_curve_hold_their_upper_border(seed):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(3), 300)
    probabilities[:20] = [[k / 10, 1 - k / 10, 0] for k in range(1, 11) for _ in range(2)]  # on the borders
    actual = generator.integers(0, 3, 300)
    found = classification_measures.reliability(probabilities, actual)

    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == actual
    expected = []
    for k in range(10):
        inside = (confidence > k / 10) & (confidence <= (k + 1) / 10)
        if inside.any():
            expected.append((confidence[inside].mean(), right[inside].mean(), inside.sum()))
    assert np.allclose(np.transpose([found.confidence, found.accuracy, found.count]), expected, rtol=0, atol=1e-12)
    error = sum(count * abs(accuracy - mean) for mean, accuracy, count in expected) / len(actual)
    assert found.expected_error == pytest.approx(error, **EXACT)


def test_the_calibration_error_by_hand():
    # 0.95 twice, one right; 0.65 twice, both right: (2 * |0.5 - 0.95| + 2 * |1 - 0.65|) / 4
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.65, 0.35]])
    found = classification_measures.reliability(probabilities, np.array([0, 1, 0, 0]))
    assert (found.count.tolist(), found.accuracy.tolist()) == ([2, 2], [1.0, 0.5])
    assert found.expected_error == pytest.approx((0.45 + 0.35) / 2)


def test_the_curves_count_what_each_threshold_gives():
    probability, labels = np.array([0.9, 0.8, 0.8, 0.4, 0.1]), np.array([1, 1, 0, 1, 0])
    roc, precision_recall = classification_measures.two_class_curves(probability, labels, 0.5)
    # From a threshold above all on; equal probabilities are one point.
    assert (roc.x * 2).tolist() == [0, 0, 1, 1, 2] and (roc.y * 3).tolist() == pytest.approx([0, 1, 2, 3, 3])
    assert precision_recall.y.tolist() == [1, 1, 2 / 3, 3 / 4, 3 / 5]
    assert (precision_recall.x * 3).tolist() == pytest.approx([0, 1, 2, 3, 3])
    for threshold, point in ((0.95, 0), (0.9, 1), (0.85, 1), (0.4, 3), (0.0, 4)):
        curves = classification_measures.two_class_curves(probability, labels, threshold)
        assert [curve.chosen for curve in curves] == [point, point]


def two_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the second class, many of them equal, and labels; both (60,)."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, 60)
    return np.round(np.clip(generator.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 1), labels


@pytest.mark.parametrize("seed", range(10))
def test_two_class_curves_and_measures_are_what_their_definitions_give(unrounded, seed):
    probability, labels = two_classes(seed)
    roc, precision_recall = classification_measures.two_class_curves(probability, labels, 0.5)
    measured = classification_measures.two_class_metrics(probability, labels)

    thresholds = [np.inf, *sorted(set(probability), reverse=True)]
    second = [probability >= threshold for threshold in thresholds]
    false_rate = [each[labels == 0].mean() for each in second]
    recall = [each[labels == 1].mean() for each in second]
    precision = [labels[each].mean() if each.any() else 1.0 for each in second]
    for curve, x, y in ((roc, false_rate, recall), (precision_recall, recall, precision)):
        assert np.allclose(curve.x, x, rtol=0, atol=1e-12) and np.allclose(curve.y, y, rtol=0, atol=1e-12)
        used = probability >= 0.5
        assert curve.chosen == max(k for k, each in enumerate(second) if (each <= used).all())

    pairs = [(b > a) + 0.5 * (b == a) for a, b in product(probability[labels == 0], probability[labels == 1])]
    assert measured["roc_auc"] == pytest.approx(sum(pairs) / len(pairs), **EXACT)
    assert measured["roc_auc"] == pytest.approx(np.trapezoid(roc.y, roc.x), **EXACT)
    assert measured["average_precision"] == pytest.approx(np.sum(np.diff(recall) * precision[1:]), **EXACT)


def test_two_class_measures_say_whether_the_probabilities_know_anything():
    probability, labels = two_classes(0)
    assert classification_measures.two_class_metrics(probability, labels)["learned"] is True
    shuffled = np.random.default_rng(0).permutation(labels)
    assert classification_measures.two_class_metrics(probability, shuffled)["learned"] is False


def test_the_pictures_of_the_confusions_cells_are_shared_out_and_mistakes_come_first():
    table = table_of(COUNTS).reset_index(drop=True)
    table["file"] = [f"{row:02d}" for row in range(len(table))]
    table["probability"] = np.random.default_rng(0).integers(1, 4, len(table)) / 4  # many equal ones
    for limit in (2, 5, 12, 100):
        cells = classification_measures.by_cell(table, "abc", limit)
        wrong, right = [(0, 1), (1, 0), (2, 1)], [(0, 0), (1, 1), (2, 2)]
        assert list(cells) == [*wrong, *right][:limit]
        assert sum(map(len, cells.values())) <= limit
        for (actual, predicted), rows in cells.items():
            assert len(rows) == min(COUNTS[actual, predicted], limit // len(cells))
            inside = table[(table["actual"] == "abc"[actual]) & (table["predicted"] == "abc"[predicted])]
            order = sorted(inside.index, key=lambda row: (-table["probability"][row], table["file"][row]))
            assert rows == order[: len(rows)]
