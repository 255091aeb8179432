"""Evaluating a classifier: measures, figures and the report's contents, from what it says of the pictures."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from cnn.common import render
from cnn.common.params import Params
from cnn.evaluation import calibration, evaluation, figures, report
from cnn.evaluation import classification_measures as measures
from cnn.evaluation.evaluation import SHOWN_MISTAKES, Evaluation, EvaluationInput, Figures, SplitPredictions
from cnn.model import examples, labels

SHOWN_IN_CELLS = 200  # pictures behind all cells of the confusion table together; about 1 MB


def evaluate(given: EvaluationInput) -> Evaluation:
    task, validation, test = given.task, given.validation, given.test
    classes = task.classes
    threshold = labels.best_threshold(validation.predicted[:, 1], validation.labels) if task.two else None
    validated, table = (
        measures.table(each.files, each.labels, each.predicted, classes, threshold) for each in (validation, test)
    )
    counts = measures.confusion(table, classes)
    calibrated, drawn = _calibrated(validation, test)
    metrics = measures.metrics(table, classes, given.loss, given.repeats, calibrated)
    drawn["confusion"] = partial(figures.confusion, counts=counts, classes=classes)
    better = metrics["accuracy"] > metrics["chance"]
    if task.two:
        measured, curves = _trade_off(test, threshold)
        metrics, drawn = metrics | measured, drawn | curves
        better = metrics["roc_auc"] > 0.5

    def describe(row: int) -> report.Shown:
        cells = table.loc[row, ["file", "actual", "predicted", "probability"]]
        return report.Shown(render.picture_source(test.images[row]), *cells)

    predicted = labels.predicted_class(test.predicted, threshold)
    worst = examples.mistakes(test.files, test.labels, predicted, table["probability"].to_numpy())[:SHOWN_MISTAKES]
    mistakes = [describe(row) for row in worst]
    title = "The most confident mistakes on test pictures"
    drawn["mistakes"] = evaluation.mistakes_figure(test.images[worst], mistakes, title)
    advice = evaluation.advice(given.params)
    shown = advice | {
        "confusion": _confusion(counts, classes, measures.by_cell(table, classes, SHOWN_IN_CELLS), describe),
        "mistakes": mistakes,
        "better": better,  # perhaps by chance: metrics.learned says so
    }
    messages = _messages(given.params, metrics, classes, len(table), better, advice)
    return Evaluation(metrics, table, validated, drawn, describe, "classification.html.j2", shown, messages)


def _calibrated(validation: SplitPredictions, test: SplitPredictions) -> tuple[dict[str, float], Figures]:
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
    """Of two classes: what the probabilities know, and what the threshold makes of it."""
    probability = test.predicted[:, 1]
    metrics = measures.two_class_metrics(probability, test.labels)
    roc, precision_recall = measures.two_class_curves(probability, test.labels, threshold)
    drawn = {
        "roc": partial(figures.roc, curve=roc, area=metrics["roc_auc"]),
        "precision_recall": partial(
            figures.precision_recall, curve=precision_recall, average=metrics["average_precision"]
        ),
    }
    return metrics | {"threshold": threshold}, drawn  # not rounded: it decides


def _confusion(
    counts: np.ndarray,
    classes: Sequence[str],
    in_cells: dict[tuple[int, int], list[int]],
    describe: Callable[[int], report.Shown],
) -> list[dict[str, object]]:
    """The rows of the report's table."""

    def cell(row: int, column: int, total: int) -> dict[str, object]:
        right = row == column
        return {
            "id": f"cell-{row}-{column}",
            "title": f"{classes[row]}, {'recognized' if right else f'taken for {classes[column]}'}",
            "count": int(counts[row, column]),
            "share": counts[row, column] / max(total, 1),
            "shown": [describe(index) for index in in_cells.get((row, column), [])],
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
