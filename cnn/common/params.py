"""params.yaml: read it, and check it whole before any work is done.

Every stage reads its parameters through `read`, so one mistake in one key is refused by whichever
stage runs first, in one line that names the key, the value and what is allowed.
"""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from cnn.common.runtime import UserError

FILE = "params.yaml"
KERNEL = 3  # pixels a side of a convolution, which is "valid": the map loses KERNEL - 1
POOL = 2  # the pooling halves the map
SCALE = 1 / 255  # of pixels as bytes

# The names Keras 3 knows (keras.activations); kept here because importing Keras takes seconds, and
# a test compares the two lists.
ACTIVATIONS = tuple(
    """
    celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu softmax soft_shrink softplus softsign sparse_plus
    sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink
    """.split()  # noqa: SIM905  a list this long reads better as text
)
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
LOSSES = ("auto", "binary_crossentropy", "categorical_crossentropy", "mean_squared_error")


@dataclass(frozen=True)
class Params:
    """The keys of params.yaml, in its order; their meaning stands there, one comment a line."""

    images: str
    image_size: int
    validation: float
    test: float
    max_rejected: float
    activation: str
    learning_rate: float
    depth: int
    filters: int
    optimizer: str
    batch_normalization: bool
    dropout: float
    flip: bool
    shift: float
    loss: str
    batch_size: int
    epochs: int
    patience: int
    seed: int
    repeats: int
    workers: int | str


def read(path: str | Path = FILE) -> Params:
    """The checked parameters. Raises UserError for a file or a value that cannot be used."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; get it back with: git checkout {path}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date such as 2024-02-30
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where} is not valid YAML; expected lines such as `epochs: 5`") from None
    return check(values, path)


def check(values: object, path: str | Path = FILE) -> Params:
    """`values` (the parsed YAML) as Params. Raises UserError naming key, value and what is allowed."""
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no `key: value` lines; expected lines such as `epochs: 5`")
    known = [field.name for field in fields(Params)]
    values = {key: _number_in_text(value) for key, value in values.items()}
    for key in values:
        if key not in known:
            raise UserError(f"{path}: unknown key {key!r}; {nearest(str(key), known)}")
    for key in known:
        if key not in values:
            raise UserError(f"{path}: key {key!r} is missing; {CHECKS[key].allowed}")
        if not CHECKS[key].accepts(values[key]):
            hint = f" ({nearest(values[key], CHECKS[key].names)})" if CHECKS[key].names else ""
            raise UserError(f"{path}: {key} is {values[key]!r}; {CHECKS[key].allowed}{hint}")
    # `learning_rate: 1` is a whole number to YAML, and Keras takes floats only.
    params = Params(**{f.name: float(values[f.name]) if f.type is float else values[f.name] for f in fields(Params)})
    if params.validation + params.test > 0.9:
        raise UserError(
            f"{path}: validation {params.validation} + test {params.test} leaves less than a tenth to train on; "
            "allowed together: at most 0.9"
        )
    most = largest_depth(params.image_size)
    if params.depth > most:
        raise UserError(
            f"{path}: depth is {params.depth}, but the feature map of image_size {params.image_size} is used up before "
            f"that; the largest depth that works is {most}"
        )
    return params


def largest_depth(image_size: int) -> int:
    """The largest depth at which every block still has a feature map of at least one pixel."""
    depth, side = 0, image_size
    while (side := pooled(side)) >= 1:
        depth += 1
    return depth


def pooled(side: int) -> int:
    """The side of the feature map that a block makes of one with `side`."""
    return (side - KERNEL + 1) // POOL


def loss_name(loss: str, n_classes: int) -> str:
    """The loss that params.yaml's `loss` means for this number of classes, 0 where numbers are asked for.

    Raises UserError.
    """
    if n_classes == 0:
        if loss not in ("auto", "mean_squared_error"):
            raise UserError(
                f"{FILE}: loss is {loss}, which is for classes, and the pictures have numbers; use auto or "
                "mean_squared_error"
            )
        return "mean_squared_error"
    if loss == "auto":
        return "binary_crossentropy" if n_classes == 2 else "categorical_crossentropy"
    if loss == "binary_crossentropy" and n_classes != 2:
        raise UserError(
            f"{FILE}: loss is binary_crossentropy, which is for 2 classes; there are {n_classes}; "
            "use auto or categorical_crossentropy"
        )
    return loss


def _number_in_text(value: object) -> object:
    """1e-05, as `dvc exp run -S` writes it, is a number in YAML 1.2 and text to PyYAML, which reads 1.1."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def nearest(name: object, names: list[str] | tuple[str, ...]) -> str:
    """A suggestion for a mistyped name: the nearest known one, or all of them."""
    match = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.6)
    return f"did you mean {match[0]!r}?" if match else f"known: {', '.join(names)}"


@dataclass(frozen=True)
class Check:
    """What one key accepts, and the words that say so."""

    accepts: Callable[[object], bool]
    allowed: str
    names: tuple[str, ...] = ()


def _integer(low: int, high: int) -> Check:
    return Check(
        lambda value: type(value) is int and low <= value <= high,
        f"allowed: a whole number from {low} to {high}",
    )


def _number(low: float, high: float, *, above: bool = False) -> Check:
    def accepts(value: object) -> bool:
        if type(value) not in (int, float) or not math.isfinite(value):
            return False
        return (low < value if above else low <= value) and value <= high

    words = f"above {low:g} and at most {high:g}" if above else f"from {low:g} to {high:g}"
    return Check(accepts, f"allowed: a number {words}")


def _flag() -> Check:
    return Check(lambda value: type(value) is bool, "allowed: true or false")


def _name(names: tuple[str, ...]) -> Check:
    return Check(lambda value: value in names, f"allowed: {', '.join(names)}", names)


CHECKS = {
    "images": Check(
        lambda value: isinstance(value, str) and value.strip() != "",
        "allowed: the path of a folder, .zip, .tar, .tar.gz, .csv or .tsv, such as data/mine.zip",
    ),
    "image_size": _integer(8, 1024),
    "validation": _number(0, 0.8, above=True),
    "test": _number(0, 0.8, above=True),
    "max_rejected": _number(0, 1),
    "activation": _name(ACTIVATIONS),
    "learning_rate": _number(0, 1000, above=True),
    "depth": _integer(1, 10),
    "filters": _integer(1, 1024),
    "optimizer": _name(OPTIMIZERS),
    "batch_normalization": _flag(),
    "dropout": _number(0, 0.95),
    "flip": _flag(),
    "shift": _number(0, 0.5),
    "loss": _name(LOSSES),
    "batch_size": _integer(1, 100_000),
    "epochs": _integer(1, 100_000),
    "patience": _integer(0, 100_000),
    "seed": _integer(0, 2**31 - 1),
    "repeats": _integer(1, 1000),
    "workers": Check(
        lambda value: value == "auto" or (type(value) is int and 1 <= value <= 1024),
        "allowed: auto, or a whole number from 1 to 1024",
    ),
}
