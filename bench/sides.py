"""One side of a comparison of bench/compare.py, in a process of its own; prints one line of JSON.

    python bench/sides.py SIDE FOLDER

FOLDER holds images.npy, labels.npy and first.npz (the plain network's first weights) for the training
sides, or a folder of JPEG pictures per class for the reading sides. Imports and compilation are not
counted: each training side does one epoch before the clock starts.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BATCH, RATE, EPOCHS = 10, 0.05, 5  # as in the article


def load(folder: Path) -> tuple:
    import numpy as np

    first = np.load(folder / "first.npz")
    weights = [first[f"arr_{number}"] for number in range(len(first.files))]
    return np.load(folder / "images.npy"), np.load(folder / "labels.npy"), weights


def keras_fit(folder: Path, jit: bool = False) -> dict:
    """Plain Keras as in the article, on all cores; with jit, what XLA makes of it."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np
    from article import network

    images, labels, weights = load(folder)
    x, y = images / np.float32(255), np.eye(len(weights[-1]), dtype=np.float32)[labels]
    model = network(y.shape[1])
    model.set_weights(weights)
    model.compile(keras.optimizers.SGD(RATE), "categorical_crossentropy", metrics=["accuracy"], jit_compile=jit)
    times: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: times.append(time.perf_counter()))
    losses = model.fit(x, y, BATCH, EPOCHS + 1, callbacks=[clock], verbose=0).history["loss"]
    return {"pictures_per_second": EPOCHS * len(x) / (times[-1] - times[0]), "losses": losses}


def keras_jit(folder: Path) -> dict:
    return keras_fit(folder, jit=True)


def torch(folder: Path, channels_last: bool = True) -> dict:
    """PyTorch, on all cores."""
    import numpy as np
    import torch
    from torch import nn

    images, labels, weights = load(folder)
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255
    y = torch.from_numpy(labels).long()
    model = nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 12, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(
            nn.Flatten(),
            nn.Linear(5808, 120),
            nn.ReLU(),
            nn.Linear(120, 60),
            nn.ReLU(),
            nn.Linear(60, len(weights[-1])),
        ),
    )
    # Keras flattens rows, columns, channels; PyTorch channels, rows, columns.
    weights[4] = weights[4].reshape(22, 22, 12, 120).transpose(2, 0, 1, 3).reshape(5808, 120)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights, strict=True):
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer, criterion = torch.optim.SGD(model.parameters(), RATE), nn.CrossEntropyLoss()
    torch.manual_seed(0)
    losses = []
    for epoch in range(EPOCHS + 1):
        if epoch == 1:
            start = time.perf_counter()
        total = 0.0
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = criterion(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(x))
    return {"pictures_per_second": EPOCHS * len(x) / (time.perf_counter() - start), "losses": losses}


def _ours(folder: Path, repeats: int) -> dict:
    import numpy as np

    from cnn import accelerator
    from cnn.accelerator import layout
    from cnn.common import parallel, params
    from cnn.common.task import Classification
    from cnn.model import saving
    from cnn.training import checkpoint

    task = Classification(("1", "2", "3", "4"))  # of which bench/compare.py's pictures are
    p = params.check(dataclasses.asdict(params.read(ROOT / "params.yaml")) | {"repeats": repeats})
    images = np.load(folder / "images.npy")
    architecture = saving.read_architecture(folder / "architecture.json")
    np.save(folder / "folded.npy", layout.fold(images, *layout.of_model(architecture)))
    with tempfile.TemporaryDirectory(dir=folder) as kept:
        waiting: SimpleQueue = SimpleQueue()
        for repeat in range(repeats):
            waiting.put(repeat)
        threads = min(parallel.count("auto"), repeats)
        begin = threading.Barrier(threads, lambda: started.append(time.perf_counter()))
        started: list[float] = []

        def work() -> None:
            trainer = accelerator.Trainer(p, task, folder / "architecture.json")
            trainer.start(folder / "first.weights.h5")
            trainer.epoch(np.load(folder / "folded.npy", mmap_mode="r"), np.load(folder / "labels.npy"), np.arange(10))
            begin.wait()  # an epoch to warm up, as the others have it
            with suppress(Empty):
                while True:
                    repeat = waiting.get_nowait()
                    if _train_epoch(trainer, folder, Path(kept), repeat) <= EPOCHS:
                        waiting.put(repeat)

        parallel.in_threads(work, threads)
        seconds = time.perf_counter() - started[0]
        losses = [[row["loss"] for row in checkpoint.latest(Path(kept), number)[1]] for number in range(repeats)]
    assert [len(each) for each in losses] == [EPOCHS + 1] * repeats
    return {"pictures_per_second": repeats * (EPOCHS + 1) * len(images) / seconds, "losses": losses[0]}


def _train_epoch(trainer, folder: Path, kept: Path, repeat: int) -> int:
    """One more epoch of a repeat, as cnn.training.repeats does it, with checkpoints in `kept`; the epochs so far."""
    import numpy as np

    from cnn.training import checkpoint

    state, rows = checkpoint.latest(kept, repeat)
    if state:
        trainer.resume(state)
    else:
        trainer.start(folder / "first.weights.h5")
    labels = np.load(folder / "labels.npy")
    order = np.random.default_rng([repeat, len(rows)]).permutation(len(labels))
    rows.append({"loss": trainer.epoch(np.load(folder / "folded.npy", mmap_mode="r"), labels, order)[0]})
    checkpoint.save(kept, repeat, trainer.state(), rows, 0)
    return len(rows)


