"""Work spread over processes: pieces that take turns."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT

from stages.lib import workers
from stages.lib.runtime import UserError


def part(folder: Path, piece: int, parts: int) -> bool:
    """Note that a part of `piece` was done, when and by whom; two at a time at one piece would be an error."""
    alone = folder / f"at-{piece}"
    alone.touch(exist_ok=False)
    time.sleep(0.05)
    alone.unlink()
    done = len(list(folder.glob(f"{piece}-*")))
    (folder / f"{piece}-{done}-{os.getpid()}-{time.monotonic_ns()}").touch()
    return done + 1 < parts


@pytest.mark.parametrize("processes", [1, 2])
def test_every_piece_is_done_to_its_end_and_by_one_process_at_a_time(work, processes):
    parts = {"0": 20, "1": 1, "2": 20, "3": 20}
    folder = work / "parts"
    folder.mkdir()
    workers.in_turns(part, [(folder, piece, count) for piece, count in parts.items()], processes)
    done = sorted((path.name.split("-") for path in folder.iterdir()), key=lambda name: int(name[3]))
    assert Counter(name[0] for name in done) == parts
    by = {name[2] for name in done}
    assert len(by) == processes
    assert (str(os.getpid()) in by) == (processes == 1)
    if processes == 2:
        # In turns: three pieces of the same length end together.
        assert {name[0] for name in done[-12:]} == {"0", "2", "3"}


def refuse(folder: Path, piece: int) -> bool:
    (folder / f"{piece}-{os.getpid()}").touch()
    if piece == 1:
        while not list(folder.glob("0-*")):
            time.sleep(0.01)  # the other process may still be importing this module
        raise UserError("piece 1 is not to be done")
    time.sleep(60)
    return True


def test_an_error_ends_the_other_pieces_too(work):
    with pytest.raises(UserError, match="piece 1"):
        workers.in_turns(refuse, [(work, piece) for piece in (0, 1, 2)], 2)
    pids = {int(path.name.split("-")[1]) for path in work.glob("?-*")}
    assert len(pids) == 2
    wait_for_the_end(pids)
    # Others can be used afterwards, in processes that are started for them.
    assert list(workers.in_order(pow, [(2, 3), (3, 2)], 2)) == [8, 9]


def test_the_end_of_a_program_leaves_no_process(work):
    (work / "parts").mkdir()
    code = (
        "from pathlib import Path; from stages.lib import workers; from test_workers import part\n"
        "workers.in_turns(part, [(Path('parts'), piece, 10) for piece in (0, 1)], 2)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    pids = {int(path.name.split("-")[2]) for path in (work / "parts").iterdir()}
    assert len(pids) == 2
    wait_for_the_end(pids)


def slow(folder: Path) -> int:
    (folder / f"{os.getpid()}").touch()
    time.sleep(60)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_begun_beside_goes_on_meanwhile_and_says_its_errors(work, processes):
    with workers.beside(processes) as begin:
        by, power = begin(os.getpid), begin(pow, 2, 3)
        assert (by() == os.getpid()) == (processes == 1)
        assert power() == 8
        with pytest.raises(ZeroDivisionError):
            begin(divmod, 1, 0)()


def test_an_error_ends_what_was_begun_beside(work):
    with pytest.raises(UserError), workers.beside(2) as begin:
        begin(slow, work)
        while not (pids := {int(path.name) for path in work.iterdir() if path.name.isdigit()}):
            time.sleep(0.01)
        raise UserError("meanwhile")
    wait_for_the_end(pids)


def wait_for_the_end(pids: set[int]) -> None:
    deadline = time.monotonic() + 5  # left alone, a process waits minutes for more to do
    while alive := {pid for pid in pids if Path(f"/proc/{pid}").exists()}:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)
