"""Evaluating a network that gives numbers: measures, figures and the report's contents."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from stages.lib import evaluation, figures, regression, report
from stages.lib.evaluation import SHOWN_MISTAKES, SHOWN_REASONS, Evaluation, Subject
from stages.lib.occlusion import Question
from stages.lib.params import Params


def evaluate(of: Subject) -> Evaluation:
    test = of.test
    validated, table = (
        regression.table(each.files, each.labels.astype(np.float64), each.answers[:, 0].astype(np.float64))
        for each in (of.validation, test)
    )
    metrics = regression.metrics(table, validated, of.loss, of.repeats, of.data["target"]["mean"])
    worst = regression.worst(table, SHOWN_MISTAKES)

    def shown(row: int) -> report.Shown:
        file, target, value = table.loc[row, ["file", "target", "value"]]
        return report.Shown(report.picture_source(test.images[row]), file, report.number(target), report.number(value))

    mistakes = [shown(row) for row in worst]
    tries = report.advice(replace(of.params, loss="auto"))  # there is but one loss for numbers

    asked = [*regression.best(table, SHOWN_REASONS), *worst[:SHOWN_REASONS]]
    questions = [Question(row, own=test.answers[row], unit=metrics["margin"]) for row in asked]
    reasons = partial(evaluation.reasons, test.images, shown, questions)

    def in_report() -> dict[str, object]:
        return {
            "mistakes": mistakes,
            "tries": tries,
            "try_command": report.command(tries),
        }

    drawn = {
        "scatter": partial(figures.scatter, targets=table["target"], values=table["value"], margin=metrics["margin"]),
        "mistakes": evaluation.mistakes(test.images[worst], mistakes, "The largest errors on test pictures"),
    }
    words = _words(of.params, metrics, len(table), tries)
    return Evaluation(
        *(metrics, table, validated, drawn, questions, reasons, "number_report.html.j2", in_report, words),
        number_format="%.7g",  # whatever their scale
    )


def _words(p: Params, metrics: dict, pictures: int, tries: Sequence[str]) -> list[str]:
    words = [
        f"test R2 {metrics['r2']:.3f} (95% interval {metrics['r2_low']:.3f} to {metrics['r2_high']:.3f}) on {pictures} "
        f"pictures; off by {report.number(metrics['mae'])} on average, always saying the mean by "
        f"{report.number(metrics['chance'])}",
        f"validation R2 {metrics['val_r2']:.3f} +- {metrics['val_r2_std']:.3f} over {p.repeats} repeats",
    ]
    if not metrics["learned"]:
        words.append(
            "it is not shown that the model has learned: so much may be chance with so few test pictures"
            if metrics["r2"] > 0
            else "the model has NOT learned: this is no better than always saying the mean"
        )
        words.append(f"worth trying: {', '.join(tries)}; for example: {report.command(tries)}")
    return words
