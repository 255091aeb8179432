"""The figures: the article's two graphs, the confusion matrix and the mistakes, as SVG files.

SVG keeps text as text, so a class name in any script is shown by the reader's own fonts.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from stages.lib import outputs

TRAIN, VALIDATION = "#1f77b4", "#d95f02"  # told apart in grey and by colour-blind readers
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "figures",  # element ids would otherwise be random
    "text.parse_math": False,  # a class name may hold a $
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def curves(path: Path, history: pd.DataFrame, name: str, repeats: int) -> None:
    """`name` (loss or accuracy) over the epochs, train and validation, mean and deviation over repeats."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
        for column, label, colour in ((name, "train", TRAIN), (f"val_{name}", "validation", VALIDATION)):
            mean, deviation = history[column], history[f"{column}_std"]
            axes.plot(history["epoch"], mean, "o-", color=colour, label=label)
            if repeats > 1:
                axes.fill_between(history["epoch"], mean - deviation, mean + deviation, color=colour, alpha=0.15, lw=0)
        axes.set_xlabel("epoch", labelpad=6)
        axes.set_ylabel(name, labelpad=10)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if name == "accuracy":
            axes.set_ylim(0, 1)
        over = f"mean and standard deviation of {repeats} repeats" if repeats > 1 else "one model"
        axes.set_title(f"{name.capitalize()} over the epochs ({over})", loc="left", fontsize=11)
        axes.legend(loc="lower right" if name == "accuracy" else "best")
        _save(figure, path)


def confusion(path: Path, counts: np.ndarray, classes: Sequence[str]) -> None:
    """counts int (classes, classes), row = actual; each cell shows its share of the row and the number."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.4 + 0.8 * len(classes)
    with plt.rc_context(STYLE | {"axes.grid": False}):
        figure, axes = plt.subplots(figsize=(side + 0.8, side), layout="constrained")
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        ticks = range(len(classes))
        axes.set_xticks(ticks, [_short(name) for name in classes], rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(ticks, [_short(name) for name in classes])
        if len(classes) <= 20:
            for row, column in np.ndindex(counts.shape):
                colour = "white" if shares[row, column] > 0.5 else "black"
                text = f"{shares[row, column]:.0%}\n{counts[row, column]}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.set_title("Test pictures: share of each actual class", loc="left", fontsize=11)
        _save(figure, path)


def mistakes(path: Path, images: Sequence[np.ndarray], captions: Sequence[str]) -> None:
    """A gallery of pictures, uint8 (size, size, 3) each, six a row, each with its caption."""
    columns = 6
    rows = max(1, -(-len(images) // columns))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(1.7 * columns, 2.15 * rows), layout="constrained", squeeze=False
        )
        for each in axes.flat:
            each.set_axis_off()
        for each, image, caption in zip(axes.flat, images, captions, strict=False):
            each.imshow(image, interpolation="none")  # its own pixels, not resampled ones
            each.set_title(caption, fontsize=8)
        title = "The most confident mistakes on test pictures" if images else "No mistakes on the test pictures"
        figure.suptitle(title, fontsize=11)
        _save(figure, path)


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _save(figure: plt.Figure, path: Path) -> None:
    with outputs.aside(path) as temporary, warnings.catch_warnings():
        # A glyph that matplotlib's own font lacks is no problem: the reader's font draws it.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(temporary, metadata={"Date": None, "Creator": None})
    plt.close(figure)
