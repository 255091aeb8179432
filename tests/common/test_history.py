"""Which epoch counts for a repeat, when its training is over, and which repeat is the best."""

import pandas as pd

from cnn.common import history


def rows(*losses: float, repeat: int = 0) -> list[history.Row]:
    return [
        {"repeat": repeat, "seed": repeat, "epoch": epoch, "loss": 1.0, "accuracy": 0.5, "val_loss": loss}
        | {"val_accuracy": 1 - loss / 10}
        for epoch, loss in enumerate(losses, start=1)
    ]


def test_without_patience_the_last_epoch_counts():
    assert history.best_epoch(rows(1, 0.2, 3), patience=0) == 3
    assert not history.is_over(rows(1, 2), epochs=3, patience=0)
    assert history.is_over(rows(1, 2, 3), epochs=3, patience=0)


def test_with_patience_the_best_epoch_counts_and_too_many_after_it_end_the_training():
    assert history.best_epoch(rows(1, 0.2, 0.2, 3), patience=2) == 2
    assert not history.is_over(rows(1, 0.2, 3), epochs=9, patience=2)
    assert history.is_over(rows(1, 0.2, 3, 4), epochs=9, patience=2)
    assert history.is_over(rows(3, 2, 1), epochs=3, patience=2)
    assert not history.is_over([], epochs=1, patience=1)


def test_the_repeat_with_the_lowest_loss_at_its_best_epoch_is_the_best():
    both = rows(1, 0.3, 0.9) + rows(2, 0.4, 0.5, repeat=1)
    assert history.best_repeat(both, patience=0) == 1
    assert history.best_repeat(both, patience=5) == 0
    assert history.best_repeat(rows(1) + rows(1, repeat=1), patience=0) == 0


def test_the_tables_name_the_best_epoch_and_average_those_that_reached_an_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history.write(rows(1, 2, 3) + rows(4, 3, repeat=1), patience=2)
    repeats = pd.read_csv(history.REPEATS)
    assert repeats.loc[repeats["kept"] == 1, "epoch"].tolist() == [1, 2]
    means = pd.read_csv(history.HISTORY)
    assert means["val_loss"].tolist() == [2.5, 2.5, 3]
    assert means["val_loss_std"].tolist() == [2.12132, 0.707107, 0]
