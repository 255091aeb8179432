"""The article's script, whole, as a learner writes it: plain Keras, no thought given to speed or threads.

    python bench/article.py PICTURES OUT [--optimizer sgd] [--learning-rate 0.05] [--repeats 3]

Reads a folder or .zip with a folder of pictures per class, trains the article's network for 5 epochs in
batches of 10, `repeats` times one after the other, draws loss and accuracy, and prints the losses.
"""

import argparse
import io
import json
import random
import zipfile
from pathlib import Path

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()  # before the imports, so that --help answers at once

import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image


def read(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    if path.is_dir():
        files = [(each.parent.name, each.read_bytes()) for each in sorted(path.glob("*/*"))]
    else:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if not name.endswith("/"))
            files = [(Path(name).parent.name, archive.read(name)) for name in names]
    random.Random(0).shuffle(files)
    classes = sorted({label for label, _ in files})
    images = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((96, 96))) for _, data in files]
    return np.array(images), np.array([classes.index(label) for label, _ in files]), classes


def network(classes: int) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((96, 96, 3)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(60, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def main(asked: argparse.Namespace) -> None:
    images, labels, classes = read(asked.pictures)
    x, y = images / np.float32(255), keras.utils.to_categorical(labels)
    # 60 % to train on, 20 % to validate on, 20 % to test on, as the pipeline has it.
    first, second = int(len(x) * 0.6), int(len(x) * 0.8)
    losses = []
    for repeat in range(asked.repeats):
        keras.utils.set_random_seed(repeat)
        model = network(len(classes))
        optimizer = keras.optimizers.get(
            {"class_name": asked.optimizer, "config": {"learning_rate": asked.learning_rate}}
        )
        model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
        validation = (x[first:second], y[first:second])
        history = model.fit(x[:first], y[:first], 10, 5, validation_data=validation, verbose=0).history
        losses.append(history["loss"][-1])
    test = model.evaluate(x[second:], y[second:], verbose=0)
    for name in ("loss", "accuracy"):
        plt.figure()
        plt.plot(history[name], label="train")
        plt.plot(history[f"val_{name}"], label="validation")
        plt.legend()
        plt.savefig(asked.out / f"{name}.png")
    print(json.dumps({"losses": losses, "test": test}))


if __name__ == "__main__":
    main(asked)
