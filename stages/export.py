"""Export the trained model for use without TensorFlow: ONNX, LiteRT in float32 and in int8, and a model card.

    dvc repro export          or          python -m stages.export

Writes models/model.onnx, models/model.tflite, models/model-int8.tflite, models/card.md and reports/export.json (what
the quantization costs). The files hold the class names and the temperature that calibrates probabilities.
Nothing depends on this stage: `dvc repro evaluate` goes without it.
"""

import json
from pathlib import Path

from cnn.common import dataset, files, params, runtime
from cnn.common.task import DATA, from_data
from cnn.export import card, onnx, tflite
from cnn.model import saving
from cnn.model.backend import suppress_native_stderr
from cnn.model.saving import MODEL

METRICS = Path("reports/metrics.json")
ONNX = Path("models/model.onnx")
LITERT = Path("models/model.tflite")
INT8 = Path("models/model-int8.tflite")
CARD = Path("models/card.md")
EXPORT = Path("reports/export.json")
NEEDED = ("temperature", "threshold", "margin")  # of the metrics, to predict with
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
        outputs = tflite.predict(quantized, test.images)
    for path, content in exported.items():
        files.write_bytes(path, content)
    task = from_data(data)
    export = card.int8_measures(task, outputs, test.labels, metrics)
    files.write_json(EXPORT, export)
    context = {"task": task, "data": data, "metrics": metrics, "export": export, "parameters": model.count_params()}
    card.write(CARD, p, [MODEL, *exported], **context)
    print(", ".join(f"{name} {value:g}" for name, value in export.items()))
    print(f"see {CARD}; use the model with: python predict.py photo.jpg")


if __name__ == "__main__":
    runtime.run_stage(main)
