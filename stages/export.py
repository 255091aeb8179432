"""Export the kept model for use without TensorFlow: ONNX, LiteRT in float32 and in int8, and a model card.

    dvc repro export          or          python stages/export.py

Writes models/model.onnx, models/model.tflite, models/model-int8.tflite, models/card.md and reports/export.json (what
the quantization costs). Class names and the temperature by which probabilities are calibrated are kept
in the files. Nothing depends on this stage: `dvc repro evaluate` goes without it.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages.lib import runtime  # noqa: I001  before numpy
from stages.lib import array, litert, network, onnx_graph, outputs, params, report

DATA = Path("reports/data.json")
METRICS = Path("reports/metrics.json")
MODEL = Path("models/model.keras")
ONNX = Path("models/model.onnx")
LITERT = Path("models/model.tflite")
INT8 = Path("models/model-int8.tflite")
CARD = Path("models/card.md")
EXPORT = Path("reports/export.json")
EXAMPLES = 200  # training pictures from which the quantization takes its ranges


def main() -> None:
    p = params.read()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    model = network.load(MODEL)
    metadata = {
        "classes": data["classes"],
        "temperature": metrics["temperature"],
        "keras_md5": outputs.md5(MODEL),
    }
    train, test = array.read("train"), array.read("test")
    with runtime.native_log_held_back():
        quantized = litert.quantize(model, train.images[:: max(len(train.images) // EXAMPLES, 1)][:EXAMPLES], metadata)
        files = {ONNX: onnx_graph.build(model, metadata), LITERT: litert.convert(model, metadata), INT8: quantized}
        answers = network.of_classes(litert.probabilities(quantized, test.images))
    for path, content in files.items():
        outputs.write_bytes(path, content)

    right = round(metrics["accuracy"] * len(answers))  # the file's figure is rounded
    accuracy = float((answers.argmax(axis=1) == test.labels).mean())
    export = {
        "int8_accuracy": round(accuracy, 4),
        "int8_accuracy_lost": round((right - int((answers.argmax(axis=1) == test.labels).sum())) / len(answers), 4),
    }
    outputs.write_json(EXPORT, export)
    report.write(
        CARD,
        "card.md.j2",
        params={key: value for key, value in asdict(p).items() if key != "workers"},
        data=data,
        metrics=metrics,
        export=export,
        parameters=model.count_params(),
        files=[(path.name, path.stat().st_size, outputs.md5(path)) for path in (MODEL, *files)],
    )
    print(f"int8 gives {accuracy:.3f} of the test pictures right, {export['int8_accuracy_lost']:+.4f} lost")
    print(f"see {CARD}; use the model with: python predict.py photo.jpg")


if __name__ == "__main__":
    runtime.run(main)
