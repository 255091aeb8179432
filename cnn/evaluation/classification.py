"""The evaluation of a classifier: measures, figures and the report's contents."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from cnn.common import render
from cnn.common.params import Params
from cnn.evaluation import calibration, evaluation, figures, report
from cnn.evaluation import classification_measures as measures
from cnn.evaluation.evaluation import REPORT_MISTAKES, Evaluation, EvaluationInput, Figures, SplitPredictions
from cnn.model import examples, labels

CELL_PICTURES = 200  # behind all cells of the confusion table together; about 1 MB


def evaluate(inputs: EvaluationInput) -> Evaluation:
    task, validation, test = inputs.task, inputs.validation, inputs.test
    classes = task.classes
    threshold = labels.best_threshold(validation.predicted[:, 1], validation.labels) if task.two else None
    validation_table, table = (
        measures.table(split.files, split.labels, split.predicted, classes, threshold) for split in (validation, test)
    )
    counts = measures.confusion(table, classes)
    calibration_metrics, plots = _calibration(validation, test)
    metrics = measures.metrics(table, classes, inputs.loss, inputs.repeats, calibration_metrics)
    plots["confusion"] = partial(figures.confusion, counts=counts, classes=classes)
    better = metrics["accuracy"] > metrics["chance"]
    if task.two:
        two_class_metrics, curves = _trade_off(test, threshold)
        metrics, plots = metrics | two_class_metrics, plots | curves
        better = metrics["roc_auc"] > 0.5

    def example(row: int) -> report.Example:
        cells = table.loc[row, ["file", "actual", "predicted", "probability"]]
        return report.Example(render.picture_source(test.images[row]), *cells)

    predicted = labels.predicted_class(test.predicted, threshold)
    worst = examples.mistakes(test.files, test.labels, predicted, table["probability"].to_numpy())[:REPORT_MISTAKES]
    mistakes = [example(row) for row in worst]
    title = "The most confident mistakes on test pictures"
    plots["mistakes"] = evaluation.mistakes_figure(test.images[worst], mistakes, title)
    advice = evaluation.advice(inputs.params)
    context = advice | {
        "confusion": _confusion(counts, classes, measures.by_cell(table, classes, CELL_PICTURES), example),
        "mistakes": mistakes,
        "better": better,  # perhaps by chance, which metrics.learned rules out
    }
    messages = _messages(inputs.params, metrics, classes, len(table), better, advice)
    return Evaluation(metrics, table, validation_table, plots, example, "classification.html.j2", context, messages)


def _calibration(validation: SplitPredictions, test: SplitPredictions) -> tuple[dict[str, float], Figures]:
    """The temperature, and how far the probabilities are right without and with it."""
    temperature = calibration.fit_temperature(validation.predicted, validation.labels)
    plain = measures.reliability(test.predicted, test.labels)
    scaled = measures.reliability(calibration.scale(test.predicted, temperature), test.labels)
    metrics = {
        "calibration_error": plain.expected_error,
        "calibration_error_scaled": scaled.expected_error,
        "temperature": temperature,
    }
    curves = {"as trained": plain, f"with temperature {temperature:.2f}": scaled}
    return metrics, {"reliability": partial(figures.reliability, curves=curves)}


def _trade_off(test: SplitPredictions, threshold: float) -> tuple[dict[str, float | bool], Figures]:
    """Of two classes: measures of the probabilities at every threshold, and their curves."""
    probability = test.predicted[:, 1]
    metrics = measures.two_class_metrics(probability, test.labels)
    roc, precision_recall = measures.two_class_curves(probability, test.labels, threshold)
    plots = {
        "roc": partial(figures.roc, curve=roc, area=metrics["roc_auc"]),
        "precision_recall": partial(
            figures.precision_recall, curve=precision_recall, average=metrics["average_precision"]
        ),
    }
    return metrics | {"threshold": threshold}, plots  # not rounded, because it decides


def _confusion(
    counts: np.ndarray,
    classes: Sequence[str],
    rows_by_cell: dict[tuple[int, int], list[int]],
    example: Callable[[int], report.Example],
) -> list[dict[str, object]]:
    """The rows of the report's table."""

    def cell(row: int, column: int, total: int) -> dict[str, object]:
        correct = row == column
        return {
            "id": f"cell-{row}-{column}",
            "title": f"{classes[row]}, {'recognized' if correct else f'taken for {classes[column]}'}",
            "count": int(counts[row, column]),
            "share": counts[row, column] / max(total, 1),
            "examples": [example(index) for index in rows_by_cell.get((row, column), [])],
        }

    return [
        {"total": total, "cells": [cell(row, column, total) for column in range(len(classes))]}
        for row, total in enumerate(counts.sum(axis=1).tolist())
    ]


def _messages(p: Params, metrics: dict, classes: Sequence[str], pictures: int, better: bool, advice: dict) -> list[str]:
    interval = f"{metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f}"
    messages = [f"test accuracy {metrics['accuracy']:.3f} (95% interval {interval}) on {pictures} pictures"]
    if "roc_auc" in metrics:
        messages.append(
            f"{classes[1]!r} is said from a probability of {metrics['threshold']:.3f} on, best on validation; "
            f"area under the ROC curve {metrics['roc_auc']:.3f}"
        )
    spread = f"{metrics['val_accuracy']:.3f} +- {metrics['val_accuracy_std']:.3f}"
    messages.append(f"validation accuracy {spread} over {p.repeats} repeats")
    if not metrics["learned"]:
        if better:
            messages.append(
                "it is not shown that the model has learned: so much may be chance with so few test pictures"
            )
        elif "roc_auc" in metrics:
            messages.append(f"the model has NOT learned: it cannot tell {classes[1]!r} from {classes[0]!r}")
        else:
            messages.append(f"the model has NOT learned: this is no better than chance ({metrics['chance']:.3f})")
        messages.append(f"worth trying: {', '.join(advice['tries'])}; for example: {advice['try_command']}")
    return messages
