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

from stages.lib import runtime  # before numpy

if __name__ == "__main__":
    runtime.no_arguments(__doc__)  # before the imports that take time
import pandas as pd

# network is imported where it is used: TensorFlow takes seconds, and the process that draws does not need it.
from stages.lib import array, class_report, figures, history, number_report, outputs, params, report, workers
from stages.lib.evaluation import Answered, Evaluation, Figures, Subject

DATA = Path("reports/data.json")
MODEL = Path("models/model.keras")
METRICS = Path("reports/metrics.json")
PREDICTIONS = Path("reports/predictions.csv")
VALIDATION = Path("reports/validation.csv")
FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")
SHOWN_GROUPS = 8  # groups of pictures that look the same
SHOWN_TOGETHER = 4  # pictures of such a group


def main() -> None:
    p = params.read()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    pictures = array.read_pictures()
    epochs = pd.read_csv(history.HISTORY)
    score = history.score(epochs)
    with outputs.aside(FIGURES) as folder, workers.beside(p.workers) as begin:
        folder.mkdir()
        curves = begin(draw_curves, folder, epochs, score, p.repeats)
        result = evaluate(p, data, pictures)
        rest = begin(draw, folder, result.figures)
        shown = result.shown()  # takes as long as the figures
        curves()
        rest()
    outputs.write_json(METRICS, result.metrics)
    history.write_table(PREDICTIONS, result.predictions, result.number_format)
    history.write_table(VALIDATION, result.validation, result.number_format)
    write_report(p, data, result, shown, score, look_alikes(pictures))
    print(*result.words, f"see {REPORT}", sep="\n")


def evaluate(p: params.Params, data: dict, pictures: dict[str, list[dict[str, str]]]) -> Evaluation:
    """What the model says of the validation and test pictures, measured."""
    from stages.lib import network

    model, threads = network.load(MODEL), workers.count(p.workers)

    def answered(split: str) -> Answered:
        arrays = array.read(split)
        files = [row["file"] for row in pictures[split]]
        return Answered(files, arrays.images, arrays.labels, network.answers(model, arrays.images, threads))

    validation, test = answered("validation"), answered("test")
    loss = network.loss(p, model, test.answers, test.labels)
    repeats = history.kept(pd.read_csv(history.REPEATS))
    subject = Subject(p, data, validation, test, loss, repeats, lambda images: network.answers(model, images, threads))
    return (class_report if data["classes"] else number_report).evaluate(subject)


def draw_curves(folder: Path, epochs: pd.DataFrame, score: str, repeats: int) -> None:
    """loss.svg, accuracy.svg or r2.svg."""
    for name in ("loss", score):
        figures.curves(folder / f"{name}.svg", epochs, name, repeats)


def draw(folder: Path, of_task: Figures) -> None:
    """The figures of the task."""
    for name, draw_one in of_task.items():
        draw_one(folder / f"{name}.svg")


def look_alikes(pictures: dict[str, list[dict[str, str]]]) -> list[list[report.Alike]]:
    """Some of the pictures that are in the data more than once, those under two classes first."""
    groups: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for rows in pictures.values():
        for index, row in enumerate(rows):
            if row["group"]:
                groups.setdefault(row["group"], []).append((index, row))

    def order(members: list[tuple[int, dict[str, str]]]) -> tuple[bool, str]:
        return len({row["label"] for _, row in members}) == 1, min(row["file"] for _, row in members)

    images = {split: array.read(split).images for split in pictures}
    return [
        [
            report.Alike(report.picture_source(images[row["split"]][index]), row["file"], row["label"], row["split"])
            for index, row in members[:SHOWN_TOGETHER]
        ]
        for members in sorted(groups.values(), key=order)[:SHOWN_GROUPS]
    ]


def write_report(
    p: params.Params, data: dict, result: Evaluation, shown: dict, score: str, alike: list[list[report.Alike]]
) -> None:
    report.write(
        REPORT,
        result.template,
        params=p,
        # The number of processes changes no result, so it must not change the report.
        shown_params={key: value for key, value in asdict(p).items() if key != "workers"},
        data=data,
        classes=data["classes"],
        metrics=result.metrics,
        score=score,
        test_pictures=len(result.predictions),
        figures={path.stem: report.figure_source(path) for path in sorted(FIGURES.glob("*.svg"))},
        alike=alike,
        **shown,
    )


if __name__ == "__main__":
    runtime.run(main)
