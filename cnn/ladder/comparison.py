"""Is one setting better than another? Paired differences over repeats, with an interval, and the words for it.

Repeats with the same number share their seed and the pictures' split, so what differs between two
settings is measured repeat by repeat. The interval is Student's for paired samples.
It speaks of other first weights and orders on the same pictures, not of other pictures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
MOST_REPEATS = 10_000
IMPROVED, UNCHANGED, WORSE, UNKNOWN = "improved", "no measurable change", "worse", "too few repeats to tell"


@dataclass(frozen=True)
class Difference:
    """A mean difference over n repeats, its interval, and the standard deviation of a single one (n - 1)."""

    mean: float
    low: float
    high: float
    deviation: float
    n: int


def level(comparisons: int) -> float:
    """The confidence of each of several intervals, so that all of them hold together with CONFIDENCE.

    Bonferroni's correction (Dunn 1961, JASA 56:52).
    """
    return 1 - (1 - CONFIDENCE) / max(comparisons, 1)


def paired(before: Sequence[float], after: Sequence[float], confidence: float, grid: float = 0.0) -> Difference:
    """after - before, both with one number a repeat in the same order. One repeat has an infinite interval.

    grid: the step between the values that a number can have (1 / pictures for an accuracy). Few repeats of so
    coarse numbers may agree by chance, so no deviation counts as smaller than what rounding to the grid gives:
    grid / sqrt(6) for the difference of two rounded numbers.
    """
    differences = np.subtract(after, before)
    n, mean = len(differences), float(np.mean(differences))
    if n < 2:
        return Difference(mean, -math.inf, math.inf, math.nan, n)
    deviation = max(float(np.std(differences, ddof=1)), grid / math.sqrt(6))
    half = _half(deviation, n, confidence)
    return Difference(mean, mean - half, mean + half, deviation, n)


def _half(deviation: float, n: float | np.ndarray, confidence: float) -> float | np.ndarray:
    """Half of Student's interval of a mean of n numbers with this standard deviation."""
    return stats.t.ppf((1 + confidence) / 2, n - 1) * deviation / np.sqrt(n)


def interval_of_mean(values: Sequence[float]) -> tuple[float, float]:
    """The CONFIDENCE interval of the mean of independent values; a point where they are equal, infinite for one."""
    difference = paired(np.zeros(len(values)), values, CONFIDENCE)
    return difference.low, difference.high


def verdict(difference: Difference, min_effect: float) -> str:
    """What the interval says of a number of which more is better.

    min_effect: the smallest difference of interest. "No measurable change" means that the whole interval lies within
    it (an equivalence test: Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657), not that too little was measured.
    """
    if difference.low > 0:
        return IMPROVED
    if difference.high < 0:
        return WORSE
    return UNCHANGED if -min_effect <= difference.low and difference.high <= min_effect else UNKNOWN


def repeats_needed(difference: Difference, min_effect: float, confidence: float) -> int | None:
    """The repeats with which `verdict` could tell, if mean and spread stay as they are.

    None where one repeat shows no spread, or where not even MOST_REPEATS would do.
    """
    if math.isnan(difference.deviation):
        return None
    n = np.arange(2, MOST_REPEATS + 1)
    halves = _half(difference.deviation, n, confidence)
    mean = abs(difference.mean)
    enough = (halves < mean) | (mean + halves <= min_effect)
    return int(n[np.argmax(enough)]) if enough.any() else None
