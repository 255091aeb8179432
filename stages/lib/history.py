"""The history of training: one row per repeat and epoch, and the means over repeats that are drawn.

With early stopping (`patience`) a repeat keeps the weights of its epoch with the lowest validation loss,
otherwise those of its last epoch: the epoch that counts for it.
"""

from pathlib import Path

import pandas as pd

from stages.lib import outputs

REPEATS = Path("reports/repeats.csv")
HISTORY = Path("reports/history.csv")
NAMES = ["loss", "accuracy", "val_loss", "val_accuracy"]
DIGITS = 6
Row = dict[str, float]


def write(rows: list[Row], patience: int) -> None:
    """Write both tables from rows of: repeat, seed, epoch (from 1), loss, accuracy, val_loss, val_accuracy."""
    table = pd.DataFrame(rows)[["repeat", "seed", "epoch", *NAMES]]
    keeps = {repeat: kept_epoch(of_one, patience) for repeat, of_one in by_repeats(rows).items()}
    table["kept"] = [int(keeps[row["repeat"]] == row["epoch"]) for row in rows]
    write_table(REPEATS, table)
    write_table(HISTORY, means(table))


def means(table: pd.DataFrame) -> pd.DataFrame:
    """One row per epoch: each name's mean over the repeats that reached it, then `<name>_std` (n - 1; 0 for one)."""
    by_epoch = table.groupby("epoch")[NAMES]
    deviations = by_epoch.std().fillna(0.0).add_suffix("_std")
    return pd.concat([by_epoch.mean(), deviations], axis=1).reset_index()


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write `table` as CSV, floats with DIGITS digits after the point."""
    outputs.write_text(path, table.to_csv(index=False, float_format=f"%.{DIGITS}f", lineterminator="\n"))


def by_repeats(rows: list[Row]) -> dict[int, list[Row]]:
    """The rows of each repeat, in the order of its epochs."""
    repeats: dict[int, list[Row]] = {}
    for row in rows:
        repeats.setdefault(int(row["repeat"]), []).append(row)
    return repeats


def kept_epoch(rows: list[Row], patience: int) -> int:
    """The epoch (from 1) whose weights one repeat keeps, of those it has finished."""
    if not patience:
        return len(rows)
    return min(range(1, len(rows) + 1), key=lambda epoch: (rows[epoch - 1]["val_loss"], epoch))


def is_over(rows: list[Row], epochs: int, patience: int) -> bool:
    """Whether a repeat with these finished epochs is trained to its end."""
    if not rows or not patience:
        return len(rows) >= epochs
    return len(rows) >= epochs or len(rows) - kept_epoch(rows, patience) >= patience


def best_repeat(rows: list[Row], patience: int) -> int:
    """The repeat whose kept epoch has the lowest validation loss; the first of equal ones."""
    losses = {
        repeat: of_one[kept_epoch(of_one, patience) - 1]["val_loss"] for repeat, of_one in by_repeats(rows).items()
    }
    return min(losses, key=lambda repeat: (losses[repeat], repeat))


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """Of the table REPEATS, the row that counts for each repeat, in the order of repeats."""
    return table[table["kept"] == 1].set_index("repeat").sort_index()
