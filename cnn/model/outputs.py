"""The predictions of a network for pictures, and their loss."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cnn.common.task import Classification, Regression, Task
from cnn.model import labels
from cnn.model.backend import keras


def predict(model: keras.Model, task: Task, images: np.ndarray, threads: int = 1, batch_size: int = 100) -> np.ndarray:
    """uint8 (n, size, size, 3) to float32 (n, classes) probabilities, or (n, 1) numbers."""
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    # Keras's predict gives the same bits, but takes three times as long for a hundred pictures.
    with ThreadPoolExecutor(threads) as pool:
        outputs = np.concatenate(list(pool.map(lambda batch: model(batch, training=False).numpy(), batches)))
    return labels.probabilities(outputs) if isinstance(task, Classification) else outputs


def loss(name: str, task: Task, predicted: np.ndarray, targets: np.ndarray) -> float:
    """The mean loss of the result of `predict`. targets: labels or numbers (n,); name: params.yaml's `loss`."""
    name = task.loss(name)
    outputs = predicted[:, 1:] if name == "binary_crossentropy" else predicted
    unit = task.deviation if isinstance(task, Regression) else 1.0
    targets = labels.targets(targets, outputs.shape[1])
    return float(np.mean(keras.losses.get(name)(targets / unit, outputs / unit)))
