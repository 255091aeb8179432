"""How a program ends: with its exit code, its last words, and without taking its memory apart."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAM = """
from stages.lib import runtime
import atexit, sys

class Large:
    def __del__(self):
        sys.stdout.write(", taken apart")

kept = Large()
atexit.register(sys.stdout.write, ", tidied")  # no line's end, so it waits to be flushed

def main():
    sys.stdout.write("last word")
    {end}

{begin}
"""


@pytest.mark.parametrize(
    ("begin", "end", "code", "said"),
    [
        ("runtime.run(main)", "", 0, "last word, tidied"),
        ("runtime.run(main)", "raise runtime.UserError('wrong')", 1, "last word, tidied"),
        ("runtime.run(main)", "raise ValueError('a bug')", 1, "last word, tidied"),
        ("main()", "sys.exit(3)", 3, "last word, tidied, taken apart"),
    ],
    ids=["well", "by a mistake", "by a bug", "no program of ours"],
)
def test_a_program_of_ours_ends_at_once(begin, end, code, said):
    program = PROGRAM.format(begin=begin, end=end)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=buffered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, said), done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts what Linux says of this process's memory")
def test_a_program_has_room_for_deep_calls():
    program = """
from stages.lib import runtime

def pages(depth):
    if depth:
        return pages(depth - 1)
    with open("/proc/self/statm") as memory:
        return int(memory.read().split()[0])

def main():
    pages(0)
    print(pages(300) - pages(0))

CALL
"""
    for call, more in (("runtime.run(main)", False), ("main()", True)):
        command = [sys.executable, "-c", program.replace("CALL", call)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert (int(done.stdout) > 0) == more
