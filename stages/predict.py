"""Run the trained model on the validation and test pictures.

    dvc repro predict          or          python -m stages.predict

Writes data/predictions/ (described in cnn/common/predictions.py): the predictions, the loss on the test pictures, and
heat maps of what some predictions depend on. The stage `evaluate` measures and draws, without TensorFlow.
"""

import numpy as np

from cnn.common import dataset, parallel, params, predictions, runtime
from cnn.common.task import read_task
from cnn.model import examples, outputs, saving
from cnn.model.saving import MODEL


def main() -> None:
    p, task = params.read(), read_task()
    model, threads = saving.load(MODEL), parallel.count(p.workers)
    validation, test = dataset.read("validation"), dataset.read("test")

    def predict(images: np.ndarray) -> np.ndarray:
        return outputs.predict(model, task, images, threads)

    predicted_validation, predicted_test = predict(validation.images), predict(test.images)
    files = [row["file"] for row in dataset.read_pictures()["test"]]
    requests = examples.heatmap_requests(
        task, files, test.labels, predicted_test, (validation.labels, predicted_validation)
    )
    predictions.write(
        predictions.Predictions(
            validation=predicted_validation,
            test=predicted_test,
            loss=np.array(outputs.loss(p.loss, task, predicted_test, test.labels)),
            heatmap_rows=np.array([request.row for request in requests]),
            heatmaps=np.array([request.heat(predict, test.images) for request in requests]),
        )
    )
    print(f"{len(predicted_validation)} validation and {len(predicted_test)} test pictures, {len(requests)} heat maps")


if __name__ == "__main__":
    runtime.run_stage(main)
