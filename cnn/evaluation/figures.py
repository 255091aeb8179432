"""The figures: the article's two graphs, the confusion matrix and the mistakes, as SVG files.

SVG keeps text as text, so a class name in any script is shown by the reader's own fonts.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cnn.common import files
from cnn.evaluation.classification_measures import Curve, Reliability

matplotlib.use("svg")  # whatever screen there is
TRAIN, VALIDATION = "#1f77b4", "#d95f02"  # colour-blind readers can tell them apart, also in grey
WORDS = {"r2": "R²"}  # of scores whose label is not their name
LOWEST_R2 = -1.0  # that is drawn: the first epochs may be far below
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "figures",  # element ids would otherwise be random
    "text.parse_math": False,  # a class name may hold a $
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def curves(path: Path, history: pd.DataFrame, name: str, repeats: int) -> None:
    """`name` (loss, accuracy or r2) over the epochs, train and validation, mean and deviation over repeats."""
    word = WORDS.get(name, name)
    with _figure(path, figsize=(6.4, 4.0)) as (_, axes):
        for column, label, colour in ((name, "train", TRAIN), (f"val_{name}", "validation", VALIDATION)):
            mean, deviation = history[column], history[f"{column}_std"]
            axes.plot(history["epoch"], mean, "o-", color=colour, label=label)
            if repeats > 1:
                axes.fill_between(history["epoch"], mean - deviation, mean + deviation, color=colour, alpha=0.15, lw=0)
        axes.set_xlabel("epoch", labelpad=6)
        axes.set_ylabel(word, labelpad=10)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if name != "loss":
            axes.set_ylim(*_score_limits(name, history))
        over = f"mean and standard deviation of {repeats} repeats" if repeats > 1 else "one model"
        axes.set_title(f"{word.capitalize()} over the epochs ({over})", loc="left", fontsize=11)
        axes.legend(loc="best" if name == "loss" else "lower right")


def _score_limits(name: str, *histories: pd.DataFrame) -> tuple[float, float]:
    """The limits of an axis for the score `name`: 0 to 1, and lower where an R² is."""
    if name == "accuracy":
        return 0.0, 1.0
    lowest = min((history[[name, f"val_{name}"]].min().min() for history in histories), default=0.0)
    return max(LOWEST_R2, min(lowest - 0.05, 0.0)), 1.0


def many_curves(path: Path, histories: dict[str, pd.DataFrame], score: str) -> None:
    """Validation loss and score of several settings over the epochs, mean and deviation over repeats."""
    epochs = [len(history) for history in histories.values()]
    with _figure(path, 1, 2, figsize=(11.5, 4.6)) as (figure, panels):
        for axes, name in zip(panels, ("loss", score), strict=True):
            for number, (label, history) in enumerate(histories.items()):
                # Ten colours, and then the same ones dashed.
                style = {"color": f"C{number % 10}", "linestyle": "-" if number < 10 else "--"}
                mean, deviation = history[f"val_{name}"], history[f"val_{name}_std"]
                axes.plot(history["epoch"], mean, label=label, marker="o", markersize=3, **style)
                axes.fill_between(
                    history["epoch"], mean - deviation, mean + deviation, color=style["color"], alpha=0.12, lw=0
                )
            axes.set_title(f"Validation {WORDS.get(name, name)}", loc="left", fontsize=11)
            if epochs and max(epochs) > 3 * min(epochs):
                axes.set_xscale("log")  # short trainings beside long ones
                ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= max(epochs)]
                axes.set_xticks(ticks, [str(tick) for tick in ticks])
                axes.minorticks_off()
            else:
                axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_xlabel("epoch", labelpad=6)
        panels[0].set_ylim(bottom=0)
        panels[1].set_ylim(*_score_limits(score, *histories.values()))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")


def intervals(
    path: Path, values: dict[str, Sequence[float]], bounds: dict[str, tuple[float, float]], score: str
) -> None:
    """Bars: the mean validation score of each setting, its 95% interval, and a dot for each repeat."""
    lowest = min(min(numbers) for numbers in values.values()) - 0.05
    left = 0.0 if score == "accuracy" else max(LOWEST_R2, min(0.0, lowest))
    with _figure(path, figsize=(8, 1.2 + 0.42 * len(values))) as (_, axes):
        for y, (name, numbers) in enumerate(values.items()):
            mean = float(np.mean(numbers))
            low, high = np.clip(bounds[name], left, 1)
            axes.barh(y, mean, color=TRAIN, alpha=0.35, height=0.7)
            axes.plot([low, high], [y, y], color=TRAIN, lw=2.5, solid_capstyle="butt")
            axes.plot(numbers, [y] * len(numbers), "o", color=VALIDATION, markersize=4, alpha=0.7)
            axes.text(1.01, y, f"{mean:.3f}", va="center", fontsize=10)
        axes.set_yticks(range(len(values)), list(values))
        axes.set_ylim(len(values) - 0.5, -0.5)  # the first on top
        axes.set_xlim(left, 1)
        axes.grid(visible=False, axis="y")
        word = WORDS.get(score, score)
        axes.set_xlabel(f"validation {word}: mean (bar), 95% interval of it (line), repeats (dots)", labelpad=6)


def reliability(path: Path, curves: dict[str, Reliability]) -> None:
    """The share of right answers over the predicted probability, for each curve by its label."""
    with _figure(path, figsize=(6.4, 4.6)) as (_, axes):
        axes.plot([0, 1], [0, 1], color="0.6", lw=1, label="what it should be")
        largest = max(each.count.max() for each in curves.values())
        for (label, each), colour in zip(curves.items(), (TRAIN, VALIDATION), strict=False):
            axes.plot(each.confidence, each.accuracy, color=colour, label=label)
            axes.scatter(each.confidence, each.accuracy, 12 + 120 * each.count / largest, color=colour, alpha=0.6)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
        axes.set_xlabel("probability of the more probable class", labelpad=6)
        axes.set_ylabel("share of right answers", labelpad=10)
        axes.set_title("Is 0.9 right 9 times of 10? (larger dots: more test pictures)", loc="left", fontsize=11)
        axes.legend(loc="best")


def roc(path: Path, curve: Curve, area: float) -> None:
    """The receiver operating characteristic of two classes, and the point of the chosen threshold."""
    title = f"ROC curve on the test pictures (area {area:.3f})"
    _trade_off(path, curve, ("false positive rate", "true positive rate"), title, "lower right", diagonal=True)


def precision_recall(path: Path, curve: Curve, average: float) -> None:
    """Precision over recall of two classes, and the point of the chosen threshold."""
    title = f"Precision and recall on the test pictures (average precision {average:.3f})"
    _trade_off(path, curve, ("recall", "precision"), title, "lower left")


def _trade_off(
    path: Path, curve: Curve, labels: tuple[str, str], title: str, legend: str, diagonal: bool = False
) -> None:
    x, y, chosen = curve.x, curve.y, curve.chosen
    with _figure(path, figsize=(6.4, 4.6)) as (_, axes):
        if diagonal:
            axes.plot([0, 1], [0, 1], color="0.6", lw=1, label="chance")
        axes.plot(x, y, color=TRAIN, drawstyle="default" if diagonal else "steps-pre")
        axes.plot(x[chosen], y[chosen], "o", color=VALIDATION, label="the threshold chosen on validation")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set_xlabel(labels[0], labelpad=6)
        axes.set_ylabel(labels[1], labelpad=10)
        axes.set_title(title, loc="left", fontsize=11)
        axes.legend(loc=legend)


def scatter(path: Path, targets: Sequence[float], values: Sequence[float], margin: float) -> None:
    """The predicted numbers over the actual ones, with the diagonal and the margin about it."""
    ends = np.array([min(*targets, *values), max(*targets, *values)], dtype=np.float64)
    ends += np.array([-0.04, 0.04]) * (ends[1] - ends[0])
    with _figure(path, figsize=(6.4, 5.2)) as (_, axes):
        axes.fill_between(
            ends, ends - margin, ends + margin, color="0.6", alpha=0.2, lw=0, label="9 of 10 on validation"
        )
        axes.plot(ends, ends, color="0.6", lw=1, label="what it should be")
        axes.plot(
            targets, values, "o", color=TRAIN, alpha=0.5, markersize=4.5, markeredgewidth=0, label="test pictures"
        )
        axes.set(xlim=ends, ylim=ends)
        axes.set_xlabel("the picture's number", labelpad=6)
        axes.set_ylabel("what the model says", labelpad=10)
        axes.set_title("Test pictures: what the model says, and what is", loc="left", fontsize=11)
        axes.legend(loc="upper left")


def confusion(path: Path, counts: np.ndarray, classes: Sequence[str]) -> None:
    """counts int (classes, classes), row = actual; each cell shows its share of the row and the number."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.4 + 0.8 * len(classes)
    with _figure(path, figsize=(side + 0.8, side), grid=False) as (_, axes):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        ticks = range(len(classes))
        axes.set_xticks(ticks, [_shortened(name) for name in classes], rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(ticks, [_shortened(name) for name in classes])
        if len(classes) <= 20:
            for row, column in np.ndindex(counts.shape):
                colour = "white" if shares[row, column] > 0.5 else "black"
                text = f"{shares[row, column]:.0%}\n{counts[row, column]}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.set_title("Test pictures: share of each actual class", loc="left", fontsize=11)


def mistakes(path: Path, images: Sequence[np.ndarray], captions: Sequence[str], title: str) -> None:
    """A gallery of pictures, uint8 (size, size, 3) each, six a row, each with its caption."""
    columns = 6
    rows = max(1, -(-len(images) // columns))
    with _figure(path, rows, columns, figsize=(1.7 * columns, 2.15 * rows), squeeze=False) as (figure, axes):
        for each in axes.flat:
            each.set_axis_off()
        for each, image, caption in zip(axes.flat, images, captions, strict=False):
            each.imshow(image, interpolation="none")  # its own pixels, not resampled ones
            each.set_title(caption, fontsize=8)
        figure.suptitle(title if len(images) else "No mistakes on the test pictures", fontsize=11)


def _shortened(name: str, length: int = 18) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


@contextmanager
def _figure(path: Path, *rows_columns: int, grid: bool = True, **options: object) -> Iterator[tuple]:
    """A figure and its axes, of plt.subplots, in this project's style; written to `path` at the end."""
    with plt.rc_context(STYLE | {"axes.grid": grid}):
        figure, axes = plt.subplots(*rows_columns, layout="constrained", **options)
        yield figure, axes
        with files.atomic_path(path) as temporary, warnings.catch_warnings():
            # A glyph that matplotlib's own font lacks is no problem: the reader's font draws it.
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
            figure.savefig(temporary, metadata={"Date": None, "Creator": None})
        plt.close(figure)
