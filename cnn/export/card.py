"""The model card, and the measures of reports/export.json: what the quantization to 8 bits costs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cnn.common import files, render
from cnn.common.params import Params
from cnn.common.task import Classification, Task
from cnn.model import labels


def int8_measures(task: Task, outputs: np.ndarray, targets: np.ndarray, metrics: dict) -> dict[str, float]:
    """How well the int8 model does on the test pictures, and how much worse than the model itself.

    outputs: of the int8 model, float32 (n, outputs); targets: labels or numbers (n,); metrics: of metrics.json.
    """
    if isinstance(task, Classification):
        predicted = labels.predicted_class(labels.probabilities(outputs), metrics.get("threshold"))
        correct = int((predicted == targets).sum())
        correct_before = round(metrics["accuracy"] * len(targets))  # metrics.json has it rounded
        return {
            "int8_accuracy": round(correct / len(targets), 4),
            "int8_accuracy_lost": round((correct_before - correct) / len(targets), 4),
        }
    error = float(np.abs(outputs[:, 0].astype(np.float64) - targets).mean())
    return {"int8_mae": float(f"{error:.5g}"), "int8_mae_added": float(f"{error - metrics['mae']:.3g}")}


def write(path: Path, params: Params, model_files: Sequence[Path], **context: object) -> None:
    """Write the card. context: task; data, metrics, export (of the .json files); parameters (how many there are)."""
    render.write(
        path,
        "export/templates/card.md.j2",
        # The number of processes changes no result, so it must not change the card.
        params={key: value for key, value in asdict(params).items() if key != "workers"},
        files=[(file.name, file.stat().st_size, files.md5(file)) for file in model_files],
        **context,
    )
