"""The article's network, what it is trained with, and how it is saved with the same bytes each time.

Input (image_size, image_size, 3), pixels 0..255 scaled to 0..1; block i of `depth`: Conv2D(filters * 2^i,
3x3, valid), activation, MaxPooling2D(2x2); Flatten; Dense 120 and Dense 60 with activation;
Dense with softmax, or one sigmoid unit for two classes with binary cross-entropy, or one linear unit where
numbers are asked for. With depth 2, 6 filters and 4 classes it has 705,412 parameters.

The linear unit speaks in standard deviations from the mean of the training pictures' numbers, and a last layer
makes these the numbers themselves. The loss is taken in the same measure, so that one learning rate suits counts and
prices alike, and always saying the mean has a loss of about 1.

Beyond the article: batch normalization (Ioffe and Szegedy 2015, arXiv:1502.03167) comes after the pooling,
on a quarter of the numbers that it would have before; dropout (Srivastava et al. 2014, JMLR 15:1929)
before each dense layer.
"""

import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from stages.lib import decision, outputs, runtime
from stages.lib.params import KERNEL, POOL, SCALE, Params, loss_name

keras, tensorflow = runtime.import_keras()

DENSE = (120, 60)
NUMBER = "number"  # the last layer where numbers are asked for
MOMENTUM = 0.9  # of batch normalization's averages; Keras's 0.99 takes hundreds of steps, and an epoch may have fewer


