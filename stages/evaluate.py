"""Measure the trained model on the test pictures, draw the figures and write the report.

    dvc repro evaluate          or          python stages/evaluate.py

Writes reports/metrics.json, reports/predictions.csv, reports/figures/ and reports/report.html, all about the
test pictures; and reports/validation.csv, the predictions for the validation pictures, by which settings are
compared (ladder.py).
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages.lib import runtime  # noqa: I001  before numpy
import numpy as np
import pandas as pd

from stages.lib import array, figures, history, network, outputs, params, predictions, report

DATA = Path("reports/data.json")
MODEL = Path("models/model.keras")
METRICS = Path("reports/metrics.json")
PREDICTIONS = Path("reports/predictions.csv")
VALIDATION = Path("reports/validation.csv")
FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")
SHOWN_MISTAKES = 24
SHOWN_IN_CELLS = 200  # pictures behind all cells of the confusion table together; about 1 MB
SHOWN_GROUPS = 8  # groups of pictures that look the same
SHOWN_TOGETHER = 4  # pictures of such a group


def main() -> None:
    p = params.read()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    classes = data["classes"]
    pictures = array.read_pictures()
    model = network.load(MODEL)

    def predict(split: str) -> tuple[array.Split, np.ndarray, pd.DataFrame]:
        arrays = array.read(split)
        probabilities = network.probabilities(model, arrays.images)
        files = [row["file"] for row in pictures[split]]
        return arrays, probabilities, predictions.table(files, arrays.labels, probabilities, classes)

    history.write_table(VALIDATION, predict("validation")[2])
    test, probabilities, table = predict("test")
    loss = network.loss(p, probabilities, test.labels)
    counts = predictions.confusion(table["actual"], table["predicted"], classes)
    epochs = pd.read_csv(history.HISTORY)
    metrics = predictions.metrics(counts, loss, history.kept(pd.read_csv(history.REPEATS)))
    outputs.write_json(METRICS, metrics)
    history.write_table(PREDICTIONS, table)

    worst = predictions.worst_mistakes(table, SHOWN_MISTAKES)
    draw(epochs, counts, classes, table, test.images, worst, p.repeats)
    write_report(p, data, metrics, counts, table, test.images, worst, look_alikes(pictures))
    say(p, metrics, len(table))


def draw(
    epochs: pd.DataFrame,
    counts: np.ndarray,
    classes: list[str],
    table: pd.DataFrame,
    images: np.ndarray,
    worst: list[int],
    repeats: int,
) -> None:
    """reports/figures/: loss.svg, accuracy.svg, confusion.svg, mistakes.svg."""
    with outputs.aside(FIGURES) as folder:
        folder.mkdir()
        figures.curves(folder / "loss.svg", epochs, "loss", repeats)
        figures.curves(folder / "accuracy.svg", epochs, "accuracy", repeats)
        figures.confusion(folder / "confusion.svg", counts, classes)
        shown = worst[:12]
        captions = [
            f"{row.predicted} {row.probability:.0%}\nis {row.actual}"
            for row in table.loc[shown].itertuples(index=False)
        ]
        figures.mistakes(folder / "mistakes.svg", [images[row] for row in shown], captions)


def look_alikes(pictures: dict[str, list[dict[str, str]]]) -> list[list[report.Alike]]:
    """Some of the pictures that are in the data more than once, those under two classes first."""
    groups: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for rows in pictures.values():
        for index, row in enumerate(rows):
            if row["group"]:
                groups.setdefault(row["group"], []).append((index, row))

    def order(members: list[tuple[int, dict[str, str]]]) -> tuple[bool, str]:
        return len({row["class"] for _, row in members}) == 1, min(row["file"] for _, row in members)

    images = {split: array.read(split).images for split in pictures}
    return [
        [
            report.Alike(report.picture_source(images[row["split"]][index]), row["file"], row["class"], row["split"])
            for index, row in members[:SHOWN_TOGETHER]
        ]
        for members in sorted(groups.values(), key=order)[:SHOWN_GROUPS]
    ]


def write_report(
    p: params.Params,
    data: dict,
    metrics: dict,
    counts: np.ndarray,
    table: pd.DataFrame,
    images: np.ndarray,
    worst: list[int],
    alike: list[list[report.Alike]],
) -> None:
    classes = data["classes"]
    totals = counts.sum(axis=1)
    in_cells = predictions.by_cell(table, classes, SHOWN_IN_CELLS)

    def shown(row: int) -> report.Shown:
        return report.Shown(
            report.picture_source(images[row]), *table.loc[row, ["file", "actual", "predicted", "probability"]]
        )

    def cell(row: int, column: int, total: int) -> dict[str, object]:
        right = row == column
        return {
            "id": f"cell-{row}-{column}",
            "title": f"{classes[row]}, {'recognized' if right else f'taken for {classes[column]}'}",
            "count": int(counts[row, column]),
            "share": counts[row, column] / max(total, 1),
            "shown": [shown(index) for index in in_cells.get((row, column), [])],
        }

    tries = report.advice(p)
    report.write(
        REPORT,
        "report.html.j2",
        params=p,
        # The number of processes changes no result, so it must not change the report.
        shown_params={key: value for key, value in asdict(p).items() if key != "workers"},
        data=data,
        classes=classes,
        metrics=metrics,
        test_pictures=len(table),
        confusion=[
            {"total": total, "cells": [cell(row, column, total) for column in range(len(classes))]}
            for row, total in enumerate(totals.tolist())
        ],
        figures={name: report.figure_source(FIGURES / f"{name}.svg") for name in ("loss", "accuracy")},
        mistakes=[shown(row) for row in worst],
        alike=alike,
        tries=tries,
        try_command=report.command(tries),
    )


def say(p: params.Params, metrics: dict, pictures: int) -> None:
    """The outcome in words, on the terminal."""
    interval = f"{metrics['accuracy_low']:.3f} to {metrics['accuracy_high']:.3f}"
    print(f"test accuracy {metrics['accuracy']:.3f} (95% interval {interval}) on {pictures} pictures")
    spread = f"{metrics['val_accuracy']:.3f} +- {metrics['val_accuracy_std']:.3f}"
    print(f"validation accuracy {spread} over {p.repeats} repeats")
    if not metrics["learned"]:
        tries = report.advice(p)
        print(f"the model has NOT learned: this is no better than chance ({metrics['chance']:.3f})")
        print(f"worth trying: {', '.join(tries)}; for example: {report.command(tries)}")
    print(f"see {REPORT}")


if __name__ == "__main__":
    runtime.run(main)
