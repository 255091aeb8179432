"""What is wrong with a set of pictures, and what is worth knowing about it.

Every picture is accounted for: found = used + rejected.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from cnn.common.runtime import UserError
from cnn.data.split import SPLITS

IMBALANCE = 3  # largest class over smallest class from which the report warns
GREY = 8  # of 255: the largest difference between the channels of a pixel in a picture without colour
NEIGHBOURS = 5  # whose mean target predicts a target from colour alone
MIN_SPREAD = 1e-4  # standard deviation of targets over the largest of them
DIGITS = 8  # of the targets' mean and deviation: more would depend on the order of summation


@dataclass(frozen=True)
class Rejected:
    """A picture that was found and cannot be used."""

    file: str
    label: str
    reason: str
    advice: str


def check_rejected(rejected: Sequence[Rejected], found: int, limit: float) -> None:
    """Raise UserError when more than the fraction `limit` of the pictures found was rejected."""
    if len(rejected) > limit * found:
        first = "; ".join(f"{each.file} ({each.reason})" for each in rejected[:3])
        raise UserError(
            f"{len(rejected)} of {found} pictures cannot be used, more than max_rejected {limit:g} allows: {first}"
            f"{'; ...' if len(rejected) > 3 else ''}; mend or remove them, or raise max_rejected"
        )


def check_classes(names: Sequence[str], empty: Sequence[str]) -> None:
    """Raise UserError unless there are at least two classes, and none is an empty folder."""
    if empty:
        raise UserError(f"class folder {empty[0]!r} is empty; put pictures into it or remove it")
    if len(names) < 2:
        raise UserError(
            f"there is one class only ({names[0]!r}); expected at least two folders or labels to tell apart"
        )


def check_every_class_is_used(names: Sequence[str], labels: Sequence[str]) -> None:
    """Raise UserError for a class of which no picture can be used. labels: of the used pictures."""
    missing = sorted(set(names) - set(labels))
    if missing:
        raise UserError(f"no picture of class {missing[0]!r} can be used; add pictures, or remove the class")


def class_facts(labels: Sequence[str], splits: Sequence[str], names: Sequence[str]) -> dict[str, object]:
    """How many pictures each class has, for data.json. splits: that of each picture."""
    per_split = {split: Counter() for split in SPLITS}
    for label, split in zip(labels, splits, strict=True):
        per_split[split][label] += 1
    per_class = Counter(labels)
    smallest = min(names, key=lambda name: (per_class[name], name))
    return {
        "splits": {split: {name: counts[name] for name in names} for split, counts in per_split.items()},
        "smallest_class": {"class": smallest, "pictures": per_class[smallest]},
        "imbalanced": max(per_class.values()) > IMBALANCE * per_class[smallest],
    }


def target_facts(targets: np.ndarray, splits: Sequence[str]) -> dict[str, object]:
    """Facts about the targets, float (n,), for data.json; mean and deviation are those of the train pictures.

    Raises UserError unless the targets of each split differ, by enough for the 24 bits of float32: there is nothing to
    learn or measure otherwise. splits: that of each picture.
    """
    for split in SPLITS:
        values = targets[[each == split for each in splits]]
        if values.min() == values.max():
            raise UserError(f"all {len(values)} {split} pictures have the target {values[0]:g}; add some with others")
        if values.std() < MIN_SPREAD * np.abs(values).max():
            raise UserError(
                f"the targets of the {split} pictures differ too little for their size (from {values.min():.10g} to "
                f"{values.max():.10g}); subtract the same number from all of them"
            )
    train = targets[[each == "train" for each in splits]]
    ordered = sorted(targets.tolist())
    return {
        "splits": {split: list(splits).count(split) for split in SPLITS},
        "target": {
            "least": ordered[0],
            "median": ordered[len(ordered) // 2],
            "most": ordered[-1],
            "mean": float(f"{train.mean():.{DIGITS}g}"),
            "deviation": float(f"{train.std():.{DIGITS}g}"),
        },
    }


def conflicting_labels(labels: Sequence[object], ids: Sequence[int], groups: Sequence[int]) -> set[int]:
    """The groups that hold pictures of the same id with different labels."""
    labels_of: dict[int, set[object]] = {}
    for id_, label in zip(ids, labels, strict=True):
        labels_of.setdefault(id_, set()).add(label)
    return {group for id_, group in zip(ids, groups, strict=True) if len(labels_of[id_]) > 1}


def facts(
    copies: Sequence[int], group: Sequence[int], conflicting: set[int], pictures: Sequence[dict[str, object]]
) -> dict[str, object]:
    """Facts about the used pictures for data.json, in its order.

    copies, group: of `duplicates.groups`; conflicting: of `conflicting_labels`; pictures: the facts of `decode`, and
    `grey`.
    """
    widths, heights = ([each[side] for each in pictures] for side in ("width", "height"))
    return {
        "duplicates": len(copies) - len(set(copies)),
        "near_duplicates": len(set(copies)) - len(set(group)),
        "conflicts": len(conflicting),
        "width": _range(widths),
        "height": _range(heights),
        "sizes": len(set(zip(widths, heights, strict=True))),
        "modes": dict(sorted(Counter(each["mode"] for each in pictures).items())),
        "formats": dict(sorted(Counter(each["format"] for each in pictures).items())),
        "greyscale_share": round(sum(each["grey"] for each in pictures) / len(pictures), 4),
    }


def _range(values: Sequence[int]) -> dict[str, int]:
    ordered = sorted(values)
    return {"least": ordered[0], "median": ordered[len(ordered) // 2], "most": ordered[-1]}


def is_grey(image: np.ndarray) -> bool:
    """Whether uint8 (h, w, 3) shows no colour, whatever mode its file has."""
    # Where there is colour, a few rows have some.
    return _is_grey(image[::16]) and _is_grey(image)


def _is_grey(image: np.ndarray) -> bool:
    red, green, blue = image.astype(np.int16).transpose(2, 0, 1)
    return all(int(np.abs(one - other).max()) <= GREY for one, other in ((red, green), (green, blue), (blue, red)))


def colour_features(images: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel: uint8 (n, h, w, 3) to float64 (n, 6)."""
    count, height, width, channels = images.shape
    # Sums down the columns, in a type that holds the sums of whole squares exactly.
    exact = np.float32 if 255**2 * height <= 2**24 else np.float64
    values, ones = images.reshape(count, height, -1).astype(exact), np.ones(height, exact)
    sums = np.stack([ones @ values, ones @ (values * values)]).reshape(2, count, width, channels)
    mean, squares = sums.sum(axis=2, dtype=np.float64) / (height * width)
    return np.concatenate([mean, np.sqrt(np.maximum(squares - mean**2, 0))], axis=1)


def colour_only_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Accuracy on the test pictures of the nearest neighbour by colour alone.

    A network that does no better has learned the colours of the classes, not what they look like.
    Arguments: colour_features of each picture of a split, float64 (n, 6), and its labels.
    """
    return float(np.mean(train_labels[_nearest(train, test, 1)[:, 0]] == test_labels))


def colour_only_r2(train: np.ndarray, train_targets: np.ndarray, test: np.ndarray, test_targets: np.ndarray) -> float:
    """The same for targets: R2 of the mean of the nearest NEIGHBOURS by colour alone."""
    predicted = train_targets[_nearest(train, test, min(NEIGHBOURS, len(train)))].mean(axis=1)
    return float(1 - np.mean((predicted - test_targets) ** 2) / np.var(test_targets))


def _nearest(train: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
    """The rows of `train` nearest to each of `test` by standardised features: int (n, count)."""
    mean, deviation = train.mean(axis=0), train.std(axis=0) + 1e-9
    return cKDTree((train - mean) / deviation).query((test - mean) / deviation, k=range(1, count + 1))[1]
