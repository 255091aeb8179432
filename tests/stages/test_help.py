"""Every program says what it is for, and does nothing else then; a program that is no stage says it at once."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from cnn.common import runtime

MAIN = 'if __name__ == "__main__":'
PROGRAMS = [
    str(path.relative_to(ROOT))
    for folder in (".", "bench", "tests")
    for path in sorted((ROOT / folder).glob("*.py"))
    if not path.name.startswith("test_") and MAIN in path.read_text(encoding="utf-8")
]
STAGES = [path.stem for path in sorted((ROOT / "stages").glob("*.py")) if path.stem != "__init__"]
SLOW = {"keras", "matplotlib", "pandas", "scipy", "sklearn", "tensorflow", "torch"}  # to import


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def purpose(program: str) -> str:
    """The first line of the program's docstring."""
    return (ROOT / program).read_text(encoding="utf-8").split('"""')[1].splitlines()[0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_answered_before_anything_slow_is_imported(program, tmp_path):
    done = run(ROOT / program, "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert purpose(program)[:60] in " ".join(done.stdout.split())
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & SLOW
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_help_and_refuses_arguments_instead_of_ignoring_them(stage, work, monkeypatch, capsys):
    module = importlib.import_module(f"stages.{stage}")
    assert (ROOT / f"stages/{stage}.py").read_text(encoding="utf-8").endswith(f"{MAIN}\n    runtime.run_stage(main)\n")
    before = sorted(work.iterdir())
    for argument, code in (("--help", 0), ("--epochs=1", 2)):
        monkeypatch.setattr(sys, "argv", [stage, argument])
        with pytest.raises(SystemExit) as ended:
            runtime.run_stage(module.main)
        assert ended.value.code == code
    printed = capsys.readouterr()
    assert purpose(f"stages/{stage}.py")[:60] in " ".join(printed.out.split())
    assert "unrecognized arguments: --epochs=1" in printed.err
    assert sorted(work.iterdir()) == before


def test_a_stage_is_started_as_a_module(tmp_path):
    done = run("-m", "stages.shapes", "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert purpose("stages/shapes.py") in " ".join(done.stdout.split())
    assert not list(tmp_path.iterdir())
