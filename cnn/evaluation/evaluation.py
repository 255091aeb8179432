"""What an evaluation needs and returns, whatever the task: classification and regression fill it in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cnn.common import history
from cnn.common.params import Params
from cnn.common.task import Task
from cnn.evaluation import figures, report

REPORT_MISTAKES = 24
FIGURE_MISTAKES = 12  # of these
Figures = dict[str, Callable[[Path], None]]  # by name: what draws each into a file


@dataclass(frozen=True)
class SplitPredictions:
    """A split and the predictions for it.

    files: the pictures' names; images: uint8 (n, size, size, 3); labels: (n,), as dataset.Split has them; predicted:
    float32 (n, classes) probabilities, or (n, 1) numbers.
    """

    files: list[str]
    images: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class EvaluationInput:
    """What is evaluated. loss: of the test pictures; repeats: as tables.best_epochs returns it."""

    params: Params
    task: Task
    validation: SplitPredictions
    test: SplitPredictions
    loss: float
    repeats: pd.DataFrame


@dataclass(frozen=True)
class Evaluation:
    """metrics: of metrics.json; predictions, validation: a row a test or validation picture.

    example: what the report shows of a test picture, from its row; template, context: the report's template, and the
    values that it needs for this task; messages: the outcome, for the terminal; number_format: in the predictions.
    """

    metrics: dict[str, float | bool]
    predictions: pd.DataFrame
    validation: pd.DataFrame
    figures: Figures
    example: Callable[[int], report.Example]
    template: str
    context: dict[str, object]
    messages: list[str]
    number_format: str = history.FORMAT


def mistakes_figure(images: np.ndarray, mistakes: Sequence[report.Example], title: str) -> Callable[[Path], None]:
    """What draws the first of `mistakes`. images: uint8 (n, size, size, 3), theirs."""
    captions = [
        f"{each.predicted}{'' if each.probability is None else f' {each.probability:.0%}'}\nis {each.actual}"
        for each in mistakes[:FIGURE_MISTAKES]
    ]
    return partial(figures.mistakes, images=images[:FIGURE_MISTAKES], captions=captions, title=title)


def advice(params: Params) -> dict[str, object]:
    """For the report: what is worth trying, and the command for it."""
    tries = report.advice(params)
    return {"tries": tries, "try_command": report.command(tries)}
