"""Procedural surfaces: brick, stone, fabric and wood, each as three maps that sample.py lights and colours.

A pattern takes a generator and the coordinates u, v (float32, (height, width), one unit is the side of
a square as large as the picture) and returns a Surface of the same shape.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

TABLE = 64  # side of the random tables that hold one value for each brick, stone, thread or ring


class Surface(NamedTuple):
    """Three float32 maps (height, width)."""

    albedo: np.ndarray  # how light the material is; any scale, because sample.py standardises the picture
    relief: np.ndarray  # height about 0..1, lit from the side
    mix: np.ndarray  # 0..1 between the two tones of the palette


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int, octaves: int) -> np.ndarray:
    """Sum of `octaves` smooth noises, each twice as fine and half as strong: float32 `shape`, sd about 1.

    `cells` is the number of lattice cells a side in the coarsest octave.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        side = cells * 2**octave + 1
        lattice = rng.standard_normal((side, side), np.float32)
        smooth = Image.fromarray(lattice).resize(shape[::-1], Image.Resampling.BICUBIC)
        total += np.asarray(smooth) * np.float32(0.5**octave)
    return total * np.float32(1.3)


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth ramp between."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def brick(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Surface:
    """Running bond: every other course is shifted by half a brick; mortar between, a shade for each brick."""
    courses, length, joint = rng.uniform(2.5, 5.5), rng.uniform(2.1, 2.9), rng.uniform(0.07, 0.12)
    rough = fractal_noise(rng, u.shape, 12, 3)
    y = v * np.float32(courses) + rough * np.float32(0.02)
    row = np.floor(y)
    x = u * np.float32(courses / length) + row * np.float32(0.5) + rough * np.float32(0.01)
    column = np.floor(x)
    edge = np.minimum(_to_edge(x - column) * np.float32(length), _to_edge(y - row))
    face = smoothstep(joint - 0.05, joint + 0.05, edge + rough * np.float32(0.015))
    shades = rng.standard_normal((TABLE, TABLE), np.float32)
    shade = shades[_index(row), _index(column)]
    mortar = rng.uniform(1.0, 2.2)
    albedo = face * (shade * np.float32(0.35) + rough * np.float32(0.2)) + (1 - face) * np.float32(mortar)
    return Surface(albedo, face + rough * np.float32(0.06), 1 - face)


