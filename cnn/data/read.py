"""Read every picture once, in parallel, and say of each whether it can be used."""

from pathlib import Path

import numpy as np

from cnn.common import dataset, parallel
from cnn.common.params import Params
from cnn.data import duplicates, quality, source, split
from cnn.data.archive import Container
from cnn.data.decode import Unusable

BATCH = 64  # pictures a task: large enough to hide what a task costs, small enough to share out evenly
AT_ONCE = 4  # pictures that are looked at side by side: as many as a processor's cache holds


def read_all(found: source.Source, p: Params, pixels: Path) -> tuple[list[dict], list[quality.Rejected]]:
    """Fill the array file `pixels`, uint8 (found, size, size, 3), and say of each picture whether it can be used.

    A used one is a dict: row (of pixels), key (for the split), perceptual_hash, colour, facts.
    """
    tasks = (
        (found.container, found.pictures[start : start + BATCH], pixels, start, p)
        for start in range(0, len(found.pictures), BATCH)
    )
    results = parallel.parallel_map(read_batch, tasks, p.workers)
    used, rejected = [], []
    for batch in parallel.progress(results, len(found.pictures), "pictures read"):
        for result in batch:
            (rejected if isinstance(result, quality.Rejected) else used).append(result)
    return used, rejected


def read_batch(
    container: Container, pictures: list[source.Picture], pixels: Path, start: int, p: Params
) -> list[dict | quality.Rejected]:
    """In a worker process: write the pictures into their rows, from `start` on; only facts travel back.

    They are plain numbers and bytes: an array takes ten times as long on its way.
    """
    images = np.zeros((len(pictures), p.image_size, p.image_size, 3), np.uint8)
    results = [
        read_one(container, picture, image, start + index, p.seed)
        for index, (picture, image) in enumerate(zip(pictures, images, strict=True))
    ]
    dataset.write_rows(pixels, start, images)
    used = [result for result in results if not isinstance(result, quality.Rejected)]
    for some in (used[first : first + AT_ONCE] for first in range(0, len(used), AT_ONCE)):
        read = images[[each["row"] - start for each in some]]
        for each, hash_, colour in zip(
            some, duplicates.perceptual_hashes(read), quality.colour_features(read), strict=True
        ):
            each |= {"perceptual_hash": hash_.tobytes(), "colour": colour.tolist()}
    return results


def read_one(
    container: Container,
    picture: source.Picture,
    image: np.ndarray,
    row: int,
    seed: int,
) -> dict | quality.Rejected:
    try:
        data, image[:], facts = source.load(container, picture, len(image))
    except Unusable as unusable:
        return quality.Rejected(picture.file, picture.label, unusable.reason, unusable.advice)
    return {"row": row, "key": split.key(seed, data), "facts": facts | {"grey": quality.is_grey(image)}}
