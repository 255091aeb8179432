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
import time
from collections.abc import Iterator
from pathlib import Path

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

    images, labels, weights = load(folder)
    x, y = images / np.float32(255), np.eye(len(weights[-1]), dtype=np.float32)[labels]
    model = build(y.shape[1])
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

    from cnn.accelerator.computation import Computations
    from cnn.common import dataset, parallel, params
    from cnn.training import checkpoint

    p = params.read(ROOT / "params.yaml")
    images = np.load(folder / "images.npy")
    np.save(folder / "folded.npy", dataset.fold(images, *dataset.layout(p.image_size, p.depth)))
    p = dataclasses.replace(p, repeats=repeats)
    computations = Computations()
    with tempfile.TemporaryDirectory(dir=folder) as kept:
        trainings = [_train(p, folder, Path(kept), repeat, computations) for repeat in range(repeats)]
        for each in trainings:
            next(each)  # an epoch to warm up, as the others have it
        start = time.perf_counter()
        list(parallel.round_robin(trainings, min(parallel.count("auto"), repeats)))
        seconds = time.perf_counter() - start
        losses = [[row["loss"] for row in checkpoint.latest(Path(kept), number)[1]] for number in range(repeats)]
    assert [len(each) for each in losses] == [EPOCHS + 1] * repeats
    return {"pictures_per_second": repeats * EPOCHS * len(images) / seconds, "losses": losses[0]}


def _train(p, folder: Path, kept: Path, repeat: int, computations) -> Iterator[None]:
    """Epoch by epoch, as stages/train.py does it, with checkpoints in `kept`."""
    import numpy as np

    from cnn.accelerator import trainer
    from cnn.training import checkpoint

    one = trainer.Trainer(p, folder / "architecture.json", computations)
    one.start(folder / "first.weights.h5")
    pictures, labels = np.load(folder / "folded.npy", mmap_mode="r"), np.load(folder / "labels.npy")
    rows = []
    while len(rows) <= EPOCHS:
        order = np.random.default_rng([repeat, len(rows)]).permutation(len(labels))
        rows.append({"loss": one.epoch(pictures, labels, order)[0]})
        checkpoint.save(kept, repeat, one.state(), rows, 0)
        yield


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
    from cnn.data import source
    from stages import preprocess

    p = params.read(ROOT / "params.yaml")

    def once() -> int:
        found = source.find(str(folder))
        dataset.create(folder / "pixels.npy", len(found.pictures), 96)
        used, _ = preprocess.read_all(found, p, folder / "pixels.npy")
        (folder / "pixels.npy").unlink()
        return len(used)

    return _reading(once)


def decoding(folder: Path) -> dict:
    """Decoding alone, by libjpeg-turbo at a reduced scale, without resizing or checks."""
    from concurrent.futures import ThreadPoolExecutor

    import simplejpeg

    from cnn.common import parallel

    files = sorted(folder.rglob("*.jpg"))

    def decode(file: Path) -> None:
        simplejpeg.decode_jpeg(file.read_bytes(), fastdct=True, fastupsample=True, min_height=120, min_width=120)

    def once() -> int:
        with ThreadPoolExecutor(parallel.count("auto")) as pool:
            return len(list(pool.map(decode, files)))

    return _reading(once)


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
    from cnn.model import build

    model = build.load(folder / "model.keras")
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
SIDES = {each.__name__: each for each in (*TRAINING, *ANSWERING, tf_reading, ours_reading, decoding)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    # A side may print on the way; the result has a mark.
    print("RESULT " + json.dumps(SIDES[asked.side](asked.folder)))
