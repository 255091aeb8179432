"""How the machine code wants pictures: folded, so that the pixels of a pooling window lie in planes of their own."""

from pathlib import Path

import numpy as np

from cnn.common import dataset, files
from cnn.model.backend import keras

LANES = 16  # places of a plane that are computed at once, a vector


def of_network(size: int, depth: int) -> tuple[int, int]:
    """How `fold` lays pictures out for a network of `depth` blocks: its q, and the side of a plane."""
    return 2 ** (depth - 1), -(-size // 2**depth)


def of_model(model: keras.Model) -> tuple[int, int]:
    """`of_network` for this model."""
    depth = sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers)
    return of_network(model.input_shape[1], depth)


def padded_area(side: int) -> int:
    """How many places a plane of side x side has, filled up to whole vectors."""
    return -(-side * side // LANES) * LANES


def fold(images: np.ndarray, q: int, side: int) -> np.ndarray:
    """uint8 (n, h, w, c) to (n, 2q, 2q, c, places), the layout that cnn.accelerator.convolution computes with.

    [P, R, k, i * side + j] is channel k of pixel (2qi + P, 2qj + R); missing pixels are 0, and so are the places that
    fill a plane up to whole vectors.
    """
    n, height, width, channels = images.shape
    length = 2 * q * side
    pixels = np.zeros((n, length, length, channels), np.uint8)
    pixels[:, :height, :width] = images
    pixels = pixels.reshape(n, side, 2 * q, side, 2 * q, channels).transpose(0, 2, 4, 5, 1, 3)
    result = np.zeros((n, 2 * q, 2 * q, channels, padded_area(side)), np.uint8)
    result[..., : side * side] = pixels.reshape(n, 2 * q, 2 * q, channels, side * side)
    return result


def write(split: str, folder: Path, model: keras.Model) -> None:
    """Write <split>.npy into `folder`: the split's pictures as trainings of `model` read them, unless it is there."""
    path = folder / f"{split}.npy"
    if path.exists():
        return
    images, labels = dataset.array_files(split)
    with files.atomic_path(path) as temporary:
        order = np.arange(len(np.load(labels, allow_pickle=False)))
        dataset.copy_rows(images, order, temporary, lambda rows: fold(rows, *of_model(model)))


def read(split: str, folder: Path) -> np.ndarray:
    """What `write` wrote, memory-mapped."""
    return np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
