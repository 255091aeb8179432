"""report.html: the parameters, the pictures and the results, in one file that needs no other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cnn.common import render
from cnn.common.params import Params
from cnn.model import occlusion

FILE = Path("reports/report.html")
MAX_GROUPS = 8  # of pictures that look the same
MAX_IN_GROUP = 4
Pictures = dict[str, list[dict[str, str]]]  # for each split the rows of pictures.csv


@dataclass(frozen=True)
class Example:
    """A picture in the report and its prediction; `source` is a data: address; a number has no probability."""

    source: str
    file: str
    actual: str
    predicted: str
    probability: float | None = None


@dataclass(frozen=True)
class LookAlike:
    """One of several pictures that look the same; `source` is a data: address."""

    source: str
    file: str
    label: str
    split: str


def write(
    template: str,
    params: Params,
    data: dict,
    metrics: dict[str, float | bool],
    figures: Path,
    heatmaps: Sequence[tuple[str, Example]],
    look_alikes: Sequence[Sequence[LookAlike]],
    **context: object,
) -> None:
    """Write FILE. figures: the folder with the figures; context: what else the template needs."""
    render.write(
        FILE,
        f"evaluation/templates/{template}",
        params=params,
        # The number of processes changes no result, so it must not change the report.
        shown_params={key: value for key, value in asdict(params).items() if key != "workers"},
        data=data,
        classes=data["classes"],
        metrics=metrics,
        figures={path.stem: render.figure_source(path) for path in sorted(figures.glob("*.svg"))},
        heatmaps=heatmaps,
        look_alikes=look_alikes,
        **context,
    )


def heatmap_source(image: np.ndarray, heatmap: np.ndarray) -> str:
    """A picture, uint8 (size, size, 3), with its heat map over it, as a data: address."""
    return render.picture_source(occlusion.overlay(image, heatmap))


def look_alikes(pictures: Pictures, images: dict[str, np.ndarray]) -> list[list[LookAlike]]:
    """Some of the pictures that are in the data more than once, those under two classes first.

    images: uint8 (n, size, size, 3) of each split.
    """
    groups: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for rows in pictures.values():
        for index, row in enumerate(rows):
            if row["group"]:
                groups.setdefault(row["group"], []).append((index, row))

    def order(members: list[tuple[int, dict[str, str]]]) -> tuple[bool, str]:
        return len({row["label"] for _, row in members}) == 1, min(row["file"] for _, row in members)

    return [
        [
            LookAlike(render.picture_source(images[row["split"]][index]), row["file"], row["label"], row["split"])
            for index, row in members[:MAX_IN_GROUP]
        ]
        for members in sorted(groups.values(), key=order)[:MAX_GROUPS]
    ]


def advice(params: Params) -> list[str]:
    """The parameters worth trying when a model has not learned, as `key=value`, most likely first."""
    tries = []
    if params.activation in ("sigmoid", "hard_sigmoid", "linear", "softmax", "log_softmax"):
        tries.append("activation=relu")
    # Learning rates that work for this network: around 0.05 for SGD, less where steps are rescaled.
    usual = {"sgd": 0.05, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.01}.get(params.optimizer, 0.001)
    if not usual / 4 <= params.learning_rate <= usual * 4:
        tries.append(f"learning_rate={usual:g}")
    if params.optimizer in ("sgd", "momentum", "nesterov") and not tries:
        tries += ["optimizer=adam learning_rate=0.001"]
    if params.loss == "mean_squared_error":
        tries.append("loss=auto")
    if params.epochs < 20 or not tries:
        tries.append(f"epochs={params.epochs * 4}")
    return tries


def command(tries: Sequence[str]) -> str:
    """The DVC command that tries `key=value` changes together."""
    return " ".join(["dvc exp run", *(f"-S {change}" for each in tries for change in each.split())])
