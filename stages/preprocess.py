"""Turn the pictures at params.yaml's `images` into arrays, split into train, validation and test.

    dvc repro preprocess          or          python -m stages.preprocess

Reads every picture once, in parallel, and accounts for each: used or rejected with a reason.
Writes data/processed/ (described in cnn/common/dataset.py), reports/data.json and reports/rejected.csv.
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
    collection = source.find(p.images)
    task = infer_task(collection)
    task.kind.loss(p.loss)  # refused now, not after every picture has been read
    print(f"{len(collection.pictures)} {task.description} in {p.images}")

    with files.atomic_path(dataset.FOLDER) as folder:
        folder.mkdir()
        scratch = folder / "all.npy"
        pixels = dataset.create(scratch, len(collection.pictures), p.image_size)
        used, rejected = read.read_all(collection, p, scratch)
        quality.check_rejected(rejected, len(collection.pictures), p.max_rejected)

        pictures = [collection.pictures[each["row"]] for each in used]
        strata = task.strata(pictures)
        hashes = np.frombuffer(b"".join(each["perceptual_hash"] for each in used), np.uint8).reshape(len(used), -1)
        copies, group = duplicates.groups(hashes, pixels, [each["row"] for each in used])
        keys = [each["key"] for each in used]
        source_splits = [picture.split for picture in pictures]
        conflicting = task.conflicting_labels(pictures, copies, group)
        splits = split.assign(keys, strata, group, source_splits, conflicting, p.validation, p.test)
        labels = task.labels(collection.pictures)
        facts = task.facts(pictures, splits)

        # In the order of the keys, so that renaming pictures changes nothing.
        order = sorted(range(len(used)), key=lambda i: (keys[i], pictures[i].file))
        members = {name: [i for i in order if splits[i] == name] for name in split.SPLITS}
        rows = {name: [used[i]["row"] for i in indices] for name, indices in members.items()}
        dataset.write(folder, scratch, rows, labels)
        dataset.write_pictures(
            folder,
            (
                (name, pictures[i].file, pictures[i].label, group[i])
                for name, indices in members.items()
                for i in indices
            ),
        )
        colours = {name: np.array([used[i]["colour"] for i in members[name]]) for name in ("train", "test")}
        del pixels
        scratch.unlink()

    data = {
        "classes": list(task.classes),  # none for regression
        "found": len(collection.pictures),
        "used": len(used),
        "rejected": len(rejected),
        "ignored": collection.ignored,
        **facts,
        **quality.facts(copies, group, conflicting, [each["facts"] for each in used]),
        **task.colour_only(colours["train"], labels[rows["train"]], colours["test"], labels[rows["test"]]),
    }
    files.write_json(DATA, data)
    rows_rejected = ((each.file, each.label, each.reason, each.advice) for each in rejected)
    files.write_csv(REJECTED, ("file", "label", "reason", "what to do"), rows_rejected)
    counts = ", ".join(f"{name} {len(rows[name])}" for name in split.SPLITS)
    print(f"{len(used)} used ({counts}), {len(rejected)} rejected (see {REJECTED})")


if __name__ == "__main__":
    runtime.run_stage(main)
