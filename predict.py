"""Say what is on pictures, which class or how much, with the model that `dvc repro` trained.

    python predict.py photo.jpg folder/ pictures.zip              a table on the terminal
    python predict.py folder/ --top 3 --csv out.csv               three classes each; CSV for programs
    python predict.py photo.jpg --explain why/                    heat maps: what the answers depend on
    python predict.py data/test.zip --submission out.tsv          SIGNATE's form: file, label; no header
    python predict.py data/test.zip --submission out.csv --header id,label --sample sample.csv

Pictures are read as in training, and probabilities are calibrated (reports/report.html). It runs the exported
network (models/model.onnx), not TensorFlow.
Exit codes: 0 every picture has an answer; 1 a mistake, and no table or submission was written; 3 some pictures
could not be used: their rows say why.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from cnn.common import parallel, runtime
from cnn.common.runtime import UserError
from cnn.common.task import Classification, Task
from cnn.data import source
from cnn.data.archive import Container
from cnn.data.decode import Unusable
from cnn.inference import tables
from cnn.inference.model import Model
from cnn.inference.submission import Submission

SOME_UNUSABLE = 3
BATCH = 64  # pictures a task for a worker
FEW = 2 * BATCH  # up to so many pictures no other process is started: that takes longer than reading them
Inputs = list[tuple[Container, source.Picture]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="pictures, folders, .zip, .tar or .tar.gz archives")
    parser.add_argument("--top", type=int, metavar="N", help="the N most probable classes (1)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all answers as CSV")
    parser.add_argument(
        "--model", type=Path, default=Path("models/model.keras"), help="models/model.keras, if not named"
    )
    parser.add_argument(
        "--submission", type=Path, metavar="FILE", help="write file and answer: .tsv with tabs, or .csv"
    )
    parser.add_argument("--header", metavar="A,B", help="the submission's first line; none, if not given")
    parser.add_argument("--sample", type=Path, metavar="FILE", help="a sample submission to take names and order from")
    parser.add_argument(
        "--fallback", metavar="ANSWER", help="what the submission says of a picture that cannot be used"
    )
    parser.add_argument("--explain", type=Path, metavar="FOLDER", help="write a heat map for each picture")
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    model = Model(options.model)
    top = checked_top(options.top, model.task)
    submission = Submission.from_options(
        options.submission, options.header, options.sample, options.fallback, model.task
    )
    inputs = [each for path in options.paths for each in source.each_unlabelled(path, many=len(options.paths) > 1)]
    if submission:
        submission.check([picture.file for _, picture in inputs])
    if options.csv and options.csv.suffix.lower() != ".csv":
        raise UserError(f"--csv is {options.csv}; allowed: a name that ends with .csv")

    rows = []
    for pictures in read(inputs, model.size):
        if options.explain:
            tables.write_heatmaps(options.explain, model, pictures, start=len(rows) + 1)
        rows += tables.predict(model, pictures)
    if submission:
        submission.write(rows)
    if options.csv:
        tables.write_csv(options.csv, rows, top)
    print(tables.as_text(rows, top))
    if any(row.reason for row in rows):
        sys.exit(SOME_UNUSABLE)


def checked_top(top: int | None, task: Task) -> int | None:
    """How many classes a picture has in the tables; None for numbers. Raises UserError."""
    if not isinstance(task, Classification):
        if top is not None:
            raise UserError("--top is for classes, and this model gives numbers; leave it out")
        return None
    top = 1 if top is None else top
    if not 1 <= top <= len(task.classes):
        raise UserError(f"--top is {top}; allowed: 1 to {len(task.classes)}, one for each class")
    return top


def read(inputs: Inputs, size: int) -> Iterator[list[tables.LoadedPicture]]:
    """The pictures in order, BATCH at a time."""
    batches = [(inputs[start : start + BATCH], size) for start in range(0, len(inputs), BATCH)]
    many = len(inputs) > FEW
    results = parallel.parallel_map(read_batch, batches, "auto" if many else 1)
    # The table is for other programs, too: no lines of progress in it.
    return parallel.progress(results, len(inputs), "pictures") if many and sys.stderr.isatty() else results


def read_batch(inputs: Inputs, size: int) -> list[tables.LoadedPicture]:
    """In a worker process, where there are many."""
    pictures = []
    for container, picture in inputs:
        try:
            pictures.append((picture.file, source.load(container, picture, size)[1], ""))
        except Unusable as unusable:
            pictures.append((picture.file, None, f"{unusable.reason}; {unusable.advice}"))
    return pictures


if __name__ == "__main__":
    runtime.run(lambda: main(arguments()), stopped="stopped: nothing was written")
