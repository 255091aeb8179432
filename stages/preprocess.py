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

from stages.lib import array, check, decode, duplicates, outputs, params, source, split, task, workers
from stages.lib.archive import Container

DATA = Path("reports/data.json")
REJECTED = Path("reports/rejected.csv")
BATCH = 64  # pictures a task: large enough to hide what a task costs, small enough to share out evenly
MANY = 45 * 2**20  # bytes of files from which machine code for JPEG files takes no longer to make than it gains
AT_ONCE = 4  # pictures that are looked at side by side: as many as a processor's cache holds


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
        looks = np.frombuffer(b"".join(each["look_hash"] for each in used), np.uint8).reshape(len(used), -1)
        copies, group = duplicates.groups(looks, pixels, [each["row"] for each in used])
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

    A used one is a dict: row (of pixels), key (for the split), look_hash, colour, facts.
    """
    many = sum(picture.entry.size for picture in found.pictures) > MANY
    tasks = (
        (found.container, found.pictures[start : start + BATCH], pixels, start, p, many)
        for start in range(0, len(found.pictures), BATCH)
    )
    results = workers.in_order(read_batch, tasks, p.workers)
    used, rejected = [], []
    for batch in workers.progress(results, len(found.pictures), "pictures read"):
        for result in batch:
            (rejected if isinstance(result, check.Rejected) else used).append(result)
    return used, rejected


def read_batch(
    container: Container, pictures: list[source.Picture], pixels: Path, start: int, p: params.Params, many: bool
) -> list[dict | check.Rejected]:
    """In a worker process: write the pictures into their rows, from `start` on; only facts travel back.

    They are plain numbers and bytes: an array takes ten times as long on its way.
    """
    read_jpeg = None
    if many:
        from stages.lib import jpeg  # and LLVM, which few pictures do not need

        read_jpeg = jpeg.reader(p.image_size).read
    images = np.zeros((len(pictures), p.image_size, p.image_size, 3), np.uint8)
    results = [
        read_one(container, picture, image, start + index, p.seed, read_jpeg)
        for index, (picture, image) in enumerate(zip(pictures, images, strict=True))
    ]
    array.write_rows(pixels, start, images)
    used = [result for result in results if not isinstance(result, check.Rejected)]
    for some in (used[first : first + AT_ONCE] for first in range(0, len(used), AT_ONCE)):
        read = images[[each["row"] - start for each in some]]
        for each, look, colour in zip(some, duplicates.look_hashes(read), check.colour_features(read), strict=True):
            each |= {"look_hash": look.tobytes(), "colour": colour.tolist()}
    return results


def read_one(
    container: Container,
    picture: source.Picture,
    image: np.ndarray,
    row: int,
    seed: int,
    read_jpeg: decode.ReadJpeg | None,
) -> dict | check.Rejected:
    try:
        data, image[:], facts = source.load(container, picture, len(image), read_jpeg)
    except decode.Unusable as unusable:
        return check.Rejected(picture.file, picture.label, unusable.reason, unusable.advice)
    return {"row": row, "key": split.key(seed, data), "facts": facts | {"grey": check.is_grey(image)}}


if __name__ == "__main__":
    runtime.run(main)
