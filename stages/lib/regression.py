"""What the model said where numbers are asked for, and the measures taken from it."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from stages.lib import report
from stages.lib.predictions import CONFIDENCE

COVERED = 0.9  # share of the pictures whose number lies within the margin
RESAMPLES = 2000
AT_ONCE = 50  # resamples, so that memory stays small
DIGITS = 5  # significant ones, whatever the scale of the numbers
RANGES = 5  # of numbers, in which DVC's plot counts


def table(files: Sequence[str], targets: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """One row a picture: file, target, value (what the model says), error, and the ranges `actual` and `predicted`.

    targets, values: float (n,). The ranges have about as many targets each; values outside count in the outer ones.
    """
    shares = np.linspace(0, 1, RANGES + 1)
    edges = np.unique(np.quantile(targets, shares, method="closest_observation"))
    between = pairwise(edges)
    names = np.array(
        [
            f"{number}: {report.number(low)} to {report.number(high)}"
            for number, (low, high) in enumerate(between, start=1)
        ]
    )
    columns = {"file": list(files), "target": targets, "value": values, "error": values - targets}
    for name, numbers in (("actual", targets), ("predicted", values)):
        columns[name] = names[np.searchsorted(edges[1:-1], numbers, side="left")]
    return pd.DataFrame(columns)


def r2(targets: np.ndarray, values: np.ndarray, axis: int = -1) -> np.ndarray:
    """The coefficient of determination: 1 - the mean squared error over the targets' variance."""
    return 1 - np.mean((values - targets) ** 2, axis=axis) / np.var(targets, axis=axis)


def margin(errors: np.ndarray) -> float:
    """The half width of an interval about an answer that holds the number for COVERED of pictures like these.

    Split conformal prediction (Lei et al. 2018, JASA 113:1094): the k-th smallest absolute error of n pictures that
    were not trained on, with k = ceil((n + 1) COVERED). Of fewer than 9 pictures the largest is all there is.
    The validation pictures have chosen the kept model, so it is a little too narrow.
    """
    ordered = np.sort(np.abs(errors))
    return float(ordered[min(int(np.ceil((len(ordered) + 1) * COVERED)), len(ordered)) - 1])


def interval(targets: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The 95% bootstrap interval of R2 over the pictures (percentiles; Efron 1979, Ann. Statist. 7:1).

    A resample in which all targets are equal has no R2, and is left out.
    """
    generator = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES // AT_ONCE):
        rows = generator.integers(0, len(targets), (AT_ONCE, len(targets)))
        rows = rows[np.ptp(targets[rows], axis=1) > 0]
        found.append(r2(targets[rows], values[rows]))
    low, high = np.quantile(np.concatenate(found), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def metrics(
    test: pd.DataFrame, validation: pd.DataFrame, loss: float, repeats: pd.DataFrame, mean: float
) -> dict[str, float | bool]:
    """metrics.json: flat, rounded, few.

    test, validation: as `table` gives them; loss: of the test pictures; repeats: one row a repeat with val_r2 and
    val_loss; mean: of the targets trained on. r2_low and r2_high: as `interval` has them; learned says whether they
    lie above 0, which always saying the mean reaches. chance is the mean absolute error of that. margin is fitted on
    the validation pictures; coverage is the share of the test pictures that it holds for.
    """
    targets, values = test["target"].to_numpy(np.float64), test["value"].to_numpy(np.float64)
    errors = np.abs(values - targets)
    margin_ = margin(validation["error"].to_numpy(np.float64))
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
        "margin": margin_,
        "coverage": np.mean(errors <= margin_),
    }
    return {name: float(f"{value:.{DIGITS}g}") for name, value in measured.items()} | {"learned": bool(low > 0)}


def worst(predictions: pd.DataFrame, count: int) -> list[int]:
    """The rows of the `count` largest errors, largest first."""
    order = predictions.assign(size=predictions["error"].abs()).sort_values(["size", "file"], ascending=[False, True])
    return [int(row) for row in order.index[:count]]


def best(predictions: pd.DataFrame, count: int) -> list[int]:
    """Of each range the row with the smallest error, `count` of them, from the smallest numbers on."""
    order = predictions.assign(size=predictions["error"].abs()).sort_values(["actual", "size", "file"])
    return [int(row) for row in order.drop_duplicates("actual").index[:count]]
