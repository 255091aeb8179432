"""DVC experiments: run one outside the workspace, find it again, and read its results.

An experiment is a commit under refs/exps/ in git, with its parameters, results and dvc.lock, and its large
outputs in DVC's cache. `dvc exp run --temp` works in a folder of its own: the workspace, params.yaml
included, stays as it is, even if the process is killed.
"""

import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import dvc.api
import yaml
from dvc.dependency.base import Dependency
from dvc.repo import Repo

from cnn.common import files
from cnn.common.params import FILE, Params, check
from cnn.common.runtime import UserError

SECONDS = Path(".dvc/tmp/experiment-seconds.json")  # how long each took here, by commit; no result, so not in git
LOCK = "dvc.lock"
PIPELINE = "dvc.yaml"
DVC = (sys.executable, "-m", "dvc")


@dataclass(frozen=True)
class Experiment:
    """A finished experiment: its name and its commit."""

    name: str
    commit: str

    def read(self, path: str) -> bytes:
        """A file of the experiment that git keeps."""
        return _git("show", f"{self.commit}:{path}")

    def open_output(self, path: str):
        """A file of the experiment that DVC keeps, opened for reading bytes."""
        return dvc.api.open(path, rev=self.commit, mode="rb")

    def seconds(self) -> float | None:
        """How long it took, if it was run here."""
        return _seconds().get(self.commit)


def find(params: Params, target: str, mark: str) -> Experiment | None:
    """A finished experiment whose stage `target` `dvc repro` with these parameters would not run again.

    mark: what the message of its commit begins with.
    """
    for reference, commit in _experiments(mark).items():
        experiment = Experiment(reference.rsplit("/", 1)[1], commit)
        if _params(commit, params.workers) == params and _is_up_to_date(experiment, target):
            return experiment
    return None


def run(name: str, params: Params, message: str, mark: str, on_line: Callable[[str], None]) -> Experiment:
    """Run the pipeline with these parameters as an experiment called `name`, or `name`-2 and so on if that is taken.

    It takes the place of an older experiment with the same parameters whose message begins with `mark`, and of no
    other. on_line: called with each line that the run prints. Raises UserError with the reason of a failed run.
    """
    # DVC's --force would replace the older one at once, and run every stage anew, those that nothing changed included.
    final_name, name = _names(name, params, mark)
    command = [*DVC, "exp", "run", "--temp", "--name", name, "--message", mark + message]
    for key, value in asdict(params).items():
        command += ["--set-param", f"{key}={_in_hydra(value)}"]
    for path in _paths_to_copy(params.images):
        command += ["--copy-paths", path]
    # dvc.yaml calls plain `python`, which must be the one that runs this.
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    start = time.monotonic()
    lines = []
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "errors": "replace"}
    with subprocess.Popen(command, env=environment, **output) as process:
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                on_line(lines[-1])
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise UserError(f"{name} failed: {_reason(lines)}")
    if name != final_name:
        renamed = subprocess.run([*DVC, "exp", "rename", "--quiet", "--force", name, final_name], check=False)
        if renamed.returncode == 0:  # otherwise DVC says why; the experiment is found by its parameters all the same
            name = final_name
    commit = _git("rev-parse", _prefix() + name).decode().strip()
    files.write_json(SECONDS, _seconds() | {commit: round(time.monotonic() - start, 1)})
    return Experiment(name, commit)


def _prefix() -> str:
    """Of the references of the experiments that start from the commit that the workspace is at."""
    baseline = _git("rev-parse", "HEAD").decode().strip()
    return f"refs/exps/{baseline[:2]}/{baseline[2:]}/"


def _experiments(mark: str) -> dict[str, str]:
    """The references of all experiments whose message begins with `mark`, and their commits."""
    lines = _git("for-each-ref", "--format=%(refname) %(objectname) %(subject)", "refs/exps").decode().splitlines()
    experiments = [line.split(" ", 2) for line in sorted(lines)]
    return {reference: commit for reference, commit, subject in experiments if subject.startswith(mark)}


