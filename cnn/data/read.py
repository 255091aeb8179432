"""Read every picture once, in parallel; each is used or rejected."""

from pathlib import Path

import numpy as np

from cnn.common import dataset, parallel
from cnn.common.params import Params
from cnn.data import duplicates, quality, split
from cnn.data.archive import Container
from cnn.data.decode import Unusable
from cnn.data.source import Picture, Source, load

BATCH = 64  # pictures a task: large enough to hide what a task costs, small enough to share out evenly
CACHE_BATCH = 4  # pictures that are hashed together: as many as a processor's cache holds


def read_all(source: Source, p: Params, pixels: Path) -> tuple[list[dict], list[quality.Rejected]]:
    """Fill the array file `pixels`, uint8 (n, size, size, 3); returns the used pictures and the rejected ones.

    A used picture is a dict: row (of pixels), key (for the split), perceptual_hash, colour, facts.
    """
    tasks = (
        (source.container, source.pictures[start : start + BATCH], pixels, start, p)
        for start in range(0, len(source.pictures), BATCH)
    )
    results = parallel.parallel_map(read_batch, tasks, p.workers)
    used, rejected = [], []
    for batch in parallel.progress(results, len(source.pictures), "pictures read"):
        for result in batch:
            (rejected if isinstance(result, quality.Rejected) else used).append(result)
    return used, rejected


def read_batch(
    container: Container, pictures: list[Picture], pixels: Path, start: int, p: Params
) -> list[dict | quality.Rejected]:
    """In a worker process: write the pictures into their rows, from `start` on, and return facts alone.

    These are plain numbers and bytes, because sending an array takes ten times as long.
    """
    images = np.zeros((len(pictures), p.image_size, p.image_size, 3), np.uint8)
    results = [
        read_one(container, picture, image, start + index, p.seed)
        for index, (picture, image) in enumerate(zip(pictures, images, strict=True))
    ]
    dataset.write_rows(pixels, start, images)
    used = [result for result in results if not isinstance(result, quality.Rejected)]
    for batch in (used[first : first + CACHE_BATCH] for first in range(0, len(used), CACHE_BATCH)):
        pixels_read = images[[each["row"] - start for each in batch]]
        for each, hash_, colour in zip(
            batch, duplicates.perceptual_hashes(pixels_read), quality.colour_features(pixels_read), strict=True
        ):
            each |= {"perceptual_hash": hash_.tobytes(), "colour": colour.tolist()}
    return results


def read_one(
    container: Container,
    picture: Picture,
    image: np.ndarray,
    row: int,
    seed: int,
) -> dict | quality.Rejected:
    try:
        data, image[:], facts = load(container, picture, len(image))
    except Unusable as unusable:
        return quality.Rejected(picture.file, picture.label, unusable.reason, unusable.advice)
    return {"row": row, "key": split.key(seed, data), "facts": facts | {"grey": quality.is_grey(image)}}
