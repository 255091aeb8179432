"""What is asked of a picture: its class, or a number. One of two small classes says it everywhere."""

import json
from dataclasses import dataclass
from pathlib import Path

from cnn.common.params import FILE
from cnn.common.runtime import UserError

DATA = Path("reports/data.json")  # written by preprocess


@dataclass(frozen=True)
class Classification:
    """Which of these classes a picture shows; they stand in the order of the network's outputs."""

    classes: tuple[str, ...]
    score = "accuracy"  # of which more is better

    @property
    def two(self) -> bool:
        """Whether there are two classes."""
        return len(self.classes) == 2

    def loss(self, name: str) -> str:
        """Keras's name of the loss that params.yaml's `loss` means here. Raises UserError for one that does not fit."""
        if name == "auto":
            return "binary_crossentropy" if self.two else "categorical_crossentropy"
        if name == "binary_crossentropy" and not self.two:
            raise UserError(
                f"{FILE}: loss is binary_crossentropy, which is for 2 classes; there are {len(self.classes)}; "
                "use auto or categorical_crossentropy"
            )
        return name


@dataclass(frozen=True)
class Regression:
    """Which number goes with a picture; mean and standard deviation of the training pictures' numbers."""

    mean: float = 0.0
    deviation: float = 1.0
    score = "r2"

    def loss(self, name: str) -> str:
        """As Classification.loss."""
        if name not in ("auto", "mean_squared_error"):
            raise UserError(
                f"{FILE}: loss is {name}, which is for classes, and the pictures have numbers; use auto or "
                "mean_squared_error"
            )
        return "mean_squared_error"


Task = Classification | Regression
SCORES = (Classification.score, Regression.score)


def from_data(data: dict) -> Task:
    """The task of data.json's contents."""
    if "target" in data:
        return Regression(data["target"]["mean"], data["target"]["deviation"])
    return Classification(tuple(data["classes"]))


def read_task() -> Task:
    """The task of the pictures that preprocess has read."""
    return from_data(json.loads(DATA.read_text(encoding="utf-8")))
