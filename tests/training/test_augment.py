"""Training pictures changed a little: mirrored, moved, and the same each time they are drawn again."""

import numpy as np

from cnn.training import augment

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 20, 24, 3), dtype=np.uint8)


def changed(flip: bool, shift: float, seed: int = 0) -> np.ndarray:
    return augment.change(IMAGES, flip, shift, np.random.default_rng(seed))


def test_a_flip_mirrors_about_half_of_the_pictures_and_nothing_else():
    pairs = list(zip(IMAGES, changed(True, 0), strict=True))
    mirrored = [(after == before[:, ::-1]).all() for before, after in pairs]
    same = [(after == before).all() for before, after in pairs]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 10 < sum(mirrored) < 30


def test_a_shift_moves_by_at_most_its_share_and_repeats_the_edge():
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")  # a tenth of 20 and of 24, whole pixels
    shifts = set()
    for before, after in zip(padded, changed(False, 0.1), strict=True):
        matches = [(y, x) for y in range(5) for x in range(5) if (before[y : y + 20, x : x + 24] == after).all()]
        assert len(matches) == 1
        shifts.update(matches)
    assert {y for y, _ in shifts} == {x for _, x in shifts} == set(range(5))


def test_the_same_generator_gives_the_same_pictures_and_another_does_not():
    assert (changed(True, 0.2) == changed(True, 0.2)).all()
    assert (changed(True, 0.2) != changed(True, 0.2, seed=1)).any()


def test_looking_up_rows_gives_those_pictures_changed():
    rows = np.array([3, 0, 3])
    looked_up = augment.Augmented(IMAGES, True, 0.1, np.random.default_rng(5))[rows]
    assert (looked_up == augment.change(IMAGES[rows], True, 0.1, np.random.default_rng(5))).all()
    assert (looked_up[0] != looked_up[2]).any()  # drawn anew each time
