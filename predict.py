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

SOME_UNUSABLE = 3
BATCH = 64  # pictures a task for a worker
ALONE = 2 * BATCH  # up to so many pictures no other process is started: that takes longer than reading them


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
    from cnn.common import runtime
    from cnn.data import source
    from cnn.inference import model, tables

    model = Model(options.model)
    if options.top is not None and not model.classes:
        raise runtime.UserError("--top is for classes, and this model gives numbers; leave it out")
    top = 1 if options.top is None and model.classes else options.top  # None: there are no classes
    if model.classes and not 1 <= top <= len(model.classes):
        raise runtime.UserError(f"--top is {options.top}; allowed: 1 to {len(model.classes)}, one for each class")
    form = tables.Form.of(options.submission, options.header, options.sample, options.fallback, model.classes)
    found = [each for path in options.paths for each in source.each_unlabelled(path, many=len(options.paths) > 1)]
    if form:
        form.check([picture.file for _, picture in found])
    if options.csv and options.csv.suffix.lower() != ".csv":
        raise runtime.UserError(f"--csv is {options.csv}; allowed: a name that ends with .csv")

    rows = []
    for batch in read(found, model.size):
        rows += tables.answer(model, batch)
        if options.explain:
            tables.explain(options.explain, model, batch, len(rows) - len(batch))
    if form:
        form.write(options.submission, rows)
    if options.csv:
        tables.write_csv(options.csv, rows, top)
    print(tables.as_text(rows, top))
    if any(row.reason for row in rows):
        sys.exit(SOME_UNUSABLE)


def read(found: list[tuple], size: int) -> Iterator[list[tuple]]:
    """The pictures in order, some at a time: (file, pixels or None, reason)."""
    batches = [found[start : start + BATCH] for start in range(0, len(found), BATCH)]
    if len(found) <= ALONE:
        yield from (read_batch(batch, size) for batch in batches)
        return
    from cnn.common import parallel

    results = parallel.parallel_map(read_batch, ((batch, size) for batch in batches), "auto")
    # The table is for other programs, too: no lines of progress in it.
    yield from parallel.progress(results, len(found), "pictures") if sys.stderr.isatty() else results


def read_batch(batch: list[tuple], size: int) -> list[tuple]:
    from cnn.data import decode, source

    result = []
    for container, picture in batch:
        try:
            result.append((picture.file, source.load(container, picture, size)[1], ""))
        except decode.Unusable as unusable:
            result.append((picture.file, None, f"{unusable.reason}; {unusable.advice}"))
    return result


if __name__ == "__main__":
    given = arguments()  # before the imports, so that --help answers at once
    from cnn.common import runtime

    runtime.run(lambda: main(given), stopped="stopped: nothing was written")
