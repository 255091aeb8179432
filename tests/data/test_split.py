from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnn.common.runtime import UserError
from cnn.data import quality, split

FRACTIONS = (0.2, 0.2)


def assign(contents: list[bytes], labels: list[str], seed: int = 0, named: list | None = None) -> list[str]:
    keys = [split.key(seed, content) for content in contents]
    conflicting = quality.conflicting_labels(labels, contents, contents)
    return split.assign(keys, labels, contents, named or [None] * len(keys), conflicting, *FRACTIONS)


def pictures(count: int) -> tuple[list[bytes], list[str]]:
    return [b"%d" % n for n in range(count)], ["ab"[n % 2] for n in range(count)]


@given(st.integers(20, 200), st.integers(0, 9), st.randoms())
def test_listing_order_has_no_influence(count, seed, random):
    contents, labels = pictures(count)
    before = dict(zip(contents, assign(contents, labels, seed), strict=True))
    order = list(range(count))
    random.shuffle(order)
    shuffled = [contents[i] for i in order]
    after = dict(zip(shuffled, assign(shuffled, [labels[i] for i in order], seed), strict=True))
    assert before == after


@given(st.integers(10, 300), st.integers(0, 9))
def test_each_class_is_divided_within_one_picture(count, seed):
    contents, labels = pictures(count)
    sides = Counter(zip(labels, assign(contents, labels, seed), strict=True))
    for label in "ab":
        total = labels.count(label)
        assert abs(sides[label, "test"] - 0.2 * total) <= 1
        assert abs(sides[label, "validation"] - 0.2 * total) <= 1


@given(st.integers(20, 200), st.binary(min_size=5, max_size=8))
def test_an_added_picture_pushes_at_most_one_over_each_border(count, new):
    contents, labels = pictures(count)
    before = assign(contents, labels)
    after = assign([*contents, new], [*labels, "a"])[:-1]
    moved = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(moved) <= 2
    assert max(Counter(moved).values(), default=0) <= 1


@given(st.lists(st.integers(0, 30), min_size=60, max_size=120))
def test_equal_pictures_are_on_one_side(numbers):
    contents = [b"%d" % n for n in [*numbers, *range(31)]]
    sides = {}
    for content, side in zip(contents, assign(contents, ["a"] * len(contents)), strict=True):
        assert sides.setdefault(content, side) == side


def test_another_seed_gives_another_split():
    contents, labels = pictures(100)
    assert assign(contents, labels, 0) != assign(contents, labels, 1)


def test_a_split_that_the_source_names_stays():
    contents, labels = pictures(60)
    named = ["test" if n < 10 else None for n in range(60)]
    sides = assign(contents, labels, named=named)
    assert [n for n, side in enumerate(sides) if side == "test"] == list(range(10))
    assert sides.count("validation") == 10


def test_pictures_that_the_source_trains_on_are_not_tested_on():
    contents, labels = pictures(80)
    named = ["train" if n < 40 else None for n in range(80)]
    sides = assign(contents, labels, named=named)
    assert set(sides[:40]) == {"train"}
    assert (sides[40:].count("test"), sides[40:].count("validation")) == (8, 8)


def test_a_copy_of_a_test_picture_is_not_trained_on():
    contents, labels = pictures(40)
    named = ["test" if n < 8 else "train" for n in range(40)]
    contents[20] = contents[0]
    assert assign(contents, labels, named=named)[20] == "test"


def test_a_picture_under_two_labels_stays_out_of_validation_and_test():
    contents, labels = pictures(60)
    for first in range(0, 40, 2):
        changed = [*contents, contents[first]]
        sides = assign(changed, [*labels, "b"])
        assert sides[first] == sides[-1] == "train"


def test_a_class_too_small_says_how_many_are_needed():
    contents, labels = pictures(40)
    with pytest.raises(UserError, match=r"class 'c' has 2 usable pictures .* at least 4 different"):
        assign([*contents, b"x", b"y"], [*labels, "c", "c"])
    assert split.smallest_class(*FRACTIONS) == 4
    assert set(assign([*contents, b"w", b"x", b"y", b"z"], [*labels, *"cccc"])[-4:]) == set(split.SPLITS)
