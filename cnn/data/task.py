"""What each task needs of the pictures: classification a label of each, regression a target (a number) of each."""

from collections.abc import Sequence

import numpy as np

from cnn.common.runtime import UserError
from cnn.common.task import Classification, Regression
from cnn.data import quality
from cnn.data.source import Picture, Source, class_names


class ClassLabels:
    """Pictures with a label each; the network gives a probability for each class."""

    def __init__(self, source: Source, names: list[str]):
        """Raises UserError unless there are two classes and none is an empty folder."""
        quality.check_classes(names, source.empty_classes)
        self.classes, self.kind = names, Classification(tuple(names))
        self.description = f"pictures of {len(names)} classes"

    def labels(self, pictures: Sequence[Picture]) -> np.ndarray:
        """The number of each picture's class: int (n,)."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([numbers[picture.label] for picture in pictures])

    def strata(self, used: Sequence[Picture]) -> list[str]:
        """The class of each picture; each split gets its share. Raises UserError for a class without a used picture."""
        strata = [picture.label for picture in used]
        quality.check_every_class_is_used(self.classes, strata)
        return strata

    def conflicting_labels(self, used: Sequence[Picture], copies: Sequence[int], group: Sequence[int]) -> set[int]:
        """The groups (pictures that look the same) with more than one class."""
        return quality.conflicting_labels([picture.label for picture in used], group, group)

    def facts(self, used: Sequence[Picture], splits: Sequence[str]) -> dict[str, object]:
        """For data.json. splits: the split of each used picture."""
        return quality.class_facts([picture.label for picture in used], splits, self.classes)

    def colour_only(self, *features_and_labels: np.ndarray) -> dict[str, float]:
        """For data.json, from the arguments of quality.colour_only_accuracy."""
        return {"colour_only_accuracy": round(quality.colour_only_accuracy(*features_and_labels), 4)}


class NumericTargets:
    """Pictures with a target each; the network gives a number."""

    classes: tuple[str, ...] = ()
    kind = Regression()  # its mean and deviation are those of the training pictures, which are not chosen yet
    description = "pictures with a number each"

    def labels(self, pictures: Sequence[Picture]) -> np.ndarray:
        """The targets: float64 (n,)."""
        return np.array([picture.target for picture in pictures])

    def strata(self, used: Sequence[Picture]) -> list[str]:
        """One for all: the order of the keys spreads the targets over the splits. Raises UserError for no pictures."""
        if not used:
            raise UserError("none of the pictures can be used; mend them, or see with a smaller max_rejected why")
        return [""] * len(used)

    def conflicting_labels(self, used: Sequence[Picture], copies: Sequence[int], group: Sequence[int]) -> set[int]:
        """The groups with copies that have different targets; pictures that only look the same may differ."""
        return quality.conflicting_labels([picture.target for picture in used], copies, group)

    def facts(self, used: Sequence[Picture], splits: Sequence[str]) -> dict[str, object]:
        """For data.json. Raises UserError unless each split has targets that differ."""
        return quality.target_facts(self.labels(used), splits)

    def colour_only(self, *features_and_labels: np.ndarray) -> dict[str, float]:
        """For data.json, from the arguments of quality.colour_only_r2."""
        return {"colour_only_r2": round(quality.colour_only_r2(*features_and_labels), 4)}


def infer_task(source: Source) -> ClassLabels | NumericTargets:
    """The task that the pictures of `source` are for. Raises UserError where they do not suffice for it."""
    names = class_names(source.pictures)
    return NumericTargets() if names is None else ClassLabels(source, names)
