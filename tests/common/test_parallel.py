"""Work spread over processes and over threads."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import get_ident

import pytest
from conftest import ROOT

from cnn.common import parallel
from cnn.common.runtime import UserError


def test_work_is_done_in_so_many_threads_at_once():
    together = threading.Barrier(3, timeout=5)  # passed when three wait for it
    by = set()

    def work() -> None:
        together.wait()
        by.add(get_ident())

    parallel.in_threads(work, 3)
    assert len(by) == 3 and get_ident() not in by


def test_an_error_in_a_thread_is_raised_here():
    turns = iter([None, UserError("not to be done")])

    def work() -> None:
        if error := next(turns):
            raise error

    with pytest.raises(UserError, match="not to be done"):
        parallel.in_threads(work, 2)


def test_an_error_in_a_process_ends_the_others_too(work):
    with pytest.raises(UserError, match="number 1"):
        list(parallel.parallel_map(refuse, [(work, number) for number in (0, 1, 2)], 2))
    pids = {int(path.name.split("-")[1]) for path in work.glob("?-*")}
    assert len(pids) == 2
    wait_for_the_end(pids)
    # Others can be used afterwards, in processes that are started for them.
    assert list(parallel.parallel_map(pow, [(2, 3), (3, 2)], 2)) == [8, 9]


def refuse(folder: Path, number: int) -> None:
    (folder / f"{number}-{os.getpid()}").touch()
    if number == 1:
        while not list(folder.glob("0-*")):
            time.sleep(0.01)  # the other process may still be importing this module
        raise UserError("number 1 is not to be done")
    time.sleep(60)


def test_the_end_of_a_program_leaves_no_process(work):
    code = (
        "from cnn.common import parallel; from test_parallel import process_id\n"
        "print(*parallel.parallel_map(process_id, [()] * 4, 2))"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)])
    }
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    pids = {int(pid) for pid in done.stdout.split()}
    assert len(pids) == 2
    wait_for_the_end(pids)


def process_id() -> int:
    time.sleep(0.5)  # so that one alone does not do it all
    return os.getpid()


def test_one_worker_is_this_process():
    assert list(parallel.parallel_map(os.getpid, [(), ()], 1)) == [os.getpid()] * 2


def test_an_error_that_cannot_be_unpickled_is_not_mistaken_for_a_killed_process():
    with pytest.raises(BrokenProcessPool) as raised:
        list(parallel.parallel_map(fail_oddly, [(), ()], 2))
    assert "OddError.__init__() missing 1 required positional argument" in str(raised.value.__cause__)


class OddError(Exception):
    def __init__(self, one: int, other: int):
        super().__init__(f"{one} and {other}")


def fail_oddly() -> None:
    raise OddError(1, 2)


def test_a_killed_worker_is_reported():
    with pytest.raises(UserError, match="was killed, most likely because memory ran out"):
        list(parallel.parallel_map(end_badly, [(), ()], 2))


def end_badly() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_the_end(pids: set[int]) -> None:
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5  # left alone, a process waits minutes for more to do
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
