"""Tables and measures of predicted classes, by scikit-learn and SciPy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from cnn.model import labels

CONFIDENCE = 0.95
DIGITS = 4
BINS = 10  # of a reliability curve


def table(
    files: Sequence[str],
    actual: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    threshold: float | None = None,
) -> pd.DataFrame:
    """One row a picture: file, actual, predicted, its probability, and `p_<class>` for each class.

    actual: labels int (n,); probabilities: float (n, classes); threshold: of two classes the second is
    predicted where its probability is not below it, instead of the more probable one.
    """
    names = np.array(classes, dtype=object)
    predicted = labels.predicted_class(probabilities, threshold)
    columns = {
        "file": list(files),
        "actual": names[actual],
        "predicted": names[predicted],
        "probability": probabilities[np.arange(len(predicted)), predicted],
    }
    columns |= {f"p_{name}": probabilities[:, number] for number, name in enumerate(classes)}
    return pd.DataFrame(columns)


def confusion(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Counts int (classes, classes): row = actual class, column = predicted class."""
    return confusion_matrix(table["actual"], table["predicted"], labels=list(classes))


def metrics(
    table_: pd.DataFrame, classes: Sequence[str], loss: float, repeats: pd.DataFrame, calibration: dict[str, float]
) -> dict[str, float | bool]:
    """metrics.json: flat, rounded, few.

    table_: of the test pictures, as `table` gives it; loss: theirs; repeats: one row a repeat with val_accuracy and
    val_loss: their means, and the standard deviation of the accuracy (n - 1; 0 for one repeat), are in the result;
    calibration: more measures for the result.
    accuracy_low and accuracy_high: the 95% score interval (Wilson 1927, JASA 22:209) of the accuracy on the test
    pictures. macro_f1: the mean over classes of F1, which is 0 for a class that is neither actual nor predicted.
    chance: the share of the largest class, which is the accuracy of always predicting it. learned: whether the
    interval lies above chance.
    """
    actual, predicted = table_["actual"], table_["predicted"]
    accuracy = accuracy_score(actual, predicted)
    test = stats.binomtest(round(accuracy * len(actual)), len(actual))
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    chance = actual.value_counts().max() / len(actual)
    values = {
        "accuracy": accuracy,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "loss": loss,
        "macro_f1": f1_score(actual, predicted, labels=list(classes), average="macro", zero_division=0),
        "val_accuracy": repeats["val_accuracy"].mean(),
        "val_accuracy_std": repeats["val_accuracy"].std() if len(repeats) > 1 else 0.0,
        "val_loss": repeats["val_loss"].mean(),
        "chance": chance,
        **calibration,
    }
    learned = bool(interval.low > chance)
    return {name: round(float(value), DIGITS) for name, value in values.items()} | {"learned": learned}


@dataclass(frozen=True)
class Reliability:
    """Predictions in BINS bins of equal width by the probability of the more probable class; empty ones are left out.

    confidence: the mean probability in each bin; accuracy: the share that is right; count: how many; each (k,).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def expected_error(self) -> float:
        """The expected calibration error: |accuracy - confidence|, averaged over all predictions.

        Guo, Pleiss, Sun and Weinberger 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
        """
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))


def reliability(probabilities: np.ndarray, actual: np.ndarray) -> Reliability:
    """For probabilities (n, classes) and labels int (n,)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    accuracy, mean = calibration_curve(probabilities.argmax(axis=1) == actual, confidence, n_bins=BINS)
    # scikit-learn returns no counts: these are of its bins, which hold their upper border.
    count = np.bincount(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence))
    return Reliability(mean, accuracy, count[count > 0])


@dataclass(frozen=True)
class Curve:
    """A point x, y (k,) for each threshold of two classes, from the highest on; chosen: the index of the one in use."""

    x: np.ndarray
    y: np.ndarray
    chosen: int


def two_class_curves(probability: np.ndarray, actual: np.ndarray, threshold: float) -> tuple[Curve, Curve]:
    """The receiver operating characteristic, and precision over recall.

    probability: of the second class, (n,); actual: labels 0 or 1, (n,), both of which occur. Fawcett 2006, An
    introduction to ROC analysis, Pattern Recognition Letters 27:861; equal probabilities are one point of a curve.
    """
    probability = probability.astype(np.float64)
    false_positive, true_positive, thresholds = roc_curve(actual, probability, drop_intermediate=False)
    chosen = int(np.searchsorted(-thresholds, -threshold, side="right")) - 1
    precision, recall, _ = precision_recall_curve(actual, probability)
    return Curve(false_positive, true_positive, chosen), Curve(recall[::-1], precision[::-1], chosen)


def two_class_metrics(probability: np.ndarray, actual: np.ndarray) -> dict[str, float | bool]:
    """roc_auc, average_precision and learned, for metrics.json; arguments as two_class_curves has them.

    learned: whether chance alone reaches this area under the ROC curve in less than 2.5 of 100 cases, by Mann and
    Whitney's test. It depends on the probabilities only, not on the threshold or the classes' shares.
    """
    test = stats.mannwhitneyu(probability[actual == 1], probability[actual == 0], alternative="greater")
    return {
        "roc_auc": round(float(roc_auc_score(actual, probability)), DIGITS),
        "average_precision": round(float(average_precision_score(actual, probability)), DIGITS),
        "learned": bool(test.pvalue < (1 - CONFIDENCE) / 2),
    }


def by_cell(table: pd.DataFrame, classes: Sequence[str], limit: int) -> dict[tuple[int, int], list[int]]:
    """For each cell (actual, predicted) of the confusion matrix its rows of the table, the most confident first.

    At most `limit` rows altogether, shared out evenly among the cells; where cells are too many, mistakes come first.
    """
    number = {name: index for index, name in enumerate(classes)}
    ordered = table.sort_values(["probability", "file"], ascending=[False, True], kind="stable")
    by_names = ordered.groupby(["actual", "predicted"]).groups
    cells = {(number[actual], number[predicted]): rows.tolist() for (actual, predicted), rows in by_names.items()}
    order = sorted(cells, key=lambda cell: (cell[0] == cell[1], cell))[:limit]
    share = limit // max(len(order), 1)
    return {cell: cells[cell][:share] for cell in order}
