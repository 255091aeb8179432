"""ladder.py with real DVC experiments, on a pipeline of one quick stage that knows the answers beforehand."""

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from conftest import DEFAULTS, ROOT, stripes
from support import ENVIRONMENT, commit, run

from cnn.ladder import climb, rungs

# In place of a training: accuracy rises by 0.1 with depth and by less with epochs; seeds differ by a little.
STAGE = """
    import json, pathlib, sys, time
    import numpy as np, pandas as pd, yaml
    p = yaml.safe_load(open("params.yaml"))
    pathlib.Path("runs").open("a").write("one more")
    if p["learning_rate"] > 100:
        sys.exit("error: the loss is no number; lower learning_rate")
    if not pathlib.Path(p["images"]).exists():
        sys.exit(f"error: no pictures in {p['images']}")
    time.sleep(p["dropout"] * 20)
    rows = []
    for repeat in range(p["repeats"]):
        print(f"repeat {repeat + 1} of {p['repeats']}", flush=True)
        noise = np.random.default_rng([p["seed"], repeat]).normal(0, 0.1)  # what all settings have in common
        own = np.random.default_rng([p["seed"], repeat, p["depth"], p["epochs"]]).normal(0, 0.001)
        accuracy = 0.3 + 0.1 * p["depth"] + 0.0001 * p["epochs"] + noise / 10 + own
        rows.append({"repeat": repeat, "seed": repeat, "epoch": 1, "loss": 1, "accuracy": 0.5, "kept": 1}
                    | {"val_loss": 1 - accuracy, "val_accuracy": accuracy})
    reports = pathlib.Path("reports")
    reports.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(reports / "repeats.csv", index=False)
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    means = pd.DataFrame(rows).groupby("epoch")[names].mean()
    pd.concat([means, (means * 0 + 0.01).add_suffix("_std")], axis=1).reset_index().to_csv(
        reports / "history.csv", index=False)
    right = [number < 996 + p["depth"] for number in range(1000)]
    pd.DataFrame({"file": [f"{number}.png" for number in range(1000)], "actual": "NA",
                  "predicted": ["NA" if each else "<b>" for each in right], "probability": 0.9}).to_csv(
        reports / "validation.csv", index=False)
    json.dump({"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "chance": 0.25},
              open(reports / "metrics.json", "w"))
    pathlib.Path("data/processed").mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (1000, 16, 16, 3), dtype=np.uint8)
    np.save("data/processed/validation_images.npy", images)
"""
PIPELINE = """
    stages:
      evaluate:
        cmd: python stage.py
        deps: [stage.py, room, "${images}"]
        params: [{params.yaml: }]
        outs:
        - data/processed
        - reports/repeats.csv: {cache: false}
        - reports/history.csv: {cache: false}
        - reports/validation.csv: {cache: false}
        - reports/metrics.json: {cache: false}
    metrics: [reports/metrics.json]
"""
LADDER = """
    repeats: 4
    min_effect: 0.02
    rungs:
    - {name: first, changes: {depth: 1, epochs: 5, dropout: 0.0, learning_rate: 0.1}}
    - {name: deeper, changes: {depth: 2}, claim: "two | are <i>better</i>"}
    - {name: longer, changes: {epochs: 6}}
    search:
      from: first
      repeats: 2
      space: {depth: [1, 2, 3], epochs: {low: 1, high: 9}}
"""


