"""What several files of tests run: the stages, the programs, git and DVC."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import DEFAULTS, ROOT

from cnn.common import dataset, files, params
from cnn.common.task import Task
from cnn.export import onnx
from cnn.model.backend import keras
from cnn.model.build import build as build_network
from stages import build, evaluate, predict, preprocess, train

CLASSES = ["across", "along", "falling"]
ENVIRONMENT = os.environ | {
    # dvc.yaml calls plain `python`: the one that runs this test.
    "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.com",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "DVC_NO_ANALYTICS": "1",
}


def run(folder: Path, *command: str, code: int = 0) -> str:
    """What the command printed; it must end with the exit code `code`."""
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False
    )
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def tracked_files() -> list[Path]:
    """The project's files as they stand here, committed or not."""
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return [Path(name) for name in listed if name and (ROOT / name).is_file()]


def copy_project(folder: Path) -> Path:
    for path in tracked_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    return folder


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", message)


def md5s() -> dict[str, str]:
    folders = [Path("data/processed"), Path("data/predictions"), Path("models"), Path("reports")]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in files}


def run_all() -> None:
    for stage in (preprocess, build, train, predict, evaluate):
        stage.main()


def run_stage(stage: str, *before: str) -> subprocess.CompletedProcess:
    """The stage as DVC starts it: a process of its own. before: a command that starts it."""
    return subprocess.run(
        [*before, sys.executable, "-m", f"stages.{stage}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def untrained(task: Task, **changes: object) -> keras.Model:
    """A network with random weights. changes: of params.yaml."""
    keras.utils.set_random_seed(0)
    return build_network(params.check(DEFAULTS | {"image_size": 32} | changes), task)


def write_onnx(path: Path, task: Task, **metadata: object) -> None:
    """Write an untrained network, which predicts differently for different pictures all the same."""
    classes = list(getattr(task, "classes", ()))
    network = untrained(task, activation="tanh")
    files.write_bytes(path, onnx.build(network, {"classes": classes, "keras_md5": "none"} | metadata))


def data() -> dict:
    return json.loads(Path("reports/data.json").read_text())


def names(split: str) -> set[str]:
    return {row["file"] for row in dataset.read_pictures()[split]}


def run_predict(model: Path, *options: str, code: int = 0) -> str:
    command = [sys.executable, str(ROOT / "predict.py"), "--model", str(model), *options]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def read_csv(path: str, delimiter: str = ",") -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))
