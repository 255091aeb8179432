"""Tables and measures of predicted numbers."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from cnn.common import render
from cnn.evaluation.classification_measures import CONFIDENCE
from cnn.model import examples, labels

RESAMPLES = 2000
BATCH = 50  # resamples at a time, so that memory stays small


def table(files: Sequence[str], targets: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """One row a picture: file, target, value (the predicted one), error, and the ranges `actual` and `predicted`.

    targets, values: float (n,). The ranges have about as many targets each; values outside count in the outer ones.
    """
    edges = examples.target_ranges(targets)
    between = pairwise(edges)
    names = np.array(
        [
            f"{number}: {render.number(low)} to {render.number(high)}"
            for number, (low, high) in enumerate(between, start=1)
        ]
    )
    columns = {"file": list(files), "target": targets, "value": values, "error": values - targets}
    for name, numbers in (("actual", targets), ("predicted", values)):
        columns[name] = names[np.searchsorted(edges[1:-1], numbers, side="left")]
    return pd.DataFrame(columns)


def r2(targets: np.ndarray, values: np.ndarray, axis: int = -1) -> np.ndarray:
    """The coefficient of determination: 1 - the mean squared error over the targets' variance.

    This is own code, because scikit-learn's r2_score takes one sample at a time, and `interval` has thousands.
    """
    return 1 - np.mean((values - targets) ** 2, axis=axis) / np.var(targets, axis=axis)


def interval(targets: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The 95% bootstrap interval of R2 over the pictures (percentiles; Efron 1979, Ann. Statist. 7:1).

    A resample in which all targets are equal has no R2, and is left out.
    """
    generator = np.random.default_rng(0)
    scores = []
    for _ in range(RESAMPLES // BATCH):
        rows = generator.integers(0, len(targets), (BATCH, len(targets)))
        rows = rows[np.ptp(targets[rows], axis=1) > 0]
        scores.append(r2(targets[rows], values[rows]))
    low, high = np.quantile(np.concatenate(scores), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def metrics(
    test: pd.DataFrame, validation: pd.DataFrame, loss: float, repeats: pd.DataFrame, mean: float
) -> dict[str, float | bool]:
    """metrics.json: flat, rounded, few.

    test, validation: as `table` gives them; loss: of the test pictures; repeats: one row a repeat with val_r2 and
    val_loss; mean: of the targets trained on. r2_low and r2_high: as `interval` has them; learned: whether they lie
    above 0, which is the R2 of always predicting the mean; chance: the mean absolute error of that. margin: of the
    validation pictures; coverage: the share of the test pictures whose error is within it.
    """
    targets, values = test["target"].to_numpy(np.float64), test["value"].to_numpy(np.float64)
    errors = np.abs(values - targets)
    margin = labels.margin(validation["error"].to_numpy(np.float64))
    low, high = interval(targets, values)
    measured = {
        "r2": r2(targets, values),
        "r2_low": low,
        "r2_high": high,
        "mae": errors.mean(),
        "rmse": np.sqrt(np.mean(errors**2)),
        "loss": loss,
        "val_r2": repeats["val_r2"].mean(),
        "val_r2_std": repeats["val_r2"].std() if len(repeats) > 1 else 0.0,
        "val_loss": repeats["val_loss"].mean(),
        "chance": np.abs(targets - mean).mean(),
        "margin": margin,
        "coverage": np.mean(errors <= margin),
    }
    return {name: float(f"{value:.{examples.DIGITS}g}") for name, value in measured.items()} | {
        "learned": bool(low > 0)
    }
