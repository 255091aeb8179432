"""Checkpoints: a training that was interrupted resumes after its last finished epoch.

They are no outputs of the stage, because DVC removes those before it runs a stage. Their folder is named by a hash of
everything that decides the result, so a run that differs in anything starts from the beginning.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

FOLDER = Path("models/.training")
Rows = list[dict[str, float]]


def open_folder(values: dict[str, object], files: Iterable[Path]) -> Path:
    """The folder for this run's checkpoints, made if need be; those of other runs are removed.

    values, files: everything that decides the result of the training, the code included.
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


def save(folder: Path, repeat: int, state: list[np.ndarray], rows: Rows, best: int) -> None:
    """Write the arrays of `state` and the history `rows` of the finished epochs; delete older ones but epoch `best`."""
    finished = _file(folder, repeat, len(rows))
    # The process id, because a worker that outlived its killed parent may still be writing.
    own = folder / f".{os.getpid()}-{finished.name}"
    try:
        np.savez(own, *state, rows=json.dumps(rows), allow_pickle=False)
        own.replace(finished)
    finally:
        own.unlink(missing_ok=True)
    for epoch in _epochs(folder, repeat):
        if epoch < len(rows) and epoch != best:
            _file(folder, repeat, epoch).unlink(missing_ok=True)


def latest(folder: Path, repeat: int) -> tuple[list[np.ndarray] | None, Rows]:
    """The state and the history after the last finished epoch of `repeat`; None and no rows before the first."""
    epochs = _epochs(folder, repeat)
    return load(folder, repeat, max(epochs)) if epochs else (None, [])


def load(folder: Path, repeat: int, epoch: int) -> tuple[list[np.ndarray], Rows]:
    """The state and the history after `epoch`, which is the best one or the last."""
    with np.load(_file(folder, repeat, epoch), allow_pickle=False) as archive:
        return [archive[name] for name in archive.files if name != "rows"], json.loads(str(archive["rows"]))


def _file(folder: Path, repeat: int, epoch: int) -> Path:
    return folder / f"repeat-{repeat}-epoch-{epoch}.npz"


def _epochs(folder: Path, repeat: int) -> list[int]:
    return [int(path.stem.rsplit("-", 1)[1]) for path in folder.glob(f"repeat-{repeat}-epoch-*.npz")]


def close_folder() -> None:
    """Remove all checkpoints, at the end of the training."""
    shutil.rmtree(FOLDER, ignore_errors=True)
