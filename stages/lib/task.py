"""What is asked of a picture: its class or a number, and what the data must have for it."""

from collections.abc import Sequence

import numpy as np

from stages.lib import check
from stages.lib.runtime import UserError
from stages.lib.source import Picture, Source, class_names


class Classification:
    """Pictures with a label each; the network gives a probability for each class."""

    def __init__(self, found: Source, names: list[str]):
        """Raises UserError unless there are two classes and none is an empty folder."""
        check.classes(names, found.empty_classes)
        self.classes = names
        self.words = f"pictures of {len(names)} classes"

    def labels(self, pictures: Sequence[Picture]) -> np.ndarray:
        """The number of each picture's class: int (n,)."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([numbers[picture.label] for picture in pictures])

    def strata(self, used: Sequence[Picture]) -> list[str]:
        """Of which each split has its share. Raises UserError for a class without a used picture."""
        strata = [picture.label for picture in used]
        check.every_class_is_used(self.classes, strata)
        return strata

    def disputed(self, used: Sequence[Picture], copies: Sequence[int], group: Sequence[int]) -> set[int]:
        """The groups of pictures that look the same with more than one class."""
        return check.disputed([picture.label for picture in used], group, group)

    def facts(self, used: Sequence[Picture], sides: Sequence[str]) -> dict[str, object]:
        """For data.json. sides: the split of each used picture."""
        return check.class_facts([picture.label for picture in used], sides, self.classes)

    def colour_only(self, *features_and_labels: np.ndarray) -> dict[str, float]:
        """For data.json, from the arguments of check.colour_only_accuracy."""
        return {"colour_only_accuracy": round(check.colour_only_accuracy(*features_and_labels), 4)}


class Regression:
    """Pictures with a target each; the network gives a number."""

    classes: tuple[str, ...] = ()
    words = "pictures with a number each"

    def labels(self, pictures: Sequence[Picture]) -> np.ndarray:
        """The targets: float64 (n,)."""
        return np.array([picture.target for picture in pictures])

    def strata(self, used: Sequence[Picture]) -> list[str]:
        """One: chance, by the pictures' content, spreads the targets over the splits. Raises UserError for none."""
        if not used:
            raise UserError("none of the pictures can be used; mend them, or see with a smaller max_rejected why")
        return [""] * len(used)

    def disputed(self, used: Sequence[Picture], copies: Sequence[int], group: Sequence[int]) -> set[int]:
        """The groups with copies of a picture that have different numbers; what only looks the same may have."""
        return check.disputed([picture.target for picture in used], copies, group)

    def facts(self, used: Sequence[Picture], sides: Sequence[str]) -> dict[str, object]:
        """For data.json. Raises UserError unless each split has targets that differ."""
        return check.target_facts(self.labels(used), sides)

    def colour_only(self, *features_and_labels: np.ndarray) -> dict[str, float]:
        """For data.json, from the arguments of check.colour_only_r2."""
        return {"colour_only_r2": round(check.colour_only_r2(*features_and_labels), 4)}


def of(found: Source) -> Classification | Regression:
    """The task that the pictures found are for. Raises UserError where it cannot be done with them."""
    names = class_names(found.pictures)
    return Regression() if names is None else Classification(found, names)
