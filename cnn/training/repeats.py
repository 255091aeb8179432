"""Train repeats epoch by epoch, with a checkpoint after each epoch, and several repeats at a time in a process."""

import math
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event

import numpy as np

from cnn import accelerator
from cnn.common import dataset, history, parallel
from cnn.common.params import Params
from cnn.common.runtime import UserError
from cnn.common.task import Task
from cnn.model import saving
from cnn.model.saving import ARCHITECTURE, INITIAL
from cnn.training import augment, checkpoint


def prepare(folder: Path) -> None:
    """Write the pictures into `folder` as trainings read them, once for all repeats and epochs."""
    model = saving.read_architecture(ARCHITECTURE)
    for split in ("train", "validation"):
        accelerator.write_pictures(split, folder, model)


def unfinished(p: Params, folder: Path) -> list[int]:
    """The repeats that are not fully trained; prints after which epoch they resume."""
    unfinished_repeats = []
    for repeat in range(p.repeats):
        _, rows = checkpoint.latest(folder, repeat)
        if not history.is_over(rows, p.epochs, p.patience):
            unfinished_repeats.append(repeat)
            if rows:
                print(f"repeat {repeat + 1} of {p.repeats} goes on after epoch {len(rows)}")
    return unfinished_repeats


def train_repeats(p: Params, task: Task, repeats: Sequence[int], folder: Path, threads: int) -> None:
    """Train `repeats` in turn, an epoch at a time, with `threads` threads of this process. Raises UserError.

    folder: of their checkpoints, and of the pictures that `prepare` wrote. Each thread has a trainer, and between two
    epochs a repeat is its state: any thread can go on with it, so that three repeats keep two busy to the end.
    """
    waiting: SimpleQueue = SimpleQueue()
    for repeat in repeats:
        waiting.put((repeat, *checkpoint.latest(folder, repeat)))
    stopped = Event()

    def work() -> None:
        try:
            trainer = accelerator.Trainer(p, task, ARCHITECTURE)
            while not stopped.is_set():
                repeat, state, rows = waiting.get_nowait()
                if state:
                    trainer.resume(state)
                else:
                    trainer.start(INITIAL / f"repeat-{repeat}.weights.h5")
                rows = [*rows, train_epoch(p, task, trainer, repeat, len(rows) + 1, folder)]
                state = trainer.state()
                checkpoint.save(folder, repeat, state, rows, history.best_epoch(rows, p.patience))
                print(message(p, task, rows[-1]), end="", flush=True)
                if not history.is_over(rows, p.epochs, p.patience):
                    waiting.put((repeat, state, rows))
        except Empty:  # what is left is in the other threads
            return
        except BaseException:
            stopped.set()
            raise

    parallel.in_threads(work, min(threads, len(repeats)))  # a resumed training may have fewer repeats left


def train_epoch(
    p: Params, task: Task, trainer: accelerator.Trainer, repeat: int, epoch: int, folder: Path
) -> dict[str, float]:
    """Train one epoch of a repeat; its row of the history. Raises UserError."""
    train, validation = dataset.read("train"), dataset.read("validation")
    # All randomness depends on seed and epoch alone, so that an epoch can be repeated.
    generator = np.random.default_rng([p.seed + repeat, epoch])
    order = generator.permutation(len(train.labels))
    pictures: accelerator.Pictures = accelerator.read_pictures("train", folder)
    if p.flip or p.shift:
        pictures = augment.Augmented(train.images, p.flip, p.shift, generator)
    measured = trainer.epoch(pictures, train.labels, order, int(generator.integers(2**31)))
    measured += trainer.evaluate(accelerator.read_pictures("validation", folder), validation.labels)
    row = {"repeat": repeat, "seed": p.seed + repeat, "epoch": epoch}
    row |= dict(zip(history.names(task.score), measured, strict=True))
    stop_if_diverged(row, p)
    return row


def message(p: Params, task: Task, row: dict[str, float]) -> str:
    """A row of the history as a line for the log; with its end, so that threads do not write into each other's."""
    score, of_train, of_validation = task.score, row[task.score], row[f"val_{task.score}"]
    return (
        f"repeat {row['repeat'] + 1} of {p.repeats}, epoch {row['epoch']} of {p.epochs}: loss {row['loss']:.4f}, "
        f"{score} {of_train:.4f}, validation loss {row['val_loss']:.4f}, {score} {of_validation:.4f}\n"
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
