"""From labels to the targets of training, and from outputs to a predicted class, or to a number with its margin."""

import numpy as np

# Names of the exported network's input and outputs; cnn/export/onnx.py describes them.
INPUT, ANSWERS, FEATURES = "pixels", "answers", "features"
COVERED = 0.9  # share of the pictures whose target lies within the margin of the prediction


def targets(labels: np.ndarray, outputs: int) -> np.ndarray:
    """Labels (n,) as the network's targets, float32: (n, 1) for one output, else one-hot (n, outputs)."""
    if outputs == 1:
        return labels.astype(np.float32)[:, None]
    return np.eye(outputs, dtype=np.float32)[labels]


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """The network's outputs (n, outputs) as (n, classes): a sigmoid unit's p is that of the second of two classes."""
    return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs


def predicted_class(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """The index of the predicted class for each row of probabilities (n, classes): int (n,).

    The most probable class; with a threshold the second of two where its probability is at least the threshold.
    """
    if threshold is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1].astype(np.float64) >= threshold).astype(np.int64)


def best_threshold(probability: np.ndarray, labels: np.ndarray) -> float:
    """The threshold for two classes with the highest macro F1; among equal ones the nearest to 0.5.

    probability: of the second class, (n,); labels: 0 or 1, (n,). It lies half way between two probabilities, or above
    or below all. Own code: scikit-learn's tuner tries a grid of thresholds, and this model is none of its estimators.
    """
    values, order = np.unique(probability.astype(np.float64), return_inverse=True)
    second = np.bincount(order, labels == 1)[::-1]
    first = np.bincount(order, labels == 0)[::-1]
    # From the highest threshold on: how many of each class are predicted as the second one.
    true, false = np.append(0, np.cumsum(second)), np.append(0, np.cumsum(first))
    missed, true_first = true[-1] - true, false[-1] - false
    f1 = true / (2 * true + false + missed) + true_first / (2 * true_first + missed + false)
    bounds = np.concatenate([[1.1], values[::-1], [0.0]])  # above any probability: the second class is never predicted
    middles = (bounds[:-1] + bounds[1:]) / 2
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])


def margin(errors: np.ndarray) -> float:
    """The half width of an interval about a prediction that contains the target of COVERED of pictures like these.

    Split conformal prediction (Lei et al. 2018, JASA 113:1094): the k-th smallest absolute error of n pictures that
    were not trained on, with k = ceil((n + 1) COVERED). For fewer than 9 pictures it is the largest error.
    The validation pictures also chose the model, so it is a little too narrow.
    """
    ordered = np.sort(np.abs(errors))
    return float(ordered[min(int(np.ceil((len(ordered) + 1) * COVERED)), len(ordered)) - 1])
