"""Numbers instead of classes: from the manifest's column target to the report and predict.py."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, encoded, stripes, write_params
from PIL import Image
from sklearn.metrics import r2_score
from support import read_csv, run_all, run_predict

from cnn.common import dataset, params
from cnn.common.runtime import UserError
from cnn.common.task import read_task
from cnn.evaluation import regression_measures
from cnn.export import tflite
from cnn.inference.model import Model
from cnn.ladder import report, rungs
from cnn.ladder.experiments import Experiment
from cnn.model import outputs, saving
from stages import export, preprocess

REPEATS = pd.DataFrame({"val_r2": [0.5, 0.7], "val_loss": [0.4, 0.2]})


def write_numbered(folder: Path, count: int = 60) -> None:
    """Pictures that are the lighter the larger their number, from 1000 to 3000, which manifest.csv names."""
    folder.mkdir()
    rows = [("path", "target")]
    for number in range(count):
        target = 1000 + 2000 * (number % 20) / 19
        pixels = np.asarray(stripes(number % 4, number), dtype=float) * 0.3 + target / 3000 * 150
        file = f"{number:02d}.png"
        (folder / file).write_bytes(encoded(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))))
        rows.append((file, target))
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def numbered(work: Path) -> Path:
    write_numbered(work / "pictures")
    return work


def test_the_whole_way_learns_numbers_of_any_scale_and_predict_says_them(numbered, capsys):
    write_params(epochs=20, optimizer="adam", learning_rate=0.001)
    run_all()
    export.main()
    data, metrics, exported = (
        json.loads(Path(f"reports/{name}.json").read_text()) for name in ("data", "metrics", "export")
    )
    assert (data["classes"], data["splits"]) == ([], {"train": 36, "validation": 12, "test": 12})
    assert (data["target"]["least"], data["target"]["most"]) == (1000, 3000)
    assert metrics["learned"] is True and 0.6 < metrics["r2_low"] <= metrics["r2"] <= metrics["r2_high"] <= 1

    rows = pd.read_csv("reports/predictions.csv")
    errors = rows["value"] - rows["target"]
    assert metrics["mae"] == pytest.approx(errors.abs().mean(), rel=1e-4)
    assert metrics["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-4)
    assert metrics["r2"] == pytest.approx(
        1 - (errors**2).sum() / ((rows["target"] - rows["target"].mean()) ** 2).sum(), abs=1e-5
    )
    # The loss is the squared error in units of the variance of what was trained on.
    assert metrics["loss"] == pytest.approx((errors**2).mean() / data["target"]["deviation"] ** 2, rel=1e-3)
    history = pd.read_csv("reports/history.csv")
    validation = pd.read_csv("reports/validation.csv")
    assert {"r2", "val_r2", "val_r2_std"} < set(history) and "accuracy" not in history
    best = pd.read_csv("reports/repeats.csv").query("kept == 1")["val_r2"].max()
    assert regression_measures.r2(validation["target"].to_numpy(), validation["value"].to_numpy()) == pytest.approx(
        best, abs=1e-4
    )

    page = Path("reports/report.html").read_text()
    assert f"R² is {metrics['r2']:.3f}" in page and "NaN" not in page
    figures = sorted(path.name for path in Path("reports/figures").iterdir())
    assert figures == ["loss.svg", "mistakes.svg", "r2.svg", "scatter.svg"]
    assert "of what the model says" in Path("models/card.md").read_text()

    images = dataset.read("test").images
    expected = outputs.predict(saving.load(export.MODEL), read_task(), images)[:, 0]
    model = Model(export.MODEL)
    by_litert = tflite.predict(export.LITERT.read_bytes(), images)
    for found in (model.predict_uncalibrated(images)[:, 0], by_litert[:, 0]):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert exported["int8_mae_added"] == pytest.approx(exported["int8_mae"] - metrics["mae"], rel=0.01, abs=0.02)
    assert exported["int8_mae"] < 1.2 * metrics["mae"]

    output = run_predict("models/model.keras", "pictures/00.png", "pictures/manifest.csv", "--csv", "out.csv", code=3)
    rows = read_csv("out.csv")
    assert rows[0] == ["file", "number", "low", "high", "reason"] and rows[2][4].startswith("not a picture")
    number, low, high = (float(cell) for cell in rows[1][1:4])
    assert (number - low, high - number) == pytest.approx((metrics["margin"], metrics["margin"]), rel=1e-4)
    assert f"{number:,.0f} ± {metrics['margin']:,.0f}" in output
    options = ("--submission", "out.tsv", "--fallback", "1.5")
    run_predict("models/model.keras", "pictures/00.png", "pictures/manifest.csv", *options, code=3)
    assert read_csv("out.tsv", "\t") == [["00.png", rows[1][1]], ["manifest.csv", "1.5"]]
    assert "expected a number" in run_predict("models/model.keras", "x.png", *options[:3], "cat", code=1)
    assert "--top is for classes" in run_predict("models/model.keras", "x.png", "--top", "2", code=1)


def test_a_network_that_says_the_mean_has_not_learned():
    targets = np.arange(10.0)
    test = regression_measures.table([str(n) for n in range(10)], targets, np.full(10, 4.5))
    metrics = regression_measures.metrics(test, test, 1.0, REPEATS[:1], mean=4.5)
    assert (metrics["r2"], metrics["learned"], metrics["val_r2_std"]) == (0, False, 0)
    assert metrics["mae"] == metrics["chance"] == 2.5


@pytest.mark.parametrize("targets", [[0, 0, 5], [0] * 37 + [1, 2, 3], [0, 1e-8] * 3])
def test_few_or_hardly_different_targets_have_an_interval_too(targets):
    targets = np.array(targets, dtype=float)
    found = regression_measures.table(list("abc") * 14, np.resize(targets, 42), np.resize(targets * 0.9, 42))[
        : len(targets)
    ]
    metrics = regression_measures.metrics(found, found, 1.0, REPEATS, mean=1.0)
    assert metrics["r2_low"] <= metrics["r2"] <= metrics["r2_high"] <= 1


def test_copies_with_different_numbers_are_counted_and_trained_on_only(numbered):
    rows = Path("pictures/manifest.csv").read_text().splitlines()
    for number, target in enumerate((1111, "2000", "2000.0")):  # the last two are the same number
        Path(f"pictures/copy{number}.png").write_bytes(Path(f"pictures/0{min(number, 1)}.png").read_bytes())
        rows.append(f"copy{number}.png,{target}")
    rows[2] = "01.png,2e3"
    Path("pictures/manifest.csv").write_text("\n".join(rows))
    preprocess.main()
    assert json.loads(Path("reports/data.json").read_text())["conflicts"] == 1
    sides = {row["file"]: split for split, members in dataset.read_pictures().items() for row in members}
    assert sides["00.png"] == sides["copy0.png"] == "train"
    assert sides["01.png"] == sides["copy1.png"] == sides["copy2.png"]


def test_what_few_pictures_cannot_show_is_not_called_learned_nor_chance(numbered, capsys):
    Path("pictures/manifest.csv").write_text(
        "path,target,split\n" + "\n".join(f"{n:02d}.png,{n % 20},{'test' if n > 56 else ''}" for n in range(60))
    )
    write_params(epochs=6, optimizer="adam", learning_rate=0.001, repeats=1)
    run_all()
    metrics = json.loads(Path("reports/metrics.json").read_text())
    output, page = capsys.readouterr().out, Path("reports/report.html").read_text()
    assert metrics["learned"] is (metrics["r2_low"] > 0)
    assert ("not shown that the model has learned" in output) is (metrics["r2"] > 0 >= metrics["r2_low"])
    assert ("not shown that the model has learned" in page) is (metrics["r2"] > 0 >= metrics["r2_low"])


def test_r2_is_scikit_learns_also_for_many_samples_at_once():
    targets, values = np.random.default_rng(0).normal(size=(2, 5, 30)) * 1000
    expected = [r2_score(*sample) for sample in zip(targets, values, strict=True)]
    assert np.allclose(regression_measures.r2(targets, values), expected, rtol=0, atol=1e-12)


def test_ranges_have_about_as_many_targets_each():
    targets = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 10)
    found = regression_measures.table([f"{n:02d}" for n in range(60)], targets, targets + np.linspace(-9, 9, 60))
    assert found["actual"].nunique() == 5 and found["actual"].value_counts().max() <= 20
    assert set(found["predicted"]) <= set(found["actual"])
    one = regression_measures.table(["a", "b"], np.array([1.0, 2.0]), np.array([5.0, -5.0]))
    assert one["actual"].tolist() == ["1: 1 to 2"] * 2


@pytest.mark.parametrize(
    ("changes", "rows", "words"),
    [
        ({"loss": "binary_crossentropy"}, None, "loss is binary_crossentropy, which is for classes"),
        ({}, [("00.png", "5")] * 1 + [("01.png", "x")], "line 3: target is 'x'; expected a number"),
        ({}, [("00.png", "nan")], "line 2: target is 'nan'"),
        ({}, [("00.png", "1_000")], "line 2: target is '1_000'"),
        ({}, [(f"{n:02d}.png", f"{1.7e9 + n}") for n in range(30)], "differ too little for their size"),
        ({}, [("00.png", "1e39")], "line 2: target is '1e39'"),
        ({}, [(f"{n:02d}.png", "7") for n in range(30)], "all 18 train pictures have the target 7"),
        ({}, [("00.png", "1"), ("01.png", "2")], "there are 2 usable pictures and none for"),
    ],
)
def test_numbers_that_cannot_be_learned_are_one_clear_line(numbered, changes, rows, words):
    write_params(**changes)
    if rows:
        text = "\n".join(",".join(row) for row in [("path", "target"), *rows])
        Path("pictures/manifest.csv").write_text(text)
    with pytest.raises(UserError, match=words) as error:
        preprocess.main()
    assert "\n" not in str(error.value)
    assert not Path("data/processed").exists()


def test_a_manifest_has_labels_or_targets(numbered):
    Path("pictures/manifest.csv").write_text("path,label,target\n00.png,a,1\n")
    with pytest.raises(UserError, match="either label"):
        preprocess.main()


def test_the_ladder_compares_r2(tmp_path):
    class Known(report.Measured):
        """Measured, with results that are known."""

        repeats = property(lambda self: tables[self.name][0])
        epochs = property(lambda self: tables[self.name][1])
        validation = property(lambda self: tables[self.name][2])
        metrics = property(lambda self: {"chance": 2.5, "r2": 0.8, "r2_low": 0.7, "r2_high": 0.9, "mae": 0.6})
        time = "1 s"

    base = params.read(ROOT / "params.yaml")
    targets = np.arange(10.0)
    tables = {}
    for name, shift in (("first", 0.0), ("deeper", 0.2)):
        scores = np.array([0.5, 0.52, 0.48]) + shift
        repeats = pd.DataFrame({"val_r2": scores, "val_loss": 1 - scores})
        epochs = pd.DataFrame({"epoch": [1], "val_loss": [1.0], "val_r2": [-3.0], "r2": [-4.0]})
        epochs = epochs.assign(**{f"{column}_std": 0.1 for column in ("val_loss", "val_r2")})
        values = targets + np.where(targets < 4, 1.0 - shift, 0.5 + shift)
        tables[name] = repeats, epochs, regression_measures.table([str(n) for n in range(10)], targets, values)
    rung = {name: rungs.Rung(name=name, changes={"depth": depth}) for name, depth in (("first", 2), ("deeper", 3))}
    settings = [
        rungs.Setting("first", rung["first"], base, None),
        rungs.Setting("deeper", rung["deeper"], replace(base, depth=3), "first"),
    ]
    measured = [Known(setting, Experiment(setting.name, "0")) for setting in settings]
    report.write(tmp_path, measured, "numbers", "python ladder.py", min_effect=0.02, pictures=False)
    rows = read_csv(tmp_path / "ladder.csv")
    line = dict(zip(rows[0], rows[2], strict=True))
    assert (line["rung"], line["verdict"], line["val_r2"]) == ("deeper", "improved", "0.700000")
    assert float(line["r2_difference_mean"]) == pytest.approx(0.2)
    page = (tmp_path / "ladder.html").read_text()
    assert "4 nearer, 6 farther" in page and "R² is 0.800" in page and "accuracy" not in page
    assert "accuracy" not in (tmp_path / "ladder.md").read_text()
    assert (tmp_path / "ladder-r2.svg").exists()
