"""What the model says of the validation and test pictures, as the stage `predict` leaves it for `evaluate`."""

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from cnn.common import files

FOLDER = Path("data/predictions")


@dataclass(frozen=True)
class Predictions:
    """An array a file, <name>.npy.

    validation, test: float32 (n, classes) probabilities or (n, 1) numbers, in the order of the split's arrays;
    loss: of the test pictures, float64 (); heatmap_rows: of test pictures that are explained, int64 (k,);
    heatmaps: float64 (k, size, size), as occlusion.heat gives them.
    """

    validation: np.ndarray
    test: np.ndarray
    loss: np.ndarray
    heatmap_rows: np.ndarray
    heatmaps: np.ndarray


def write(predictions: Predictions) -> None:
    """Write FOLDER."""
    with files.atomic_path(FOLDER) as folder:
        folder.mkdir()
        for field in fields(Predictions):
            content = io.BytesIO()  # to a file itself, numpy's own error does not say that the disk is full
            np.save(content, getattr(predictions, field.name), allow_pickle=False)
            (folder / f"{field.name}.npy").write_bytes(content.getvalue())


def read() -> Predictions:
    """What `write` wrote."""
    names = [field.name for field in fields(Predictions)]
    return Predictions(**{name: np.load(FOLDER / f"{name}.npy", allow_pickle=False) for name in names})
