"""Evaluating a classifier: measures, figures and the report's contents, from what it says of the pictures."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from stages.lib import calibration, figures, predictions, report
from stages.lib.evaluation import Answered, Evaluation, heat_source
from stages.lib.params import Params

SHOWN_MISTAKES = 24
IN_FIGURE = 12  # of these
SHOWN_IN_CELLS = 200  # pictures behind all cells of the confusion table together; about 1 MB
SHOWN_REASONS = 4  # heat maps of right answers, and as many of mistakes


def evaluate(
    p: Params,
    data: dict,
    validation: Answered,
    test: Answered,
    loss: float,
    repeats: pd.DataFrame,
    answer: Callable[[np.ndarray], np.ndarray],
) -> Evaluation:
    """data: data.json; loss: of the test pictures; repeats: as history.kept gives it; answer: the model's answers."""
    classes = data["classes"]
    two = len(classes) == 2
    threshold = predictions.best_threshold(validation.answers[:, 1], validation.labels) if two else None
    tables = [
        predictions.table(each.files, each.labels, each.answers, classes, threshold) for each in (validation, test)
    ]
    table = tables[1]
    temperature = calibration.fit_temperature(validation.answers, validation.labels)
    plain = calibration.bins(test.answers, test.labels)
    scaled = calibration.bins(calibration.scale(test.answers, temperature), test.labels)
    more = {
        "calibration_error": calibration.expected_error(plain),
        "calibration_error_scaled": calibration.expected_error(scaled),
        "temperature": temperature,
    }
    counts = predictions.confusion(table["actual"], table["predicted"], classes)
    metrics = predictions.metrics(counts, loss, repeats, more)
    reliability = {"as trained": plain, f"with temperature {temperature:.2f}": scaled}
    worst = predictions.worst_mistakes(table, SHOWN_MISTAKES)
    captions = [
        f"{row.predicted} {row.probability:.0%}\nis {row.actual}"
        for row in table.loc[worst[:IN_FIGURE]].itertuples(index=False)
    ]
    drawn = {
        "confusion": partial(figures.confusion, counts=counts, classes=classes),
        "reliability": partial(figures.reliability, bins=reliability),
        "mistakes": partial(figures.mistakes, images=test.images[worst[:IN_FIGURE]], captions=captions),
    }
    if two:
        curve = predictions.two_class_curve(test.answers[:, 1], test.labels)
        measured = predictions.two_class_metrics(curve, test.answers[:, 1], test.labels)
        metrics |= measured | {"threshold": threshold}  # not rounded: it decides
        drawn["roc"] = partial(figures.roc, curve=curve, threshold=threshold, area=metrics["roc_auc"])
        drawn["precision_recall"] = partial(
            figures.precision_recall, curve=curve, threshold=threshold, average=metrics["average_precision"]
        )

    better = (
        metrics.get("roc_auc", 0) > 0.5 if two else metrics["accuracy"] > metrics["chance"]
    )  # if by chance, perhaps

    def shown(row: int) -> report.Shown:
        cells = table.loc[row, ["file", "actual", "predicted", "probability"]]
        return report.Shown(report.picture_source(test.images[row]), *cells)

    numbers = {name: number for number, name in enumerate(classes)}

    def heat(row: int) -> str:
        return heat_source(test.images[row], answer, numbers[table["predicted"][row]])

    right = table[table["actual"] == table["predicted"]].sort_values(["probability", "file"], ascending=[False, True])
    explained = [*right.drop_duplicates("predicted").index[:SHOWN_REASONS], *worst[:SHOWN_REASONS]]
    tries = report.advice(p)
    return Evaluation(
        metrics,
        table,
        tables[0],
        drawn,
        "class_report.html.j2",
        {
            "confusion": _confusion(counts, classes, predictions.by_cell(table, classes, SHOWN_IN_CELLS), shown),
            "mistakes": [shown(row) for row in worst],
            "reasons": [(heat(row), shown(row)) for row in explained],
            "better": better,
            "tries": tries,
            "try_command": report.command(tries),
        },
        _words(p, metrics, classes, len(table), better, tries),
    )


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
