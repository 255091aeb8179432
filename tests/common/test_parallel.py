"""Work spread over processes and over threads."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import get_ident

import pytest
from conftest import ROOT

from cnn.common import parallel
from cnn.common.runtime import UserError


@pytest.mark.parametrize("threads", [1, 2])
def test_every_piece_comes_to_its_end_and_is_in_one_thread_at_a_time(threads):
    busy, by = Counter(), set()

    def piece(name: str, parts: int) -> Iterator[str]:
        for _ in range(parts):
            busy[name] += 1
            assert busy[name] == 1  # a generator that is at work refuses a second thread by itself, too
            assert sum(busy.values()) <= threads
            by.add(get_ident())
            time.sleep(0.01)
            busy[name] -= 1
            yield name

    parts = {"0": 20, "1": 1, "2": 20, "3": 20}
    done = list(parallel.round_robin([piece(*each) for each in parts.items()], threads))
    assert Counter(done) == Counter(parts)
    assert len(by) == threads
    # One to its end after the other; or in turns: three pieces of the same length end together.
    assert set(done[-20:]) == ({"3"} if threads == 1 else {"0", "2", "3"})


def test_few_pieces_have_begun_at_any_time():
    begun: set[int] = set()

    def piece(number: int) -> Iterator[int]:
        begun.add(number)
        for _ in range(3):
            time.sleep(0.002)
            yield len(begun)
        begun.remove(number)

    assert max(parallel.round_robin([piece(number) for number in range(20)], 2)) <= 3
    assert list(parallel.round_robin([], 2)) == []


@pytest.mark.parametrize("others", ["2", "2345"], ids=["in turns", "each to its end"])
def test_an_error_of_a_piece_is_raised_and_ends_the_others(others):
    made = []

    def piece(name: str) -> Iterator[None]:
        while True:
            made.append(name)
            time.sleep(0.01)
            yield

    def faulty() -> Iterator[None]:
        yield
        raise UserError("piece 1 is not to be done")

    before = set(threading.enumerate())
    with pytest.raises(UserError, match="piece 1"):
        for _ in parallel.round_robin([piece("0"), faulty(), *map(piece, others)], 2):
            pass
    wait_for(lambda: not set(threading.enumerate()) - before)
    assert "0" in made
    count = len(made)
    time.sleep(0.1)
    assert len(made) == count


def test_what_is_done_meanwhile_gives_its_result_or_its_error():
    assert parallel.meanwhile(pow, 2, 3)() == 8
    with pytest.raises(ZeroDivisionError):
        parallel.meanwhile(divmod, 1, 0)()


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
        "import os; from stages.lib import workers; from test_workers import who\n"
        "print(*workers.in_order(who, [()] * 4, 2))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    pids = {int(pid) for pid in done.stdout.split()}
    assert len(pids) == 2
    wait_for_the_end(pids)


def who() -> int:
    time.sleep(0.5)  # so that one alone does not do it all
    return os.getpid()


def slow(folder: Path) -> int:
    (folder / f"{os.getpid()}").touch()
    time.sleep(60)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_begun_beside_goes_on_meanwhile_and_says_its_errors(work, processes):
    with parallel.beside(processes) as begin:
        by, power = begin(os.getpid), begin(pow, 2, 3)
        assert (by() == os.getpid()) == (processes == 1)
        assert power() == 8
        with pytest.raises(ZeroDivisionError):
            begin(divmod, 1, 0)()


def test_an_error_ends_what_was_begun_beside(work):
    with pytest.raises(UserError), parallel.beside(2) as begin:
        begin(slow, work)
        while not (pids := {int(path.name) for path in work.iterdir() if path.name.isdigit()}):
            time.sleep(0.01)
        raise UserError("meanwhile")
    wait_for_the_end(pids)


def test_an_error_that_cannot_travel_is_not_taken_for_a_killed_process():
    with pytest.raises(BrokenProcessPool) as raised, parallel.beside(2) as begin:
        begin(fail_oddly)()
    assert "OddError.__init__() missing 1 required positional argument" in str(raised.value.__cause__)


class OddError(Exception):
    def __init__(self, one: int, other: int):
        super().__init__(f"{one} and {other}")


def fail_oddly() -> None:
    raise OddError(1, 2)


def test_a_process_beside_that_is_killed_is_said():
    with pytest.raises(UserError, match="was killed, most likely because memory ran out"), parallel.beside(2) as begin:
        begin(end_badly)()


def end_badly() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere, processes are new ones")
@pytest.mark.parametrize("threads", [0, 1])
def test_a_process_beside_is_a_copy_of_one_that_has_no_other_thread(threads):
    program = f"""
import sys, threading, time
from stages.lib import workers
if __name__ == "__main__":
    sys.found = True
    for _ in range({threads}):
        threading.Thread(target=time.sleep, args=(1,)).start()
    with workers.beside(2) as begin:
        print(begin(eval, "hasattr(__import__('sys'), 'found')")())
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{threads == 0}\n", "")


def wait_for_the_end(pids: set[int]) -> None:
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5  # left alone, a process waits minutes for more to do
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
