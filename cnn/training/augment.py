"""Augmentation: training pictures are mirrored and shifted at random, anew in each epoch.

It uses numpy and a generator of its own. The draws depend on seed and epoch alone, so a training that was interrupted
draws the same again. The random layers of Keras have a state of their own and would not.
"""

import numpy as np


def change(images: np.ndarray, flip: bool, shift: float, generator: np.random.Generator) -> np.ndarray:
    """Mirror about half of the pictures left to right if `flip`, and shift each by up to `shift` of its side.

    images: uint8 (n, height, width, 3), as is the result. New pixels at a border repeat the edge.
    """
    n, height, width, _ = images.shape
    down, right = (
        np.arange(side) - generator.integers(-int(shift * side), int(shift * side) + 1, (n, 1))
        for side in (height, width)
    )
    rows = down.clip(0, height - 1)
    columns = right.clip(0, width - 1)
    if flip:
        mirrored = generator.random(n) < 0.5
        columns[mirrored] = width - 1 - columns[mirrored]
    return np.stack([image.take(y, axis=0).take(x, axis=1) for image, y, x in zip(images, rows, columns, strict=True)])


class Augmented:
    """Pictures that are augmented when they are indexed by rows.

    images: uint8 (n, height, width, 3). Indexing gives uint8 (rows, height, width, 3).
    """

    def __init__(self, images: np.ndarray, flip: bool, shift: float, generator: np.random.Generator):
        self.images, self.flip, self.shift, self.generator = images, flip, shift, generator

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return change(self.images[rows], self.flip, self.shift, self.generator)
