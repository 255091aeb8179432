"""The history of training: one row per repeat and epoch, and the means over repeats that the figures show.

The best epoch of a repeat is the one whose weights it keeps: with early stopping (`patience`) the epoch with the
lowest validation loss, otherwise the last one.

Besides the loss there is a score, of which more is better: accuracy, or R2 for regression.
"""

import statistics
from collections.abc import Iterable
from pathlib import Path

from cnn.common import files
from cnn.common.task import SCORES

REPEATS = Path("reports/repeats.csv")
HISTORY = Path("reports/history.csv")
SCORE = Path("reports/score.csv")  # for DVC's plots, which take the names of columns from dvc.yaml
FORMAT = "%.6f"  # of numbers in tables
Row = dict[str, float]


def score(columns: Iterable[str]) -> str:
    """The name of the score in the columns of a table, or in a row."""
    return next(name for name in SCORES if f"val_{name}" in columns)


def names(score_: str) -> list[str]:
    """The columns with the measures of each epoch."""
    return ["loss", score_, "val_loss", f"val_{score_}"]


def write(rows: list[Row], patience: int) -> None:
    """Write the tables from rows of: repeat, seed, epoch (from 1), and `names`."""
    score_ = score(rows[0])
    best = {repeat: best_epoch(of_one, patience) for repeat, of_one in by_repeats(rows).items()}
    repeats = [row | {"kept": int(best[row["repeat"]] == row["epoch"])} for row in rows]
    _write(REPEATS, ["repeat", "seed", "epoch", *names(score_), "kept"], repeats)
    history = means(rows)
    _write(HISTORY, list(history[0]), history)
    curves = [{"epoch": row["epoch"], "train": row[score_], "validation": row[f"val_{score_}"]} for row in history]
    _write(SCORE, list(curves[0]), curves)


def means(rows: list[Row]) -> list[Row]:
    """A row an epoch: each name's mean over the repeats that reached it, then `<name>_std` (n - 1; 0 for one)."""
    measured, result = names(score(rows[0])), []
    for epoch in sorted({row["epoch"] for row in rows}):
        values = {name: [row[name] for row in rows if row["epoch"] == epoch] for name in measured}
        row = {"epoch": epoch} | {name: statistics.fmean(each) for name, each in values.items()}
        row |= {f"{name}_std": statistics.stdev(each) if each[1:] else 0.0 for name, each in values.items()}
        result.append(row)
    return result


def _write(path: Path, columns: list[str], rows: list[Row]) -> None:
    """Write a table without pandas, whose import takes as long as an epoch."""
    cells = [
        [FORMAT % row[name] if isinstance(row[name], float) else str(row[name]) for name in columns] for row in rows
    ]
    files.write_csv(path, columns, cells)


def by_repeats(rows: list[Row]) -> dict[int, list[Row]]:
    """The rows of each repeat, in the order of its epochs."""
    repeats: dict[int, list[Row]] = {}
    for row in rows:
        repeats.setdefault(int(row["repeat"]), []).append(row)
    return repeats


def best_epoch(rows: list[Row], patience: int) -> int:
    """The best of the finished epochs (from 1) of one repeat."""
    if not patience:
        return len(rows)
    return min(range(1, len(rows) + 1), key=lambda epoch: (rows[epoch - 1]["val_loss"], epoch))


def is_over(rows: list[Row], epochs: int, patience: int) -> bool:
    """Whether a repeat with these finished epochs is fully trained."""
    if not rows or not patience:
        return len(rows) >= epochs
    return len(rows) >= epochs or len(rows) - best_epoch(rows, patience) >= patience


def best_repeat(rows: list[Row], patience: int) -> int:
    """The repeat whose best epoch has the lowest validation loss; the first of equal ones."""
    losses = {
        repeat: of_one[best_epoch(of_one, patience) - 1]["val_loss"] for repeat, of_one in by_repeats(rows).items()
    }
    return min(losses, key=lambda repeat: (losses[repeat], repeat))
