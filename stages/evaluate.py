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

from stages.lib import array, calibration, figures, history, network, occlusion, outputs, params, predictions, report

DATA = Path("reports/data.json")
MODEL = Path("models/model.keras")
METRICS = Path("reports/metrics.json")
PREDICTIONS = Path("reports/predictions.csv")
VALIDATION = Path("reports/validation.csv")
FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")
SHOWN_MISTAKES = 24
SHOWN_IN_CELLS = 200  # pictures behind all cells of the confusion table together; about 1 MB
SHOWN_REASONS = 4  # heat maps of right answers, and as many of mistakes
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

    validation, guesses, validation_table = predict("validation")
    history.write_table(VALIDATION, validation_table)
    test, probabilities, table = predict("test")
    loss = network.loss(p, probabilities, test.labels)
    temperature = calibration.fit_temperature(guesses, validation.labels)
    plain = calibration.bins(probabilities, test.labels)
    scaled = calibration.bins(calibration.scale(probabilities, temperature), test.labels)
    calibrated = {
        "calibration_error": calibration.expected_error(plain),
        "calibration_error_scaled": calibration.expected_error(scaled),
        "temperature": temperature,
    }
    counts = predictions.confusion(table["actual"], table["predicted"], classes)
    epochs = pd.read_csv(history.HISTORY)
    metrics = predictions.metrics(counts, loss, history.kept(pd.read_csv(history.REPEATS)), calibrated)
    outputs.write_json(METRICS, metrics)
    history.write_table(PREDICTIONS, table)

    worst = predictions.worst_mistakes(table, SHOWN_MISTAKES)
    reliability = {"as trained": plain, f"with temperature {temperature:.2f}": scaled}
    draw(epochs, counts, classes, table, test.images, worst, p.repeats, reliability)
    reasons = heat_maps(model, table, test.images, worst)
    write_report(p, data, metrics, counts, table, test.images, worst, look_alikes(pictures), reasons)
    say(p, metrics, len(table))


def draw(
    epochs: pd.DataFrame,
    counts: np.ndarray,
    classes: list[str],
    table: pd.DataFrame,
    images: np.ndarray,
    worst: list[int],
    repeats: int,
    reliability: dict[str, list[calibration.Bin]],
) -> None:
    """reports/figures/: loss.svg, accuracy.svg, confusion.svg, reliability.svg, mistakes.svg."""
    with outputs.aside(FIGURES) as folder:
        folder.mkdir()
        figures.curves(folder / "loss.svg", epochs, "loss", repeats)
        figures.curves(folder / "accuracy.svg", epochs, "accuracy", repeats)
        figures.confusion(folder / "confusion.svg", counts, classes)
        figures.reliability(folder / "reliability.svg", reliability)
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


def heat_maps(
    model: network.keras.Model, table: pd.DataFrame, images: np.ndarray, worst: list[int]
) -> list[tuple[str, report.Shown]]:
    """(source of the heat map, picture) for some of the surest right answers, one a class, and some mistakes."""

    def heat(image: np.ndarray) -> np.ndarray:
        return occlusion.heat(lambda some: network.probabilities(model, some), image)

    right = table[table["actual"] == table["predicted"]].sort_values(["probability", "file"], ascending=[False, True])
    rows = [*right.drop_duplicates("predicted").index[:SHOWN_REASONS], *worst[:SHOWN_REASONS]]
    return [
        (
            report.picture_source(occlusion.overlay(images[row], heat(images[row]))),
            shown_picture(table, images, row),
        )
        for row in rows
    ]


def shown_picture(table: pd.DataFrame, images: np.ndarray, row: int) -> report.Shown:
    columns = ["file", "actual", "predicted", "probability"]
    return report.Shown(report.picture_source(images[row]), *table.loc[row, columns])


def write_report(
    p: params.Params,
    data: dict,
    metrics: dict,
    counts: np.ndarray,
    table: pd.DataFrame,
    images: np.ndarray,
    worst: list[int],
    alike: list[list[report.Alike]],
    reasons: list[tuple[str, report.Shown]],
) -> None:
    classes = data["classes"]
    totals = counts.sum(axis=1)
    in_cells = predictions.by_cell(table, classes, SHOWN_IN_CELLS)

    def cell(row: int, column: int, total: int) -> dict[str, object]:
        right = row == column
        return {
            "id": f"cell-{row}-{column}",
            "title": f"{classes[row]}, {'recognized' if right else f'taken for {classes[column]}'}",
            "count": int(counts[row, column]),
            "share": counts[row, column] / max(total, 1),
            "shown": [shown_picture(table, images, index) for index in in_cells.get((row, column), [])],
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
        figures={name: report.figure_source(FIGURES / f"{name}.svg") for name in ("loss", "accuracy", "reliability")},
        mistakes=[shown_picture(table, images, row) for row in worst],
        reasons=reasons,
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
