"""What an evaluation takes and gives, whatever the task: class_report and number_report fill it in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from stages.lib import figures, history, occlusion, report
from stages.lib.occlusion import Question
from stages.lib.params import Params

SHOWN_MISTAKES = 24
IN_FIGURE = 12  # of these
SHOWN_REASONS = 4  # heat maps of right or good answers, and as many of mistakes
Figures = dict[str, Callable[[Path], None]]  # by name: what draws each into a file


@dataclass(frozen=True)
class Answered:
    """A split and what the model says of it.

    files: the pictures' names; images: uint8 (n, size, size, 3); labels: (n,), as array.Split has them; answers:
    float32 (n, classes) probabilities, or (n, 1) numbers.
    """

    files: list[str]
    images: np.ndarray
    labels: np.ndarray
    answers: np.ndarray


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    data: data.json; loss: of the test pictures; repeats: as history.kept gives it.
    """

    params: Params
    data: dict
    validation: Answered
    test: Answered
    loss: float
    repeats: pd.DataFrame


@dataclass(frozen=True)
class Evaluation:
    """metrics: metrics.json; predictions, validation: a row a picture of these splits.

    questions: why some pictures get what is said of them; reasons: for the report, from heat maps that answer these.
    template, shown: the report, and what else it shows of this task; words: the outcome, for the terminal;
    number_format: of the numbers in the predictions.
    """

    metrics: dict[str, float | bool]
    predictions: pd.DataFrame
    validation: pd.DataFrame
    figures: Figures
    questions: list[Question]
    reasons: Callable[[Sequence[np.ndarray]], list[tuple[str, report.Shown]]]
    template: str
    shown: Callable[[], dict[str, object]]
    words: list[str]
    number_format: str = history.FORMAT


def mistakes(images: np.ndarray, shown: Sequence[report.Shown], title: str) -> Callable[[Path], None]:
    """What draws the first of `shown`. images: uint8 (n, size, size, 3), theirs."""
    captions = [
        f"{each.predicted}{'' if each.probability is None else f' {each.probability:.0%}'}\nis {each.actual}"
        for each in shown[:IN_FIGURE]
    ]
    return partial(figures.mistakes, images=images[:IN_FIGURE], captions=captions, title=title)


def reasons(
    images: np.ndarray, shown: Callable[[int], report.Shown], questions: Sequence[Question], heats: Sequence[np.ndarray]
) -> list[tuple[str, report.Shown]]:
    """For each question the picture with its heat, as a data: address, and what is shown of it."""
    return [
        (report.picture_source(occlusion.overlay(images[each.row], heat)), shown(each.row))
        for each, heat in zip(questions, heats, strict=True)
    ]
