"""Training pictures changed a little, anew each time they are seen: mirrored and moved.

On the processor, with numpy and a generator of its own: the draws depend on seed and epoch alone, so an
interrupted training draws them again, which the random layers of Keras, with state of their own, would not.
"""

import numpy as np


def change(images: np.ndarray, flip: bool, shift: float, generator: np.random.Generator) -> np.ndarray:
    """Half of the pictures mirrored left to right if `flip`, each moved by up to `shift` of its side.

    images: uint8 (n, height, width, 3), as is the result. What comes into view repeats the edge.
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
    """Pictures that are changed when they are looked up by rows.

    images: uint8 (n, height, width, 3). A look-up gives uint8 (rows, height, width, 3).
    """

    def __init__(self, images: np.ndarray, flip: bool, shift: float, generator: np.random.Generator):
        self.images, self.flip, self.shift, self.generator = images, flip, shift, generator

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return change(self.images[rows], self.flip, self.shift, self.generator)
