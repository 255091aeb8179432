"""The evaluation of a network that predicts numbers: measures, figures and the report's contents."""

from dataclasses import replace
from functools import partial

import numpy as np

from cnn.common import render
from cnn.common.params import Params
from cnn.evaluation import evaluation, figures, report
from cnn.evaluation import regression_measures as measures
from cnn.evaluation.evaluation import REPORT_MISTAKES, Evaluation, EvaluationInput
from cnn.model import examples


def evaluate(inputs: EvaluationInput) -> Evaluation:
    test = inputs.test
    validation_table, table = (
        measures.table(split.files, split.labels.astype(np.float64), split.predicted[:, 0].astype(np.float64))
        for split in (inputs.validation, test)
    )
    metrics = measures.metrics(table, validation_table, inputs.loss, inputs.repeats, inputs.task.mean)

    def example(row: int) -> report.Example:
        file, target, value = table.loc[row, ["file", "target", "value"]]
        picture = render.picture_source(test.images[row])
        return report.Example(picture, file, render.number(target), render.number(value))

    worst = examples.largest_errors(test.files, table["error"].to_numpy())[:REPORT_MISTAKES]
    mistakes = [example(row) for row in worst]
    plots = {
        "scatter": partial(figures.scatter, targets=table["target"], values=table["value"], margin=metrics["margin"]),
        "mistakes": evaluation.mistakes_figure(test.images[worst], mistakes, "The largest errors on test pictures"),
    }
    advice = evaluation.advice(replace(inputs.params, loss="auto"))  # there is only one loss for numbers
    context = advice | {"mistakes": mistakes}
    messages = _messages(inputs.params, metrics, len(table), advice)
    number_format = "%.7g"  # whatever their scale
    return Evaluation(
        metrics, table, validation_table, plots, example, "regression.html.j2", context, messages, number_format
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
