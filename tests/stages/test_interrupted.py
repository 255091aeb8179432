"""A run that is killed, stopped by Ctrl-C or met by a full disk leaves whole files only, and can go on.

It loses no more than its unfinished epoch, and changes no byte of the result.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, write_params, write_pictures
from joblib.externals.loky import get_reusable_executor
from support import md5s, run_all, run_stage

from cnn.training import repeats
from stages import build, evaluate, predict, preprocess, train

STAGES = {"preprocess": preprocess, "build": build, "train": train, "predict": predict, "evaluate": evaluate}
FROM_ANYWHERE = os.environ | {"PYTHONPATH": str(ROOT)}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills a process group")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stripes in which every stage has run, made once for all tests here."""
    folder = tmp_path_factory.mktemp("once")
    write_pictures(folder / "pictures")
    write_params(folder, workers=2)
    get_reusable_executor().shutdown()  # its processes are in the folder of the test before
    with contextlib.chdir(folder):
        run_all()
    return folder


@pytest.fixture
def finished(work: Path, once: Path) -> Path:
    """A copy of it as working directory."""
    shutil.copytree(once, work, dirs_exist_ok=True)
    return work


def start(stage: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"],
        env=FROM_ANYWHERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen) -> None:
    """kill -9 for the stage and its workers, as a machine that goes down does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_training_that_is_killed_goes_on_and_ends_with_the_same_bytes(pictures, capfd):
    # Adam has a state to lose: moments and a step number; batch normalization its averages; early stopping the best
    # epoch; and what is drawn must be drawn again. Epochs are short here: fewer would end before the kill.
    random_parts = {"flip": True, "shift": 0.1, "dropout": 0.2, "batch_normalization": True}
    write_params(epochs=24, patience=23, optimizer="adam", learning_rate=0.0003, workers=2, **random_parts)
    preprocess.main()
    build.main()
    train.main()
    expected = md5s()
    assert not Path("models/.training").exists()

    wait = random.Random()  # other moments each time: there is none at which it may go wrong
    for after in (1, 30):  # epochs that are finished, of both repeats, before the process is killed
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


def test_a_repeat_that_was_finished_is_left_alone(pictures, monkeypatch, capsys):
    write_params()
    preprocess.main()
    build.main()

    train_epoch, calls = repeats.train_epoch, iter(range(4))

    def all_but_the_last(*arguments) -> str:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return train_epoch(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(repeats, "train_epoch", all_but_the_last)
        train.main()
    capsys.readouterr()
    train.main()
    printed = capsys.readouterr().out
    assert "repeat 1 of 2" not in printed
    assert printed.count("repeat 2 of 2, epoch") == 1


def test_another_parameter_starts_from_the_beginning(pictures, capfd):
    write_params(epochs=60)
    preprocess.main()
    build.main()
    process = start("train")
    while ", epoch 1 " not in process.stdout.readline():
        pass
    kill(process)
    assert len(list(Path("models/.training").iterdir())) == 1
    write_params(epochs=2, learning_rate=0.02)
    capfd.readouterr()
    train.main()
    assert "goes on" not in capfd.readouterr().out


@pytest.mark.parametrize("stage", ["preprocess", "predict", "evaluate"])
def test_a_stage_that_is_killed_leaves_whole_files_only_and_can_run_again(finished, stage):
    expected = md5s()
    for delay in (0.3, 1.0, 2.0):
        process = start(stage)
        time.sleep(delay)
        kill(process)
        whole = {path: md5 for path, md5 in md5s().items() if "/.tmp-" not in path}
        assert whole.items() <= expected.items()
    STAGES[stage].main()
    assert md5s() == expected


def wait_for_the_end_of_the_group(group: int) -> None:
    """Its helpers end a moment after their parent; one that stays fails the test."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process was left behind")


@pytest.mark.parametrize(
    ("stage", "repeats"), [("preprocess", 2), ("train", 2), ("train", 3), ("predict", 2), ("evaluate", 2)]
)
def test_ctrl_c_ends_every_process_in_one_line(finished, stage, repeats):
    write_params(epochs=500, workers=repeats, repeats=repeats)
    if repeats == 3:  # more than one process trains
        build.main()
    expected = md5s()
    # The first moments hit the imports of this process and of its workers, the last one the work.
    for delay in (0.5, random.uniform(0.5, 2.5), 3.0):
        process = start(stage)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the stage and to its workers
        _, message = process.communicate(timeout=30)
        if process.returncode == 0:  # done before
            expected = md5s()
            continue
        if process.returncode == -signal.SIGINT and not message:
            continue  # Python itself was not up yet
        assert process.returncode in (1, -signal.SIGINT)  # the latter while still importing
        assert message == "stopped: nothing half-written was left; `dvc repro` goes on from here\n"
        wait_for_the_end_of_the_group(process.pid)
        left = {path: md5 for path, md5 in md5s().items() if "/.training/" not in path}
        assert expected.items() <= left.items()
        assert not [path for path in left if "/.tmp-" in path]


FULL_DISK = """
mount -t tmpfs -o size=64m none disk && cp -a pictures params.yaml data models reports disk && cd disk || exit 99
export TMPDIR=$PWD
head -c $(( ($(df --output=avail -k . | tail -1) - $1) * 1024 )) /dev/zero > filler
"$2" -m "stages.$3"
code=$?
rm filler
cp -a data models reports ../after
exit $code
"""


def own_mounts() -> bool:
    try:
        command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not own_mounts(), reason="this system lets nobody make a small disk of his own")
@pytest.mark.parametrize(
    ("stage", "free"),
    [("preprocess", 40), ("preprocess", 200), ("build", 100), ("train", 300), ("predict", 30), ("evaluate", 4)],
)
def test_a_full_disk_is_reported_in_one_line_and_leaves_whole_files(finished, stage, free):
    """On a disk of its own with `free` KiB left."""
    expected = md5s()
    for name in ("disk", "after"):
        (finished / name).mkdir()
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", FULL_DISK, "sh", str(free), sys.executable, stage],
        env=FROM_ANYWHERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "error: No space left on device; free space or rights, then run again\n"
    assert done.returncode == 1
    os.chdir(finished / "after")
    left = {path: md5 for path, md5 in md5s().items() if "/.training/" not in path}
    assert left == expected
    (finished / "params.yaml").rename("params.yaml")
    (finished / "pictures").rename("pictures")
    assert run_stage(stage).returncode == 0
    assert md5s() == expected


def test_no_process_outlives_a_stage_that_is_killed_alone(finished):
    write_params(epochs=500, workers=3, repeats=3)
    build.main()
    process = start("train")
    others = []
    while len(others) < 2:  # three repeats have two processes, each with up to two threads
        assert process.poll() is None
        others = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, check=False).stdout.split()
        time.sleep(0.05)
    process.kill()
    process.wait()
    wait_for_the_end_of_the_group(process.pid)


def test_a_worker_that_is_killed_is_reported_in_one_line(finished):
    """As the system does when memory runs out."""
    write_params(epochs=500, repeats=3, workers=3)
    build.main()
    process = start("train")
    while ", epoch 1 " not in process.stdout.readline():
        pass
    workers = subprocess.check_output(["pgrep", "-g", str(process.pid), "-f", "popen_loky"]).split()
    os.kill(int(workers[0]), signal.SIGKILL)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 1
    assert message.startswith("error: one of 2 worker processes was killed, most likely because memory ran out")
    assert message.count("\n") == 1
