"""Which pictures the report shows: the most confident correct predictions and the worst mistakes."""

from collections.abc import Sequence

import numpy as np

from cnn.common.task import Regression, Task
from cnn.model import labels
from cnn.model.occlusion import HeatmapRequest

EXPLAINED = 4  # heat maps of correct or close predictions, and as many of mistakes
RANGES = 5  # of targets, with about as many pictures each
DIGITS = 5  # significant digits of a margin


def mistakes(files: Sequence[str], actual: np.ndarray, predicted: np.ndarray, probability: np.ndarray) -> list[int]:
    """The rows of all wrong predictions, the most confident first.

    actual, predicted: class indices, int (n,); probability: of the predicted class, float (n,).
    """
    return [row for row in _most_confident(files, probability) if actual[row] != predicted[row]]


def surest(files: Sequence[str], actual: np.ndarray, predicted: np.ndarray, probability: np.ndarray) -> list[int]:
    """For each class with a correct prediction the row of the most confident one; arguments as for `mistakes`."""
    rows: dict[int, int] = {}
    for row in _most_confident(files, probability):
        if actual[row] == predicted[row]:
            rows.setdefault(int(predicted[row]), row)
    return list(rows.values())


def _most_confident(files: Sequence[str], probability: np.ndarray) -> list[int]:
    return sorted(range(len(files)), key=lambda row: (-probability[row], files[row]))


def largest_errors(files: Sequence[str], errors: np.ndarray) -> list[int]:
    """All rows, by falling absolute error. errors: float (n,)."""
    return sorted(range(len(files)), key=lambda row: (-abs(errors[row]), files[row]))


def smallest_errors(files: Sequence[str], targets: np.ndarray, errors: np.ndarray) -> list[int]:
    """For each of the `target_ranges` the row of the smallest absolute error, from the smallest targets on."""
    ranges = np.searchsorted(target_ranges(targets)[1:-1], targets, side="left")
    order = sorted(range(len(files)), key=lambda row: (ranges[row], abs(errors[row]), files[row]))
    rows: dict[int, int] = {}
    for row in order:
        rows.setdefault(int(ranges[row]), row)
    return list(rows.values())


def target_ranges(targets: np.ndarray) -> np.ndarray:
    """The edges, ends included, of RANGES ranges of targets; fewer where targets repeat."""
    return np.unique(np.quantile(targets, np.linspace(0, 1, RANGES + 1), method="closest_observation"))


def heatmap_requests(
    task: Task,
    files: Sequence[str],
    actual: np.ndarray,
    predicted: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
) -> list[HeatmapRequest]:
    """The test pictures whose predictions are explained: correct or close ones first, then the worst mistakes.

    actual: labels or targets (n,); predicted: probabilities (n, classes) or numbers (n, 1); validation: both of the
    validation pictures, which decide the threshold or the margin.
    """
    if isinstance(task, Regression):
        targets, errors = actual.astype(np.float64), errors_of(actual, predicted)
        rows = smallest_errors(files, targets, errors)[:EXPLAINED] + largest_errors(files, errors)[:EXPLAINED]
        unit = float(f"{labels.margin(errors_of(*validation)):.{DIGITS}g}")
        return [HeatmapRequest(row, reference=predicted[row], unit=unit) for row in rows]
    threshold = labels.best_threshold(validation[1][:, 1], validation[0]) if task.two else None
    classes = labels.predicted_class(predicted, threshold)
    arguments = files, actual, classes, predicted[np.arange(len(classes)), classes]
    rows = surest(*arguments)[:EXPLAINED] + mistakes(*arguments)[:EXPLAINED]
    return [HeatmapRequest(row, int(classes[row])) for row in rows]


def errors_of(targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """float64 (n,), from targets (n,) and predicted numbers (n, 1)."""
    return predicted[:, 0].astype(np.float64) - targets.astype(np.float64)
