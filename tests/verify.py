"""Run the committed pipeline anew, without cache, and compare every output with dvc.lock.

    make verify

The last commit is cloned into a temporary folder; what is not committed plays no part. Exit code 0
when every output has the bytes that dvc.lock promises, 1 when one differs.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def outputs(lock: Path) -> dict[str, str]:
    """The md5 of each output that a dvc.lock names, by path."""
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    packages = ("tensorflow-cpu", "keras", "numpy", "pillow", "matplotlib")
    print(f"{processor()}, {platform.machine()}, {os.cpu_count()} cores, {platform.system()}")
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {_version(name)}" for name in packages))
    if subprocess.run(
        ["git", "rev-parse", "-q", "--verify", "HEAD"], cwd=ROOT, capture_output=True, check=False
    ).returncode:
        print(
            "error: nothing is committed here to compare with; first: git add -A && git commit -m start",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        promised = outputs(clone / "dvc.lock")
        subprocess.run(["dvc", "repro", "--force"], cwd=clone, check=True)
        made = outputs(clone / "dvc.lock")
    print()
    for path, md5 in promised.items():
        same = made.get(path) == md5
        print(f"{'same     ' if same else 'DIFFERENT'} {path}" + ("" if same else f"  {md5} -> {made.get(path)}"))
    different = sum(made.get(path) != md5 for path, md5 in promised.items())
    print(f"{len(promised) - different} of {len(promised)} outputs have the bytes that dvc.lock promises")
    return int(different > 0)


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return version(package.removesuffix("-cpu"))


if __name__ == "__main__":
    sys.exit(main())
