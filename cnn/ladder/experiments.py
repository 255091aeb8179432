"""DVC experiments: run one aside from the workspace, find it again, and read what it left.

An experiment is a commit under refs/exps/ in git, with its parameters, results and dvc.lock, and its large
outputs in DVC's cache. `dvc exp run --temp` works in a folder of its own: the workspace, params.yaml
included, stays as it is, even if the process is killed.
"""

import functools
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

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
        import dvc.api

        return dvc.api.open(path, rev=self.commit, mode="rb")

    def seconds(self) -> float | None:
        """How long it took, if it was run here."""
        return _seconds().get(self.commit)


def find(params: Params, target: str, mark: str) -> Experiment | None:
    """A finished experiment whose stage `target` `dvc repro` with these parameters would not run again.

    mark: how the commit message of those begins that are looked at.
    """
    for reference, commit in _made(mark):
        experiment = Experiment(reference.rsplit("/", 1)[1], commit)
        if _params(commit, params.workers) == params and _is_up_to_date(experiment, target):
            return experiment
    return None


def run(name: str, params: Params, message: str, mark: str, listen: Callable[[str], None]) -> Experiment:
    """Run the pipeline with these parameters as an experiment called `name`, or `name`-2 and so on if that is taken.

    It takes the place of an older experiment with the same parameters whose message begins with `mark`, and of no
    other. listen: is given each line that the run prints. Raises UserError with the reason of a failed run.
    """
    place = _place(name, params, mark)
    # DVC's --force would take the place at once, and run every stage anew, those that nothing changed included.
    name = _free(place)
    command = [*DVC, "exp", "run", "--temp", "--name", name, "--message", mark + message]
    for key, value in asdict(params).items():
        command += ["--set-param", f"{key}={_in_hydra(value)}"]
    command += _copied(params.images)
    # dvc.yaml calls plain `python`, which must be the one that runs this.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    begun = time.monotonic()
    lines = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"PATH": path},
    ) as process:
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                listen(lines[-1])
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise UserError(f"{name} failed: {_reason(lines)}")
    if name != place:
        renamed = subprocess.run([*DVC, "exp", "rename", "--quiet", "--force", name, place], check=False)
        name = name if renamed.returncode else place  # DVC says why; what was measured is found by its parameters
    commit = _git("rev-parse", _reference(name)).decode().strip()
    files.write_json(SECONDS, _seconds() | {commit: round(time.monotonic() - begun, 1)})
    return Experiment(name, commit)


def _reference(name: str) -> str:
    """Where git has the experiment `name` of the commit that the workspace is at."""
    baseline = _git("rev-parse", "HEAD").decode().strip()
    return f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"


def _made(mark: str) -> list[tuple[str, str]]:
    """The references and commits of all experiments whose message begins with `mark`."""
    lines = _git("for-each-ref", "--format=%(refname) %(objectname) %(subject)", "refs/exps").decode().splitlines()
    found = [line.split(" ", 2) for line in sorted(lines)]
    return [(reference, commit) for reference, commit, subject in found if subject.startswith(mark)]


def _place(name: str, params: Params, mark: str) -> str:
    """The first of `_numbered` that is free at this commit or has an older experiment with the same parameters."""
    ours = dict(_made(mark))
    for each in _numbered(name):
        reference = _reference(each)
        if reference in ours and _params(ours[reference], params.workers) == params:
            return each
        if not _git("for-each-ref", reference):
            return each
    raise AssertionError


def _free(name: str) -> str:
    """The first of `_numbered` that no experiment of this commit has."""
    return next(each for each in _numbered(name) if not _git("for-each-ref", _reference(each)))


def _numbered(name: str) -> Iterator[str]:
    """`name`, `name`-2, `name`-3 and so on."""
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


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


@functools.cache  # a program asks for the same files for every setting
def _md5(path: str) -> str | None:
    """What DVC writes in dvc.lock for a file or a folder of the workspace; None if it is missing."""
    if not Path(path).exists():
        return None
    if Path(path).is_file():
        return files.md5(path)
    from dvc.dependency.base import Dependency
    from dvc.repo import Repo

    with Repo() as repo:
        return Dependency(None, path, repo=repo).get_hash().value


def _copied(images: str) -> list[str]:
    """Options that bring the pictures into the experiment's folder, where neither git nor DVC does."""
    path = Path(images)
    if path.is_absolute():
        return []
    lock = yaml.safe_load(Path(LOCK).read_text(encoding="utf-8")) if Path(LOCK).exists() else {"stages": {}}
    outs = {out["path"] for stage in lock["stages"].values() for out in stage.get("outs", [])}
    tracked = subprocess.run(["git", "ls-files", "--", images], capture_output=True, check=False)
    with_dvc = any(Path(f"{each}.dvc").exists() for each in (path, *path.parents))
    if path.as_posix() in outs or with_dvc or tracked.stdout:
        return []
    return ["--copy-paths", images]


def _in_hydra(value: object) -> str:
    """A value for `dvc exp run -S key=value`, in Hydra's grammar, in which a comma would mean a sweep."""
    if isinstance(value, str) and not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value) if not isinstance(value, str) else value


def _reason(lines: Sequence[str]) -> str:
    """What a failed run said was the matter: our own last error, or else DVC's."""
    for start in ("error: ", "ERROR: "):
        for line in reversed(lines):
            if line.startswith(start):
                return line.removeprefix(start)
    return lines[-1] if lines else "no word was said"


def _seconds() -> dict[str, float]:
    return json.loads(SECONDS.read_text(encoding="utf-8")) if SECONDS.exists() else {}


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(
            f"git {arguments[0]} failed ({said[-1] if said else done.returncode}); experiments need a git "
            "repository with a first commit: git add -A && git commit -m start"
        )
    return done.stdout
