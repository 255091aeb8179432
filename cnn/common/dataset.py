"""The pictures as arrays on disk: plain .npy files that are memory-mapped, and never pickled.

data/processed/ holds, for each split, `<split>_images.npy` uint8 (n, size, size, 3) RGB and
`<split>_labels.npy` (n,), and pictures.csv with one row a picture in the arrays' order: split, file,
label, group. A label is the number of a class, int32, or where numbers are asked for that number itself, float32.
Pictures that are copies or look the same have a group number in common; of the others it is empty.
"""

import csv
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from cnn.common import files

FOLDER = Path("data/processed")
CHUNK = 28 << 20  # bytes of pictures copied at a time


@dataclass(frozen=True)
class Split:
    """One split, memory-mapped. images: uint8 (n, size, size, 3); labels: int32 or float32 (n,)."""

    images: np.ndarray
    labels: np.ndarray


def write(folder: Path, pixels: Path, rows: dict[str, Sequence[int]], labels: np.ndarray) -> None:
    """Write each split's two arrays into `folder`.

    pixels: the file of an array uint8 (n, size, size, 3); rows: each split's rows of it, in the order to
    be written; labels: int or float (n,).
    """
    for split, indices in rows.items():
        order = np.asarray(indices, dtype=np.int64)
        copy_rows(pixels, order, folder / f"{split}_images.npy")
        kind = np.float32 if labels.dtype.kind == "f" else np.int32
        np.save(folder / f"{split}_labels.npy", labels[order].astype(kind), allow_pickle=False)


def create(path: Path, count: int, size: int) -> np.memmap:
    """A new memory-mapped uint8 (count, size, size, 3) .npy file. Raises OSError when the disk is full."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, size, size, 3))
    if hasattr(os, "posix_fallocate"):
        # The file is a hole so far. A disk that is full when it is filled kills the process (SIGBUS).
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
    return array


def write_rows(path: Path, start: int, images: np.ndarray) -> None:
    """Write `images` into the array that `create` made, from row `start` on; other processes may write other rows."""
    with open(path, "r+b") as file:
        _shape(file)
        file.seek(start * images[0].nbytes, os.SEEK_CUR)
        file.write(images)


def copy_rows(
    source: Path, order: np.ndarray, target: Path, change: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> None:
    """Write the rows `order` of an array file to another one, CHUNK bytes at a time, each changed by `change`.

    They are read, not mapped: of a map, pages around those that are looked at count as memory, too.
    """
    with open(source, "rb") as input_file, open(target, "wb") as output_file:
        shape = _shape(input_file)
        begin, size = input_file.tell(), math.prod(shape[1:])
        count = max(1, CHUNK // size)
        for start in range(0, len(order), count):
            indices = order[start : start + count].tolist()
            rows = np.empty((len(indices), *shape[1:]), np.uint8)
            for row, index in zip(rows, indices, strict=True):
                input_file.seek(begin + index * size)
                input_file.readinto(row)
            rows = change(rows)
            if start == 0:
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(order), *rows.shape[1:])}
                np.lib.format.write_array_header_1_0(output_file, header)
            output_file.write(rows.tobytes())


def _shape(file: IO[bytes]) -> tuple[int, ...]:
    """The shape of the array in a file that was opened just now, whose numbers are what is read next."""
    np.lib.format.read_magic(file)
    return np.lib.format.read_array_header_1_0(file)[0]


def read(split: str, folder: Path = FOLDER) -> Split:
    """The split "train", "validation" or "test" as preprocess wrote it."""
    images, labels = array_files(split, folder)
    return Split(np.load(images, mmap_mode="r", allow_pickle=False), np.load(labels, allow_pickle=False))


def array_files(split: str, folder: Path = FOLDER) -> list[Path]:
    """The files that hold a split's arrays."""
    return [folder / f"{split}_images.npy", folder / f"{split}_labels.npy"]


def write_pictures(folder: Path, rows: Iterable[tuple[str, str, str, int]]) -> None:
    """Write pictures.csv: (split, file, label, group) for each row of the arrays, split after split."""
    rows = list(rows)
    members = Counter(group for *_, group in rows)
    table = ((*row, str(group) if members[group] > 1 else "") for *row, group in rows)
    files.write_csv(folder / "pictures.csv", ("split", "file", "label", "group"), table)


def read_pictures(folder: Path = FOLDER) -> dict[str, list[dict[str, str]]]:
    """For each split the rows of pictures.csv, in the arrays' order."""
    splits: dict[str, list[dict[str, str]]] = {}
    with open(folder / "pictures.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            splits.setdefault(row["split"], []).append(row)
    return splits
