"""Paired differences, their intervals, and the words for them."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cnn.ladder import comparison, report
from cnn.ladder.comparison import IMPROVED, UNCHANGED, UNKNOWN, WORSE, Difference


def difference(low: float, high: float, deviation: float = 0.1, n: int = 5) -> Difference:
    return Difference((low + high) / 2, low, high, deviation, n)


def test_the_interval_by_hand():
    before, after = [0.5, 0.6, 0.7], [0.6, 0.9, 0.8]  # differences 0.1, 0.3, 0.1
    found = comparison.paired(before, after, 0.95)
    half = 4.302653 * math.sqrt(((0.1 - 5 / 30) ** 2 * 2 + (0.3 - 5 / 30) ** 2) / 2) / math.sqrt(3)
    assert found.mean == pytest.approx(5 / 30)
    assert (found.low, found.high) == (pytest.approx(5 / 30 - half, abs=1e-6), pytest.approx(5 / 30 + half, abs=1e-6))
    assert found.n == 3


def test_pairing_takes_out_what_the_repeats_have_in_common():
    seeds = np.random.default_rng(0).normal(0, 0.2, 8)  # some seeds are good for both
    own = np.random.default_rng(1).normal(0, 0.01, 8)
    assert comparison.paired(seeds, seeds + 0.05 + own, 0.95).low > 0
    assert stats.ttest_ind(seeds, seeds + 0.05 + own).confidence_interval().low < 0


def test_equal_repeats_are_a_point_and_one_repeat_is_endless():
    assert comparison.paired([0.25] * 5, [0.25] * 5, 0.95) == Difference(0.0, 0.0, 0.0, 0.0, 5)
    coarse = comparison.paired([0.25] * 5, [0.25] * 5, 0.99, grid=1 / 320)
    assert comparison.verdict(coarse, 0.02) == UNCHANGED
    one = comparison.paired([0.2], [0.9], 0.95)
    assert (one.low, one.high, one.n) == (-math.inf, math.inf, 1)
    assert comparison.verdict(one, 0.02) == UNKNOWN
    assert comparison.repeats_needed(one, 0.02, 0.95) is None


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.4, IMPROVED),
        (-0.4, -0.001, WORSE),
        (-0.02, 0.02, UNCHANGED),
        (0, 0, UNCHANGED),
        (-0.021, 0.01, UNKNOWN),
        (0, 0.3, UNKNOWN),
    ],
)
def test_the_words_follow_from_the_interval(low, high, words):
    assert comparison.verdict(difference(low, high), min_effect=0.02) == words


@pytest.mark.parametrize("mean", [0.0, 0.004, 0.02, 0.1, -0.1])
def test_with_the_repeats_needed_the_words_are_others_and_with_one_fewer_not(mean):
    def words(n: int) -> str:
        half = stats.t.ppf(0.995, n - 1) * 0.1 / math.sqrt(n)
        return comparison.verdict(Difference(mean, mean - half, mean + half, 0.1, n), 0.03)

    needed = comparison.repeats_needed(Difference(mean, -1, 1, 0.1, 2), 0.03, 0.99)
    assert words(needed) != UNKNOWN
    assert words(needed - 1) == UNKNOWN
    assert comparison.repeats_needed(Difference(0.0, -9, 9, 50.0, 5), 0.001, 0.99) is None


def test_few_coarse_numbers_that_agree_by_chance_are_no_improvement():
    same = comparison.paired([0.5, 0.55], [0.55, 0.60], comparison.level(9), grid=1 / 20)
    assert comparison.verdict(same, 0.02) == UNKNOWN
    # Two settings that are equally good, measured on few pictures: seldom called different.
    generator, confidence, false = np.random.default_rng(0), comparison.level(9), 0
    for _ in range(2000):
        before, after = generator.binomial(20, 0.7, (2, 3)) / 20
        found = comparison.paired(before, after, confidence, grid=1 / 20)
        false += comparison.verdict(found, 0.02) in (IMPROVED, WORSE)
    assert false / 2000 <= 0.05 / 9


def test_all_intervals_together_hold_as_often_as_they_promise():
    generator = np.random.default_rng(0)
    confidence = comparison.level(4)
    assert confidence == pytest.approx(1 - 0.05 / 4)
    together = 0
    for _ in range(1000):
        runs = generator.normal(0.5, 0.1, (5, 5))  # 5 settings that are all the same, 5 repeats
        found = [comparison.paired(before, after, confidence) for before, after in itertools.pairwise(runs)]
        together += all(each.low <= 0 <= each.high for each in found)
    assert 940 <= together <= 990  # 95%, or a little more: Bonferroni's bound


@pytest.mark.parametrize(("score", "grid"), [("accuracy", 0.02), ("r2", 0.0)])
def test_only_an_accuracy_has_the_grid_of_its_pictures(score, grid):
    class Known(report.Measured):
        repeats = property(lambda self: pd.DataFrame({f"val_{score}": [0.5]}))
        validation = property(lambda self: pd.DataFrame({"file": ["x"] * 50}))

    assert Known(None, None).grid == grid
