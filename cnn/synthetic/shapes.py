"""The demonstration pictures for two other tasks: shapes to count, and tiles with or without a scratch.

Every picture has its own generator, seeded with (SEED, set, number).
"""

import numpy as np
from PIL import Image, ImageDraw

SEED = 20241
MAX_SHAPES = 9  # on a picture
SIDE = 112  # pixels; drawn SCALE times as large and reduced, for smooth edges
SCALE = 2


def shapes_picture(number: int) -> tuple[Image.Image, int]:
    """Picture `number` of the shapes to count, and their number."""
    rng = np.random.default_rng([SEED, 0, number])
    count = int(rng.integers(0, MAX_SHAPES + 1))
    image, colour = _background(rng, (60, 200))
    draw = ImageDraw.Draw(image)
    size = rng.uniform(0.035, 0.085)  # so that colour alone does not tell how many there are
    centres: list[np.ndarray] = []
    for _ in range(count):
        radius = size * rng.uniform(0.85, 1.15)
        while True:  # until it overlaps no other; with so few shapes that is soon so
            centre = rng.uniform(radius, 1 - radius, 2)
            if all(np.hypot(*(centre - other)) > 0.21 for other in centres):
                break
        centres.append(centre)
        _draw_shape(draw, rng, centre, radius, _contrasting(rng, colour))
    return _finish(image, rng), count


def tile_picture(number: int) -> tuple[Image.Image, str]:
    """Picture `number` of the tiles, and its class."""
    rng = np.random.default_rng([SEED, 1, number])
    scratched = number % 3 == 0
    image, colour = _background(rng, (110, 190))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 6))):  # specks are no scratches
        centre, radius = rng.uniform(0.05, 0.95, 2), rng.uniform(0.008, 0.03)
        _draw_shape(draw, rng, centre, radius, _darker(colour, rng.uniform(10, 50)))
    if scratched:
        length, angle = rng.uniform(0.25, 0.8), rng.uniform(0, np.pi)
        centre = rng.uniform(0.3, 0.7, 2)
        along = np.linspace(-length / 2, length / 2, 12)
        bend = rng.uniform(-0.25, 0.25) * along**2 + rng.normal(0, 0.004, len(along))
        x = centre[0] + along * np.cos(angle) - bend * np.sin(angle)
        y = centre[1] + along * np.sin(angle) + bend * np.cos(angle)
        points = [(float(a), float(b)) for a, b in np.stack([x, y], axis=1) * image.width]
        draw.line(points, _darker(colour, rng.uniform(45, 110)), width=int(rng.integers(4, 9)), joint="curve")
    return _finish(image, rng), "scratched" if scratched else "ok"


def _background(rng: np.random.Generator, brightness: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """An uneven surface, SCALE times as large as the picture, and its colour."""
    colour = rng.uniform(*brightness) + rng.uniform(-25, 25, 3)
    cells = rng.normal(0, 9, (5, 5, 1)) + colour
    small = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
    return small.resize((SIDE * SCALE, SIDE * SCALE), Image.Resampling.BICUBIC), colour


def _draw_shape(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, centre: np.ndarray, radius: float, colour: tuple[int, ...]
) -> None:
    """A disc, a triangle, a square or a pentagon of this radius about `centre`, both in units of the picture's side."""
    corners, angle = int(rng.choice([0, 3, 4, 5])), rng.uniform(0, 360)
    x, y, r = (float(value) * SIDE * SCALE for value in (*centre, radius))
    if corners:
        draw.regular_polygon((x, y, r), corners, rotation=angle, fill=colour)
    else:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _contrasting(rng: np.random.Generator, colour: np.ndarray) -> tuple[int, ...]:
    """A random colour that is clearly different from `colour`."""
    while True:
        other = rng.uniform(0, 255, 3)
        if np.abs(other - colour).mean() > 60:
            return tuple(int(value) for value in other)


def _darker(colour: np.ndarray, by: float) -> tuple[int, ...]:
    return tuple(int(max(value - by, 0)) for value in colour)


def _finish(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture in its size, with the noise of a camera."""
    small = np.asarray(image.reduce(SCALE), dtype=np.float32)
    noise = rng.standard_normal(small.shape, np.float32) * np.float32(rng.uniform(3, 8))
    return Image.fromarray(np.clip(small + noise, 0, 255).astype(np.uint8))
