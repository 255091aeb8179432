"""The demonstration pictures: a surface of surfaces.PATTERNS, lit from the side and coloured.

Every picture has its own generator, seeded with (SEED, class, number). Palettes, brightness and contrast overlap
between the classes: colour says a little, the pattern says which surface it is.
"""

import numpy as np
from scipy import ndimage

from cnn.synthetic import surfaces

SEED = 20240
SIDES = (128, 220)  # pixels a side, both included

# Natural tones as sRGB, and how often each class has them: every class has all of them.
TONES = np.array(
    [(201, 184, 155), (146, 117, 91), (142, 138, 132), (152, 107, 91), (118, 124, 129), (172, 158, 134)], np.float32
)  # sand, brown, grey, reddish brown, slate, straw
WEIGHTS = {
    "brick": (0.08, 0.16, 0.10, 0.46, 0.08, 0.12),
    "stone": (0.14, 0.08, 0.40, 0.06, 0.22, 0.10),
    "fabric": (0.20, 0.08, 0.10, 0.10, 0.42, 0.10),
    "wood": (0.14, 0.40, 0.06, 0.10, 0.04, 0.26),
}
# Degrees; a wall has level courses and a board is mostly seen upright, while cobbles have any direction.
MAX_ANGLE = {"brick": 12, "stone": 180, "fabric": 25, "wood": 15}
BRIGHTNESS, CONTRAST = (38, 88), (18, 36)  # mean and standard deviation of a picture, the same for every class
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def picture(kind: str, number: int) -> tuple[np.ndarray, int]:
    """Picture `number` of class `kind`: uint8 (height, width, 3), and the JPEG quality it is saved with."""
    rng = np.random.default_rng([SEED, list(surfaces.PATTERNS).index(kind), number])
    height, width = (int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, 2))
    u, v = _coordinates(rng, height, width, MAX_ANGLE[kind])
    surface = surfaces.PATTERNS[kind](rng, u, v)
    light = _light(rng, surface)
    rgb = light[:, :, None] * _tint(rng, surface.mix, WEIGHTS[kind])
    grain = rng.standard_normal((height, width, 3), np.float32)
    rgb += grain * np.float32(rng.uniform(1.5, 5.0))
    return np.clip(rgb, 0, 255).astype(np.uint8), int(rng.integers(70, 96))


def _coordinates(rng: np.random.Generator, height: int, width: int, max_angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Pattern coordinates u, v (float32, (height, width)) about the middle, rotated and shifted at random."""
    unit = np.sqrt(height * width)
    x = (np.arange(width, dtype=np.float32) - np.float32(width / 2)) / np.float32(unit)
    y = ((np.arange(height, dtype=np.float32) - np.float32(height / 2)) / np.float32(unit))[:, None]
    angle = np.deg2rad(rng.uniform(-max_angle, max_angle))
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    shift = rng.uniform(-0.1, 0.1, 2).astype(np.float32)
    return cos * x + sin * y + shift[0], cos * y - sin * x + shift[1]


def _light(rng: np.random.Generator, surface: surfaces.Surface) -> np.ndarray:
    """Brightness 0..255 (float32, (height, width)): relief lit from the side, then mean and spread set at random.

    Mean and spread have the same distribution in every class, so that they tell nothing about it.
    """
    height, width = surface.albedo.shape
    down, right = rng.uniform(0.5, 1.0), rng.uniform(-1.0, 1.0)
    slope = np.zeros_like(surface.relief)
    slope[1:] += np.diff(surface.relief, axis=0) * np.float32(down)
    slope[:, 1:] += np.diff(surface.relief, axis=1) * np.float32(right)
    shade = surface.albedo + slope * np.float32(rng.uniform(1.0, 2.0))
    shade = ndimage.gaussian_filter(shade, rng.uniform(0.4, 1.0), truncate=2.5)
    # Spread is measured on 2 x 2 means: finer detail is lost when the pictures are made smaller later.
    even = shade[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2)
    shade = np.clip((shade - shade.mean()) / even.mean(axis=(1, 3)).std(), -3, 3)
    # Without uneven light and dirt every part of a picture shows the same, and training on so little variety ends at
    # chance accuracy for one seed and at 1.0 for the next.
    shade *= np.float32(rng.uniform(0.6, 1.0))
    shade += surfaces.fractal_noise(rng, shade.shape, 2, 2) * np.float32(rng.uniform(0.2, 0.5))
    fall_x, fall_y = rng.uniform(-1.0, 1.0, 2)
    shade += np.linspace(-fall_x, fall_x, width, dtype=np.float32)
    shade += np.linspace(-fall_y, fall_y, height, dtype=np.float32)[:, None]
    return shade * np.float32(rng.uniform(*CONTRAST)) + np.float32(rng.uniform(*BRIGHTNESS))


def _tint(rng: np.random.Generator, mix: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    """Colour of brightness 1 (float32, (height, width, 3)) that follows `mix` from one tone to another."""
    tones = TONES[rng.choice(len(TONES), 2, p=weights)] * rng.uniform(0.96, 1.04, (2, 3)).astype(np.float32)
    tones = tones / (tones * LUMA).sum(axis=1, keepdims=True)
    return tones[0] + mix[:, :, None] * (tones[1] - tones[0]) * np.float32(0.6)
