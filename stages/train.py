"""Train the network `repeats` times in parallel and keep the best.

    dvc repro train          or          python -m stages.train

Each repeat starts from its own weights and has its own order of pictures, both from seed + repeat;
the pictures and their split are the same for all. Writes reports/repeats.csv (every repeat and
epoch), reports/history.csv and reports/score.csv (means over repeats) and models/model.keras: the
repeat with the lowest validation loss after its best epoch (the last one, or with `patience` the one with the
lowest validation loss). The test split is not read. A training that was interrupted resumes after the last finished
epoch of each repeat, with the same result.
"""

from pathlib import Path

import cnn
from cnn.common import dataset, history, parallel, params, runtime
from cnn.common.params import Params
from cnn.common.task import DATA, read_task
from cnn.model import saving
from cnn.model.saving import ARCHITECTURE, INITIAL, MODEL
from cnn.training import checkpoint, repeats

# What decides the result, besides files. dvc.yaml names the same parameters and rooms (a test compares them).
PARAMS = ("batch_size", "epochs", "flip", "learning_rate", "loss", "optimizer", "patience", "repeats", "seed", "shift")
ROOMS = ("common", "model", "training", "accelerator")
THREADS = 2  # of a process: more would wait for Python's global lock, which each step holds part of the time


def main() -> None:
    p, task = params.read(), read_task()
    n_train, n_validation = (len(dataset.read(split).labels) for split in ("train", "validation"))
    print(f"{p.repeats} repeats of {p.epochs} epochs on {n_train} pictures, validated on {n_validation}")
    folder = open_run(p)
    unfinished = repeats.unfinished(p, folder)
    threads = min(parallel.count(p.workers), p.repeats)
    processes = -(-threads // THREADS)
    shares = [len(range(first, threads, processes)) for first in range(processes)]
    parts = [(p, task, unfinished[first::processes], folder, share) for first, share in enumerate(shares)]
    list(parallel.parallel_map(repeats.train_repeats, parts, processes))

    rows = [row for repeat in range(p.repeats) for row in checkpoint.latest(folder, repeat)[1]]
    best = history.best_repeat(rows, p.patience)
    epoch = history.best_epoch(history.by_repeats(rows)[best], p.patience)
    state, _ = checkpoint.load(folder, best, epoch)
    saving.save(saving.read_architecture(ARCHITECTURE, state), MODEL)
    history.write(rows, p.patience)
    checkpoint.close_folder()
    print(f"kept repeat {best + 1} as of epoch {epoch}, which has the lowest validation loss")


def open_run(p: Params) -> Path:
    """The folder of checkpoints for everything that decides this training's result, with the pictures prepared."""
    values = {name: getattr(p, name) for name in PARAMS}
    package = Path(cnn.__file__).parent
    code = [Path(__file__), Path(cnn.__file__), package.parent / "requirements.txt", package.parent / "constraints.txt"]
    code += [path for room in ROOMS for path in sorted((package / room).glob("*.py"))]
    weights = [INITIAL / f"repeat-{repeat}.weights.h5" for repeat in range(p.repeats)]
    arrays = [*dataset.array_files("train"), *dataset.array_files("validation")]
    folder = checkpoint.open_folder(values, [DATA, *arrays, ARCHITECTURE, *weights, *code])
    repeats.prepare(folder)
    return folder


if __name__ == "__main__":
    runtime.run_stage(main)
