"""A process that is killed loses no more than its unfinished epoch, and changes no byte of the result."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, write_params
from test_stages import md5s

from stages import build, evaluate, preprocess, train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills a process group")


def start(stage: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, ROOT / "stages" / f"{stage}.py"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def kill(process: subprocess.Popen) -> None:
    """kill -9 for the stage and its workers, as a machine that goes down does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_training_that_is_killed_goes_on_and_ends_with_the_same_bytes(pictures, optimizer, capfd):
    write_params(epochs=5, optimizer=optimizer, learning_rate=0.003)
    preprocess.main()
    build.main()
    train.main()
    expected = md5s()
    assert not Path("models/.training").exists()

    wait = random.Random(optimizer)
    for after in (1, 3):  # epochs that are finished, of either repeat, before the process is killed
        process = start("train")
        finished = 0
        while finished < after:
            finished += ", epoch " in process.stdout.readline()
        time.sleep(wait.uniform(0, 0.2))
        kill(process)
    capfd.readouterr()
    train.main()
    assert "goes on after epoch" in capfd.readouterr().out
    assert md5s() == expected


def test_another_parameter_starts_from_the_beginning(pictures, capfd):
    write_params(epochs=3)
    preprocess.main()
    build.main()
    process = start("train")
    while ", epoch 1 " not in process.stdout.readline():
        pass
    kill(process)
    assert len(list(Path("models/.training").iterdir())) == 1
    write_params(epochs=3, learning_rate=0.02)
    capfd.readouterr()
    train.main()
    assert "goes on" not in capfd.readouterr().out


@pytest.mark.parametrize("stage", ["preprocess", "evaluate"])
def test_a_stage_that_is_killed_leaves_whole_files_only_and_can_run_again(pictures, stage):
    for each in (preprocess, build, train, evaluate):
        each.main()
    expected = md5s()
    for delay in (0.3, 1.0, 2.0):
        process = start(stage)
        time.sleep(delay)
        kill(process)
        whole = {path: md5 for path, md5 in md5s().items() if "/.tmp-" not in path}
        assert whole.items() <= expected.items()
    {"preprocess": preprocess, "evaluate": evaluate}[stage].main()
    assert md5s() == expected
