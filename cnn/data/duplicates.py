"""The same picture twice: copies of its pixels, and the same photograph re-encoded or resized.

Both are found by a perceptual hash of the brightness alone: which of the lowest frequencies of the picture's cosine
transform are above their median (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash
Functions, section 3.1). The colour pixels confirm it: copies have the same ones.

Measured on 459 photographs and drawn surfaces, each saved as JPEG of quality 40, 75 and 90 and at 0.5, 0.75, 1.5 and
3 times its size: at most 18 bits and a mean difference of 17 of 255 lie between a picture and its variants. Between
different pictures of the same sets at least 90 bits lie, but for pairs that turn out to be one photograph, cropped or
lightened.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

SIDE = 16  # the hash has SIDE x SIDE bits
COSINE_SCALE = 2**9  # cosines are rounded to whole multiples of 1 / COSINE_SCALE
LUMA = (77, 150, 29)  # 0.299, 0.587 and 0.114 of 256: the brightness of red, green and blue
NEAR_BITS = 20  # bits of the hash in which pictures that look the same may differ
NEAR_PIXELS = 24.0  # mean absolute difference of their pixels, of 255
# Hashes that differ in NEAR_BITS bits at most are equal in at least one of NEAR_BITS + 1 bands.
BAND = SIDE * SIDE // (NEAR_BITS + 1)


def perceptual_hashes(images: np.ndarray) -> np.ndarray:
    """The perceptual hashes of uint8 (n, size, size, 3): uint8 (n, 32), few bits apart where pictures look the same."""
    count, size, *_ = images.shape
    down, across = _cosines(size)
    rows = down @ images.reshape(count, size, -1).astype(down.dtype)
    frequencies = (rows.reshape(count * SIDE, -1).astype(np.float64) @ across).reshape(count, -1)
    ordered, middle = np.sort(frequencies, axis=1), SIDE * SIDE // 2
    return np.packbits(frequencies > ordered[:, middle - 1 : middle + 1].mean(axis=1, keepdims=True), axis=1)


@functools.cache
def _cosines(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The first SIDE rows of the cosine transform (DCT-II) for `size` numbers, for pixels down and across.

    float (SIDE, size); float64 (3 * size, SIDE), for their colours' brightness. Whole numbers, as pixels are, and of
    a type that rounds no sum of their products, in whatever order.
    """
    angles = np.pi * np.arange(SIDE)[:, None] * (2 * np.arange(size) + 1) / (2 * size)
    cosines = np.rint(np.cos(angles) * COSINE_SCALE)
    exact = np.float32 if 255 * COSINE_SCALE * size <= 2**24 else np.float64
    return cosines.astype(exact), np.einsum("kx,c->xck", cosines, LUMA).reshape(3 * size, SIDE)


def groups(perceptual_hashes: np.ndarray, pixels: np.ndarray, rows: Sequence[int]) -> tuple[list[int], list[int]]:
    """Two numbers for each of n pictures: equal for copies, and equal for pictures that look the same.

    Copies look the same; and two pictures that look like a third are in one group with it.
    perceptual_hashes: uint8 (n, 32); pixels: uint8 (m, size, size, 3), may be memory-mapped, with picture i
    in rows[i]. Time grows with the number of pairs that have a band of their hashes in common.
    """
    copies = _copies(perceptual_hashes, pixels, rows)
    group = copies.copy()
    for left, right in _near_pairs(np.unique(copies), perceptual_hashes):
        # A thousand shots of one scene are half a million pairs; a thousand of them are enough.
        unequal = group[left] != group[right]
        for a, b in zip(left[unequal].tolist(), right[unequal].tolist(), strict=True):
            if group[a] != group[b] and _same_pixels(pixels[rows[a]], pixels[rows[b]]):
                group[group == group[b]] = group[a]
    return copies.tolist(), group.tolist()


def _copies(perceptual_hashes: np.ndarray, pixels: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """For each picture the first one with its pixels."""
    _, hash_of, counts = np.unique(perceptual_hashes, axis=0, return_inverse=True, return_counts=True)
    copies, first = np.arange(len(perceptual_hashes)), {}
    for index in np.flatnonzero(counts[hash_of.ravel()] > 1).tolist():
        copies[index] = first.setdefault(hashlib.sha256(pixels[rows[index]].tobytes()).digest(), index)
    return copies


def _same_pixels(one: np.ndarray, other: np.ndarray) -> bool:
    return float(np.abs(one.astype(np.int16) - other).mean()) <= NEAR_PIXELS


def _near_pairs(members: np.ndarray, perceptual_hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of `members`, many at a time, whose hashes are NEAR_BITS or fewer bits apart.

    Of equal hashes the first stands for all: it is paired with each of them, and alone with the others.
    """
    _, first, hash_of = np.unique(perceptual_hashes[members], axis=0, return_index=True, return_inverse=True)
    yield members[first[hash_of.ravel()]], members
    members = members[np.sort(first)]
    bits = np.unpackbits(perceptual_hashes[members], axis=1)
    words = perceptual_hashes[members].view(np.uint64)
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
