"""What the model said about the test pictures, and the measures taken from it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

CONFIDENCE = 0.95
DIGITS = 4


def table(files: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """One row a test picture: file, actual, predicted, probability, and `p_<class>` for each class.

    labels: int (n,); probabilities: float (n, classes).
    """
    names = np.array(classes, dtype=object)
    predicted = probabilities.argmax(axis=1)
    columns = {
        "file": list(files),
        "actual": names[labels],
        "predicted": names[predicted],
        "probability": probabilities.max(axis=1),
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


def metrics(
    counts: np.ndarray, loss: float, repeats: pd.DataFrame, calibrated: dict[str, float]
) -> dict[str, float | bool]:
    """metrics.json: flat, rounded, few.

    counts: as `confusion` gives them; loss: of the test pictures; repeats: one row a repeat with val_accuracy and
    val_loss, of which the mean is taken and, for accuracy, the standard deviation (n - 1; 0 for one repeat);
    calibrated: more measures, taken as they are.
    accuracy_low and accuracy_high are the 95% Wilson score interval (Wilson 1927, JASA 22:209) of
    the accuracy on the test pictures. chance is the share of the largest class among them, which a
    model reaches that always names it; learned says whether the interval lies above it.
    """
    right, total = int(np.trace(counts)), int(counts.sum())
    interval = binomtest(right, total).proportion_ci(CONFIDENCE, method="wilson")
    chance = counts.sum(axis=1).max() / total
    values = {
        "accuracy": right / total,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "loss": loss,
        "macro_f1": macro_f1(counts),
        "val_accuracy": repeats["val_accuracy"].mean(),
        "val_accuracy_std": repeats["val_accuracy"].std() if len(repeats) > 1 else 0.0,
        "val_loss": repeats["val_loss"].mean(),
        "chance": chance,
        **calibrated,
    }
    return {name: round(float(value), DIGITS) for name, value in values.items()} | {
        "learned": bool(interval.low > chance)
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


def worst_mistakes(predictions: pd.DataFrame, count: int) -> list[int]:
    """The rows of the `count` wrong predictions with the highest probability, most confident first."""
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    order = wrong.sort_values(["probability", "file"], ascending=[False, True], kind="stable")
    return [int(row) for row in order.index[:count]]
