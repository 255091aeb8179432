"""What an evaluation takes and gives, whatever the task: classification and regression fill it in."""

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

SHOWN_MISTAKES = 24
IN_FIGURE = 12  # of these
Figures = dict[str, Callable[[Path], None]]  # by name: what draws each into a file


@dataclass(frozen=True)
class SplitPredictions:
    """A split and what the model says of it.

    files: the pictures' names; images: uint8 (n, size, size, 3); labels: (n,), as dataset.Split has them; predicted:
    float32 (n, classes) probabilities, or (n, 1) numbers.
    """

    files: list[str]
    images: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class EvaluationInput:
    """What is evaluated.

    loss: of the test pictures; repeats: as tables.kept gives it.
    """

    params: Params
    task: Task
    validation: SplitPredictions
    test: SplitPredictions
    loss: float
    repeats: pd.DataFrame


@dataclass(frozen=True)
class Evaluation:
    """metrics: metrics.json; predictions, validation: a row a picture of these splits.

    describe: what the report shows of a test picture's row; template, shown: the report, and what else it shows of
    this task; messages: the outcome, for the terminal; number_format: of the numbers in the predictions.
    """

    metrics: dict[str, float | bool]
    predictions: pd.DataFrame
    validation: pd.DataFrame
    figures: Figures
    describe: Callable[[int], report.Shown]
    template: str
    shown: dict[str, object]
    messages: list[str]
    number_format: str = history.FORMAT


def mistakes_figure(images: np.ndarray, shown: Sequence[report.Shown], title: str) -> Callable[[Path], None]:
    """What draws the first of `shown`. images: uint8 (n, size, size, 3), theirs."""
    captions = [
        f"{each.predicted}{'' if each.probability is None else f' {each.probability:.0%}'}\nis {each.actual}"
        for each in shown[:IN_FIGURE]
    ]
    return partial(figures.mistakes, images=images[:IN_FIGURE], captions=captions, title=title)


def advice(params: Params) -> dict[str, object]:
    """For the report: what is worth trying, and the command for it."""
    tries = report.advice(params)
    return {"tries": tries, "try_command": report.command(tries)}
