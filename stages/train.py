"""Train the network `repeats` times, side by side, and keep the best.

    dvc repro train          or          python stages/train.py

Each repeat starts from its own weights and has its own order of pictures, both from seed + repeat;
the pictures and their split are the same for all. Writes reports/repeats.csv (every repeat and
epoch), reports/history.csv and reports/score.csv (means over repeats) and models/model.keras: the
repeat with the lowest validation loss after the epoch that it keeps (the last, or with `patience` its
best). The test split is not read. A training that was interrupted goes on after the last finished
epoch of each repeat, with the same result.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages.lib import runtime  # before numpy

if __name__ == "__main__":
    runtime.no_arguments(__doc__)  # before the imports that take time
import numpy as np

# What imports TensorFlow is imported where it is used: that takes a second, in which other things can be done.
from stages.lib import array, augment, checkpoint, convolution, history, params, workers

if TYPE_CHECKING:
    from stages.lib.computation import Computations

ARCHITECTURE = Path("models/architecture.json")
INITIAL = Path("models/initial")
MODEL = Path("models/model.keras")
CODE = [Path(__file__), *sorted(Path(array.__file__).parent.glob("*.py"))]  # a change of it starts from the beginning
SPLITS = ("train", "validation")
THREADS = 2  # of a process: more would wait for Python's lock, which a step holds for a part of its time


def main() -> None:
    p = params.read()
    n_train, n_validation = (len(array.read(name).labels) for name in SPLITS)
    print(f"{p.repeats} repeats of {p.epochs} epochs on {n_train} pictures, validated on {n_validation}")
    threads = min(workers.count(p.workers), p.repeats)
    processes = -(-threads // THREADS)
    folder = prepare(p) if processes == 1 else open_run(p)
    left = []
    for repeat in range(p.repeats):
        _, rows = checkpoint.latest(folder, repeat)
        if not history.is_over(rows, p.epochs, p.patience):
            left.append(repeat)
            if rows:
                print(f"repeat {repeat + 1} of {p.repeats} goes on after epoch {len(rows)}")
    shares = [len(range(first, threads, processes)) for first in range(processes)]
    parts = [(p, left[first::processes], folder, share) for first, share in enumerate(shares)]
    list(workers.in_order(train_some, parts, processes))
    rows = [row for repeat in range(p.repeats) for row in checkpoint.latest(folder, repeat)[1]]
    best = history.best_repeat(rows, p.patience)
    epoch = history.kept_epoch(history.by_repeats(rows)[best], p.patience)
    list(workers.in_order(keep, [(best, epoch, folder)], processes))  # by a process that has TensorFlow already
    history.write(rows, p.patience)
    checkpoint.close_folder()
    print(f"kept repeat {best + 1} as of epoch {epoch}, which has the lowest validation loss")


def open_run(p: params.Params) -> Path:
    """The folder for checkpoints that depends on all that decides this training's result.

    It holds the pictures as trainings read them as well, laid out once for every repeat and epoch.
    """
    layout = array.layout(p.image_size, p.depth)
    values = [p.batch_size, p.epochs, p.flip, p.learning_rate, p.loss, p.optimizer, p.patience, p.seed, p.shift]
    values += [layout, version("keras"), version("llvmlite")]
    first_weights = [INITIAL / f"repeat-{repeat}.weights.h5" for repeat in range(p.repeats)]
    files = [*array.files("train"), *array.files("validation"), ARCHITECTURE, *first_weights, *CODE]
    folder = checkpoint.open_folder(values, files)
    for split in SPLITS:
        array.write_folded(split, folder, *layout)
    return folder


def prepare(p: params.Params) -> Path:
    """`open_run` in the process that trains, which imports TensorFlow while another thread does what needs none."""

    def meanwhile() -> Path:
        make_code(p)
        return open_run(p)

    opened = workers.meanwhile(meanwhile)
    import stages.lib.trainer  # noqa: F401

    return opened()


def make_code(p: params.Params) -> None:
    """The blocks' machine code, once for all trainers of this process."""
    for shape in convolution.shapes(p.image_size, p.depth, p.filters, p.activation):
        convolution.of_shape(shape)


def train_some(p: params.Params, repeats: list[int], folder: Path, threads: int) -> None:
    """Train `repeats`, in as many threads of this process, which compile what they share once."""
    from stages.lib.computation import Computations

    make_code(p)
    computations = Computations()
    trainings = [train(p, repeat, folder, computations) for repeat in repeats]
    for said in workers.in_turns(trainings, threads):
        print(said, flush=True)


def train(p: params.Params, repeat: int, folder: Path, computations: Computations) -> Iterator[str]:
    """Train `repeat` epoch by epoch, with a checkpoint after each, and yield what is to be said of it."""
    from stages.lib.trainer import Trainer

    trainer = Trainer(p, ARCHITECTURE, computations)
    state, rows = checkpoint.latest(folder, repeat)
    if state:
        trainer.resume(state)
    else:
        trainer.start(INITIAL / f"repeat-{repeat}.weights.h5")
    del state
    folded = {split: array.read_folded(split, folder) for split in SPLITS}
    labels = {split: array.read(split).labels for split in SPLITS}
    score = history.ACCURACY if trainer.n_classes else history.R2
    while not history.is_over(rows, p.epochs, p.patience):
        epoch = len(rows) + 1
        # All that is random is a function of seed and epoch alone, so that an epoch can be done again.
        generator = np.random.default_rng([p.seed + repeat, epoch])
        order = generator.permutation(len(labels["train"]))
        pictures = folded["train"]
        if p.flip or p.shift:
            layout = array.layout(p.image_size, p.depth)
            pictures = augment.Augmented(array.read("train").images, p.flip, p.shift, generator, layout)
        measured = trainer.epoch(pictures, labels["train"], order, int(generator.integers(2**31)))
        measured += trainer.evaluate(folded["validation"], labels["validation"])
        row = {"repeat": repeat, "seed": p.seed + repeat, "epoch": epoch}
        row |= dict(zip(history.names(score), measured, strict=True))
        stop_if_diverged(row, p)
        rows.append(row)
        checkpoint.save(folder, repeat, trainer.state(), rows, history.kept_epoch(rows, p.patience))
        yield (
            f"repeat {repeat + 1} of {p.repeats}, epoch {epoch} of {p.epochs}: loss {row['loss']:.4f}, {score} "
            f"{row[score]:.4f}, validation loss {row['val_loss']:.4f}, {score} {row[f'val_{score}']:.4f}"
        )


def keep(repeat: int, epoch: int, folder: Path) -> None:
    """Save the network of `repeat` as it was after `epoch`."""
    from stages.lib import network

    state, _ = checkpoint.load(folder, repeat, epoch)
    network.save(network.read_architecture(ARCHITECTURE, state), MODEL)


def stop_if_diverged(row: dict[str, float], p: params.Params) -> None:
    """Raise UserError when a loss is no longer a finite number."""
    for name in ("loss", "val_loss"):
        if not math.isfinite(row[name]):
            raise runtime.UserError(
                f"{name} became {row[name]} in epoch {row['epoch']} of repeat {row['repeat'] + 1}: the steps are too "
                f"large; lower learning_rate, which is {p.learning_rate:g} with {p.optimizer}, for example: "
                f"dvc exp run -S learning_rate={p.learning_rate / 10:g}"
            )


if __name__ == "__main__":
    runtime.run(main)