def make(folder: Path, images: str = "data/mine") -> Path:
    """A project with that pipeline and ladder, committed."""
    folder.mkdir(exist_ok=True)
    (folder / "stage.py").write_text(textwrap.dedent(STAGE))
    (folder / "room").mkdir()
    (folder / "room/module.py").write_text("")
    (folder / "dvc.yaml").write_text(textwrap.dedent(PIPELINE))
    (folder / "ladder.yaml").write_text(textwrap.dedent(LADDER))
    (folder / "params.yaml").write_text(yaml.safe_dump(DEFAULTS | {"images": images, "workers": 1}, sort_keys=False))
    (folder / ".gitignore").write_text("/data/?*\n!/data/*.dvc\n/runs\n__pycache__/\n")
    (folder / "data/mine").mkdir(parents=True)
    stripes(0, 0).save(folder / "data/mine/0.png")
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    shutil.copy(ROOT / ".dvcignore", folder)
    run(folder, "dvc", "add", "-q", "data/mine")
    commit(folder, "start")
    return folder


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project in which the whole ladder has run, and what that printed."""
    folder = make(tmp_path_factory.mktemp("climbed"))
    return folder, ladder(folder)


@pytest.fixture
def project(tmp_path: Path, climbed: tuple[Path, str]) -> Path:
    """A copy of it."""
    return shutil.copytree(climbed[0], tmp_path / "project", symlinks=True)


def ladder(folder: Path, *options: str, code: int = 0) -> str:
    return run(folder, sys.executable, str(ROOT / "ladder.py"), *options, code=code)


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "reports/ladder.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_says_what_each_change_did(climbed):
    folder, output = climbed
    assert output.count("(run now)") == 4
    rows = table(folder)
    assert [(row["table"], row["rung"], row["compared_with"], row["changes"], row["verdict"]) for row in rows] == [
        ("ladder", "first", "", "", ""),
        ("ladder", "deeper", "first", "depth 1 to 2", "improved"),
        ("ladder", "longer", "deeper", "epochs 5 to 6", "no measurable change"),
        ("alone", "deeper", "first", "depth 1 to 2", "improved"),
        ("alone", "longer", "first", "epochs 5 to 6", "no measurable change"),
    ]
    assert float(rows[1]["accuracy_difference_mean"]) == pytest.approx(0.1, abs=0.02)
    assert float(rows[1]["accuracy_difference_low"]) > 0 > float(rows[1]["loss_difference_high"])


def test_the_workspace_stays_and_dvc_shows_the_rungs(climbed):
    folder, _ = climbed
    assert yaml.safe_load((folder / "params.yaml").read_text()) == DEFAULTS | {"images": "data/mine", "workers": 1}
    assert set(run(folder, "git", "status", "--porcelain", "--untracked-files=all").split()) - {"??"} == {
        f"reports/{name}" for name in ("ladder.csv", "ladder.md", "ladder.html", "ladder-accuracy.svg")
    } | {"reports/ladder-curves.svg"}
    shown = run(folder, "dvc", "exp", "show", "--csv")
    for name in ("first", "deeper", "longer", "longer-alone"):
        assert name in shown
    assert "depth" in run(folder, "dvc", "exp", "diff", "first", "deeper")


def test_the_pages_show_changed_mistakes_and_escape_names(climbed):
    page = (climbed[0] / "reports/ladder.html").read_text(encoding="utf-8")
    assert "1 fixed, 0 made, 2 wrong in both" in page
    assert "<i>better" not in page
    assert "<b>&lt;b&gt;" not in page and "&lt;b&gt; → <b>NA</b>" in page
    text = (climbed[0] / "reports/ladder.md").read_text(encoding="utf-8")
    assert "two \\| are" in text and "python ladder.py" in text


def test_a_second_run_runs_nothing_and_a_commit_changes_that_not(project):
    before = (project / "reports/ladder.csv").read_bytes()
    commit(project, "the reports")
    assert ladder(project).count("(finished before)") == 4
    assert (project / "reports/ladder.csv").read_bytes() == before


def test_other_code_pictures_or_parameters_are_measured_anew(project):
    stage = project / "stage.py"
    stage.write_text(stage.read_text() + "# changed\n")
    some = ("--only", "longer")
    before = run(project, "git", "for-each-ref", "refs/exps/*/*/first*")
    assert ladder(project, *some).count("(run now)") == 2
    # The new one takes the place of the one before.
    after = run(project, "git", "for-each-ref", "refs/exps/*/*/first*")
    assert after != before and after.split()[2:] == before.split()[2:]
    assert ladder(project, *some).count("(finished before)") == 2
    stripes(1, 0).save(project / "data/mine/1.png")
    run(project, "dvc", "add", "-q", "data/mine")
    assert ladder(project, *some).count("(run now)") == 2
    assert ladder(project, *some, "--repeats", "2").count("(run now)") == 2


def test_a_room_is_its_files_but_not_what_python_leaves_there(project):
    some = ("--only", "longer")
    (project / "room/__pycache__").mkdir()
    (project / "room/__pycache__/module.cpython-311.pyc").write_bytes(b"compiled")
    assert ladder(project, *some).count("(finished before)") == 2
    # Files that git does not know yet are part of the room, and so of the experiments.
    (project / "room/new.py").write_text("")
    (project / "room/inner").mkdir()
    (project / "room/inner/new.py").write_text("")
    assert ladder(project, *some).count("(run now)") == 2
    assert ladder(project, *some).count("(finished before)") == 2


def test_a_rung_runs_only_the_stages_that_it_changes(tmp_path):
    folder = make(tmp_path / "project")
    done = tmp_path / "done"  # outside, because an experiment runs in a folder of its own
    (folder / "read.py").write_text(f"open({str(done)!r}, 'a').write('once '); open('read', 'w').close()")
    stage = "stages:\n  read: {cmd: python read.py, deps: [read.py], outs: [read]}\n"
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text().replace("stages:\n", stage))
    run(folder, "dvc", "repro", "-q")
    commit(folder, "another stage")
    assert ladder(folder, "--only", "deeper").count("(run now)") == 2
    assert done.read_text() == "once "


@pytest.mark.skipif(os.name == "nt", reason="kills a process group")
def test_a_ladder_that_is_killed_goes_on_and_ends_with_the_same_table(tmp_path, climbed):
    folder = make(tmp_path)
    process = subprocess.Popen(
        [sys.executable, ROOT / "ladder.py"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while "deeper: " not in process.stdout.readline():
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not run(folder, "git", "status", "--porcelain")
    output = ladder(folder)
    assert 2 <= output.count("(finished before)") < 4
    assert (folder / "reports/ladder.csv").read_bytes() == (climbed[0] / "reports/ladder.csv").read_bytes()


def test_a_rung_that_cannot_be_trained_is_a_row_and_the_others_are_compared(project):
    rungs = yaml.safe_load((project / "ladder.yaml").read_text())
    rungs["rungs"].insert(1, {"name": "too-fast", "changes": {"learning_rate": 200}})
    rungs["rungs"][2]["changes"]["learning_rate"] = 0.1
    (project / "ladder.yaml").write_text(yaml.safe_dump(rungs))
    output = ladder(project, code=1)
    assert output.splitlines()[-1].startswith(
        "error: 1 of 6 settings could not be trained: too-fast failed: the loss is"
    )
    verdicts = {(row["table"], row["rung"]): row["verdict"] for row in table(project)}
    assert verdicts["ladder", "too-fast"] == "could not be trained"
    assert verdicts["ladder", "deeper"] == "nothing to compare with"
    assert verdicts["ladder", "longer"] == "no measurable change"
    assert verdicts["alone", "deeper"] == "improved"


def test_an_experiment_of_someone_else_is_not_replaced(tmp_path):
    folder = make(tmp_path)
    run(folder, "dvc", "exp", "run", "--temp", "-n", "deeper", "-S", "depth=3")
    before = run(folder, "git", "for-each-ref", "refs/exps/*/*/deeper")
    output = ladder(folder, "--only", "deeper")
    assert "deeper-2: validation accuracy" in output
    assert run(folder, "git", "for-each-ref", "refs/exps/*/*/deeper") == before
    # Other parameters under the same name are another experiment, too, and the first one is found again.
    assert "deeper-3: validation accuracy" in ladder(folder, "--only", "deeper", "--repeats", "2")
    assert ladder(folder, "--only", "deeper").count("(finished before)") == 2


def test_a_ladder_of_failures_writes_nothing(project):
    before = (project / "reports/ladder.csv").read_bytes()
    rungs = yaml.safe_load((project / "ladder.yaml").read_text())
    rungs["rungs"][0]["changes"]["learning_rate"] = 200
    (project / "ladder.yaml").write_text(yaml.safe_dump(rungs))
    output = ladder(project, "--only", "deeper", code=1)
    assert output.splitlines()[-1].startswith("error: 2 of 2 settings could not be trained: first-2 failed: the loss")
    assert (project / "reports/ladder.csv").read_bytes() == before


def test_pictures_that_neither_git_nor_dvc_knows_are_found_and_so_are_odd_names(project):
    odd = project / "data/it's, my own {1}"
    shutil.copytree(project / "data/mine", odd)
    output = ladder(
        project, "--images", f"data/{odd.name}", "--only", "deeper", "--repeats", "2", "--out", "reports/odd"
    )
    assert "it-s-my-own-1-deeper: validation accuracy" in output
    assert f"data/{odd.name}" in (project / "reports/odd/ladder.md").read_text(encoding="utf-8")
    outside = shutil.copytree(project / "data/mine", project.parent / "outside")
    output = ladder(project, "--images", "../outside", "--only", "longer", "--repeats", "2", "--out", "reports/odd")
    assert "outside-first: validation accuracy" in output
    params = (project / "params.yaml").read_text().replace("images: data/mine", "images: ../outside")
    (project / "params.yaml").write_text(params)
    output = ladder(project, "--only", "longer", "--repeats", "2", "--out", "reports/odd")
    assert output.count("(finished before)") == 2
    assert str(outside.parent) not in (project / "reports/odd/ladder.html").read_text(encoding="utf-8")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "lines"), [(Screen, True), (io.StringIO, False)])
def test_only_a_terminal_shows_the_lines_of_the_training(stream, lines, monkeypatch):
    def run_experiment(name, params, message, mark, on_line):
        for text in ("Running stage", "repeat 1 of 2, epoch 1 of 5", "repeat 2 of 2, epoch 1 of 5"):
            on_line(text)
        return climb.experiments.Experiment(name, "commit")

    monkeypatch.setattr(climb.experiments, "run", run_experiment)
    monkeypatch.setattr(sys, "stdout", stream())
    climb.run_experiment("first", rungs.Setting("first", rungs.Rung(name="a", changes={"depth": 2}), None, None))
    shown = sys.stdout.getvalue()
    assert ("repeat 2 of 2" in shown) == lines
    assert "Running" not in shown and "\n" not in shown


def test_a_search_goes_on_where_it_was_and_measures_its_best_again(project):
    output = ladder(project, "--search", "2")
    assert output.count("(run now)") == 3
    output = ladder(project, "--search", "3")
    assert output.count("(finished before)") >= 2 and "search-best" in output
    with open(project / "reports/search.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["search-1", "search-2", "search-3", "search-best"]
    best = max(rows[:3], key=lambda row: float(row["val_accuracy"]))
    assert (rows[3]["depth"], rows[3]["epochs"]) == (best["depth"], best["epochs"])
    assert rows[3]["val_accuracy"] != best["val_accuracy"]  # other seeds


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from", "frist"), "no rung is named 'frist'; did you mean 'first'?"),
        (("--only", "higher"), "no rung is named 'higher'"),
        (("--only", "deeper,deeper"), "the rung 'deeper' is named twice"),
        (("--repeats", "0"), "repeats is 0; allowed: a whole number from 1"),
        (("--search", "0"), "--search is 0"),
    ],
)
def test_a_mistake_is_one_line(climbed, options, words):
    output = ladder(climbed[0], *options, code=1)
    assert words in output and "Traceback" not in output
