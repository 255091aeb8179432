"""From a network's outputs to the class that is named, or to a number with its margin; and from labels to targets."""

import numpy as np

# What the exported network takes and gives; cnn/export/onnx.py says what they are.
INPUT, ANSWERS, FEATURES = "pixels", "answers", "features"
COVERED = 0.9  # share of the pictures whose number lies within the margin


def targets(labels: np.ndarray, outputs: int) -> np.ndarray:
    """Labels (n,) as the network's targets: float32 (n, 1) of 0 and 1 or of numbers, or one-hot (n, classes)."""
    if outputs == 1:
        return labels.astype(np.float32)[:, None]
    return np.eye(outputs, dtype=np.float32)[labels]


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """The network's outputs (n, outputs) as (n, classes): a sigmoid unit's p is that of the second of two classes."""
    return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs


def predicted_class(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """The number of the class named for each of probabilities (n, classes): int (n,).

    The most probable one; with a threshold the second of two wherever its probability is not below it.
    """
    if threshold is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1].astype(np.float64) >= threshold).astype(np.int64)


def best_threshold(probability: np.ndarray, labels: np.ndarray) -> float:
    """Of two classes the threshold with the highest macro F1; of equal ones that nearest 0.5.

    probability: of the second class, (n,); labels: 0 or 1, (n,). It lies half way between two probabilities, or above
    or below all. Own code: scikit-learn's tuner tries a grid of thresholds, and this model is none of its estimators.
    """
    found_at, order = np.unique(probability.astype(np.float64), return_inverse=True)
    second = np.bincount(order, labels == 1)[::-1]
    first = np.bincount(order, labels == 0)[::-1]
    # From the highest threshold on: how many of each class are called the second one.
    true, false = np.append(0, np.cumsum(second)), np.append(0, np.cumsum(first))
    missed, true_first = true[-1] - true, false[-1] - false
    f1 = true / (2 * true + false + missed) + true_first / (2 * true_first + missed + false)
    bounds = np.concatenate([[1.1], found_at[::-1], [0.0]])  # to name nobody it lies above any probability
    middles = (bounds[:-1] + bounds[1:]) / 2
    best_ones = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best_ones[np.argmin(np.abs(middles[best_ones] - 0.5))]])


def margin(errors: np.ndarray) -> float:
    """The half width of an interval about an answer that holds the number for COVERED of pictures like these.

    Split conformal prediction (Lei et al. 2018, JASA 113:1094): the k-th smallest absolute error of n pictures that
    were not trained on, with k = ceil((n + 1) COVERED). Of fewer than 9 pictures the largest is all there is.
    The validation pictures have chosen the kept model, so it is a little too narrow.
    """
    ordered = np.sort(np.abs(errors))
    return float(ordered[min(int(np.ceil((len(ordered) + 1) * COVERED)), len(ordered)) - 1])