def ours(folder: Path) -> dict:
    """This project, one model."""
    return _ours(folder, 1)


def ours_three(folder: Path) -> dict:
    """This project, three models side by side, in threads of one process; stages/train.py has two to a process."""
    return _ours(folder, 3)


def tf_reading(folder: Path) -> dict:
    """Keras's own reading of a folder, on all cores."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    def once() -> int:
        data = keras.utils.image_dataset_from_directory(folder, image_size=(96, 96), verbose=False)
        return sum(len(labels) for _, labels in data)

    return _reading(once)


def ours_reading(folder: Path) -> dict:
    """preprocess's reading: decoding, resizing, checks, hashes of content and look."""
    from cnn.common import dataset, params
    from cnn.data import read, source

    p = params.read(ROOT / "params.yaml")

    def once() -> int:
        found = source.find(str(folder))
        dataset.create(folder / "pixels.npy", len(found.pictures), 96)
        used, _ = read.read_all(found, p, folder / "pixels.npy")
        (folder / "pixels.npy").unlink()
        return len(used)

    return _reading(once)


def decoding(folder: Path) -> dict:
    """Decoding alone, by Pillow's libjpeg-turbo at a reduced scale, without resizing or checks."""
    from concurrent.futures import ThreadPoolExecutor

    from PIL import Image

    from cnn.common import parallel

    files = sorted(folder.rglob("*.jpg"))

    def decode(file: Path) -> None:
        with Image.open(file) as image:
            image.draft(None, (120, 120))
            image.load()

    def once() -> int:
        with ThreadPoolExecutor(parallel.count("auto")) as pool:
            return len(list(pool.map(decode, files)))

    return _reading(once)


def in_libraries(folder: Path) -> dict:
    """Which share of a worker's time is spent inside libjpeg-turbo and Pillow's resize; the reading as `ours_reading`.

    In this process alone, with a clock around Pillow's two calls; `load` decodes, and `resize` may call it.
    """
    from PIL import Image, ImageFile

    from cnn.common import dataset, params
    from cnn.data import read, source

    p, found = params.read(ROOT / "params.yaml"), source.find(str(folder))
    pixels, spent = folder / "pixels.npy", [0.0]

    within: list[bool] = []

    def clocked(function):
        def call(*arguments, **options):
            if within:
                return function(*arguments, **options)
            start = time.perf_counter()
            within.append(True)
            try:
                return function(*arguments, **options)
            finally:
                within.clear()
                spent[0] += time.perf_counter() - start

        return call

    Image.Image.resize, ImageFile.ImageFile.load = clocked(Image.Image.resize), clocked(ImageFile.ImageFile.load)
    dataset.create(pixels, len(found.pictures), p.image_size)
    batches = [
        (found.container, found.pictures[first : first + read.BATCH], pixels, first, p)
        for first in range(0, len(found.pictures), read.BATCH)
    ]
    read.read_batch(*batches[0])
    spent[0], start = 0.0, time.perf_counter()
    for batch in batches:
        read.read_batch(*batch)
    seconds = time.perf_counter() - start
    pixels.unlink()
    return {"pictures_per_second": len(found.pictures) / seconds, "share": spent[0] / seconds}


def onnx(folder: Path) -> dict:
    """The exported network in ONNX Runtime, a picture at a time."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    return _one_at_a_time(folder, lambda image: session.run(["answers"], {"pixels": image[None]})[0])


def litert(folder: Path, file: str = "model.tflite") -> dict:
    """The exported network in LiteRT, a picture at a time."""
    from cnn.model.backend import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(folder / file))
    interpreter.allocate_tensors()
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image):
        interpreter.set_tensor(given["index"], image[None].astype(given["dtype"]))
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return _one_at_a_time(folder, run)


def litert_int8(folder: Path) -> dict:
    return litert(folder, "model-int8.tflite")


def keras_predict(folder: Path) -> dict:
    """The Keras model, a picture at a time, called as a function (predict is slower still)."""
    from cnn.model import saving

    model = saving.load(folder / "model.keras")
    return _one_at_a_time(folder, lambda image: model(image[None], training=False).numpy())


def _one_at_a_time(folder: Path, run) -> dict:
    import numpy as np

    images = np.load(folder / "images.npy")
    run(images[0])
    start = time.perf_counter()
    named = [int(np.argmax(run(image))) for image in images]
    return {"pictures_per_second": len(images) / (time.perf_counter() - start), "named": named}


def _reading(once) -> dict:
    once()  # starts threads or processes, and brings the files into the system's cache
    start = time.perf_counter()
    count = once()
    return {"pictures_per_second": count / (time.perf_counter() - start)}


TRAINING = (keras_fit, keras_jit, torch, ours, ours_three)
ANSWERING = (onnx, litert, litert_int8, keras_predict)
READING = (tf_reading, ours_reading, decoding, in_libraries)
SIDES = {each.__name__: each for each in (*TRAINING, *ANSWERING, *READING)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    # A side may print on the way; the result has a mark.
    print("RESULT " + json.dumps(SIDES[asked.side](asked.folder)))
