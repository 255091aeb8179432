"""Which pictures are worth a look: the surest right answers and the worst mistakes."""

from collections.abc import Sequence

import numpy as np

from cnn.common.task import Regression, Task
from cnn.model import labels
from cnn.model.occlusion import HeatmapRequest

EXPLAINED = 4  # heat maps of right or good answers, and as many of mistakes
RANGES = 5  # of numbers, with about as many pictures each
DIGITS = 5  # significant ones of a margin


def mistakes(files: Sequence[str], actual: np.ndarray, predicted: np.ndarray, probability: np.ndarray) -> list[int]:
    """The rows of all wrong answers, the most confident first.

    actual, predicted: the numbers of classes, int (n,); probability: of the predicted class, float (n,).
    """
    return [row for row in _most_confident(files, probability) if actual[row] != predicted[row]]


def surest(files: Sequence[str], actual: np.ndarray, predicted: np.ndarray, probability: np.ndarray) -> list[int]:
    """For each class that is recognized the row of its most confident right answer; arguments as for `mistakes`."""
    rows: dict[int, int] = {}
    for row in _most_confident(files, probability):
        if actual[row] == predicted[row]:
            rows.setdefault(int(predicted[row]), row)
    return list(rows.values())


def _most_confident(files: Sequence[str], probability: np.ndarray) -> list[int]:
    return sorted(range(len(files)), key=lambda row: (-probability[row], files[row]))


def largest_errors(files: Sequence[str], errors: np.ndarray) -> list[int]:
    """All rows, that of the largest error, float (n,), first."""
    return sorted(range(len(files)), key=lambda row: (-abs(errors[row]), files[row]))


def smallest_errors(files: Sequence[str], targets: np.ndarray, errors: np.ndarray) -> list[int]:
    """For each of the `target_ranges` the row of the smallest error, from the smallest numbers on."""
    ranges = np.searchsorted(target_ranges(targets)[1:-1], targets, side="left")
    order = sorted(range(len(files)), key=lambda row: (ranges[row], abs(errors[row]), files[row]))
    rows: dict[int, int] = {}
    for row in order:
        rows.setdefault(int(ranges[row]), row)
    return list(rows.values())


def target_ranges(targets: np.ndarray) -> np.ndarray:
    """The borders, ends included, of RANGES ranges, fewer where numbers repeat."""
    return np.unique(np.quantile(targets, np.linspace(0, 1, RANGES + 1), method="closest_observation"))


def heatmap_requests(
    task: Task,
    files: Sequence[str],
    known: np.ndarray,
    predicted: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
) -> list[HeatmapRequest]:
    """The test pictures whose answers are explained: right or good ones first, then the worst mistakes.

    known: labels or targets (n,); predicted: probabilities (n, classes) or numbers (n, 1); validation: both of the
    validation pictures, from which the threshold or the margin is taken.
    """
    if isinstance(task, Regression):
        targets, errors = known.astype(np.float64), errors_of(known, predicted)
        rows = smallest_errors(files, targets, errors)[:EXPLAINED] + largest_errors(files, errors)[:EXPLAINED]
        unit = float(f"{labels.margin(errors_of(*validation)):.{DIGITS}g}")
        return [HeatmapRequest(row, own=predicted[row], unit=unit) for row in rows]
    threshold = labels.best_threshold(validation[1][:, 1], validation[0]) if task.two else None
    classes = labels.predicted_class(predicted, threshold)
    answers = files, known, classes, predicted[np.arange(len(classes)), classes]
    rows = surest(*answers)[:EXPLAINED] + mistakes(*answers)[:EXPLAINED]
    return [HeatmapRequest(row, int(classes[row])) for row in rows]


def errors_of(targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """float64 (n,), from targets (n,) and predicted numbers (n, 1)."""
    return predicted[:, 0].astype(np.float64) - targets.astype(np.float64)
