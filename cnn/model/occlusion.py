"""Why that class? Cover one part of the picture after another and see how far its probability falls.

Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901, section 4.2.
It needs no gradients, so it works on any exported network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

PATCHES = 6  # covered squares that fit along a side
STEPS = 12  # positions along a side, so that they overlap
SMALLEST = 1e-30  # unit of `closeness`
COLOUR = (255, 80, 0)  # of the heat, on a grey picture


def heat(probabilities: Callable[[np.ndarray], np.ndarray], image: np.ndarray, predicted_class: int) -> np.ndarray:
    """How much each pixel supports the class `predicted_class`: float (size, size), 0 to 1.

    image: uint8 (size, size, 3); probabilities: uint8 (n, size, size, 3) to (n, classes). The heat of a pixel is the
    mean fall of the class's probability over the squares that cover it, divided by the largest one. It is 0 where the
    probability rises.
    """
    size = len(image)
    width = side(size)
    corners = [(y, x) for y in starts(size) for x in starts(size)]
    covered = np.repeat(image[None], len(corners) + 1, axis=0)
    grey = image.mean(axis=(0, 1)).astype(np.uint8)
    for number, (y, x) in enumerate(corners):
        covered[number, y : y + width, x : x + width] = grey
    outputs = probabilities(covered)[:, predicted_class]  # the last one is that of the whole picture
    falls = outputs[-1] - outputs[:-1]
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for (y, x), fall in zip(corners, falls, strict=True):
        total[y : y + width, x : x + width] += fall
        count[y : y + width, x : x + width] += 1
    mean_fall = np.clip(total / np.maximum(count, 1), 0, None)
    return mean_fall / max(mean_fall.max(), 1e-12) if mean_fall.max() > 1e-6 else np.zeros_like(mean_fall)


def side(size: int) -> int:
    """The side of a covered square, in pixels, for a picture of size x size."""
    return max(size // PATCHES, 1)


def starts(size: int) -> list[int]:
    """Where covered squares begin along a side."""
    return sorted({round(start) for start in np.linspace(0, size - side(size), STEPS)})


def closeness(
    predict: Callable[[np.ndarray], np.ndarray], reference: np.ndarray, unit: float
) -> Callable[[np.ndarray], np.ndarray]:
    """For `heat` in regression: minus the distance between predictions (n, 1) and `reference`, in units of `unit`.

    It falls where a covered part changes the prediction, up or down.
    """
    return lambda images: -np.abs(predict(images) - reference) / max(unit, SMALLEST)


@dataclass(frozen=True)
class HeatmapRequest:
    """A heat map for the picture in this row, of its predicted class, or in regression of its predicted number.

    reference, unit: the arguments of `closeness`, in regression.
    """

    row: int
    predicted_class: int = 0
    reference: np.ndarray | None = None
    unit: float = 0.0

    def heat(self, predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
        """The result of `heat`. images: uint8 (n, size, size, 3), of which `predict` gives the model's predictions."""
        if self.reference is not None:
            predict = closeness(predict, self.reference, self.unit)
        return heat(predict, images[self.row], self.predicted_class)


def overlay(image: np.ndarray, heat_: np.ndarray) -> np.ndarray:
    """The picture in grey with its heat in colour: uint8 (size, size, 3)."""
    grey = np.asarray(Image.fromarray(image).convert("L"), dtype=np.float64)[..., None].repeat(3, axis=2)
    share = 0.75 * heat_[..., None]
    return np.rint(grey * (1 - share) + np.array(COLOUR) * share).astype(np.uint8)
