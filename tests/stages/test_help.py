"""Every program says what it is for, at once, and does nothing else then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PROGRAMS = [
    str(path.relative_to(ROOT))
    for folder in (".", "stages", "bench", "tests")
    for path in sorted((ROOT / folder).glob("*.py"))
    if not path.name.startswith("test_") and 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
]
SLOW = ("keras", "matplotlib", "pandas", "scipy", "tensorflow", "torch")  # to import


def run(program: str, argument: str, folder: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    command = [sys.executable, ROOT / program, argument]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_answered_before_anything_slow_is_imported(program, tmp_path):
    done = run(program, "--help", tmp_path)
    assert done.returncode == 0, done.stderr
    purpose = (ROOT / program).read_text(encoding="utf-8").split('"""')[1].splitlines()[0]
    assert purpose[:60] in " ".join(done.stdout.split())
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & set(SLOW)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", [name for name in PROGRAMS if name.startswith("stages")])
def test_a_stage_refuses_arguments_instead_of_passing_them_over(program, tmp_path):
    done = run(program, "--epochs=1", tmp_path)
    assert done.returncode == 2
    assert "unrecognized arguments: --epochs=1" in done.stderr
