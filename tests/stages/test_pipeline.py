"""The pipeline as its user runs it: a clone, `dvc repro`, experiments, comparisons."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from conftest import DEFAULTS, QUICK, write_pictures
from support import ENVIRONMENT, commit, copy_project, run


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with small pictures of its own, added with `dvc add`, and the pipeline run once."""
    folder = copy_project(tmp_path_factory.mktemp("clone"))
    run(folder, "git", "init", "-q")
    write_pictures(folder / "data/mine", ("across", "along", "falling", "rising"))
    run(folder, "dvc", "add", "data/mine")
    # Changed as a user would, so that the comments of params.yaml stay.
    values = DEFAULTS | QUICK | {"images": "data/mine", "learning_rate": 0.01, "optimizer": "momentum"}
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    run(folder, "dvc", "repro", "evaluate")
    commit(folder, "own pictures")
    return folder


def metrics(folder: Path) -> dict:
    return json.loads((folder / "reports/metrics.json").read_text())


def test_repro_makes_every_output_and_a_second_run_does_nothing(clone):
    assert metrics(clone)["val_accuracy"] > 0.25
    for name in ("metrics.json", "predictions.csv", "history.csv", "report.html", "model.txt", "data.json"):
        assert (clone / "reports" / name).stat().st_size > 0
    assert "Data and pipelines are up to date." in run(clone, "dvc", "repro", "evaluate")
    assert "Data and pipelines are up to date." in run(clone, "dvc", "status", "evaluate")
    assert run(clone, "git", "status", "--porcelain") == ""


def test_what_python_leaves_beside_the_modules_makes_no_stage_run_again(clone):
    rooms = [path for path in (clone / "cnn").iterdir() if (path / "__init__.py").exists()]
    assert len(rooms) > 5
    for room in rooms:
        cache = room / "__pycache__"
        cache.mkdir(exist_ok=True)
        (cache / "written by another Python.pyc").write_bytes(b"bytecode")
    assert "Data and pipelines are up to date." in run(clone, "dvc", "status", "evaluate")
    other = clone / "cnn/model/other.txt"  # every other file of a room counts
    other.touch()
    assert "cnn/model" in run(clone, "dvc", "status", "evaluate")
    other.unlink()


def test_an_experiment_is_a_tracked_difference_of_parameters(clone):
    before = metrics(clone)
    printed = run(clone, "dvc", "exp", "run", "-n", "adagrad", "-S", "optimizer=adagrad", "evaluate")
    for stage in ("preprocess", "build"):
        assert f"Stage '{stage}' didn't change, skipping" in printed
    assert metrics(clone) != before
    assert "optimizer" in run(clone, "dvc", "params", "diff")
    assert "val_loss" in run(clone, "dvc", "metrics", "diff")

    table = json.loads(run(clone, "dvc", "exp", "show", "--json"))
    (experiment,) = table[1]["experiments"]
    assert experiment["name"] == "adagrad"
    assert experiment["revs"][0]["data"]["params"]["params.yaml"]["data"]["optimizer"] == "adagrad"
    assert experiment["revs"][0]["data"]["metrics"]["reports/metrics.json"]["data"] == metrics(clone)
    assert "adagrad" in run(clone, "dvc", "exp", "show", "--only-changed", "--no-pager")

    run(clone, "dvc", "plots", "diff", "HEAD", "adagrad")
    page = (clone / "dvc_plots/index.html").read_text(encoding="utf-8")
    for words in ("Loss over the epochs", "Accuracy over the epochs", "share of each actual class", "mistakes.svg"):
        assert words in page

    run(clone, "git", "reset", "-q", "--hard")
    run(clone, "dvc", "checkout", "--with-deps", "evaluate")
    assert metrics(clone) == before


def test_a_sweep_is_queued_and_its_experiments_find_the_pictures(clone):
    printed = run(clone, "dvc", "exp", "run", "--queue", "-S", "seed=8,9", "-S", "image_size=24", "preprocess")
    assert printed.count("Queueing with overrides") == 2
    run(clone, "dvc", "queue", "start")
    until = time.monotonic() + 240
    while "Queued" in (status := run(clone, "dvc", "queue", "status")) or "Running" in status:
        assert time.monotonic() < until, status
        time.sleep(4)  # to ask takes a second of the processor
    assert status.count("Success") == 2, status
    table = json.loads(run(clone, "dvc", "exp", "show", "--json"))
    swept = [each["revs"][0] for each in table[1]["experiments"]]
    used = {}
    for each in swept:
        data = json.loads(run(clone, "git", "show", f"{each['rev']}:reports/data.json"))
        used[each["data"]["params"]["params.yaml"]["data"]["seed"]] = data["used"]
    assert used | {8: 80, 9: 80} == used
    assert not run(clone, "git", "status", "--porcelain")


def test_the_model_is_found_by_its_name(clone, tmp_path):
    run(clone, "git", "tag", "-a", "classifier@v0.1.0", "-m", "first")
    run(tmp_path, "dvc", "artifacts", "get", str(clone), "classifier")
    assert (tmp_path / "model.keras").read_bytes() == (clone / "models/model.keras").read_bytes()


def test_other_pictures_are_one_parameter_away(clone):
    shutil.make_archive(str(clone / "data/other"), "zip", clone / "data/mine")
    run(clone, "dvc", "add", "data/other.zip")
    run(clone, "dvc", "exp", "run", "-S", "images=data/other.zip", "-S", "epochs=1", "evaluate")
    assert json.loads((clone / "reports/data.json").read_text())["found"] == 80
    run(clone, "git", "reset", "-q", "--hard")
    run(clone, "dvc", "checkout", "--with-deps", "evaluate")


@pytest.mark.skipif(os.name == "nt", reason="kills a process group")
def test_a_repro_that_is_killed_is_finished_by_the_next_one_with_the_same_bytes(clone):
    def outputs() -> dict:
        stages = yaml.safe_load((clone / "dvc.lock").read_text())["stages"]
        return {out["path"]: out["md5"] for name in ("train", "predict", "evaluate") for out in stages[name]["outs"]}

    before = outputs()
    values = yaml.safe_load((clone / "params.yaml").read_text())
    (clone / "params.yaml").write_text(yaml.safe_dump(values | {"epochs": 60}, sort_keys=False))
    process = subprocess.Popen(
        ["dvc", "repro", "evaluate"],
        cwd=clone,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while ", epoch 2 of 60" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert outputs() == before  # nothing unfinished is taken for whole

    assert "goes on after epoch" in run(clone, "dvc", "repro", "evaluate")
    after = outputs()
    assert after != before
    run(clone, "dvc", "repro", "--force", "--single-item", "train")
    assert outputs() == after
    run(clone, "git", "checkout", "-q", ".")
    run(clone, "dvc", "checkout", "--with-deps", "evaluate")


def test_a_mistyped_parameter_ends_in_one_clear_line(clone):
    text = (clone / "params.yaml").read_text()
    (clone / "params.yaml").write_text(f"{text}lerning_rate: 0.1\n")
    printed = run(clone, "dvc", "repro", "evaluate", code=255)
    assert "error: params.yaml: unknown key 'lerning_rate'; did you mean 'learning_rate'?" in printed
    assert "Traceback" not in printed
    run(clone, "git", "checkout", "-q", "params.yaml", "reports")
    assert "up to date" in run(clone, "dvc", "repro", "evaluate")
