"""What ladder.py does: find or run the experiment of each setting, and write the report of them all."""

import shlex
import sys
from argparse import Namespace
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cnn.common import params, runtime
from cnn.common.runtime import UserError
from cnn.ladder import experiments, report, rungs, search
from cnn.ladder.report import Measured
from cnn.ladder.rungs import Setting

TARGET = "evaluate"  # the stage whose results are compared
MARK = "ladder: "  # begins the message of every experiment made here; others are never replaced


def run(options: Namespace) -> None:
    """`main` as the body of a program."""
    runtime.run(lambda: main(options), stopped="stopped: what is finished is kept; the same command goes on from here")


def main(options: Namespace) -> None:
    """Climb the ladder or search, as ladder.py's options say. Raises UserError."""
    ladder = rungs.read(options.ladder)
    searching = options.search is not None
    if searching and options.search < 1:
        raise UserError(f"--search is {options.search}; allowed: a whole number from 1")
    repeats = ladder.search.repeats if searching and ladder.search else ladder.repeats
    if options.repeats is not None:
        repeats = options.repeats
    base = params.check(asdict(params.read()) | {"repeats": repeats})
    named = options.images or ladder.images
    images, label = in_experiment(named or base.images)
    base = replace(base, images=images)
    measure_one = partial(measure, prefix=f"{rungs.as_name(Path(named).name)}-" if named else "")
    if searching:
        measured = list(search.run(ladder, base, options.search, measure_one))
        write = report.write_search
    else:
        start = options.start or ladder.rungs[0].name
        only = options.only.split(",") if options.only else ladder.after(start)
        settings = rungs.settings(ladder, start, only, base)
        print(f"{len(settings)} settings, {repeats} repeats each, on {label}")
        measured = [measure_one(setting) for setting in settings]
        write = partial(report.write, min_effect=ladder.min_effect, pictures=not options.no_pictures)

    failed = [each for each in measured if each.failure]
    if len(failed) < len(measured):
        folder = Path("reports") / ("" if options.ladder == Path(rungs.FILE) else rungs.as_name(options.ladder.name))
        arguments = [label if each == options.images else each for each in sys.argv[1:]]
        page = write(options.out or folder, measured, label, shlex.join(["python", "ladder.py", *arguments]))
        print(f"see {page}")
    if failed:
        raise UserError(f"{len(failed)} of {len(measured)} settings could not be trained: {failed[0].failure}")


def in_experiment(images: str) -> tuple[str, str]:
    """The path of the pictures for an experiment, and what reports call it.

    An experiment runs in a folder of its own, where only a path inside the project is the same. A path outside is of
    this machine alone: reports name its last part.
    """
    path = Path(images)
    if path.is_absolute() or ".." in path.parts:
        return str(path.resolve()), path.name
    return path.as_posix(), path.as_posix()


def measure(setting: Setting, prefix: str) -> Measured:
    """Find the experiment of a setting, or run it, and print its score. prefix: of the experiment's name."""
    name = prefix + setting.name
    experiment, origin = experiments.find(setting.params, TARGET, MARK), "finished before"
    try:
        if not experiment:
            experiment, origin = run_experiment(name, setting), "run now"
        measured = Measured(setting, experiment)
        print(f"{experiment.name}: validation {measured.score_name} {measured.spread} ({origin})", flush=True)
    except UserError as error:
        measured = Measured(setting, None, str(error))
        print(f"{name}: {error}", flush=True)
    return measured


def run_experiment(name: str, setting: Setting) -> experiments.Experiment:
    """Run it. On a terminal the training's own lines are shown as they come, one over the other."""
    with tqdm(bar_format="{desc}", file=sys.stdout, disable=None, leave=False, dynamic_ncols=True) as line:

        def show(text: str) -> None:
            if text.startswith("repeat "):
                line.set_description_str(text)

        return experiments.run(name, setting.params, setting.name, MARK, show)
