"""The ladder: does each change to the model really help? Every rung of ladder.yaml is a DVC experiment.

    make ladder                                              all rungs on the pictures of params.yaml
    python ladder.py --from baseline --only relu,deeper      some rungs, from another start
    python ladder.py --images data/mine.zip --repeats 10     other pictures, more repeats
    python ladder.py --ladder ladder-counts.yaml             another ladder, with pictures of its own
    python ladder.py --search 20                             try 20 settings from ladder.yaml's search space

Writes ladder.csv, ladder.md and ladder.html (a search: search.csv and search.md) into reports/, those of another
ladder-NAME.yaml into reports/ladder-NAME/. What is finished is not run
again: stop it when you like and start it anew. The workspace and params.yaml stay as they are.
Exit codes: 0 all measured; 1 a mistake, or a setting that could not be trained (the others are still compared).
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

LADDER = "ladder.yaml"
TARGET = "evaluate"  # the stage whose results are compared
MARK = "ladder: "  # begins the message of every experiment made here; others are never replaced


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="start", metavar="RUNG", help="the rung to start from (the first one)")
    parser.add_argument("--only", metavar="RUNG,RUNG", help="the rungs to climb after it (all that follow it)")
    parser.add_argument("--ladder", type=Path, metavar="FILE", default=LADDER, help=f"where the rungs are ({LADDER})")
    parser.add_argument("--images", metavar="PATH", help="other pictures than params.yaml names")
    parser.add_argument("--repeats", type=int, metavar="N", help="models trained in each setting (as ladder.yaml says)")
    parser.add_argument("--search", type=int, metavar="N", help="instead of climbing, try N settings")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (see above)")
    parser.add_argument("--no-pictures", action="store_true", help="a page without pictures, to publish it")
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    from cnn.common import params, runtime
    from cnn.ladder import report, rungs

    ladder = rungs.read(options.ladder)
    own = "" if options.ladder == Path(LADDER) else rungs.as_name(options.ladder.name)
    out = options.out or Path("reports") / own
    searched = options.search is not None
    if searched and options.search < 1:
        raise runtime.UserError(f"--search is {options.search}; allowed: a whole number from 1")
    repeats = ladder.search.repeats if searched and ladder.search else ladder.repeats
    if options.repeats is not None:
        repeats = options.repeats
    base = params.check(asdict(params.read()) | {"repeats": repeats})
    # An experiment runs in a folder of its own, where only a path inside the project is the same. A path outside
    # is of this machine alone, and is named by its last part in what is written.
    images = options.images or ladder.images
    path = Path(images or base.images)
    outside = path.is_absolute() or ".." in path.parts
    base = replace(base, images=str(path.resolve()) if outside else path.as_posix())
    shown = path.name if outside else path.as_posix()
    prefix = f"{rungs.as_name(path.name)}-" if images else ""
    given = [shown if each == options.images else each for each in sys.argv[1:]]
    about = {"images": shown, "command": shlex.join(["python", "ladder.py", *given])}

    def report(measured: list, write: Callable[..., None], page: str, **more: object) -> None:
        failed = [each for each in measured if each.failure]
        if len(failed) < len(measured):
            write(out, measured, **about, **more)
            print(f"see {out / page}")
        if failed:
            count = f"{len(failed)} of {len(measured)} settings"
            raise runtime.UserError(f"{count} could not be trained: {failed[0].failure}")

    if searched:
        from cnn.ladder import search

        measured = list(search.run(ladder, base, options.search, lambda setting: measure(setting, prefix)))
        report(measured, report.write_search, "search.md")
    else:
        start = options.start or ladder.rungs[0].name
        only = options.only.split(",") if options.only else ladder.after(start)
        settings = rungs.climb(ladder, start, only, base)
        print(f"{len(settings)} settings, {base.repeats} repeats each, on {about['images']}")
        measured = [measure(setting, prefix) for setting in settings]
        report(measured, report.write, "ladder.html", worth=ladder.worth, pictures=not options.no_pictures)


def measure(setting, prefix: str):
    """Find the experiment of a rungs.Setting, or run it; say what came of it, and return it as Measured."""
    from cnn.common.runtime import UserError
    from cnn.ladder import experiments, report

    name = prefix + setting.name
    experiment, found = experiments.find(setting.params, TARGET, MARK), "finished before"
    try:
        if not experiment:
            found = "run now"
            experiment = experiments.run(name, setting.params, setting.name, MARK, show)
        result = report.Measured(setting, experiment)
        print(f"{experiment.name}: validation {result.score_name} {result.spread} ({found})", flush=True)
    except UserError as error:
        result = report.Measured(setting, None, str(error))
        print(f"{name}: {error}", flush=True)
    return result


def show(line: str) -> None:
    """On a terminal, the training's own lines as they come, one over the other."""
    if sys.stdout.isatty() and line.startswith("repeat "):
        print(f"\r{line[:100]:100}\r", end="", flush=True)


if __name__ == "__main__":
    given = arguments()  # before the imports, so that --help answers at once
    from cnn.common import runtime

    runtime.run(lambda: main(given), stopped="stopped: what is finished is kept; the same command goes on from here")
