"""Ask the trained model about the validation and test pictures.

    dvc repro predict          or          python -m stages.predict

Writes data/predictions/ (cnn/common/predictions.py says what): the answers, the loss on the test pictures, and heat
maps of what some answers depend on. The stage `evaluate` measures and draws, without TensorFlow.
"""

from pathlib import Path

import numpy as np

from cnn.common import dataset, parallel, params, predictions, runtime, task
from cnn.model import examples, outputs, saving

MODEL = Path("models/model.keras")


def main() -> None:
    p, pictures = params.read(), task.read()
    model, threads = saving.load(MODEL), parallel.count(p.workers)
    validation, test = dataset.read("validation"), dataset.read("test")

    def predict(images: np.ndarray) -> np.ndarray:
        return outputs.predict(model, pictures, images, threads)

    of_validation, of_test = predict(validation.images), predict(test.images)
    files = [row["file"] for row in dataset.read_pictures()["test"]]
    requests = examples.heatmap_requests(pictures, files, test.labels, of_test, (validation.labels, of_validation))
    predictions.write(
        predictions.Predictions(
            validation=of_validation,
            test=of_test,
            loss=np.array(outputs.loss(p.loss, pictures, of_test, test.labels)),
            heatmap_rows=np.array([request.row for request in requests]),
            heatmaps=np.array([request.heat(predict, test.images) for request in requests]),
        )
    )
    print(f"{len(of_validation)} validation and {len(of_test)} test pictures, {len(requests)} heat maps")


if __name__ == "__main__":
    runtime.run_stage(main)
