"""Measure the trained model on the test pictures, draw the figures and write the report.

    dvc repro evaluate          or          python stages/evaluate.py

Writes reports/metrics.json, reports/predictions.csv, reports/figures/ and reports/report.html.
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
FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")
SHOWN_MISTAKES = 24
SHOWN_GROUPS = 8  # groups of pictures that look the same
SHOWN_TOGETHER = 4  # pictures of such a group


def main() -> None:
    p = params.read()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    classes = data["classes"]
    test = array.read("test")
    model = network.load(MODEL)
    probabilities = network.probabilities(model, test.images)
    loss = network.loss(p, probabilities, test.labels)

    pictures = array.read_pictures()
    table = predictions.table([row["file"] for row in pictures["test"]], test.labels, probabilities, classes)
    counts = predictions.confusion(table["actual"], table["predicted"], classes)
    epochs = pd.read_csv(history.HISTORY)
    last = epochs.iloc[-1]
    metrics = predictions.metrics(counts, loss, last["val_accuracy"], last["val_accuracy_std"], last["val_loss"])
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
    totals = counts.sum(axis=1)
    tries = report.advice(p)
    report.write(
        REPORT,
        params=p,
        # The number of processes changes no result, so it must not change the report.
        shown_params={key: value for key, value in asdict(p).items() if key != "workers"},
        data=data,
        classes=data["classes"],
        metrics=metrics,
        test_pictures=len(table),
        confusion=[
            {"total": total, "cells": [{"count": count, "share": count / max(total, 1)} for count in row]}
            for row, total in zip(counts.tolist(), totals.tolist(), strict=True)
        ],
        figures={name: report.figure_source(FIGURES / f"{name}.svg") for name in ("loss", "accuracy")},
        mistakes=[
            report.Shown(
                report.picture_source(images[row]), *table.loc[row, ["file", "actual", "predicted", "probability"]]
            )
            for row in worst
        ],
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
