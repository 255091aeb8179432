"""Training repeats: each epoch by epoch, with a checkpoint after each, several side by side in a process."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cnn import accelerator
from cnn.common import dataset, history, parallel
from cnn.common.params import Params
from cnn.common.runtime import UserError
from cnn.common.task import Task
from cnn.training import augment, checkpoint

ARCHITECTURE = Path("models/architecture.json")
INITIAL = Path("models/initial")


def initial_weights(repeat: int) -> Path:
    """The file of the weights that a repeat begins with."""
    return INITIAL / f"repeat-{repeat}.weights.h5"


def unfinished(p: Params, folder: Path) -> list[int]:
    """The repeats that are not trained to their end; says of those that have begun where they go on."""
    left = []
    for repeat in range(p.repeats):
        _, rows = checkpoint.latest(folder, repeat)
        if not history.is_over(rows, p.epochs, p.patience):
            left.append(repeat)
            if rows:
                print(f"repeat {repeat + 1} of {p.repeats} goes on after epoch {len(rows)}")
    return left


def train_repeats(p: Params, task: Task, repeats: Sequence[int], folder: Path, threads: int) -> None:
    """Train `repeats`, in as many threads of this process, which compile what they share once.

    folder: of their checkpoints, and of the pictures as accelerator.write_pictures wrote them.
    """
    computations = accelerator.Computations()
    trainings = [train_repeat(p, task, repeat, folder, computations) for repeat in repeats]
    for message in parallel.round_robin(trainings, threads):
        print(message, flush=True)


def train_repeat(
    p: Params, task: Task, repeat: int, folder: Path, computations: accelerator.Computations
) -> Iterator[str]:
    """Train one repeat from its last checkpoint on, and yield a line about each epoch. Raises UserError."""
    trainer = accelerator.Trainer(p, task, ARCHITECTURE, computations)
    state, rows = checkpoint.latest(folder, repeat)
    if state:
        trainer.resume(state)
    else:
        trainer.start(initial_weights(repeat))
    del state
    train, validation = dataset.read("train"), dataset.read("validation")
    train_pictures: accelerator.Pictures = accelerator.read_pictures("train", folder)
    validation_pictures = accelerator.read_pictures("validation", folder)
    while not history.is_over(rows, p.epochs, p.patience):
        epoch = len(rows) + 1
        # All that is random is a function of seed and epoch alone, so that an epoch can be done again.
        generator = np.random.default_rng([p.seed + repeat, epoch])
        order = generator.permutation(len(train.labels))
        if p.flip or p.shift:
            train_pictures = augment.Augmented(train.images, p.flip, p.shift, generator)
        measured = trainer.epoch(train_pictures, train.labels, order, int(generator.integers(2**31)))
        measured += trainer.evaluate(validation_pictures, validation.labels)
        row = {"repeat": repeat, "seed": p.seed + repeat, "epoch": epoch}
        row |= dict(zip(history.names(task.score), measured, strict=True))
        stop_if_diverged(row, p)
        rows.append(row)
        checkpoint.save(folder, repeat, trainer.state(), rows, history.best_epoch(rows, p.patience))
        yield (
            f"repeat {repeat + 1} of {p.repeats}, epoch {epoch} of {p.epochs}: loss {row['loss']:.4f}, {task.score} "
            f"{row[task.score]:.4f}, validation loss {row['val_loss']:.4f}, {task.score} "
            f"{row[f'val_{task.score}']:.4f}"
        )


def stop_if_diverged(row: dict[str, float], p: Params) -> None:
    """Raise UserError when a loss is no longer a finite number."""
    for name in ("loss", "val_loss"):
        if not math.isfinite(row[name]):
            raise UserError(
                f"{name} became {row[name]} in epoch {row['epoch']} of repeat {row['repeat'] + 1}: the steps are too "
                f"large; lower learning_rate, which is {p.learning_rate:g} with {p.optimizer}, for example: "
                f"dvc exp run -S learning_rate={p.learning_rate / 10:g}"
            )
