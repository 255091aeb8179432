"""Outputs are written to a temporary path and renamed into place: a reader never sees half a file.

A file appears whole or not at all, also when the process is killed or the disk fills up. The
temporary name begins with `.tmp-`, which git ignores; the next run of the same stage removes what has it.
"""

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cnn.common.runtime import UserError

PREFIX = ".tmp-"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A path to write to instead of `path`; moved to `path`, file or folder, if the block ends well.

    A folder takes the place of a folder, and a file that of a file; anything else there raises UserError.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays, because Keras and matplotlib choose the format by it.
    temporary = path.with_name(f"{PREFIX}{path.name}")
    _remove(temporary)
    try:
        yield temporary
        if path.exists() and not (path.is_dir() if temporary.is_dir() else path.is_file()):
            kind = "folder" if path.is_dir() else "file of another kind"
            raise UserError(f"{path} is there already, and is a {kind}; choose another name, or move it away")
        if path.is_dir():
            _remove(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 with \\n line ends on every system, so that its md5 is the same."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table of text as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def md5(path: str | Path) -> str:
    """The md5 of a file, as dvc.lock has it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
