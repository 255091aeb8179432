"""Does "0.9" mean 9 of 10? The temperature by which probabilities are made to.

Guo, Pleiss, Sun and Weinberger 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
"""

import numpy as np

SMALLEST = 1e-12  # a probability below counts as this, so that its logarithm is a number
TEMPERATURES = (0.05, 20.0)  # with one outside, the validation pictures are too few to fit it
BISECTIONS = 40  # of their range, which leave less than 1e-11 of it


def scale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, classes) with their logarithms divided by `temperature`; the order of classes stays.

    For softmax this is the temperature of its inputs; for a sigmoid's two columns, too.
    """
    return _softmax(_logarithms(probabilities) / temperature)


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities.astype(np.float64), SMALLEST, None))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the lowest mean negative log-likelihood of labels int (n,).

    As a function of 1 / temperature this is convex, and its slope is the mean of each picture's expected logarithm
    less that of its label. Bisection finds where the slope changes its sign. This is own code, because predict.py
    imports this module and SciPy would take longer than its whole run.
    """
    logarithms = _logarithms(probabilities)
    of_labels = logarithms[np.arange(len(labels)), labels].mean()
    low, high = np.log(TEMPERATURES)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        expected = (_softmax(logarithms / np.exp(middle)) * logarithms).sum(axis=1).mean()
        low, high = (low, middle) if expected < of_labels else (middle, high)
    return float(np.exp((low + high) / 2))
