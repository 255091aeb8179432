"""Checkpoints: a training that was interrupted goes on after its last finished epoch.

They lie outside the stage's outputs, which DVC removes before it runs a stage, in a folder named
after everything that decides the result. A run that differs in anything starts from the beginning.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

FOLDER = Path("models/.training")
Rows = list[dict[str, float]]


def open_folder(values: Sequence[object], files: Iterable[Path]) -> Path:
    """The folder for this run's checkpoints, made if need be; those of other runs are removed.

    values, files: all that decides the result of the training, the code included.
    """
    digest = hashlib.sha256(repr(values).encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    folder = FOLDER / digest.hexdigest()[:32]
    if FOLDER.is_dir():
        for other in FOLDER.iterdir():
            if other != folder:
                shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save(folder: Path, repeat: int, state: list[np.ndarray], rows: Rows) -> None:
    """Keep the arrays of `state` and the history `rows` of the finished epochs."""
    finished = folder / f"repeat-{repeat}-epoch-{len(rows)}.npz"
    # The process id, because a worker that outlived its killed parent may still be writing.
    own = folder / f".{os.getpid()}-{finished.name}"
    try:
        np.savez(own, *state, rows=json.dumps(rows), allow_pickle=False)
        own.replace(finished)
    finally:
        own.unlink(missing_ok=True)
    (folder / f"repeat-{repeat}-epoch-{len(rows) - 1}.npz").unlink(missing_ok=True)


def latest(folder: Path, repeat: int) -> tuple[list[np.ndarray], Rows] | None:
    """The state and the history after the last finished epoch of `repeat`, if there is one."""
    states = folder.glob(f"repeat-{repeat}-epoch-*.npz")
    path = max(states, key=lambda path: int(path.stem.rsplit("-", 1)[1]), default=None)
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as kept:
        return [kept[name] for name in kept.files if name != "rows"], json.loads(str(kept["rows"]))


def close_folder() -> None:
    """Remove all checkpoints; the training has ended."""
    shutil.rmtree(FOLDER, ignore_errors=True)