def _names(name: str, params: Params, mark: str) -> tuple[str, str]:
    """Two names of the row `name`, `name`-2, `name`-3 and so on: the final one, and one for the time of the run.

    Each is the first that no experiment of this commit has; but the final one may be that of an older experiment
    with the same parameters.
    """
    prefix, existing, marked = _prefix(), _experiments(""), _experiments(mark)
    row = [name, *(f"{name}-{number}" for number in range(2, len(existing) + 2))]
    free = next(each for each in row if prefix + each not in existing)
    older = [each for each in row if prefix + each in marked]
    same = [each for each in older if _params(marked[prefix + each], params.workers) == params]
    return min([*same, free], key=row.index), free


@functools.cache
def _params(commit: str, workers: int | str) -> Params | None:
    """The parameters of an experiment but for `workers`, which change no result; None if they have other keys."""
    try:
        return replace(check(yaml.safe_load(_git("show", f"{commit}:{FILE}")), FILE), workers=workers)
    except UserError:
        return None


def _is_up_to_date(experiment: Experiment, target: str) -> bool:
    """Whether what the experiment's dvc.lock says of `target` and the stages before it fits the workspace."""
    if experiment.read(PIPELINE) != Path(PIPELINE).read_bytes():
        return False
    stages = yaml.safe_load(experiment.read(LOCK))["stages"]
    maker = {out["path"]: name for name, stage in stages.items() for out in stage["outs"]}
    waiting, seen = [target], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for dep in stages[name]["deps"]:
            if dep["path"] in maker:
                waiting.append(maker[dep["path"]])
            elif _md5(dep["path"]) != dep["md5"]:
                return False
    return True


@functools.cache  # every setting depends on the same files
def _md5(path: str) -> str | None:
    """What dvc.lock would hold for a file or folder of the workspace; None if it is missing. .dvcignore counts."""
    if not Path(path).exists():
        return None
    if Path(path).is_file():
        return files.md5(path)
    with Repo() as repo:
        return Dependency(None, path, repo=repo).get_hash().value


def _paths_to_copy(images: str) -> list[str]:
    """What neither git nor DVC brings into the experiment's folder: pictures, and new files that stages depend on."""
    stages = yaml.safe_load(Path(PIPELINE).read_text(encoding="utf-8"))["stages"].values()
    deps = [dep for stage in stages for dep in stage.get("deps", []) if "$" not in dep]  # ${images} has a $
    untracked = _git("ls-files", "-z", "--others", "--exclude-standard", "--directory", "--", *deps)
    new = [path for path in os.fsdecode(untracked).split("\0") if path]
    path = Path(images)
    if path.is_absolute():
        return new
    lock = yaml.safe_load(Path(LOCK).read_text(encoding="utf-8")) if Path(LOCK).exists() else {"stages": {}}
    outs = {out["path"] for stage in lock["stages"].values() for out in stage.get("outs", [])}
    tracked = subprocess.run(["git", "ls-files", "--", images], capture_output=True, check=False)
    with_dvc = any(Path(f"{each}.dvc").exists() for each in (path, *path.parents))
    return new if path.as_posix() in outs or with_dvc or tracked.stdout else [*new, images]


def _in_hydra(value: object) -> str:
    """A value for `dvc exp run -S key=value`, in Hydra's grammar, in which a comma would mean a sweep."""
    if isinstance(value, str) and not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value) if not isinstance(value, str) else value


def _reason(lines: Sequence[str]) -> str:
    """Why a run failed: our own last error, or else DVC's."""
    for start in ("error: ", "ERROR: "):
        for line in reversed(lines):
            if line.startswith(start):
                return line.removeprefix(start)
    return lines[-1] if lines else "it printed nothing"


def _seconds() -> dict[str, float]:
    return json.loads(SECONDS.read_text(encoding="utf-8")) if SECONDS.exists() else {}


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    if done.returncode:
        errors = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(
            f"git {arguments[0]} failed ({errors[-1] if errors else done.returncode}); experiments need a git "
            "repository with a first commit: git add -A && git commit -m start"
        )
    return done.stdout
