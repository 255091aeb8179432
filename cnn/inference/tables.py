"""What the model says of pictures: rows for people, for programs, and for competitions."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from cnn.common import files, render
from cnn.common.params import nearest
from cnn.common.runtime import UserError
from cnn.data import manifest
from cnn.inference.model import Model
from cnn.model import occlusion

Read = tuple[str, np.ndarray | None, str]  # a file's name, its pixels, or the reason why there are none
WIDTH = 40  # of a file name on the terminal


@dataclass(frozen=True)
class Row:
    """A picture's classes with their probabilities, the named one first; or its number; or the reason for neither.

    After the named class come the others, the most probable one first. margin: as inference.Model has it.
    """

    file: str
    classes: Sequence[tuple[str, float]] = ()
    reason: str = ""
    number: float | None = None
    margin: float = 0.0

    def words(self, top: int | None) -> str:
        """For people: the `top` first classes, or the number."""
        if self.number is not None:
            return f"{render.number(self.number)} ± {render.number(self.margin)}"
        return "  ".join(f"{name} {p:.3f}" for name, p in self.classes[:top]) or self.reason

    @property
    def short(self) -> str | None:
        """For a submission; None where there is no answer."""
        if self.number is not None:
            return f"{self.number:.7g}"
        return self.classes[0][0] if self.classes else None


def answer(model: Model, batch: Sequence[Read]) -> list[Row]:
    """A row for each picture of `batch`, in order."""
    images = [pixels for _, pixels, _ in batch if pixels is not None]
    answers = model.answers(np.array(images)) if images else np.empty((0, max(len(model.classes), 1)))
    rows = iter(
        [Row("", classes) for classes in _by_class(model, answers)]
        if model.classes
        else [Row("", number=float(number), margin=model.margin) for number in answers[:, 0]]
    )
    return [
        Row(file, reason=reason) if pixels is None else replace(next(rows), file=file) for file, pixels, reason in batch
    ]


def _by_class(model: Model, probabilities: np.ndarray) -> list[list[tuple[str, float]]]:
    """For each of calibrated probabilities (n, classes) the classes with theirs, in the order of a Row."""
    named = model.named(probabilities)
    ranks = probabilities.copy()
    ranks[np.arange(len(named)), named] = 2.0  # above any probability
    order = np.argsort(-ranks, axis=1, kind="stable")
    return [
        [(model.classes[k], float(row[k])) for k in places] for row, places in zip(probabilities, order, strict=True)
    ]


def as_text(rows: Sequence[Row], top: int | None) -> str:
    """A table for the terminal, and a last line that counts what could not be used."""
    width = min(max([len(_short(row.file)) for row in rows], default=0), WIDTH)
    lines = [f"{_short(row.file):{width}}  {row.words(top)}" for row in rows]
    unusable = sum(bool(row.reason) for row in rows)
    if unusable:
        lines.append(f"{unusable} of {len(rows)} could not be used")
    return "\n".join(lines)


def write_csv(path: Path, rows: Sequence[Row], top: int | None) -> None:
    """file, class, probability, class_2, probability_2, ..., reason; with no top: file, number, low, high, reason.

    low and high: number less and plus the margin.
    """
    if top is None:
        cells = [
            [f"{row.number + side * row.margin:.7g}" for side in (0, -1, 1)] if row.number is not None else [""] * 3
            for row in rows
        ]
        lines = [[row.file, *three, row.reason] for row, three in zip(rows, cells, strict=True)]
        files.write_csv(path, ["file", "number", "low", "high", "reason"], lines)
        return
    names = [name for n in range(1, top + 1) for name in (f"class_{n}", f"probability_{n}")]
    names[:2] = ["class", "probability"]
    lines = []
    for row in rows:
        cells = [cell for name, p in row.classes[:top] for cell in (name, f"{p:.6f}")]
        lines.append([row.file, *cells, *[""] * (2 * top - len(cells)), row.reason])
    files.write_csv(path, ["file", *names, "reason"], lines)


def explain(folder: Path, model: Model, batch: Sequence[Read], before: int) -> None:
    """Write NUMBER-name.png for each picture: as the network sees it, and its heat map beside it.

    before: how many pictures came before the batch; the numbers count all.
    """
    for number, (file, pixels, _) in enumerate(batch, start=before + 1):
        if pixels is None:
            continue
        pair = np.hstack([pixels, occlusion.overlay(pixels, model.heat(pixels))])
        name = re.sub(r"[^\w.-]+", "_", Path(file).stem)[:60]
        buffer = io.BytesIO()
        Image.fromarray(pair).resize((768, 384), Image.Resampling.BICUBIC).save(buffer, format="PNG")
        files.write_bytes(folder / f"{number:05d}-{name}.png", buffer.getvalue())


@dataclass(frozen=True)
class Form:
    """How a submission is written."""

    delimiter: str
    header: list[str]
    sample: list[str] | None  # the names that it must have, in order
    fallback: str | None

    @classmethod
    def of(
        cls, path: Path | None, header: str | None, sample: Path | None, fallback: str | None, classes: Sequence[str]
    ) -> "Form | None":
        """The form of the file `path`, checked before any picture is read. Raises UserError."""
        if path is None:
            for option, value in (("--header", header), ("--sample", sample), ("--fallback", fallback)):
                if value is not None:
                    raise UserError(f"{option} is for a submission; name its file with --submission")
            return None
        delimiter = {".tsv": "\t", ".csv": ","}.get(path.suffix.lower())
        if delimiter is None:
            raise UserError(f"--submission is {path}; allowed: a name that ends with .tsv or .csv")
        names = header.split(",") if header else []
        if header and len(names) != 2:
            raise UserError(f"--header is {header!r}; allowed: two names with a comma between, such as id,label")
        if fallback is not None and classes and fallback not in classes:
            raise UserError(f"--fallback is {fallback!r}, which is no class; {nearest(fallback, list(classes))}")
        if fallback is not None and not classes and manifest.number(fallback) is None:
            raise UserError(f"--fallback is {fallback!r}; expected a number such as 3 or 2.5")
        return cls(delimiter, names, _sample(sample, names) if sample else None, fallback)

    def check(self, files: Sequence[str]) -> None:
        """Raise UserError unless the pictures are those of the sample, if there is one, and can be told apart."""
        names = self._names(files)
        if self.sample is None:
            return
        missing = sorted(set(self.sample) - set(names))
        if missing:
            raise UserError(f"the sample names {len(missing)} pictures that are not there, first {missing[0]!r}")
        extra = sorted(set(names) - set(self.sample))
        if extra:
            raise UserError(f"{len(extra)} pictures are not in the sample, first {extra[0]!r}; leave them out")

    def write(self, path: Path, rows: Sequence[Row]) -> None:
        """Write name and answer of every picture, in the sample's order. Raises UserError unless all have one."""
        named = dict(zip(self._names([row.file for row in rows]), rows, strict=True))
        unusable = [row for row in rows if row.reason]
        if unusable and self.fallback is None:
            raise UserError(
                f"{len(unusable)} pictures could not be used, first {unusable[0].file!r} ({unusable[0].reason}); mend "
                "them, or say with --fallback ANSWER what to write for them"
            )
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        writer.writerows([self.header] if self.header else [])
        order = list(named) if self.sample is None else self.sample
        writer.writerows((name, self.fallback if named[name].short is None else named[name].short) for name in order)
        files.write_text(path, text.getvalue())

    def _names(self, files: Sequence[str]) -> list[str]:
        """What a submission calls the files: as the sample does, or else without folders if that tells them apart."""
        ways = [list(files), [Path(file).name for file in files], [Path(file).stem for file in files]]
        if self.sample is not None:
            names = next((way for way in ways if set(way) & set(self.sample)), ways[1])
        else:
            names = next((way for way in (ways[1], ways[0]) if len(set(way)) == len(way)), ways[0])
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(
                f"two pictures are called {twice!r}, which a submission cannot tell apart; give one of them"
            )
        return names


def _sample(path: Path, header: Sequence[str]) -> list[str]:
    """The names in a sample submission's first column. Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--sample {path} cannot be read ({error}); expected a text file, UTF-8") from None
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise UserError(f"--sample {path} is no table ({error})") from None
    if header and rows and rows[0] != list(header):
        raise UserError(f"{path} begins with {','.join(rows[0])!r}, not with the header {','.join(header)!r}")
    names = [row[0] for row in rows[1 if header else 0 :]]
    if not names or len(set(names)) < len(names):
        raise UserError(f"{path} names {len(names)} pictures, {len(set(names))} different ones; expected each one once")
    return names


def _short(file: str) -> str:
    return file if len(file) <= WIDTH else "…" + file[-WIDTH + 1 :]
