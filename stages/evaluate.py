"""Measure the predictions for the test pictures, draw the figures and write the report.

    dvc repro evaluate          or          python -m stages.evaluate

Writes reports/metrics.json, reports/predictions.csv, reports/figures/ and reports/report.html, all about the
test pictures; and reports/validation.csv, the predictions for the validation pictures, by which settings are
compared (ladder.py). It needs no TensorFlow: the stage `predict` has run the model.
"""

import json
from pathlib import Path

import pandas as pd

from cnn.common import dataset, files, history, params, predictions, runtime
from cnn.common.task import DATA, Classification, from_data
from cnn.evaluation import classification, figures, regression, report
from cnn.evaluation.evaluation import EvaluationInput, SplitPredictions
from cnn.evaluation.tables import best_epochs, write_table

METRICS = Path("reports/metrics.json")
PREDICTIONS = Path("reports/predictions.csv")
VALIDATION = Path("reports/validation.csv")
FIGURES = Path("reports/figures")


def main() -> None:
    p = params.read()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    task = from_data(data)
    pictures, predicted = dataset.read_pictures(), predictions.read()
    splits = {split: dataset.read(split) for split in pictures}

    def split_predictions(split: str) -> SplitPredictions:
        names, arrays = [row["file"] for row in pictures[split]], splits[split]
        return SplitPredictions(names, arrays.images, arrays.labels, getattr(predicted, split))

    repeats = best_epochs(pd.read_csv(history.REPEATS))
    validation, test = split_predictions("validation"), split_predictions("test")
    evaluate = classification.evaluate if isinstance(task, Classification) else regression.evaluate
    result = evaluate(EvaluationInput(p, task, validation, test, float(predicted.loss), repeats))

    with files.atomic_path(FIGURES) as folder:
        folder.mkdir()
        epochs = pd.read_csv(history.HISTORY)
        for name in ("loss", task.score):
            figures.curves(folder / f"{name}.svg", epochs, name, p.repeats)
        for name, draw in result.figures.items():
            draw(folder / f"{name}.svg")
    files.write_json(METRICS, result.metrics)
    write_table(PREDICTIONS, result.predictions, result.number_format)
    write_table(VALIDATION, result.validation, result.number_format)
    report.write(
        result.template,
        p,
        data,
        result.metrics,
        figures=FIGURES,
        heatmaps=[
            (report.heatmap_source(test.images[row], heatmap), result.example(row))
            for row, heatmap in zip(predicted.heatmap_rows.tolist(), predicted.heatmaps, strict=True)
        ],
        look_alikes=report.look_alikes(pictures, {split: arrays.images for split, arrays in splits.items()}),
        score=task.score,
        test_pictures=len(result.predictions),
        **result.context,
    )
    print(*result.messages, f"see {report.FILE}", sep="\n")


if __name__ == "__main__":
    runtime.run_stage(main)
