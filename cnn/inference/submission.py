"""A competition's submission: the name of each picture and its label, as SIGNATE or Kaggle read it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnn.common import files
from cnn.common.params import nearest
from cnn.common.runtime import UserError
from cnn.common.task import Classification, Task
from cnn.data import manifest
from cnn.inference.tables import Row

DELIMITERS = {".tsv": "\t", ".csv": ","}


@dataclass(frozen=True)
class Submission:
    """Where and how it is written.

    header: two names, or none; sample: the names that it must have, in order; fallback: the label of pictures that
    cannot be used.
    """

    path: Path
    delimiter: str
    header: list[str]
    sample: list[str] | None
    fallback: str | None

    @classmethod
    def from_options(
        cls, path: Path | None, header: str | None, sample: Path | None, fallback: str | None, task: Task
    ) -> "Submission | None":
        """From predict.py's options, checked before any picture is read; None without a path. Raises UserError."""
        if path is None:
            for option, value in (("--header", header), ("--sample", sample), ("--fallback", fallback)):
                if value is not None:
                    raise UserError(f"{option} is for a submission; name its file with --submission")
            return None
        delimiter = DELIMITERS.get(path.suffix.lower())
        if delimiter is None:
            raise UserError(f"--submission is {path}; allowed: a name that ends with .tsv or .csv")
        names = header.split(",") if header else []
        if header and len(names) != 2:
            raise UserError(f"--header is {header!r}; allowed: two names with a comma between, such as id,label")
        if fallback is not None:
            _check_fallback(fallback, task)
        return cls(path, delimiter, names, _sample_names(sample, names) if sample else None, fallback)

    def check(self, paths: Sequence[str]) -> None:
        """Raise UserError unless the pictures are those of the sample, if there is one, and can be told apart."""
        names = self._names(paths)
        if self.sample is None:
            return
        missing = sorted(set(self.sample) - set(names))
        if missing:
            raise UserError(f"the sample names {len(missing)} pictures that are not there, first {missing[0]!r}")
        extra = sorted(set(names) - set(self.sample))
        if extra:
            raise UserError(f"{len(extra)} pictures are not in the sample, first {extra[0]!r}; leave them out")

    def write(self, rows: Sequence[Row]) -> None:
        """Write name and label of every picture, in the sample's order. Raises UserError unless all have a label."""
        unusable = [row for row in rows if row.reason]
        if unusable and self.fallback is None:
            raise UserError(
                f"{len(unusable)} pictures could not be used, first {unusable[0].file!r} ({unusable[0].reason}); mend "
                "them, or say with --fallback ANSWER what to write for them"
            )
        names = self._names([row.file for row in rows])
        labels = {name: row.label or self.fallback for name, row in zip(names, rows, strict=True)}
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        writer.writerows([self.header] if self.header else [])
        writer.writerows((name, labels[name]) for name in self.sample or labels)
        files.write_text(self.path, text.getvalue())

    def _names(self, paths: Sequence[str]) -> list[str]:
        """What a submission calls the files: as the sample does, or else without folders if that tells them apart."""
        full, short, stems = list(paths), [Path(path).name for path in paths], [Path(path).stem for path in paths]
        if self.sample is not None:
            names = next((each for each in (full, short, stems) if set(each) & set(self.sample)), short)
        else:
            names = next((each for each in (short, full) if len(set(each)) == len(each)), full)
        if len(set(names)) < len(names):
            duplicate = next(name for name in names if names.count(name) > 1)
            raise UserError(
                f"two pictures are called {duplicate!r}, which a submission cannot tell apart; give one of them"
            )
        return names


def _check_fallback(fallback: str, task: Task) -> None:
    if isinstance(task, Classification):
        if fallback not in task.classes:
            raise UserError(f"--fallback is {fallback!r}, which is no class; {nearest(fallback, task.classes)}")
    elif manifest.number(fallback) is None:
        raise UserError(f"--fallback is {fallback!r}; expected a number such as 3 or 2.5")


def _sample_names(path: Path, header: Sequence[str]) -> list[str]:
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