def stone(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Surface:
    """Cobbles: the Voronoi cells of a jittered lattice, domed, with a shade each and dark or sandy joints."""
    cells, joint = rng.uniform(1.6, 3.6), rng.uniform(0.08, 0.14)
    rough = fractal_noise(rng, u.shape, 8, 4)
    x = u * np.float32(cells) + rough * np.float32(0.03)
    y = v * np.float32(cells) + rough * np.float32(0.03)
    nearest, second, shade = _voronoi(rng, x, y)
    face = smoothstep(joint - 0.06, joint + 0.1, second - nearest)
    dome = np.clip(1 - nearest * nearest, 0, 1)
    dirt = -rng.uniform(0.8, 2.0)
    albedo = face * (shade * np.float32(0.45) + rough * np.float32(0.25)) + (1 - face) * np.float32(dirt)
    return Surface(
        albedo + dome * np.float32(0.6), face * (np.float32(0.4) + dome) + rough * np.float32(0.06), 1 - face
    )


def fabric(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Surface:
    """Over-under weave of warp (along v) and weft (along u): plain weave or a 2/2 basket or twill."""
    threads = rng.uniform(6, 14)
    soft = fractal_noise(rng, u.shape, 3, 2)
    x = u * np.float32(threads) + soft * np.float32(0.15)
    y = v * np.float32(threads) - soft * np.float32(0.15)
    column, row = np.floor(x), np.floor(y)
    over = _weave(rng, column, row)
    across_warp, across_weft = _to_edge(x - column) * 2, _to_edge(y - row) * 2
    # The thread on top is round across its run and dives at both ends of the stretch where it lies on top.
    across = np.where(over, across_warp, across_weft)
    along = np.where(over, across_weft, across_warp)
    thread = across * (2 - across) * (np.float32(0.6) + np.float32(0.4) * along * (2 - along))
    shades = rng.standard_normal((2, TABLE), np.float32)
    shade = np.where(over, shades[0][_index(column)], shades[1][_index(row)])
    step = np.float32(rng.uniform(0.0, 0.6))
    fuzz = rng.standard_normal(u.shape, np.float32)
    albedo = thread * 2 + shade * np.float32(0.2) + over * step + fuzz * np.float32(0.15) + soft * np.float32(0.15)
    return Surface(albedo, thread, over.astype(np.float32))


def wood(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Surface:
    """Plain-sawn board, grain along v: warped rings with a sharp dark edge, knots, and short fibres."""
    rings = rng.uniform(3, 8)
    warp = fractal_noise(rng, u.shape, 2, 2)
    bow = np.float32(rng.uniform(-0.25, 0.25)) * v * v
    x = u + warp * np.float32(0.035) + bow
    for _ in range(rng.integers(0, 3)):
        ku, kv = rng.uniform(-0.5, 0.5, 2).astype(np.float32)
        distance = ((u - ku) * 12) ** 2 + ((v - kv) * 5) ** 2
        x = x + np.float32(rng.choice([-1, 1]) * 0.13) * np.exp(-distance)
    phase = x * np.float32(rings) + np.float32(rng.uniform(0, TABLE))
    ring = np.floor(phase)
    t = phase - ring
    late = t * t * (1 - smoothstep(0.85, 1.0, t))
    strength = rng.uniform(0.5, 1.3, TABLE).astype(np.float32)[_index(ring)]
    fibres = rng.standard_normal((256, TABLE), np.float32)
    fibre = fibres[(x * 160).astype(np.int32) % 256, _index(np.floor(v * 4 + ring * np.float32(0.37)))]
    albedo = -late * strength * 2 + fibre * np.float32(0.25) + warp * np.float32(0.1)
    return Surface(albedo, fibre * np.float32(0.05) - late * np.float32(0.3), np.clip(late * strength, 0, 1))


PATTERNS = {"brick": brick, "stone": stone, "fabric": fabric, "wood": wood}


def _to_edge(t: np.ndarray) -> np.ndarray:
    """Distance from t in 0..1 to the nearer end."""
    return np.minimum(t, 1 - t)


def _index(cell: np.ndarray) -> np.ndarray:
    """Whole numbers (float32) as indices into a table of TABLE entries, which repeats."""
    return cell.astype(np.int32) % TABLE


def _weave(rng: np.random.Generator, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Where the warp lies on top: bool, the shape of `column` and `row`."""
    i, j = column.astype(np.int32), row.astype(np.int32)
    kind = rng.choice(["plain", "basket", "twill"], p=[0.6, 0.2, 0.2])
    if kind == "basket":
        return (i // 2 + j // 2) % 2 == 0
    return (i + j) % 2 == 0 if kind == "plain" else (i + j) % 4 < 2


def _voronoi(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance to the nearest and second nearest point, and the nearest point's shade: float32, the shape of x."""
    points = rng.uniform(0.1, 0.9, (2, TABLE, TABLE)).astype(np.float32)
    shades = rng.standard_normal((TABLE, TABLE), np.float32)
    column, row = np.floor(x), np.floor(y)
    fx, fy, i, j = x - column, y - row, column.astype(np.int32), row.astype(np.int32)
    nearest = np.full(x.shape, np.inf, np.float32)
    second, shade = nearest.copy(), np.zeros_like(nearest)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            at = (i + di) % TABLE * TABLE + (j + dj) % TABLE
            dx = points[0].ravel()[at] + (np.float32(di) - fx)
            dy = points[1].ravel()[at] + (np.float32(dj) - fy)
            distance = dx * dx + dy * dy
            second = np.minimum(second, np.maximum(distance, nearest))
            shade = np.where(distance < nearest, shades.ravel()[at], shade)
            nearest = np.minimum(nearest, distance)
    return np.sqrt(nearest), np.sqrt(second), shade
