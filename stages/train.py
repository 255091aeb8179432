"""Train the network `repeats` times, side by side, and keep the best.

    dvc repro train          or          python stages/train.py

Each repeat starts from its own weights and has its own order of pictures, both from seed + repeat;
the pictures and their split are the same for all. Writes reports/repeats.csv (every repeat and
epoch), reports/history.csv and reports/score.csv (means over repeats) and models/model.keras: the
repeat with the lowest validation loss after the epoch that it keeps (the last, or with `patience` its
best). The test split is not read. A training that was interrupted goes on after the last finished
epoch of each repeat, with the same result.
"""

import math
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages.lib import runtime  # before numpy

if __name__ == "__main__":
    runtime.no_arguments(__doc__)  # before the imports that take time
import numpy as np

# network and trainer are imported where they are used: TensorFlow takes seconds, and only the workers need it.
from stages.lib import array, augment, checkpoint, history, params, workers

ARCHITECTURE = Path("models/architecture.json")
INITIAL = Path("models/initial")
MODEL = Path("models/model.keras")
CODE = [Path(__file__), *sorted(Path(array.__file__).parent.glob("*.py"))]  # a change of it starts from the beginning


def main() -> None:
    p = params.read()
    n_train, n_validation = (len(array.read(name).labels) for name in ("train", "validation"))
    print(f"{p.repeats} repeats of {p.epochs} epochs on {n_train} pictures, validated on {n_validation}")
    processes = min(workers.count(p.workers), p.repeats)
    workers.prepare(load_tensorflow, processes)
    layout = array.layout(p.image_size, p.depth)
    folder = open_checkpoints(p, layout)
    for split in ("train", "validation"):
        array.write_folded(split, folder, *layout)  # once, for every repeat and epoch
    left = []
    for repeat in range(p.repeats):
        _, rows = checkpoint.latest(folder, repeat)
        if not history.is_over(rows, p.epochs, p.patience):
            left.append((p, repeat, folder, layout))
            if rows:
                print(f"repeat {repeat + 1} of {p.repeats} goes on after epoch {len(rows)}")
    workers.in_turns(train, left, processes)
    rows = [row for repeat in range(p.repeats) for row in checkpoint.latest(folder, repeat)[1]]
    best = history.best_repeat(rows, p.patience)
    epoch = history.kept_epoch(history.by_repeats(rows)[best], p.patience)
    workers.in_turns(keep, [(p, best, epoch, folder)], processes)  # by a process that has TensorFlow already
    history.write(rows, p.patience)
    checkpoint.close_folder()
    print(f"kept repeat {best + 1} as of epoch {epoch}, which has the lowest validation loss")


def load_tensorflow() -> None:
    """In a worker process, while others write the pictures for it."""
    import stages.lib.trainer  # noqa: F401


def open_checkpoints(p: params.Params, layout: tuple[int, int]) -> Path:
    """The folder for checkpoints that depends on all that decides this training's result."""
    values = [p.batch_size, p.epochs, p.flip, p.learning_rate, p.loss, p.optimizer, p.patience, p.seed, p.shift]
    values += [layout, version("keras"), version("llvmlite")]
    first_weights = [INITIAL / f"repeat-{repeat}.weights.h5" for repeat in range(p.repeats)]
    return checkpoint.open_folder(
        values, [*array.files("train"), *array.files("validation"), ARCHITECTURE, *first_weights, *CODE]
    )


def train(p: params.Params, repeat: int, folder: Path, layout: tuple[int, int]) -> bool:
    """In a worker process: train `repeat` for one more epoch, keep a checkpoint, and say whether more are to come."""
    from stages.lib.trainer import of_run

    state, rows = checkpoint.latest(folder, repeat)
    trainer = of_run(p, ARCHITECTURE, folder)
    if state:
        trainer.resume(state)
    else:
        trainer.start(INITIAL / f"repeat-{repeat}.weights.h5")
    folded = {split: array.read_folded(split, folder) for split in ("train", "validation")}
    labels = {split: array.read(split).labels for split in folded}

    epoch = len(rows) + 1
    # All that is random is a function of seed and epoch alone, so that an epoch can be done again.
    generator = np.random.default_rng([p.seed + repeat, epoch])
    order = generator.permutation(len(labels["train"]))
    pictures = folded["train"]
    if p.flip or p.shift:
        pictures = augment.Augmented(array.read("train").images, p.flip, p.shift, generator, layout)
    measured = trainer.epoch(pictures, labels["train"], order, int(generator.integers(2**31)))
    measured += trainer.evaluate(folded["validation"], labels["validation"])
    score = history.ACCURACY if trainer.n_classes else history.R2
    row = {"repeat": repeat, "seed": p.seed + repeat, "epoch": epoch}
    row |= dict(zip(history.names(score), measured, strict=True))
    stop_if_diverged(row, p)
    rows.append(row)
    checkpoint.save(folder, repeat, trainer.state(), rows, history.kept_epoch(rows, p.patience))
    print(
        f"repeat {repeat + 1} of {p.repeats}, epoch {epoch} of {p.epochs}: loss {row['loss']:.4f}, {score} "
        f"{row[score]:.4f}, validation loss {row['val_loss']:.4f}, {score} {row[f'val_{score}']:.4f}",
        flush=True,
    )
    return not history.is_over(rows, p.epochs, p.patience)


def keep(p: params.Params, repeat: int, epoch: int, folder: Path) -> bool:
    """In a worker process: save the network of `repeat` as it was after `epoch`. Then nothing is left to do."""
    from stages.lib import network
    from stages.lib.trainer import of_run

    trained = of_run(p, ARCHITECTURE, folder)
    trained.resume(checkpoint.load(folder, repeat, epoch)[0])
    network.save(trained.model, MODEL)
    return False


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
