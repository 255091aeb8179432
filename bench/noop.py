"""How long a `dvc repro` with nothing to do takes, against `dvc status` in an empty DVC repository.

    python bench/noop.py

Run it in the environment (. .venv/bin/activate) after `dvc repro`. The commands are measured in
turn, 20 times each, and the ratio is taken pair by pair, because machines drift.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 20
ONE_STAGE = "stages:\n  hello:\n    cmd: echo hello > out\n    outs: [out]\n"


def repository(folder: Path, pipeline: str = "") -> Path:
    """A new DVC repository, with a pipeline that has been run."""
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["dvc", "init", "--quiet"], cwd=folder, check=True)
    if pipeline:
        (folder / "dvc.yaml").write_text(pipeline, encoding="utf-8")
        subprocess.run(["dvc", "repro", "--quiet"], cwd=folder, check=True)
    return folder


def seconds(command: list[str], folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        empty = repository(Path(temporary) / "empty")
        one_stage = repository(Path(temporary) / "one", ONE_STAGE)
        cases = {
            "dvc status, empty repository": (["dvc", "status"], empty),
            "dvc repro, one stage": (["dvc", "repro"], one_stage),
            "dvc repro, this pipeline": (["dvc", "repro"], ROOT),
        }
        times = {name: [] for name in cases}
        for pair in range(PAIRS + 1):
            for name, (command, folder) in cases.items():
                taken = seconds(command, folder)
                if pair:  # the first round warms the file system's cache
                    times[name].append(taken)
    base = next(iter(times.values()))
    for name, taken in times.items():
        ratios = [a / b for a, b in zip(taken, base, strict=True)]
        low, middle, high = (of(ratios) for of in (min, statistics.median, max))
        print(f"{name:30} {statistics.median(taken):.2f} s, ratio {middle:.2f} ({low:.2f} to {high:.2f}), n = {PAIRS}")


if __name__ == "__main__":
    main()
