"""What is wrong with a set of pictures, and what is worth knowing about it.

Every picture is accounted for: found = used + rejected.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from stages.lib.runtime import UserError

IMBALANCE = 3  # largest class over smallest class from which the report warns
GREY = 8  # most that the channels of a pixel differ, of 255, in a picture without colour


@dataclass(frozen=True)
class Rejected:
    """A picture that was found and cannot be used."""

    file: str
    label: str
    reason: str
    advice: str


def too_many_rejected(rejected: Sequence[Rejected], found: int, limit: float) -> None:
    """Raise UserError when more than the fraction `limit` of the pictures found was rejected."""
    if len(rejected) > limit * found:
        first = "; ".join(f"{each.file} ({each.reason})" for each in rejected[:3])
        raise UserError(
            f"{len(rejected)} of {found} pictures cannot be used, more than max_rejected {limit:g} allows: {first}"
            f"{'; ...' if len(rejected) > 3 else ''}; mend or remove them, or raise max_rejected"
        )


def classes(names: Sequence[str], empty: Sequence[str]) -> None:
    """Raise UserError unless there are at least two classes, and none is an empty folder."""
    if empty:
        raise UserError(f"class folder {empty[0]!r} is empty; put pictures into it or remove it")
    if len(names) < 2:
        raise UserError(
            f"there is one class only ({names[0]!r}); expected at least two folders or labels to tell apart"
        )


def every_class_is_used(names: Sequence[str], labels: Sequence[str]) -> None:
    """Raise UserError for a class of which no picture can be used. labels: of the used pictures."""
    missing = sorted(set(names) - set(labels))
    if missing:
        raise UserError(f"no picture of class {missing[0]!r} can be used; add pictures, or remove the class")


def facts(
    labels: Sequence[str],
    splits: Sequence[str],
    copies: Sequence[int],
    group: Sequence[int],
    about: Sequence[dict[str, object]],
    names: Sequence[str],
) -> dict[str, object]:
    """Facts about the used pictures for data.json, in its order.

    copies, group: as `duplicates.groups` gives them; about: what `decode` says, and `grey`.
    """
    per_split = {split: Counter() for split in ("train", "validation", "test")}
    for label, split in zip(labels, splits, strict=True):
        per_split[split][label] += 1
    per_class = Counter(labels)
    group_labels: dict[int, set[str]] = {}
    for each, label in zip(group, labels, strict=True):
        group_labels.setdefault(each, set()).add(label)
    smallest = min(names, key=lambda name: (per_class[name], name))
    widths, heights = ([each[side] for each in about] for side in ("width", "height"))
    return {
        "splits": {split: {name: counts[name] for name in names} for split, counts in per_split.items()},
        "smallest_class": {"class": smallest, "pictures": per_class[smallest]},
        "imbalanced": max(per_class.values()) > IMBALANCE * per_class[smallest],
        "duplicates": len(labels) - len(set(copies)),
        "near_duplicates": len(set(copies)) - len(group_labels),
        "conflicts": sum(len(each) > 1 for each in group_labels.values()),
        "width": _range(widths),
        "height": _range(heights),
        "sizes": len(set(zip(widths, heights, strict=True))),
        "modes": dict(sorted(Counter(each["mode"] for each in about).items())),
        "formats": dict(sorted(Counter(each["format"] for each in about).items())),
        "greyscale_share": round(sum(each["grey"] for each in about) / len(about), 4),
    }


def _range(values: Sequence[int]) -> dict[str, int]:
    ordered = sorted(values)
    return {"least": ordered[0], "median": ordered[len(ordered) // 2], "most": ordered[-1]}


def is_grey(image: np.ndarray) -> bool:
    """Whether uint8 (h, w, 3) shows no colour, whatever mode its file has."""
    red, green, blue = (image[..., channel].astype(np.int16) for channel in range(3))
    return all(int(np.abs(one - other).max()) <= GREY for one, other in ((red, green), (green, blue), (blue, red)))


def colour_features(image: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel: uint8 (h, w, 3) to float64 (6,).

    By the histogram, which Pillow counts ten times as fast as numpy squares pixels.
    """
    counts = np.reshape(Image.fromarray(image).histogram(), (3, 256))
    levels = np.arange(256)
    pixels = counts[0].sum()
    mean = counts @ levels / pixels
    return np.concatenate([mean, np.sqrt(np.maximum(counts @ levels**2 / pixels - mean**2, 0))])


def colour_only_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Accuracy on the test pictures of the nearest neighbour by colour alone.

    A network that does no better has learned the colours of the classes, not what they look like.
    Arguments: colour_features of each picture of a split, float64 (n, 6), and its labels.
    """
    mean, deviation = train.mean(axis=0), train.std(axis=0) + 1e-9
    _, nearest = cKDTree((train - mean) / deviation).query((test - mean) / deviation)
    return float(np.mean(train_labels[nearest] == test_labels))
