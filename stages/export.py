"""Export the kept model for use without TensorFlow: ONNX, LiteRT in float32 and in int8, and a model card.

    dvc repro export          or          python -m stages.export

Writes models/model.onnx, models/model.tflite, models/model-int8.tflite, models/card.md and reports/export.json (what
the quantization costs). Class names and the temperature by which probabilities are calibrated are kept
in the files. Nothing depends on this stage: `dvc repro evaluate` goes without it.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cnn.common import dataset, files, params, render, runtime
from cnn.common.task import DATA
from cnn.export import onnx, tflite
from cnn.model import labels, saving
from cnn.model.backend import suppress_native_stderr

METRICS = Path("reports/metrics.json")
MODEL = Path("models/model.keras")
ONNX = Path("models/model.onnx")
LITERT = Path("models/model.tflite")
INT8 = Path("models/model-int8.tflite")
CARD = Path("models/card.md")
EXPORT = Path("reports/export.json")
NEEDED = ("temperature", "threshold", "margin")  # of the metrics, to answer with
EXAMPLES = 200  # training pictures from which the quantization takes its ranges


def main() -> None:
    p = params.read()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    model = saving.load(MODEL)
    metadata = {"classes": data["classes"], "keras_md5": files.md5(MODEL)}
    metadata |= {key: metrics[key] for key in NEEDED if key in metrics}
    train, test = dataset.read("train"), dataset.read("test")
    with suppress_native_stderr():
        quantized = tflite.quantize(model, train.images[:: max(len(train.images) // EXAMPLES, 1)][:EXAMPLES], metadata)
        exported = {ONNX: onnx.build(model, metadata), LITERT: tflite.convert(model, metadata), INT8: quantized}
        answers = tflite.answers(quantized, test.images)
    for path, content in exported.items():
        files.write_bytes(path, content)
    export = (of_classes if data["classes"] else of_numbers)(answers, test.labels, metrics)
    files.write_json(EXPORT, export)
    render.write(
        CARD,
        "export/templates/card.md.j2",
        params={key: value for key, value in asdict(p).items() if key != "workers"},
        data=data,
        metrics=metrics,
        export=export,
        parameters=model.count_params(),
        files=[(path.name, path.stat().st_size, files.md5(path)) for path in (MODEL, *exported)],
    )
    print(", ".join(f"{name} {value:g}" for name, value in export.items()))
    print(f"see {CARD}; use the model with: python predict.py photo.jpg")


def of_classes(outputs_: np.ndarray, known: np.ndarray, metrics: dict) -> dict[str, float]:
    """What the int8 model's outputs (n, outputs) are worth, and what that is less than the model's own."""
    predicted = labels.predicted_class(labels.probabilities(outputs_), metrics.get("threshold"))
    right = int((predicted == known).sum())
    before = round(metrics["accuracy"] * len(known))  # the file's figure is rounded
    return {
        "int8_accuracy": round(right / len(known), 4),
        "int8_accuracy_lost": round((before - right) / len(known), 4),
    }


def of_numbers(outputs_: np.ndarray, targets: np.ndarray, metrics: dict) -> dict[str, float]:
    """The int8 model's mean absolute error, and how much larger that is than the model's own."""
    error = float(np.abs(outputs_[:, 0].astype(np.float64) - targets).mean())
    return {"int8_mae": float(f"{error:.5g}"), "int8_mae_added": float(f"{error - metrics['mae']:.3g}")}


if __name__ == "__main__":
    runtime.run_stage(main)
