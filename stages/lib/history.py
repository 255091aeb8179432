"""The history of training: one row per repeat and epoch, and the means over repeats that are drawn."""

from pathlib import Path

import pandas as pd

from stages.lib import outputs

REPEATS = Path("reports/repeats.csv")
HISTORY = Path("reports/history.csv")
NAMES = ["loss", "accuracy", "val_loss", "val_accuracy"]
DIGITS = 6


def write(rows: list[dict[str, float]]) -> None:
    """Write both tables from rows of: repeat, seed, epoch (from 1), loss, accuracy, val_loss, val_accuracy."""
    table = pd.DataFrame(rows)[["repeat", "seed", "epoch", *NAMES]]
    write_table(REPEATS, table)
    write_table(HISTORY, means(table))


def means(table: pd.DataFrame) -> pd.DataFrame:
    """One row per epoch: the mean over repeats of each name, then `<name>_std` (n - 1; 0 for one repeat)."""
    by_epoch = table.groupby("epoch")[NAMES]
    deviations = by_epoch.std().fillna(0.0).add_suffix("_std")
    return pd.concat([by_epoch.mean(), deviations], axis=1).reset_index()


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write `table` as CSV, floats with DIGITS digits after the point."""
    outputs.write_text(path, table.to_csv(index=False, float_format=f"%.{DIGITS}f", lineterminator="\n"))


def best_repeat(rows: list[dict[str, float]]) -> int:
    """The repeat whose last epoch has the lowest validation loss; the first of equal ones."""
    last = {row["repeat"]: row["val_loss"] for row in rows}
    return min(last, key=lambda repeat: (last[repeat], repeat))
