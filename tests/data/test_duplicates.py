"""Copies and pictures that look the same are found, and different ones are left apart."""

import io
import zipfile

import numpy as np
import pytest
from conftest import PHOTOGRAPHS, encoded, scene, stripes
from PIL import Image

from cnn.data import duplicates
from cnn.data.decode import decode


def groups(images: list[np.ndarray]) -> tuple[list[int], list[int]]:
    pixels = np.array(images)
    return duplicates.groups(duplicates.perceptual_hashes(pixels), pixels, range(len(images)))


def variants(image: Image.Image) -> dict[str, bytes]:
    smaller = tuple(side * 3 // 4 for side in image.size)
    larger = tuple(side * 3 for side in image.size)
    return {
        "quality 40": encoded(image, "JPEG", quality=40),
        "WebP": encoded(image, "WEBP", quality=70),
        "smaller": encoded(image.resize(smaller, Image.Resampling.LANCZOS), "JPEG"),
        "larger": encoded(image.resize(larger, Image.Resampling.BICUBIC), "PNG"),
    }


def test_a_picture_saved_again_is_in_the_group_of_the_first():
    for seed in range(5):
        first = scene(seed)
        others = [scene(seed + 100), scene(seed + 200)]
        images = [decode(encoded(each), 96)[0] for each in (first, *others)]
        images += [decode(data, 96)[0] for data in variants(first).values()]
        copies, group = groups(images)
        assert len(set(copies)) == len(images)
        assert [each == group[0] for each in group] == [True, False, False, *[True] * 4]
        assert group[1] != group[2]


@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="no photographs here")
def test_photographs_saved_again_are_found_and_others_are_not():
    with zipfile.ZipFile(PHOTOGRAPHS) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[::16]
        originals = [archive.read(name) for name in names]
    images = [decode(data, 96)[0] for data in originals]
    _, group = groups(images)
    assert len(set(group)) == len(images)
    for data in originals[:10]:
        images += [decode(each, 96)[0] for each in variants(Image.open(io.BytesIO(data)).convert("RGB")).values()]
    _, group = groups(images)
    assert group[len(originals) :] == [each for each in group[:10] for _ in range(4)]
    assert len(set(group)) == len(originals)


def test_copies_are_equal_pixels():
    images = [np.asarray(stripes(label, 0).resize((96, 96))) for label in (0, 1, 0, 2, 1)]
    copies, group = groups(images)
    assert copies == [0, 1, 0, 3, 1]
    assert [group.index(each) for each in group] == copies


def test_the_same_shape_in_another_colour_is_another_picture():
    """The hash sees brightness alone; a data set that is told apart by colour must not fall together."""
    flat = [np.full((96, 96, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 30, 200), (30, 120, 30))]
    shape = np.zeros((96, 96, 3), np.uint8)
    shape[20:70, 30:80] = 1
    for images in (flat, [shape * np.array(c, np.uint8) for c in ((250, 0, 0), (0, 0, 250), (0, 250, 0))]):
        assert len(set(groups(images)[1])) == 3


def test_near_pairs_are_those_of_comparing_each_with_each():
    """The bands only save time: no pair within NEAR_BITS is lost."""
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 256, (60, 32), dtype=np.uint8)
    pairs = {}
    for bits in (1, duplicates.NEAR_BITS, duplicates.NEAR_BITS + 1, 60):
        flipped = np.unpackbits(hashes[0])
        flipped[generator.permutation(256)[:bits]] ^= 1
        pairs[bits] = np.packbits(flipped)
    all_hashes = np.array([*hashes, *pairs.values()])
    pixels = (
        np.arange(len(all_hashes), dtype=np.uint8)[:, None, None, None].repeat(3, axis=3) // 3
    )  # all near, not all equal
    _, group = duplicates.groups(all_hashes, pixels, range(len(all_hashes)))
    bits = np.unpackbits(all_hashes, axis=1).astype(int)
    near = (bits[:, None] != bits[None]).sum(axis=2) <= duplicates.NEAR_BITS
    assert near.sum() > len(all_hashes)
    for a, b in np.argwhere(near):
        assert group[a] == group[b]
    assert [each == group[0] for each in group[60:]] == [True, True, near[62, 61] or near[62, 60], False]


def test_a_thousand_shots_of_one_scene_are_one_group():
    base = np.asarray(scene(0, (32, 32))).astype(int)
    generator = np.random.default_rng(0)
    shots = [np.clip(base + generator.integers(-2, 3, base.shape), 0, 255).astype(np.uint8) for _ in range(1000)]
    assert len(set(groups(shots)[1])) == 1


def test_hashes_do_not_depend_on_how_the_pixels_lie_in_memory():
    images = np.stack([np.asarray(scene(seed).resize((96, 96))) for seed in (1, 2, 1)])
    turned = np.asfortranarray(images)
    np.testing.assert_array_equal(duplicates.perceptual_hashes(turned), duplicates.perceptual_hashes(images))
    all_hashes = duplicates.perceptual_hashes(images)
    assert (
        duplicates.groups(all_hashes, turned, range(3))
        == duplicates.groups(all_hashes, images, range(3))
        == ([0, 1, 0],) * 2
    )


@pytest.mark.parametrize("size", [8, 96, 128, 300, 1001])
def test_a_hash_is_that_of_sums_without_rounding(size):
    """In Python's whole numbers, which have no limit."""
    image = np.random.default_rng(size).integers(0, 256, (size, size, 3), dtype=np.uint8)
    angles = np.pi * np.arange(16)[:, None] * (2 * np.arange(size) + 1) / (2 * size)
    cosines = np.rint(np.cos(angles) * duplicates.COSINE_SCALE).astype(int).astype(object)
    light = image.astype(object) @ np.array(duplicates.LUMA, object)
    frequencies = (cosines @ light @ cosines.T).ravel()
    ordered = sorted(frequencies)
    bits = np.array([2 * each > ordered[127] + ordered[128] for each in frequencies])
    np.testing.assert_array_equal(duplicates.perceptual_hashes(image[None])[0], np.packbits(bits))
    down, _ = duplicates._cosines(size)
    largest = np.where(cosines.T > 0, 255, 0)  # of sums down
    np.testing.assert_array_equal(down @ largest.astype(down.dtype), (cosines @ largest.astype(object)).astype(float))
