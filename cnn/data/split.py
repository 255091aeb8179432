"""The split into train, validation and test: by content, so that it neither leaks nor reshuffles.

Each picture has a key from the seed and its bytes. In each class the pictures stand in the order of
their keys; those at the front are the test split, the next ones validation, the rest train. Names,
listing order and the number of workers have no influence. An added picture can push at most one
other picture over each of the two borders. (No rule can be exact in its fractions and never move a
picture: one that never moves any decides about each picture alone, and so leaves the fractions to
chance.)

Pictures that belong together (the same picture twice) share a group and go to one split together.
"""

import hashlib
from collections.abc import Collection, Hashable, Sequence

from cnn.common.runtime import UserError

SPLITS = ("train", "validation", "test")


def key(seed: int, data: bytes) -> bytes:
    """A picture's key: SHA-256 of the seed and the picture's bytes."""
    return hashlib.sha256(b"%d\n" % seed + hashlib.sha256(data).digest()).digest()


def assign(
    keys: Sequence[bytes],
    labels: Sequence[str],
    groups: Sequence[Hashable],
    source_splits: Sequence[str | None],
    conflicting: Collection[Hashable],
    validation: float,
    test: float,
) -> list[str]:
    """The split of each picture: "train", "validation" or "test".

    keys: from `key`. groups: equal for pictures that belong together. labels: all "" for regression.
    source_splits: the split that the source names, or None. A named split stays, and gets no other
    pictures. Where the source names a split for every picture, a split that it lacks comes from its
    train pictures. A group that a source puts into several splits goes whole to the one that is
    evaluated last (test, then validation), so that nothing trained on is tested on. A group with
    conflicting labels goes to train, because no split can say which of its labels is right.

    Raises UserError for a class too small to have a picture in each split.
    """
    fractions = {
        "test": 0.0 if "test" in source_splits else test,
        "validation": 0.0 if "validation" in source_splits else validation,
    }
    priority = ("test", "validation", "train") if None in source_splits else ("test", "validation")
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)

    result: list[str | None] = [None] * len(keys)
    unassigned: dict[str, list[list[int]]] = {}
    for group, indices in members.items():
        split = next((each for each in priority if each in {source_splits[i] for i in indices}), None)
        if group in conflicting:
            split = "train"
        if split is None:
            unassigned.setdefault(labels[indices[0]], []).append(indices)
        for index in indices:
            result[index] = split

    for label_groups in unassigned.values():
        label_groups.sort(key=lambda indices: min(keys[i] for i in indices))
        total = sum(map(len, label_groups))
        before = 0
        for indices in label_groups:
            split = _split_at((before + len(indices) / 2) / total, fractions)
            before += len(indices)
            for index in indices:
                result[index] = split
    _check_sizes(labels, result, validation, test)
    return result


def _split_at(position: float, fractions: dict[str, float]) -> str:
    """The split of a group whose middle is at `position` (0..1) in the order of its class."""
    if position < fractions["test"]:
        return "test"
    return "validation" if position < fractions["test"] + fractions["validation"] else "train"


def smallest_class(validation: float, test: float) -> int:
    """The fewest different pictures of a class that give each split at least one."""
    fractions = {"test": test, "validation": validation}
    return next(n for n in range(1, 10**6) if {_split_at((i + 0.5) / n, fractions) for i in range(n)} == set(SPLITS))


def _check_sizes(labels: Sequence[str], result: Sequence[str], validation: float, test: float) -> None:
    splits: dict[str, list[str]] = {}
    for label, split in zip(labels, result, strict=True):
        splits.setdefault(label, []).append(split)
    for label in sorted(splits):
        missing = [split for split in SPLITS if split not in splits[label]]
        if missing:
            what, way_out = (f"class {label!r} has", ", or remove the class") if label else ("there are", "")
            raise UserError(
                f"{what} {len(splits[label])} usable pictures and none for {', '.join(missing)}; at least "
                f"{smallest_class(validation, test)} different ones are needed: add pictures{way_out}"
            )
