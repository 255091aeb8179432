"""Tables of pandas: the history of a training as read back, and how tables are written."""

from pathlib import Path

import pandas as pd

from cnn.common import files
from cnn.common.history import FORMAT


def write_table(path: Path, table: pd.DataFrame, number_format: str = FORMAT) -> None:
    """Write `table` as CSV."""
    files.write_text(path, table.to_csv(index=False, float_format=number_format, lineterminator="\n"))


def best_epochs(repeats: pd.DataFrame) -> pd.DataFrame:
    """Of reports/repeats.csv the best epoch of each repeat (cnn.common.history), in the order of repeats."""
    return repeats[repeats["kept"] == 1].set_index("repeat").sort_index()
