"""Manifests: a .csv or .tsv that names each picture and its label or number, and may name its split."""

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from cnn.common.runtime import UserError

COLUMNS = ("path", "label", "target", "split")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
MAX_TARGET = 1e30  # absolute value of a target, whose square is still finite in float32
# The words people use for the three splits, in manifests and as folder names.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Row:
    """One line of a manifest: a label, or a target with the label as it was written; split may be left open."""

    path: str
    label: str
    target: float | None
    split: str | None


def parse(name: str, data: bytes) -> list[Row]:
    """The rows of the manifest `name`. Raises UserError naming the line for any mistake.

    By header: columns path and label, or path and target (a number), and optionally split. Without header: two
    columns, path and label, as in SIGNATE's train_master.tsv. A UTF-8 BOM and CRLF line ends are fine.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if name.lower().endswith(".tsv") else ",")
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise UserError(f"{name} line {reader.line_num}: {error}; expected a plain table of path and label") from None
    if not lines:
        raise UserError(f"{name} is empty; expected a line for each picture: path and label")
    columns = [cell.lower() for cell in lines[0][1]]
    if "path" in columns:
        lines = lines[1:]
    elif len(columns) == 2 and "." in PurePosixPath(columns[0]).name:
        columns = ["path", "label"]
    _check_columns(name, columns)
    rows = [
        _row(f"{name} line {number}", dict(zip(columns, cells, strict=False)), cells, columns)
        for number, cells in lines
    ]
    _check_paths(name, rows)
    return rows


def _check_columns(name: str, columns: list[str]) -> None:
    unknown = [column for column in columns if column not in COLUMNS]
    has_one_answer = ("label" in columns) != ("target" in columns)
    if unknown or "path" not in columns or not has_one_answer or len(set(columns)) < len(columns):
        raise UserError(
            f"{name} has the columns {', '.join(columns)}; expected a header with path and either label (a class) or "
            "target (a number), optionally split; or two columns (picture file, label) without header"
        )


def _row(where: str, values: dict[str, str], cells: list[str], columns: list[str]) -> Row:
    label = values.get("target" if "target" in columns else "label")
    if len(cells) != len(columns) or not values["path"] or not label:
        raise UserError(f"{where} has {len(cells)} columns or an empty one; expected {', '.join(columns)}")
    path = PurePosixPath(values["path"].replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise UserError(f"{where}: {values['path']!r} lies outside the manifest's folder; paths are relative to it")
    split = values.get("split", "").lower()
    if split and split not in SPLIT_NAMES:
        raise UserError(f"{where}: split is {split!r}; allowed: train, validation, test, or empty")
    target = _number(where, label) if "target" in columns else None
    return Row(str(path), label, target, SPLIT_NAMES.get(split))


def _number(where: str, text: str) -> float:
    value = number(text)
    if value is None:
        raise UserError(f"{where}: target is {text!r}; expected a number such as 3 or 2.5, between ±{MAX_TARGET:g}")
    return value


def number(text: str) -> float | None:
    """The number that `text` is, if it is one; Python's own rules would let 1_000 and nan pass."""
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    return value if abs(value) <= MAX_TARGET else None


def _check_paths(name: str, rows: list[Row]) -> None:
    labels: dict[str, str] = {}
    for row in rows:
        if row.path in labels:
            other = labels[row.path]
            conflict = "twice" if other == row.label else f"as {other!r} and as {row.label!r}"
            raise UserError(f"{name} lists {row.path!r} {conflict}; keep one line for each picture")
        labels[row.path] = row.label
