"""The same picture twice: copies of its pixels, and the same photograph re-encoded or resized.

Copies are found by a hash of the decoded pixels. The rest is found by a perceptual hash, which sees brightness alone:
which of the lowest frequencies of the picture's cosine transform are above their median (Zauner 2010, Implementation
and Benchmarking of Perceptual Image Hash Functions, section 3.1). It is confirmed on the colour pixels.

Measured on 459 photographs and drawn surfaces, each saved as JPEG of quality 40, 75 and 90 and at 0.5, 0.75, 1.5 and
3 times its size: at most 20 bits and a mean difference of 17 of 255 lie between a picture and its variants. Between
different pictures of the same sets at least 88 bits lie, but for pairs that turn out to be one photograph, cropped or
lightened.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

SIDE = 16  # the hash has SIDE x SIDE bits
WHOLE = 2**12  # cosines are whole numbers of this part of 1
NEAR_BITS = 20  # bits of the hash in which pictures that look the same may differ
NEAR_PIXELS = 24.0  # mean absolute difference of their pixels, of 255
# Hashes that differ in NEAR_BITS bits at most are equal in at least one of NEAR_BITS + 1 bands.
BAND = SIDE * SIDE // (NEAR_BITS + 1)


def copy_hash(image: np.ndarray) -> bytes:
    """Equal for equal pixels. image: uint8 (h, w, 3)."""
    return hashlib.sha256(image).digest()


def look_hash(image: np.ndarray) -> np.ndarray:
    """The perceptual hash of uint8 (size, size, 3): uint8 (32,), few bits apart for pictures that look the same."""
    grey = np.asarray(Image.fromarray(image).convert("L"), dtype=np.float64)
    cosines = _cosines(len(image))
    frequencies = (cosines @ grey @ cosines.T).ravel()
    ordered, middle = np.sort(frequencies), SIDE * SIDE // 2
    return np.packbits(frequencies > (ordered[middle - 1] + ordered[middle]) / 2)


@functools.cache
def _cosines(size: int) -> np.ndarray:
    """The first SIDE rows of the cosine transform (DCT-II) for `size` numbers: float64 (SIDE, size).

    Whole numbers, as pixels are, so that float64 adds their products up without rounding, in whatever order.
    """
    angles = np.pi * np.arange(SIDE)[:, None] * (2 * np.arange(size) + 1) / (2 * size)
    return np.rint(np.cos(angles) * WHOLE)


def groups(
    copy_hashes: Sequence[bytes], look_hashes: np.ndarray, pixels: np.ndarray, rows: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Two numbers for each of n pictures: equal for copies, and equal for pictures that look the same.

    Copies look the same; and two pictures that look like a third are in one group with it.
    look_hashes: uint8 (n, 32); pixels: uint8 (m, size, size, 3), may be memory-mapped, with picture i
    in rows[i]. Time grows with the number of pairs that have a band of their hashes in common.
    """
    first: dict[bytes, int] = {}
    copies = np.array([first.setdefault(each, index) for index, each in enumerate(copy_hashes)])
    group = copies.copy()
    for left, right in _near_pairs(np.unique(copies), look_hashes):
        # A thousand takes of one scene are half a million pairs, of which a thousand say all.
        new = group[left] != group[right]
        for a, b in zip(left[new].tolist(), right[new].tolist(), strict=True):
            if group[a] != group[b] and _same_pixels(pixels[rows[a]], pixels[rows[b]]):
                group[group == group[b]] = group[a]
    return copies.tolist(), group.tolist()


def _same_pixels(one: np.ndarray, other: np.ndarray) -> bool:
    return float(np.abs(one.astype(np.int16) - other).mean()) <= NEAR_PIXELS


def _near_pairs(members: np.ndarray, look_hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of `members`, many at a time, whose hashes are NEAR_BITS or fewer bits apart.

    Of equal hashes the first stands for all: it is paired with each of them, and alone with the others.
    """
    _, first, same = np.unique(look_hashes[members], axis=0, return_index=True, return_inverse=True)
    yield members[first[same.ravel()]], members
    members = members[np.sort(first)]
    bits = np.unpackbits(look_hashes[members], axis=1)
    words = look_hashes[members].view(np.uint64)
    for band in range(NEAR_BITS + 1):
        values = bits[:, band * BAND : (band + 1) * BAND] @ (1 << np.arange(BAND))
        order = np.argsort(values, kind="stable")
        values = values[order]
        left = np.arange(len(order))
        for step in range(1, len(order)):
            left = left[left + step < len(order)]
            left = left[values[left] == values[left + step]]
            if not len(left):
                break
            a, b = order[left], order[left + step]
            near = np.bitwise_count(words[a] ^ words[b]).sum(axis=1) <= NEAR_BITS
            yield members[a[near]], members[b[near]]
