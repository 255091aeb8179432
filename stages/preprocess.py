"""Turn the pictures at params.yaml's `images` into arrays, split into train, validation and test.

    dvc repro preprocess          or          python stages/preprocess.py

Reads every picture once, in parallel, and accounts for each: used or rejected with a reason.
Writes data/processed/ (stages/lib/array.py says what), reports/data.json and reports/rejected.csv.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages.lib import runtime  # before numpy

if __name__ == "__main__":
    runtime.no_arguments(__doc__)  # before the imports that take time
import numpy as np

from stages.lib import array, check, duplicates, outputs, params, source, split, task, workers
from stages.lib.archive import Container
from stages.lib.decode import Unusable

DATA = Path("reports/data.json")
REJECTED = Path("reports/rejected.csv")
BATCH = 64  # pictures a task: large enough to hide what a task costs, small enough to share out evenly


def main() -> None:
    p = params.read()
    found = source.find(p.images)
    asked = task.of(found)
    params.loss_name(p.loss, len(asked.classes))  # refused now, not after every picture has been read
    print(f"{len(found.pictures)} {asked.words} in {p.images}")

    with outputs.aside(array.FOLDER) as folder:
        folder.mkdir()
        scratch = folder / "all.npy"
        pixels = array.create(scratch, len(found.pictures), p.image_size)
        used, rejected = read_all(found, p, scratch)
        check.too_many_rejected(rejected, len(found.pictures), p.max_rejected)

        pictures = [found.pictures[each["row"]] for each in used]
        strata = asked.strata(pictures)
        copies, group = duplicates.groups(
            [each["copy_hash"] for each in used],
            np.array([each["look_hash"] for each in used]),
            pixels,
            [each["row"] for each in used],
        )
        keys = [each["key"] for each in used]
        given = [picture.split for picture in pictures]
        disputed = asked.disputed(pictures, copies, group)
        sides = split.assign(keys, strata, group, given, disputed, p.validation, p.test)
        labels = asked.labels(found.pictures)
        facts = asked.facts(pictures, sides)

        # In the order of the keys, so that renaming pictures changes nothing.
        order = sorted(range(len(used)), key=lambda i: (keys[i], pictures[i].file))
        members = {side: [i for i in order if sides[i] == side] for side in split.SPLITS}
        rows = {side: [used[i]["row"] for i in indices] for side, indices in members.items()}
        array.write(folder, scratch, rows, labels)
        array.write_pictures(
            folder,
            (
                (side, pictures[i].file, pictures[i].label, group[i])
                for side, indices in members.items()
                for i in indices
            ),
        )
        colours = {side: np.array([used[i]["colour"] for i in members[side]]) for side in ("train", "test")}
        del pixels
        scratch.unlink()

    data = {
        "classes": list(asked.classes),  # none where numbers are asked for
        "found": len(found.pictures),
        "used": len(used),
        "rejected": len(rejected),
        "ignored": found.ignored,
        **facts,
        **check.facts(copies, group, disputed, [each["facts"] for each in used]),
        **asked.colour_only(colours["train"], labels[rows["train"]], colours["test"], labels[rows["test"]]),
    }
    outputs.write_json(DATA, data)
    rows_rejected = ((each.file, each.label, each.reason, each.advice) for each in rejected)
    outputs.write_csv(REJECTED, ("file", "label", "reason", "what to do"), rows_rejected)
    counts = ", ".join(f"{side} {len(rows[side])}" for side in split.SPLITS)
    print(f"{len(used)} used ({counts}), {len(rejected)} rejected (see {REJECTED})")


def read_all(found: source.Source, p: params.Params, pixels: Path) -> tuple[list[dict], list[check.Rejected]]:
    """Fill the array file `pixels`, uint8 (found, size, size, 3), and say of each picture whether it can be used.

    A used one is a dict: row (of pixels), key (for the split), copy_hash, look_hash, colour, facts.
    """
    tasks = (
        (found.container, found.pictures[start : start + BATCH], pixels, start, p.seed)
        for start in range(0, len(found.pictures), BATCH)
    )
    results = workers.in_order(read_batch, tasks, p.workers)
    used, rejected = [], []
    for batch in workers.progress(results, len(found.pictures), "pictures read"):
        for result in batch:
            (rejected if isinstance(result, check.Rejected) else used).append(result)
    return used, rejected


def read_batch(
    container: Container, pictures: list[source.Picture], pixels: Path, start: int, seed: int
) -> list[dict | check.Rejected]:
    """In a worker process: write each picture into its row, from `start` on; only facts travel back."""
    rows = array.open_for_writing(pixels)
    return [read_one(container, picture, rows, start + index, seed) for index, picture in enumerate(pictures)]


def read_one(
    container: Container, picture: source.Picture, rows: np.ndarray, row: int, seed: int
) -> dict | check.Rejected:
    try:
        data, image, facts = source.load(container, picture, rows.shape[1])
    except Unusable as unusable:
        return check.Rejected(picture.file, picture.label, unusable.reason, unusable.advice)
    rows[row] = image
    return {
        "row": row,
        "key": split.key(seed, data),
        "copy_hash": duplicates.copy_hash(image),
        "look_hash": duplicates.look_hash(image),
        "colour": check.colour_features(image),
        "facts": facts | {"grey": check.is_grey(image)},
    }


if __name__ == "__main__":
    runtime.run(main)
