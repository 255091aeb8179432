"""Checkpoints: the latest state and the best one are kept, for this run alone."""

from pathlib import Path

import numpy as np
import pytest

from cnn.training import checkpoint


def save(folder: Path, epoch: int, best: int) -> None:
    checkpoint.save(folder, 0, [np.full(2, epoch)], [{"loss": 1.0}] * epoch, best)


def test_the_latest_and_the_best_epoch_are_kept(tmp_path):
    assert checkpoint.latest(tmp_path, 0) == (None, [])
    for epoch in (1, 2, 3, 4):
        save(tmp_path, epoch, best=min(epoch, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repeat-0-epoch-2.npz", "repeat-0-epoch-4.npz"]
    (state,), rows = checkpoint.latest(tmp_path, 0)
    assert (state.tolist(), rows) == ([4, 4], [{"loss": 1.0}] * 4)
    (state,), rows = checkpoint.load(tmp_path, 0, 2)
    assert (state.tolist(), rows) == ([2, 2], [{"loss": 1.0}] * 2)
    assert checkpoint.latest(tmp_path, 1) == (None, [])


def test_a_worker_that_outlived_its_run_takes_nothing_from_the_next_one(tmp_path):
    for epoch in (1, 2, 3):
        save(tmp_path, epoch, best=1)
    save(tmp_path, 2, best=2)
    (state,), rows = checkpoint.latest(tmp_path, 0)
    assert (state.tolist(), len(rows)) == ([3, 3], 3)
    assert len(list(tmp_path.glob("repeat-0-*"))) == 2  # and one before the last is not kept for nothing


@pytest.mark.parametrize("change", ["value", "file"])
def test_a_run_that_differs_in_anything_has_a_folder_of_its_own(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "labels.npy"
    file.write_bytes(b"1")
    first = checkpoint.open_folder({"seed": 0}, [file])
    save(first, 1, best=1)
    assert checkpoint.open_folder({"seed": 0}, [file]) == first
    assert len(list(first.iterdir())) == 1
    if change == "file":
        file.write_bytes(b"2")
    second = checkpoint.open_folder({"seed": int(change == "value")}, [file])
    assert list(checkpoint.FOLDER.iterdir()) == [second]
    assert not list(second.iterdir())
    checkpoint.close_folder()
    assert not checkpoint.FOLDER.exists()
