"""The demonstration pictures for two other tasks: shapes to count, and tiles with or without a scratch.

Every picture has its own generator, seeded with (SEED, set, number).
"""

import numpy as np
from PIL import Image, ImageDraw

SEED = 20241
MOST = 9  # shapes on a picture
SIDE = 112  # pixels; drawn SCALE times as large and made smaller, for smooth edges
SCALE = 2


def counted(number: int) -> tuple[Image.Image, int]:
    """Picture `number` of the shapes to count, and how many there are on it."""
    rng = np.random.default_rng([SEED, 0, number])
    count = int(rng.integers(0, MOST + 1))
    image, colour = _background(rng, (60, 200))
    draw = ImageDraw.Draw(image)
    size = rng.uniform(0.035, 0.085)  # so that colour alone does not tell how many there are
    taken: list[np.ndarray] = []
    for _ in range(count):
        radius = size * rng.uniform(0.85, 1.15)
        while True:  # shapes lie apart; with so few of them a free place is soon found
            middle = rng.uniform(radius, 1 - radius, 2)
            if all(np.hypot(*(middle - other)) > 0.21 for other in taken):
                break
        taken.append(middle)
        _shape(draw, rng, middle, radius, _another(rng, colour))
    return _finished(image, rng), count


def tile(number: int) -> tuple[Image.Image, str]:
    """Picture `number` of the tiles, and its class."""
    rng = np.random.default_rng([SEED, 1, number])
    scratched = number % 3 == 0
    image, colour = _background(rng, (110, 190))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 6))):  # specks are no scratches
        middle, radius = rng.uniform(0.05, 0.95, 2), rng.uniform(0.008, 0.03)
        _shape(draw, rng, middle, radius, _darker(colour, rng.uniform(10, 50)))
    if scratched:
        length, turn = rng.uniform(0.25, 0.8), rng.uniform(0, np.pi)
        middle = rng.uniform(0.3, 0.7, 2)
        along = np.linspace(-length / 2, length / 2, 12)
        bow = rng.uniform(-0.25, 0.25) * along**2 + rng.normal(0, 0.004, len(along))
        x = middle[0] + along * np.cos(turn) - bow * np.sin(turn)
        y = middle[1] + along * np.sin(turn) + bow * np.cos(turn)
        points = [(float(a), float(b)) for a, b in np.stack([x, y], axis=1) * image.width]
        draw.line(points, _darker(colour, rng.uniform(45, 110)), width=int(rng.integers(4, 9)), joint="curve")
    return _finished(image, rng), "scratched" if scratched else "ok"


def _background(rng: np.random.Generator, brightness: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """An uneven surface, SCALE times as large as the picture, and its colour."""
    colour = rng.uniform(*brightness) + rng.uniform(-25, 25, 3)
    cells = rng.normal(0, 9, (5, 5, 1)) + colour
    small = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
    return small.resize((SIDE * SCALE, SIDE * SCALE), Image.Resampling.BICUBIC), colour


def _shape(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, middle: np.ndarray, radius: float, colour: tuple[int, ...]
) -> None:
    """A disc, a triangle, a square or a pentagon of this radius about `middle`, both in sides of the picture."""
    corners, turn = int(rng.choice([0, 3, 4, 5])), rng.uniform(0, 360)
    x, y, r = (float(value) * SIDE * SCALE for value in (*middle, radius))
    if corners:
        draw.regular_polygon((x, y, r), corners, rotation=turn, fill=colour)
    else:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _another(rng: np.random.Generator, colour: np.ndarray) -> tuple[int, ...]:
    """A colour that can be told from `colour`."""
    while True:
        other = rng.uniform(0, 255, 3)
        if np.abs(other - colour).mean() > 60:
            return tuple(int(value) for value in other)


def _darker(colour: np.ndarray, by: float) -> tuple[int, ...]:
    return tuple(int(max(value - by, 0)) for value in colour)


def _finished(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture in its size, with the noise of a camera."""
    small = np.asarray(image.reduce(SCALE), dtype=np.float32)
    noise = rng.standard_normal(small.shape, np.float32) * np.float32(rng.uniform(3, 8))
    return Image.fromarray(np.clip(small + noise, 0, 255).astype(np.uint8))
