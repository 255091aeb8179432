"""Why that class? Cover a part of the picture at a time and see how far its probability falls.

Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901, section 4.2.
It needs no gradients, so it works on any exported network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

PATCHES = 6  # covered squares beside each other along a side
STEPS = 12  # places along a side, so that they overlap
SMALLEST = 1e-30  # unit
COLOUR = (255, 80, 0)  # of what speaks for the class, on a grey picture


def heat(probabilities: Callable[[np.ndarray], np.ndarray], image: np.ndarray, predicted_class: int) -> np.ndarray:
    """How much each pixel speaks for the class `predicted_class`: float (size, size), 0 to 1.

    image: uint8 (size, size, 3); probabilities: uint8 (n, size, size, 3) to (n, classes). A pixel's number is the
    mean fall of the class's probability over the squares that cover it, in parts of the largest; what speaks
    against the class counts 0.
    """
    size = len(image)
    wide = side(size)
    places = [(y, x) for y in starts(size) for x in starts(size)]
    covered = np.repeat(image[None], len(places) + 1, axis=0)
    grey = image.mean(axis=(0, 1)).astype(np.uint8)
    for number, (y, x) in enumerate(places):
        covered[number, y : y + wide, x : x + wide] = grey
    answers = probabilities(covered)  # the last one is the whole picture
    falls = answers[-1, predicted_class] - answers[:-1, predicted_class]
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for (y, x), fall in zip(places, falls, strict=True):
        total[y : y + wide, x : x + wide] += fall
        count[y : y + wide, x : x + wide] += 1
    result = np.clip(total / np.maximum(count, 1), 0, None)
    return result / max(result.max(), 1e-12) if result.max() > 1e-6 else np.zeros_like(result)


def side(size: int) -> int:
    """Of a covered square, in pixels of a picture with `size` a side."""
    return max(size // PATCHES, 1)


def starts(size: int) -> list[int]:
    """Where covered squares begin along a side."""
    return sorted({round(start) for start in np.linspace(0, size - side(size), STEPS)})


def closeness(
    answer: Callable[[np.ndarray], np.ndarray], own: np.ndarray, unit: float
) -> Callable[[np.ndarray], np.ndarray]:
    """For `heat` where numbers are asked for: how near to `own` the numbers (n, 1) are, at most 0, in this unit.

    It falls where a covered part changes the number, up or down.
    """
    return lambda images: -np.abs(answer(images) - own) / max(unit, SMALLEST)


@dataclass(frozen=True)
class HeatmapRequest:
    """A heat map for the picture in this row, of the class predicted for it; or of its number.

    own, unit: as `closeness` takes them, where numbers are asked for.
    """

    row: int
    predicted_class: int = 0
    own: np.ndarray | None = None
    unit: float = 0.0

    def heat(self, predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
        """The map, as `heat` gives it. predict: what the model says of pictures; images: uint8 (n, size, size, 3)."""
        if self.own is not None:
            predict = closeness(predict, self.own, self.unit)
        return heat(predict, images[self.row], self.predicted_class)


def overlay(image: np.ndarray, heat_: np.ndarray) -> np.ndarray:
    """The picture in grey with its heat in colour: uint8 (size, size, 3)."""
    grey = np.asarray(Image.fromarray(image).convert("L"), dtype=np.float64)[..., None].repeat(3, axis=2)
    share = 0.75 * heat_[..., None]
    return np.rint(grey * (1 - share) + np.array(COLOUR) * share).astype(np.uint8)
