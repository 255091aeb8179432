"""What the model predicts for pictures, as rows: for people on the terminal, and for programs as CSV."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cnn.common import files, render
from cnn.common.task import Classification
from cnn.inference.model import Model
from cnn.model import occlusion

LoadedPicture = tuple[str, np.ndarray | None, str]  # its file's name, its pixels, or the reason why there are none
WIDTH = 40  # of a file name on the terminal


@dataclass(frozen=True)
class Row:
    """A picture's classes with their probabilities, the predicted one first; or its number; or the reason for neither.

    After the predicted class come the others, the most probable one first. margin: as Model has it.
    """

    file: str
    classes: Sequence[tuple[str, float]] = ()
    reason: str = ""
    number: float | None = None
    margin: float = 0.0

    def text(self, top: int | None) -> str:
        """For people: the `top` first classes, or the number with its margin, or the reason."""
        if self.number is not None:
            return f"{render.number(self.number)} ± {render.number(self.margin)}"
        return "  ".join(f"{name} {p:.3f}" for name, p in self.classes[:top]) or self.reason

    @property
    def label(self) -> str | None:
        """The predicted class, or the number; None where there is neither."""
        if self.number is not None:
            return f"{self.number:.7g}"
        return self.classes[0][0] if self.classes else None


def predict(model: Model, pictures: Sequence[LoadedPicture]) -> list[Row]:
    """A row for each picture, in order."""
    images = [pixels for _, pixels, _ in pictures if pixels is not None]
    predictions = iter(model.predict(np.array(images)) if images else ())
    return [
        Row(file, reason=reason) if pixels is None else _row(model, file, next(predictions))
        for file, pixels, reason in pictures
    ]


def _row(model: Model, file: str, prediction: np.ndarray) -> Row:
    """prediction: one of Model.predict's rows."""
    if not isinstance(model.task, Classification):
        return Row(file, number=float(prediction[0]), margin=model.margin)
    (predicted,) = model.predicted_class(prediction[None])
    order = sorted(range(len(prediction)), key=lambda index: (index != predicted, -prediction[index]))
    return Row(file, [(model.task.classes[index], float(prediction[index])) for index in order])


def as_text(rows: Sequence[Row], top: int | None) -> str:
    """A table for the terminal, and a last line that counts what could not be used."""
    width = min(max([len(_shortened(row.file)) for row in rows], default=0), WIDTH)
    lines = [f"{_shortened(row.file):{width}}  {row.text(top)}" for row in rows]
    unusable = sum(bool(row.reason) for row in rows)
    if unusable:
        lines.append(f"{unusable} of {len(rows)} could not be used")
    return "\n".join(lines)


def _shortened(file: str) -> str:
    return file if len(file) <= WIDTH else "…" + file[-WIDTH + 1 :]


def write_csv(path: Path, rows: Sequence[Row], top: int | None) -> None:
    """file, class, probability, class_2, probability_2, ..., reason; with no top: file, number, low, high, reason.

    low and high: number less and plus the margin.
    """
    if top is None:
        names = ["number", "low", "high"]
    else:
        names = ["class", "probability"]
        names += [f"{name}_{rank}" for rank in range(2, top + 1) for name in names]
    lines = []
    for row in rows:
        if row.number is not None:
            cells = [f"{number:.7g}" for number in (row.number, row.number - row.margin, row.number + row.margin)]
        else:
            cells = [cell for name, p in row.classes[:top] for cell in (name, f"{p:.6f}")]
        lines.append([row.file, *cells, *[""] * (len(names) - len(cells)), row.reason])
    files.write_csv(path, ["file", *names, "reason"], lines)


def write_heatmaps(folder: Path, model: Model, pictures: Sequence[LoadedPicture], start: int) -> None:
    """Write NUMBER-name.png for each picture: as the network sees it, and its heat map beside it.

    start: the number of the first picture.
    """
    for number, (file, pixels, _) in enumerate(pictures, start):
        if pixels is None:
            continue
        pair = np.hstack([pixels, occlusion.overlay(pixels, model.heat(pixels))])
        name = re.sub(r"[^\w.-]+", "_", Path(file).stem)[:60]
        buffer = io.BytesIO()
        Image.fromarray(pair).resize((768, 384), Image.Resampling.BICUBIC).save(buffer, format="PNG")
        files.write_bytes(folder / f"{number:05d}-{name}.png", buffer.getvalue())
