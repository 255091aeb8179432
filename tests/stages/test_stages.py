"""The stages one after another, in this process, on pictures made here."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, stripes, write_params, write_pictures
from support import data, md5s, names, run_all, run_stage

from cnn.common import dataset, params
from cnn.common.params import LOSSES
from cnn.common.runtime import UserError
from cnn.evaluation import report
from stages import build, preprocess, train


def test_the_whole_way_learns_stripes_and_leaves_every_output(pictures, capsys):
    write_params(epochs=6, activation="relu", optimizer="adam", learning_rate=0.003)
    run_all()
    metrics = json.loads(Path("reports/metrics.json").read_text())
    assert metrics["accuracy"] > 0.7
    assert metrics["learned"] is True
    assert [*metrics] == [
        *("accuracy", "accuracy_low", "accuracy_high", "loss", "macro_f1"),
        *("val_accuracy", "val_accuracy_std", "val_loss", "chance"),
        *("calibration_error", "calibration_error_scaled", "temperature", "learned"),
    ]
    assert data()["splits"]["train"] == {"across": 12, "along": 12, "falling": 12}

    history = pd.read_csv("reports/history.csv")
    repeats = pd.read_csv("reports/repeats.csv")
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert repeats[["repeat", "seed"]].drop_duplicates().to_numpy().tolist() == [[0, 0], [1, 1]]
    last = repeats[repeats["epoch"] == 6]
    assert history["val_accuracy"].iloc[-1] == pytest.approx(last["val_accuracy"].mean(), abs=1e-6)
    assert history["val_loss_std"].iloc[-1] == pytest.approx(last["val_loss"].std(), abs=1e-6)
    assert f"kept repeat {last['val_loss'].to_numpy().argmin() + 1}" in capsys.readouterr().out

    predictions = pd.read_csv("reports/predictions.csv")
    assert set(predictions["file"]) == names("test")
    assert (predictions["actual"] == predictions["predicted"]).mean() == pytest.approx(metrics["accuracy"], abs=1e-4)
    page = Path("reports/report.html").read_text()
    assert f"{metrics['accuracy']:.1%} of the test pictures" in page
    figures = sorted(path.name for path in Path("reports/figures").iterdir())
    assert figures == ["accuracy.svg", "confusion.svg", "loss.svg", "mistakes.svg", "reliability.svg"]
    assert not list(Path().rglob(".tmp-*"))


def test_cores_workers_hash_seed_time_zone_and_order_of_files_change_no_byte(pictures, tmp_path):
    write_params(workers=1, repeats=3)
    run_all()
    first = md5s()
    other = tmp_path / "elsewhere"
    other.mkdir()
    os.chdir(other)
    write_params(workers=4, repeats=3)  # more than one process trains
    for path in sorted(pictures.rglob("*.png"), reverse=True):  # in which order a folder lists files
        target = Path("pictures") / path.relative_to(pictures)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    one_core = ("taskset", "-c", "0") if shutil.which("taskset") else ()
    for stage in ("preprocess", "build", "train", "predict", "evaluate"):
        done = run_stage(stage, *one_core, "env", "PYTHONHASHSEED=7", "TZ=Asia/Tokyo", "LC_ALL=C")
        assert done.returncode == 0, done.stderr
    assert {str(Path(path)): md5 for path, md5 in md5s().items()} == first


def test_a_model_that_has_not_learned_is_reported_with_advice(pictures, capsys):
    write_params(activation="sigmoid", learning_rate=0.5, epochs=1, repeats=1)
    run_all()
    printed = capsys.readouterr().out
    assert json.loads(Path("reports/metrics.json").read_text())["learned"] is False
    assert "has NOT learned" in printed
    assert "dvc exp run -S activation=relu -S learning_rate=0.05" in printed
    assert "The model has not learned" in Path("reports/report.html").read_text()


def test_advice_names_what_differs_from_what_works():
    base = params.read(ROOT / "params.yaml")
    assert report.advice(params.check(vars(base) | {"learning_rate": 0.5}))[0] == "learning_rate=0.05"
    assert report.advice(params.check(vars(base) | {"loss": "mean_squared_error"})).count("loss=auto") == 1
    assert report.advice(params.check(vars(base) | {"optimizer": "adam", "learning_rate": 0.001, "epochs": 20}))
    assert report.command(["optimizer=adam learning_rate=0.001"]) == (
        "dvc exp run -S optimizer=adam -S learning_rate=0.001"
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_trains(work, loss):
    # Each optimizer is held to Keras's numbers in test_trainer.py.
    two = loss == "binary_crossentropy"
    write_pictures(work / "pictures", ("across", "along") if two else ("across", "along", "falling"), each=10)
    write_params(epochs=3, repeats=1, learning_rate=0.003, image_size=24, optimizer="adam", loss=loss)
    run_all()
    loss = pd.read_csv("reports/history.csv")["loss"]
    assert loss.iloc[-1] < loss.iloc[0]


def test_two_classes_are_learned_with_one_sigmoid_unit(work):
    write_pictures(work / "pictures", ("across", "along"))
    write_params(epochs=5, optimizer="adam", learning_rate=0.003)
    run_all()
    assert "probability  Dense" in Path("reports/model.txt").read_text()
    predictions = pd.read_csv("reports/predictions.csv")
    assert np.allclose(predictions["p_across"] + predictions["p_along"], 1, atol=1e-5)
    assert (predictions["actual"] == predictions["predicted"]).mean() > 0.8
    metrics = json.loads(Path("reports/metrics.json").read_text())
    second = predictions["p_along"] >= metrics["threshold"]
    assert (predictions["predicted"] == np.where(second, "along", "across")).all()
    assert metrics["roc_auc"] > 0.8 and metrics["average_precision"] > 0.8 and metrics["learned"] is True
    assert {"roc.svg", "precision_recall.svg"} < {path.name for path in Path("reports/figures").iterdir()}
    assert "the threshold with the highest macro F1" in Path("reports/report.html").read_text()


def test_a_loss_that_is_no_number_ends_training_and_leaves_no_model(pictures):
    write_params(learning_rate=1000)
    preprocess.main()
    build.main()
    with pytest.raises(UserError, match=r"became (nan|inf) in epoch \d of repeat \d.*lower learning_rate.*1000"):
        train.main()
    assert not Path("models/model.keras").exists()
    assert not Path("reports/history.csv").exists()


def test_pictures_that_cannot_be_used_are_named_with_a_reason(pictures):
    (pictures / "along" / "broken.jpg").write_bytes(b"no picture")
    (pictures / "along" / "and, comma.png").write_bytes(b"")
    preprocess.main()
    facts = data()
    assert (facts["found"], facts["used"], facts["rejected"]) == (62, 60, 2)
    rejected = pd.read_csv("reports/rejected.csv")
    assert rejected["file"].tolist() == ["along/and, comma.png", "along/broken.jpg"]
    assert rejected["reason"].tolist() == ["empty file", "not a picture"]
    assert rejected["what to do"].notna().all()


def test_too_many_bad_pictures_end_the_run_and_leave_the_last_outputs_alone(pictures):
    preprocess.main()
    before = md5s()
    for number in range(5):
        (pictures / "along" / f"broken{number}.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"5 of 65 pictures cannot be used.*along/broken0.jpg \(not a picture\)"):
        preprocess.main()
    assert md5s() == before
    write_params(max_rejected=0.1)
    preprocess.main()
    assert data()["rejected"] == 5


def test_a_class_without_a_usable_picture_is_refused(pictures):
    for path in (pictures / "along").iterdir():
        path.write_bytes(b"no picture")
    write_params(max_rejected=1)
    with pytest.raises(UserError, match="no picture of class 'along' can be used"):
        preprocess.main()


def test_a_loss_that_does_not_fit_is_refused_before_pictures_are_read(pictures, capsys):
    write_params(loss="binary_crossentropy")
    with pytest.raises(UserError, match="for 2 classes; there are 3"):
        preprocess.main()
    assert "read" not in capsys.readouterr().out


def test_the_split_follows_content_not_names_and_copies_stay_together(pictures):
    preprocess.main()
    before = {split: names(split) for split in ("train", "validation", "test")}
    arrays = dataset.read("test").images.copy()
    for path in sorted(pictures.rglob("*.png")):
        path.rename(path.with_name(f"renamed {path.name}"))
    preprocess.main()
    assert np.array_equal(dataset.read("test").images, arrays)
    assert {name.replace("renamed ", "") for name in names("test")} == before["test"]

    original = sorted(names("test"))[0]
    stripes(0, 0).save(pictures / "across" / "other.bmp")
    (pictures / original.split("/")[0] / "copy.png").write_bytes((pictures / original).read_bytes())
    preprocess.main()
    assert f"{original.split('/')[0]}/copy.png" in names("test")
    assert data()["duplicates"] == 2
    zero = {"across/renamed 000.png", "across/other.bmp"}
    assert any(zero <= names(split) for split in ("train", "validation", "test"))


def test_a_picture_under_two_classes_is_a_conflict_and_only_trained_on(pictures):
    for number in range(3):
        stripes(0, number).save(pictures / "along" / f"conflict{number}.png")
    preprocess.main()
    assert data()["conflicts"] == 3
    conflicting = {f"{c}.png" for n in range(3) for c in (f"across/{n:03d}", f"along/conflict{n}")}
    assert conflicting <= names("train")


def test_too_few_classes_or_pictures_are_refused(work):
    write_pictures(work / "pictures", ("across",))
    with pytest.raises(UserError, match="one class only"):
        preprocess.main()
    (work / "pictures" / "along").mkdir()
    with pytest.raises(UserError, match="'along' is empty"):
        preprocess.main()
    stripes(1, 0).save("pictures/along/0.png")
    with pytest.raises(UserError, match=r"class 'along' has 1 usable.*at least 4"):
        preprocess.main()
    assert not Path("data/processed").exists()


@pytest.mark.parametrize("stage", ["preprocess", "build", "train", "predict", "evaluate"])
def test_a_users_mistake_is_one_line_and_exit_code_1(work, stage):
    write_params(optimizer="adagrat")
    done = run_stage(stage)
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml: optimizer is 'adagrat'")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("stage", ["build", "train", "predict", "evaluate"])
def test_a_stage_that_is_run_before_the_ones_it_needs_says_so(work, stage):
    done = run_stage(stage)
    assert done.returncode == 1
    assert "is missing; `dvc repro` makes what a stage needs" in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_that_are_no_plain_text_pass_through_every_stage(work):
    hostile = ("<script>alert(1)<script>", "猫 $x_1^2$", 'a,b"c')
    write_pictures(work / "plain", each=8)
    with zipfile.ZipFile("pictures.zip", "w") as archive:
        for name, folder in zip(hostile, sorted((work / "plain").iterdir()), strict=True):
            for path in sorted(folder.iterdir()):
                archive.write(path, f"{name}/{path.name}")
    write_params(images="pictures.zip", epochs=1, repeats=1)
    run_all()
    page = Path("reports/report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "猫" in page
    assert "猫 $x_1^2$" in Path("reports/figures/confusion.svg").read_text(encoding="utf-8")


def test_stages_without_a_network_need_no_tensorflow():
    code = (
        "import sys; from stages import evaluate, preprocess, sample, shapes\n"
        "print(sorted({'tensorflow', 'keras'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
