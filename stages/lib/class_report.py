"""Evaluating a classifier: measures, figures and the report's contents, from what it says of the pictures."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from stages.lib import calibration, evaluation, figures, predictions, report
from stages.lib.evaluation import SHOWN_MISTAKES, SHOWN_REASONS, Answered, Evaluation, Figures, Subject
from stages.lib.occlusion import Question
from stages.lib.params import Params

SHOWN_IN_CELLS = 200  # pictures behind all cells of the confusion table together; about 1 MB


def evaluate(of: Subject) -> Evaluation:
    classes, test = of.data["classes"], of.test
    two = len(classes) == 2
    threshold = predictions.best_threshold(of.validation.answers[:, 1], of.validation.labels) if two else None
    validated, table = (
        predictions.table(each.files, each.labels, each.answers, classes, threshold) for each in (of.validation, test)
    )
    counts = predictions.confusion(table["actual"], table["predicted"], classes)
    calibrated, drawn = _calibrated(of.validation, test)
    metrics = predictions.metrics(counts, of.loss, of.repeats, calibrated)
    drawn["confusion"] = partial(figures.confusion, counts=counts, classes=classes)
    better = metrics["accuracy"] > metrics["chance"]
    if two:
        measured, curves = _trade_off(test, threshold)
        metrics, drawn = metrics | measured, drawn | curves
        better = metrics["roc_auc"] > 0.5

    def shown(row: int) -> report.Shown:
        cells = table.loc[row, ["file", "actual", "predicted", "probability"]]
        return report.Shown(report.picture_source(test.images[row]), *cells)

    worst = predictions.worst_mistakes(table, SHOWN_MISTAKES)
    mistakes = [shown(row) for row in worst]
    title = "The most confident mistakes on test pictures"
    drawn["mistakes"] = evaluation.mistakes(test.images[worst], mistakes, title)
    tries = report.advice(of.params)

    asked = [*predictions.surest(table, SHOWN_REASONS), *worst[:SHOWN_REASONS]]
    questions = [Question(row, classes.index(table["predicted"][row])) for row in asked]
    reasons = partial(evaluation.reasons, test.images, shown, questions)

    def in_report() -> dict[str, object]:
        return {
            "confusion": _confusion(counts, classes, predictions.by_cell(table, classes, SHOWN_IN_CELLS), shown),
            "mistakes": mistakes,
            "better": better,  # perhaps by chance: metrics.learned says so
            "tries": tries,
            "try_command": report.command(tries),
        }

    words = _words(of.params, metrics, classes, len(table), better, tries)
    return Evaluation(metrics, table, validated, drawn, questions, reasons, "class_report.html.j2", in_report, words)


def _calibrated(validation: Answered, test: Answered) -> tuple[dict[str, float], Figures]:
    """The temperature, and how far the probabilities are right without and with it."""
    temperature = calibration.fit_temperature(validation.answers, validation.labels)
    plain = calibration.bins(test.answers, test.labels)
    scaled = calibration.bins(calibration.scale(test.answers, temperature), test.labels)
    metrics = {
        "calibration_error": calibration.expected_error(plain),
        "calibration_error_scaled": calibration.expected_error(scaled),
        "temperature": temperature,
    }
    bins = {"as trained": plain, f"with temperature {temperature:.2f}": scaled}
    return metrics, {"reliability": partial(figures.reliability, bins=bins)}


def _trade_off(test: Answered, threshold: float) -> tuple[dict[str, float | bool], Figures]:
    """Of two classes: what the probabilities know, and what the threshold makes of it."""
    probability = test.answers[:, 1]
    curve = predictions.two_class_curve(probability, test.labels)
    metrics = predictions.two_class_metrics(curve, probability, test.labels)
    drawn = {
        "roc": partial(figures.roc, curve=curve, threshold=threshold, area=metrics["roc_auc"]),
        "precision_recall": partial(
            figures.precision_recall, curve=curve, threshold=threshold, average=metrics["average_precision"]
        ),
    }
    return metrics | {"threshold": threshold}, drawn  # not rounded: it decides


def _confusion(
    counts: np.ndarray,
    classes: Sequence[str],
    in_cells: dict[tuple[int, int], list[int]],
    shown: Callable[[int], report.Shown],
) -> list[dict[str, object]]:
    """The rows of the report's table."""

    def cell(row: int, column: int, total: int) -> dict[str, object]:
        right = row == column
        return {
            "id": f"cell-{row}-{column}",
            "title": f"{classes[row]}, {'recognized' if right else f'taken for {classes[column]}'}",
            "count": int(counts[row, column]),
            "share": counts[row, column] / max(total, 1),
            "shown": [shown(index) for index in in_cells.get((row, column), [])],
        }

    return [
        {"total": total, "cells": [cell(row, column, total) for column in range(len(classes))]}
        for row, total in enumerate(counts.sum(axis=1).tolist())
    ]


def _words(
    p: Params, metrics: dict, classes: Sequence[str], pictures: int, better: bool, tries: Sequence[str]
) -> list[str]:
    interval = f"{metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f}"
    words = [f"test accuracy {metrics['accuracy']:.3f} (95% interval {interval}) on {pictures} pictures"]
    if "roc_auc" in metrics:
        words.append(
            f"{classes[1]!r} is said from a probability of {metrics['threshold']:.3f} on, best on validation; "
            f"area under the ROC curve {metrics['roc_auc']:.3f}"
        )
    spread = f"{metrics['val_accuracy']:.3f} +- {metrics['val_accuracy_std']:.3f}"
    words.append(f"validation accuracy {spread} over {p.repeats} repeats")
    if not metrics["learned"]:
        if better:
            words.append("it is not shown that the model has learned: so much may be chance with so few test pictures")
        elif "roc_auc" in metrics:
            words.append(f"the model has NOT learned: it cannot tell {classes[1]!r} from {classes[0]!r}")
        else:
            words.append(f"the model has NOT learned: this is no better than chance ({metrics['chance']:.3f})")
        words.append(f"worth trying: {', '.join(tries)}; for example: {report.command(tries)}")
    return words
