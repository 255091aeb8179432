"""Which class the model said a picture is, and the measures taken from it, by scikit-learn and SciPy."""

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
    known: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    threshold: float | None = None,
) -> pd.DataFrame:
    """One row a picture: file, actual, predicted, its probability, and `p_<class>` for each class.

    known: labels int (n,); probabilities: float (n, classes); threshold: of two classes the second is
    predicted where its probability is not below it, instead of the more probable one.
    """
    names = np.array(classes, dtype=object)
    predicted = labels.predicted_class(probabilities, threshold)
    columns = {
        "file": list(files),
        "actual": names[known],
        "predicted": names[predicted],
        "probability": probabilities[np.arange(len(predicted)), predicted],
    }
    columns |= {f"p_{name}": probabilities[:, number] for number, name in enumerate(classes)}
    return pd.DataFrame(columns)


def confusion(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Counts int (classes, classes): row = actual class, column = predicted class."""
    return confusion_matrix(table["actual"], table["predicted"], labels=list(classes))


def metrics(
    table_: pd.DataFrame, classes: Sequence[str], loss: float, repeats: pd.DataFrame, calibrated: dict[str, float]
) -> dict[str, float | bool]:
    """metrics.json: flat, rounded, few.

    table_: of the test pictures, as `table` gives it; loss: theirs; repeats: one row a repeat with val_accuracy and
    val_loss, of which the mean is taken and, for accuracy, the standard deviation (n - 1; 0 for one repeat);
    calibrated: more measures, taken as they are.
    accuracy_low and accuracy_high: the 95% score interval (Wilson 1927, JASA 22:209) of the accuracy on the test
    pictures. macro_f1: the mean over classes of F1; 0 for a class never seen nor said. chance is the share of the
    largest class among them, which a model reaches that always names it; learned says whether the interval lies above.
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
        **calibrated,
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


def reliability(probabilities: np.ndarray, known: np.ndarray) -> Reliability:
    """For probabilities (n, classes) and labels int (n,)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    accuracy, mean = calibration_curve(probabilities.argmax(axis=1) == known, confidence, n_bins=BINS)
    # scikit-learn gives no counts: these are of its bins, which hold their upper border.
    count = np.bincount(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence))
    return Reliability(mean, accuracy, count[count > 0])


@dataclass(frozen=True)
class Curve:
    """What all thresholds give for two classes, from the highest on: points x, y (k,), and the one that is used."""

    x: np.ndarray
    y: np.ndarray
    used: int


def two_class_curves(probability: np.ndarray, known: np.ndarray, threshold: float) -> tuple[Curve, Curve]:
    """The receiver operating characteristic, and precision over recall.

    probability: of the second class, (n,); known: labels 0 or 1, (n,), both of which occur. Fawcett 2006, An
    introduction to ROC analysis, Pattern Recognition Letters 27:861; equal probabilities are one point of a curve.
    """
    probability = probability.astype(np.float64)
    false_positive, true_positive, thresholds = roc_curve(known, probability, drop_intermediate=False)
    used = int(np.searchsorted(-thresholds, -threshold, side="right")) - 1
    precision, recall, _ = precision_recall_curve(known, probability)
    return Curve(false_positive, true_positive, used), Curve(recall[::-1], precision[::-1], used)


def two_class_metrics(probability: np.ndarray, known: np.ndarray) -> dict[str, float | bool]:
    """roc_auc, average_precision and learned, for metrics.json; arguments as two_class_curves has them.

    learned says whether a model that knows nothing would reach this area under the ROC curve in less than 2.5 of 100
    cases, by Mann and Whitney's test. Whatever the threshold and the classes' shares, this is about what the
    probabilities know.
    """
    test = stats.mannwhitneyu(probability[known == 1], probability[known == 0], alternative="greater")
    return {
        "roc_auc": round(float(roc_auc_score(known, probability)), DIGITS),
        "average_precision": round(float(average_precision_score(known, probability)), DIGITS),
        "learned": bool(test.pvalue < (1 - CONFIDENCE) / 2),
    }


def by_cell(predictions: pd.DataFrame, classes: Sequence[str], most: int) -> dict[tuple[int, int], list[int]]:
    """For each cell (actual, predicted) of the confusion the rows of its predictions, most confident first.

    At most `most` rows altogether, as many from each cell as far as they go; mistakes before right answers.
    """
    number = {name: index for index, name in enumerate(classes)}
    cells: dict[tuple[int, int], list[int]] = {}
    ordered = predictions.sort_values(["probability", "file"], ascending=[False, True], kind="stable")
    for row, actual, predicted in zip(ordered.index, ordered["actual"], ordered["predicted"], strict=True):
        cells.setdefault((number[actual], number[predicted]), []).append(int(row))
    order = sorted(cells, key=lambda cell: (cell[0] == cell[1], cell))[:most]
    each = most // max(len(order), 1)
    return {cell: cells[cell][:each] for cell in order}
