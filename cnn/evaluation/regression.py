"""Evaluating a network that gives numbers: measures, figures and the report's contents."""

from dataclasses import replace
from functools import partial

import numpy as np

from cnn.common import render
from cnn.common.params import Params
from cnn.evaluation import evaluation, figures, report
from cnn.evaluation import regression_measures as measures
from cnn.evaluation.evaluation import SHOWN_MISTAKES, Evaluation, EvaluationInput
from cnn.model import examples


def evaluate(given: EvaluationInput) -> Evaluation:
    test = given.test
    validated, table = (
        measures.table(each.files, each.labels.astype(np.float64), each.predicted[:, 0].astype(np.float64))
        for each in (given.validation, test)
    )
    metrics = measures.metrics(table, validated, given.loss, given.repeats, given.task.mean)

    def describe(row: int) -> report.Shown:
        file, target, value = table.loc[row, ["file", "target", "value"]]
        picture = render.picture_source(test.images[row])
        return report.Shown(picture, file, render.number(target), render.number(value))

    worst = examples.largest_errors(test.files, table["error"].to_numpy())[:SHOWN_MISTAKES]
    mistakes = [describe(row) for row in worst]
    drawn = {
        "scatter": partial(figures.scatter, targets=table["target"], values=table["value"], margin=metrics["margin"]),
        "mistakes": evaluation.mistakes_figure(test.images[worst], mistakes, "The largest errors on test pictures"),
    }
    advice = evaluation.advice(replace(given.params, loss="auto"))  # there is but one loss for numbers
    messages = _messages(given.params, metrics, len(table), advice)
    return Evaluation(
        *(metrics, table, validated, drawn, describe, "regression.html.j2", advice | {"mistakes": mistakes}, messages),
        number_format="%.7g",  # whatever their scale
    )


def _messages(p: Params, metrics: dict, pictures: int, advice: dict) -> list[str]:
    messages = [
        f"test R2 {metrics['r2']:.3f} (95% interval {metrics['r2_low']:.3f} to {metrics['r2_high']:.3f}) on {pictures} "
        f"pictures; off by {render.number(metrics['mae'])} on average, always saying the mean by "
        f"{render.number(metrics['chance'])}",
        f"validation R2 {metrics['val_r2']:.3f} +- {metrics['val_r2_std']:.3f} over {p.repeats} repeats",
    ]
    if not metrics["learned"]:
        messages.append(
            "it is not shown that the model has learned: so much may be chance with so few test pictures"
            if metrics["r2"] > 0
            else "the model has NOT learned: this is no better than always saying the mean"
        )
        messages.append(f"worth trying: {', '.join(advice['tries'])}; for example: {advice['try_command']}")
    return messages
