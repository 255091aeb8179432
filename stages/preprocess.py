"""Turn the pictures at params.yaml's `images` into arrays, split into train, validation and test.

    dvc repro preprocess          or          python -m stages.preprocess

Reads every picture once, in parallel, and accounts for each: used or rejected with a reason.
Writes data/processed/ (cnn/common/dataset.py says what), reports/data.json and reports/rejected.csv.
"""

from pathlib import Path

import numpy as np

from cnn.common import dataset, files, params, runtime
from cnn.common.task import DATA
from cnn.data import duplicates, quality, read, source, split
from cnn.data.task import infer_task

REJECTED = Path("reports/rejected.csv")


def main() -> None:
    p = params.read()
    found = source.find(p.images)
    task = infer_task(found)
    task.check_loss(p.loss)  # refused now, not after every picture has been read
    print(f"{len(found.pictures)} {task.description} in {p.images}")

    with files.atomic_path(dataset.FOLDER) as folder:
        folder.mkdir()
        scratch = folder / "all.npy"
        pixels = dataset.create(scratch, len(found.pictures), p.image_size)
        used, rejected = read.read_all(found, p, scratch)
        quality.too_many_rejected(rejected, len(found.pictures), p.max_rejected)

        pictures = [found.pictures[each["row"]] for each in used]
        strata = task.strata(pictures)
        hashes = np.frombuffer(b"".join(each["perceptual_hash"] for each in used), np.uint8).reshape(len(used), -1)
        copies, group = duplicates.groups(hashes, pixels, [each["row"] for each in used])
        keys = [each["key"] for each in used]
        given = [picture.split for picture in pictures]
        conflicting = task.conflicting_labels(pictures, copies, group)
        sides = split.assign(keys, strata, group, given, conflicting, p.validation, p.test)
        labels = task.labels(found.pictures)
        facts = task.facts(pictures, sides)

        # In the order of the keys, so that renaming pictures changes nothing.
        order = sorted(range(len(used)), key=lambda i: (keys[i], pictures[i].file))
        members = {side: [i for i in order if sides[i] == side] for side in split.SPLITS}
        rows = {side: [used[i]["row"] for i in indices] for side, indices in members.items()}
        dataset.write(folder, scratch, rows, labels)
        dataset.write_pictures(
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
        "classes": list(task.classes),  # none where numbers are asked for
        "found": len(found.pictures),
        "used": len(used),
        "rejected": len(rejected),
        "ignored": found.ignored,
        **facts,
        **quality.facts(copies, group, conflicting, [each["facts"] for each in used]),
        **task.colour_only(colours["train"], labels[rows["train"]], colours["test"], labels[rows["test"]]),
    }
    files.write_json(DATA, data)
    rows_rejected = ((each.file, each.label, each.reason, each.advice) for each in rejected)
    files.write_csv(REJECTED, ("file", "label", "reason", "what to do"), rows_rejected)
    counts = ", ".join(f"{side} {len(rows[side])}" for side in split.SPLITS)
    print(f"{len(used)} used ({counts}), {len(rejected)} rejected (see {REJECTED})")


if __name__ == "__main__":
    runtime.run_stage(main)