def build(params: Params, n_classes: int, mean: float = 0.0, deviation: float = 1.0) -> keras.Model:
    """The untrained, uncompiled network; weights are drawn from Keras's current seed.

    n_classes: 0 where numbers are asked for, of which `mean` and `deviation` are given. Raises UserError for a loss
    that does not fit the number of classes.
    """
    size = params.image_size
    pixels = keras.Input((size, size, 3), name="pixels")
    x = keras.layers.Rescaling(SCALE, name="scale")(pixels)
    for block in range(params.depth):
        x = keras.layers.Conv2D(params.filters * 2**block, KERNEL, name=f"conv_{block + 1}")(x)
        x = keras.layers.Activation(params.activation, name=f"conv_{block + 1}_{params.activation}")(x)
        x = keras.layers.MaxPooling2D(POOL, name=f"pool_{block + 1}")(x)
        if params.batch_normalization:
            x = keras.layers.BatchNormalization(momentum=MOMENTUM, name=f"normalization_{block + 1}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(DENSE, start=1):
        x = _dropout(x, params, number)
        x = keras.layers.Dense(units, activation=params.activation, name=f"dense_{number}")(x)
    x = _dropout(x, params, len(DENSE) + 1)
    name = loss_name(params.loss, n_classes)
    if not n_classes:
        x = keras.layers.Dense(1, name="deviations")(x)
        x = keras.layers.Rescaling(deviation, offset=mean, name=NUMBER)(x)
    elif name == "binary_crossentropy":
        x = keras.layers.Dense(1, activation="sigmoid", name="probability")(x)
    else:
        x = keras.layers.Dense(n_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(pixels, x, name="article")


def _dropout(x: keras.KerasTensor, params: Params, number: int) -> keras.KerasTensor:
    return keras.layers.Dropout(params.dropout, name=f"dropout_{number}")(x) if params.dropout else x


def optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """params.yaml's `optimizer`; momentum and nesterov are SGD with a momentum of 0.9."""
    optimizers = keras.optimizers
    return {
        "sgd": lambda: optimizers.SGD(learning_rate),
        "momentum": lambda: optimizers.SGD(learning_rate, momentum=0.9),
        "nesterov": lambda: optimizers.SGD(learning_rate, momentum=0.9, nesterov=True),
        "adagrad": lambda: optimizers.Adagrad(learning_rate),
        "rmsprop": lambda: optimizers.RMSprop(learning_rate),
        "adam": lambda: optimizers.Adam(learning_rate),
        "adamw": lambda: optimizers.AdamW(learning_rate),
    }[name]()


def n_classes(model: keras.Model) -> int:
    """How many classes the network tells apart; 0 where it gives a number."""
    if model.layers[-1].name == NUMBER:
        return 0
    return max(model.output_shape[-1], 2)


def depth(model: keras.Model) -> int:
    """How many blocks of convolution and pooling it has."""
    return sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers)


def deviation(model: keras.Model) -> float:
    """The standard deviation of the numbers that the network was built for; 1 for classes."""
    return float(model.layers[-1].scale) if n_classes(model) == 0 else 1.0


def targets(labels: np.ndarray, outputs_: int) -> np.ndarray:
    """Labels (n,) as the network's targets: float32 (n, 1) of 0 and 1 or of numbers, or one-hot (n, classes)."""
    if outputs_ == 1:
        return labels.astype(np.float32)[:, None]
    return np.eye(outputs_, dtype=np.float32)[labels]


def answers(model: keras.Model, images: np.ndarray, threads: int = 1, batch_size: int = 100) -> np.ndarray:
    """uint8 (n, size, size, 3) to float32 (n, classes) probabilities, or (n, 1) numbers."""
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    # Keras's predict gives the same bits and takes three times as long for a hundred pictures.
    with ThreadPoolExecutor(threads) as pool:
        outputs_ = np.concatenate(list(pool.map(lambda batch: model(batch, training=False).numpy(), batches)))
    return decision.of_classes(outputs_) if n_classes(model) else outputs_


def loss(params: Params, model: keras.Model, answers_: np.ndarray, labels: np.ndarray) -> float:
    """The mean loss of what `answers` gave, for labels (n,), by the loss of `params`."""
    name = loss_name(params.loss, n_classes(model))
    outputs_ = answers_[:, 1:] if name == "binary_crossentropy" else answers_
    unit = deviation(model)
    return float(np.mean(keras.losses.get(name)(targets(labels, outputs_.shape[1]) / unit, outputs_ / unit)))


def architecture(model: keras.Model) -> str:
    """The architecture as JSON, in a form that is the same for the same network."""
    return json.dumps(json.loads(model.to_json()), indent=2) + "\n"


def read_architecture(architecture_file: Path, weights: Sequence[np.ndarray] = ()) -> keras.Model:
    """The uncompiled network of `architecture_file`; `weights` begin with its own, which else are to be replaced."""
    model = keras.models.model_from_json(architecture_file.read_text(encoding="utf-8"))
    if weights:
        model.set_weights(weights[: len(model.weights)])
    return model


def summary(model: keras.Model) -> str:
    """Layers, output shapes and parameters as a plain-text table."""
    rows = [("layer", "kind", "output", "parameters")]
    for layer in model.layers:
        shape = " x ".join(str(side) for side in layer.output.shape[1:])
        rows.append((layer.name, type(layer).__name__, shape, f"{layer.count_params():,}"))
    rows.append(("total", "", "", f"{model.count_params():,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3].rjust(10)]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:-1], "-" * len(lines[0]), lines[-1]]) + "\n"


def save(model: keras.Model, path: Path) -> None:
    """Save `model` as .keras with bytes that depend on its architecture and weights alone.

    Keras writes the date and the zip entries' times into the file, and numbers shared objects by
    their address; here the dates are fixed and the numbers counted. keras.models.load_model reads it.
    """
    entries = _entries(model)
    metadata = json.loads(entries["metadata.json"])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    entries["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    config = json.loads(entries["config.json"])
    _number_shared_objects(config, {})
    entries["config.json"] = json.dumps(config, sort_keys=True).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(entries):
            archive.writestr(zipfile.ZipInfo(name), entries[name])  # its date is 1980-01-01
    outputs.write_bytes(path, buffer.getvalue())


def save_weights(model: keras.Model, path: Path) -> None:
    """Save the weights of `model` as .weights.h5.

    Keras's own save_weights writes through HDF5, which ends the process (SIGSEGV) when the disk is full.
    """
    outputs.write_bytes(path, _entries(model)["model.weights.h5"])


def _entries(model: keras.Model) -> dict[str, bytes]:
    """The files inside the .keras archive of `model`."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "model.keras"
        model.save(plain)
        with zipfile.ZipFile(plain) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def load(path: Path) -> keras.Model:
    """The model in the .keras file, which may not carry code (safe mode)."""
    return keras.models.load_model(path, safe_mode=True)


def _number_shared_objects(value: object, numbers: dict[int, int]) -> None:
    if isinstance(value, dict):
        if "shared_object_id" in value:
            value["shared_object_id"] = numbers.setdefault(value["shared_object_id"], len(numbers))
        for each in value.values():
            _number_shared_objects(each, numbers)
    elif isinstance(value, list):
        for each in value:
            _number_shared_objects(each, numbers)
