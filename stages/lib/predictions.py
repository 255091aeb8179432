"""Which class the model said a picture is, and the measures taken from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from stages.lib import decision

CONFIDENCE = 0.95
DIGITS = 4


def table(
    files: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    threshold: float | None = None,
) -> pd.DataFrame:
    """One row a picture: file, actual, predicted, its probability, and `p_<class>` for each class.

    labels: int (n,); probabilities: float (n, classes); threshold: of two classes the second is predicted where its
    probability is not below it, instead of the more probable one.
    """
    names = np.array(classes, dtype=object)
    predicted = decision.named(probabilities, threshold)
    columns = {
        "file": list(files),
        "actual": names[labels],
        "predicted": names[predicted],
        "probability": probabilities[np.arange(len(predicted)), predicted],
    }
    columns |= {f"p_{name}": probabilities[:, number] for number, name in enumerate(classes)}
    return pd.DataFrame(columns)


def confusion(actual: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Counts int (classes, classes): row = actual class, column = predicted class."""
    number = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, ([number[name] for name in actual], [number[name] for name in predicted]), 1)
    return counts


def macro_f1(counts: np.ndarray) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN); 0 for a class never seen nor said."""
    right = np.diag(counts)
    sums = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(np.where(sums > 0, 2 * right / np.maximum(sums, 1), 0.0)))


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95% score interval of a share (Wilson 1927, JASA 22:209)."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, shrink = right / total, 1 + z * z / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    return max((middle - half) / shrink, 0.0), min((middle + half) / shrink, 1.0)


def metrics(
    counts: np.ndarray, loss: float, repeats: pd.DataFrame, calibrated: dict[str, float]
) -> dict[str, float | bool]:
    """metrics.json: flat, rounded, few.

    counts: as `confusion` gives them; loss: of the test pictures; repeats: one row a repeat with val_accuracy and
    val_loss, of which the mean is taken and, for accuracy, the standard deviation (n - 1; 0 for one repeat);
    calibrated: more measures, taken as they are.
    accuracy_low and accuracy_high: by `wilson`, of the accuracy on the test pictures. chance is the share of the
    largest class among them, which a model reaches that always names it; learned says whether the interval lies above.
    """
    right, total = int(np.trace(counts)), int(counts.sum())
    low, high = wilson(right, total)
    chance = counts.sum(axis=1).max() / total
    values = {
        "accuracy": right / total,
        "accuracy_low": low,
        "accuracy_high": high,
        "loss": loss,
        "macro_f1": macro_f1(counts),
        "val_accuracy": repeats["val_accuracy"].mean(),
        "val_accuracy_std": repeats["val_accuracy"].std() if len(repeats) > 1 else 0.0,
        "val_loss": repeats["val_loss"].mean(),
        "chance": chance,
        **calibrated,
    }
    return {name: round(float(value), DIGITS) for name, value in values.items()} | {"learned": bool(low > chance)}


@dataclass(frozen=True)
class Curve:
    """What each threshold gives for two classes, of which the second is looked for; from the highest on.

    threshold: float64 (k,), the first one above all probabilities; found, false: int (k,), how many pictures of the
    second and of the first class have at least that probability.
    """

    threshold: np.ndarray
    found: np.ndarray
    false: np.ndarray

    @property
    def recall(self) -> np.ndarray:
        """The true positive rate."""
        return self.found / self.found[-1]

    @property
    def false_rate(self) -> np.ndarray:
        """The false positive rate."""
        return self.false / self.false[-1]

    @property
    def precision(self) -> np.ndarray:
        """1 where nothing is said to be of the second class."""
        return np.divide(self.found, self.found + self.false, out=np.ones(len(self.found)), where=self.threshold <= 1)

    def at(self, threshold: float) -> int:
        """The point of the curve that this threshold gives."""
        return int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1


def two_class_curve(probability: np.ndarray, labels: np.ndarray) -> Curve:
    """For probabilities (n,) of the second class and labels (n,) 0 or 1, both of which occur.

    Fawcett 2006, An introduction to ROC analysis, Pattern Recognition Letters 27:861; equal probabilities are one
    point of the curve.
    """
    order = np.argsort(-probability, kind="stable")
    ordered, second = probability[order].astype(np.float64), labels[order] == 1
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return Curve(
        np.append(np.inf, ordered[last]),
        np.append(0, np.cumsum(second)[last]),
        np.append(0, np.cumsum(~second)[last]),
    )


def two_class_metrics(curve: Curve, probability: np.ndarray, labels: np.ndarray) -> dict[str, float | bool]:
    """roc_auc, average_precision and learned, for metrics.json.

    The area under the ROC curve is Mann and Whitney's U over the number of pairs; learned says whether a model that
    knows nothing would reach it in less than 2.5 of 100 cases. Whatever the threshold and the classes' shares, this is
    about what the probabilities know.
    """
    from scipy import stats  # which takes half a second, and only two classes need

    test = stats.mannwhitneyu(probability[labels == 1], probability[labels == 0], alternative="greater")
    average = np.sum(np.diff(curve.recall) * curve.precision[1:])
    area = test.statistic / (curve.found[-1] * curve.false[-1])
    return {
        "roc_auc": round(float(area), DIGITS),
        "average_precision": round(float(average), DIGITS),
        "learned": bool(test.pvalue < (1 - CONFIDENCE) / 2),
    }


def best_threshold(probability: np.ndarray, labels: np.ndarray) -> float:
    """The threshold with the highest macro F1, half way between two probabilities; of equal ones that nearest 0.5."""
    curve = two_class_curve(probability, labels)
    positives, negatives = curve.found[-1], curve.false[-1]
    missed, true_negatives = positives - curve.found, negatives - curve.false
    f1 = curve.found / (2 * curve.found + curve.false + missed) + true_negatives / (
        2 * true_negatives + missed + curve.false
    )
    bounds = np.concatenate([[1.1], curve.threshold[1:], [0.0]])  # to name nobody it lies above any probability
    middles = (bounds[:-1] + bounds[1:]) / 2
    best_ones = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best_ones[np.argmin(np.abs(middles[best_ones] - 0.5))]])


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


def worst_mistakes(predictions: pd.DataFrame, count: int) -> list[int]:
    """The rows of the `count` wrong predictions with the highest probability, most confident first."""
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    order = wrong.sort_values(["probability", "file"], ascending=[False, True], kind="stable")
    return [int(row) for row in order.index[:count]]


def surest(predictions: pd.DataFrame, count: int) -> list[int]:
    """The rows of the right predictions with the highest probability, one a class, at most `count`."""
    right = predictions[predictions["actual"] == predictions["predicted"]]
    order = right.sort_values(["probability", "file"], ascending=[False, True])
    return [int(row) for row in order.drop_duplicates("predicted").index[:count]]
