"""How a program ends: with its exit code, its last words, and without taking its memory apart."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAM = """
from cnn.common import runtime
import atexit, sys

class Large:
    def __del__(self):
        sys.stdout.write(", taken apart")

large = Large()
atexit.register(sys.stdout.write, ", tidied")  # no line's end, so it waits to be flushed

def main():
    sys.stdout.write("last word")
    {end}

{begin}
"""


@pytest.mark.parametrize(
    ("begin", "end", "code", "output"),
    [
        ("runtime.run(main)", "", 0, "last word, tidied"),
        ("runtime.run(main)", "raise runtime.UserError('wrong')", 1, "last word, tidied"),
        ("runtime.run(main)", "raise ValueError('a bug')", 1, "last word, tidied"),
        ("main()", "sys.exit(3)", 3, "last word, tidied, taken apart"),
    ],
    ids=["success", "user error", "bug", "another program"],
)
def test_a_program_of_ours_ends_at_once(begin, end, code, output):
    program = PROGRAM.format(begin=begin, end=end)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=buffered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, output), done.stderr
