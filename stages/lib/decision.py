"""From what the network gives to the class that is named."""

import numpy as np

# What the exported network takes and gives; stages/lib/onnx_graph.py says what they are.
INPUT, ANSWERS, FEATURES = "pixels", "answers", "features"


def of_classes(outputs: np.ndarray) -> np.ndarray:
    """The network's outputs (n, outputs) as (n, classes): a sigmoid unit's p is that of the second of two classes."""
    return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs


def named(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """The number of the class named for each of probabilities (n, classes): int (n,).

    The most probable one; with a threshold the second of two wherever its probability is not below it.
    """
    if threshold is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1].astype(np.float64) >= threshold).astype(np.int64)
