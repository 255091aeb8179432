"""Work spread over processes: pieces that take turns."""

import os
from pathlib import Path

import pytest

from stages.lib import workers
from stages.lib.runtime import UserError


def part(folder: Path, piece: int, parts: int) -> bool:
    """Note that a part of `piece` was done; whether another process is at the same piece."""
    alone = folder / f"at-{piece}"
    alone.touch(exist_ok=False)
    try:
        done = len(list(folder.glob(f"{piece}-*")))
        (folder / f"{piece}-{done}-{os.getpid()}").touch()
        return done + 1 < parts
    finally:
        alone.unlink()


@pytest.mark.parametrize("processes", [1, 2])
def test_every_piece_is_done_to_its_end_and_by_one_process_at_a_time(work, processes):
    parts = {0: 7, 1: 1, 2: 4}
    folder = work / "parts"
    folder.mkdir()
    workers.in_turns(part, [(folder, piece, count) for piece, count in parts.items()], processes)
    done = [path.name.split("-") for path in folder.iterdir()]
    assert {piece: sum(name[0] == str(piece) for name in done) for piece in parts} == parts
    assert (str(os.getpid()) in {name[2] for name in done}) == (processes == 1)


def refuse(folder: Path, piece: int) -> bool:
    (folder / str(piece)).touch()
    if piece == 1:
        raise UserError("piece 1 is not to be done")
    return True


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_ends_the_other_pieces_too(work, processes):
    with pytest.raises(UserError, match="piece 1"):
        workers.in_turns(refuse, [(work, piece) for piece in (1, 0, 2)], processes)
    # Others can be used afterwards, in processes that are started for them.
    assert list(workers.in_order(pow, [(2, 3), (3, 2)], processes)) == [8, 9]


def test_the_end_of_a_program_leaves_no_process(work):
    pids = set(workers.in_order(os.getpid, [()] * 4, 2))
    workers.end()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
