"""Measure the trained model on the test pictures, draw the figures and write the report.

    dvc repro evaluate          or          python stages/evaluate.py

Writes reports/metrics.json, reports/predictions.csv, reports/figures/ and reports/report.html, all about the
test pictures; and reports/validation.csv, the predictions for the validation pictures, by which settings are
compared (ladder.py).
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages.lib import runtime  # before numpy

if __name__ == "__main__":
    runtime.no_arguments(__doc__)  # before the imports that take time
import numpy as np

# What answers imports TensorFlow, what measures and draws pandas and matplotlib. Each is imported where it is used, so
# that the process beside this one begins with TensorFlow, which takes longest, at once.
from stages.lib import array, outputs, params, workers

if TYPE_CHECKING:
    from stages.lib.evaluation import Evaluation
    from stages.lib.occlusion import Question
    from stages.lib.report import Alike

DATA = Path("reports/data.json")
MODEL = Path("models/model.keras")
METRICS = Path("reports/metrics.json")
PREDICTIONS = Path("reports/predictions.csv")
VALIDATION = Path("reports/validation.csv")
FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")
MEASURED = ("validation", "test")
SHOWN_GROUPS = 8  # groups of pictures that look the same
SHOWN_TOGETHER = 4  # pictures of such a group


def main() -> None:
    p = params.read()
    with workers.beside(p.workers) as begin, outputs.aside(FIGURES) as folder:
        folder.mkdir()
        answered = begin(answer, p)
        data = json.loads(DATA.read_text(encoding="utf-8"))
        pictures = array.read_pictures()
        score = draw_curves(folder, p)
        result = evaluate(p, data, pictures, *answered())
        explained = begin(explain, p, result.questions)  # takes as long as the figures
        for name, draw in result.figures.items():
            draw(folder / f"{name}.svg")
        shown, alike = result.shown(), look_alikes(pictures)
        shown["reasons"] = result.reasons(explained())
    write(p, data, result, shown, score, alike)
    print(*result.words, f"see {REPORT}", sep="\n")


def answer(p: params.Params) -> tuple[dict[str, np.ndarray], float]:
    """What the model says of the validation and test pictures, and its loss for these."""
    from stages.lib import network

    model, threads = network.load(MODEL), workers.count(p.workers)
    answers = {name: network.answers(model, array.read(name).images, threads) for name in MEASURED}
    return answers, network.loss(p, model, answers["test"], array.read("test").labels)


def explain(p: params.Params, questions: list[Question]) -> list[np.ndarray]:
    """The heat maps of test pictures that answer the questions."""
    from stages.lib import network

    model, images, threads = network.load(MODEL), array.read("test").images, workers.count(p.workers)
    return [each.heat(lambda covered: network.answers(model, covered, threads), images) for each in questions]


def draw_curves(folder: Path, p: params.Params) -> str:
    """loss.svg, and accuracy.svg or r2.svg, whose name is returned."""
    import pandas as pd

    from stages.lib import figures, history

    epochs = pd.read_csv(history.HISTORY)
    score = history.score(epochs)
    for name in ("loss", score):
        figures.curves(folder / f"{name}.svg", epochs, name, p.repeats)
    return score


def evaluate(
    p: params.Params,
    data: dict,
    pictures: dict[str, list[dict[str, str]]],
    answers: dict[str, np.ndarray],
    loss: float,
) -> Evaluation:
    """What the model says, measured."""
    import pandas as pd

    from stages.lib import class_report, history, number_report
    from stages.lib.evaluation import Answered, Subject

    def answered(split: str) -> Answered:
        arrays = array.read(split)
        return Answered([row["file"] for row in pictures[split]], arrays.images, arrays.labels, answers[split])

    repeats = history.kept(pd.read_csv(history.REPEATS))
    subject = Subject(p, data, *map(answered, MEASURED), loss, repeats)
    return (class_report if data["classes"] else number_report).evaluate(subject)


def look_alikes(pictures: dict[str, list[dict[str, str]]]) -> list[list[Alike]]:
    """Some of the pictures that are in the data more than once, those under two classes first."""
    from stages.lib import report

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


def write(p: params.Params, data: dict, result: Evaluation, shown: dict, score: str, alike: list[list[Alike]]) -> None:
    """The tables and the report."""
    from stages.lib import history, report

    outputs.write_json(METRICS, result.metrics)
    history.write_table(PREDICTIONS, result.predictions, result.number_format)
    history.write_table(VALIDATION, result.validation, result.number_format)
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
