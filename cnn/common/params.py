"""params.yaml: read it, and check it whole before any work is done.

Every stage reads its parameters through `read`, so one mistake in one key is refused by whichever
stage runs first, in one line that names the key, the value and what is allowed.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

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
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)  # no conversion but of a whole number to float


@dataclass(frozen=True, config=STRICT)
class Params:
    """The keys of params.yaml, in its order; their meaning stands there, one comment a line.

    Raises pydantic.ValidationError; `check` says the same to a user.
    """

    images: Annotated[
        str,
        Field(
            pattern=r"\S",
            description="the path of a folder, .zip, .tar, .tar.gz, .csv or .tsv, such as data/mine.zip",
        ),
    ]
    image_size: Annotated[int, Field(ge=8, le=1024)]
    validation: Annotated[float, Field(gt=0, le=0.8)]
    test: Annotated[float, Field(gt=0, le=0.8)]
    max_rejected: Annotated[float, Field(ge=0, le=1)]
    activation: Literal[ACTIVATIONS]
    learning_rate: Annotated[float, Field(gt=0, le=1000)]
    depth: Annotated[int, Field(ge=1, le=10)]
    filters: Annotated[int, Field(ge=1, le=1024)]
    optimizer: Literal[OPTIMIZERS]
    batch_normalization: bool
    dropout: Annotated[float, Field(ge=0, le=0.95)]
    flip: bool
    shift: Annotated[float, Field(ge=0, le=0.5)]
    loss: Literal[LOSSES]
    batch_size: Annotated[int, Field(ge=1, le=100_000)]
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    patience: Annotated[int, Field(ge=0, le=100_000)]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    repeats: Annotated[int, Field(ge=1, le=1000)]
    workers: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=1, le=1024)],
        Field(description="auto, or a whole number from 1 to 1024"),
    ]


def read(path: str | Path = FILE) -> Params:
    """The checked parameters. Raises UserError for a file or a value that cannot be used."""
    values = read_yaml(path, f"get it back with: git checkout {path}", "; expected lines such as `epochs: 5`")
    return check(values, path)


def read_yaml(path: str | Path, if_missing: str, expected: str = "") -> object:
    """The contents of a YAML file. Raises UserError, which ends with what is to be done."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {if_missing}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date such as 2024-02-30
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where} is not valid YAML{expected}") from None


def check(values: object, path: str | Path = FILE) -> Params:
    """`values` (the parsed YAML) as Params. Raises UserError naming key, value and what is allowed."""
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no `key: value` lines; expected lines such as `epochs: 5`")
    values = {key: _number_in_text(value) for key, value in values.items()}
    for key in values:
        if key not in names():
            raise UserError(f"{path}: unknown key {key!r}; {nearest(str(key), names())}")
    try:
        params = Params(**values)
    except ValidationError as error:
        key = error.errors()[0]["loc"][0]
        if key not in values:
            raise UserError(f"{path}: key {key!r} is missing; {_allowed(key)}") from None
        raise UserError(f"{path}: {key} is {values[key]!r}; {refusal(key, values[key])}") from None
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


def names() -> tuple[str, ...]:
    """The keys of params.yaml, in its order."""
    return tuple(Params.__annotations__)


def refusal(key: str, value: object) -> str | None:
    """None for a value that `key` may have; else what is allowed, and the nearest name where names are."""
    try:
        _rule(key).validate_python(value)
    except ValidationError:
        known = _rule(key).json_schema().get("enum")
        return _allowed(key) + (f" ({nearest(value, known)})" if known else "")
    return None


def _rule(key: str) -> TypeAdapter:
    return TypeAdapter(Params.__annotations__[key], config=STRICT)


def _allowed(key: str) -> str:
    match _rule(key).json_schema():
        case {"description": words}:
            pass
        case {"enum": known}:
            words = ", ".join(known)
        case {"type": "boolean"}:
            words = "true or false"
        case {"type": "integer", "minimum": low, "maximum": high}:
            words = f"a whole number from {low} to {high}"
        case {"exclusiveMinimum": low, "maximum": high}:
            words = f"a number above {low:g} and at most {high:g}"
        case {"minimum": low, "maximum": high}:
            words = f"a number from {low:g} to {high:g}"
    return f"allowed: {words}"


def largest_depth(image_size: int) -> int:
    """The largest depth at which every block still has a feature map of at least one pixel."""
    depth, side = 0, image_size
    while (side := pooled(side)) >= 1:
        depth += 1
    return depth


def pooled(side: int) -> int:
    """The side of the feature map that a block makes of one with `side`."""
    return (side - KERNEL + 1) // POOL


def _number_in_text(value: object) -> object:
    """1e-05, as `dvc exp run -S` writes it, is a number in YAML 1.2 and text to PyYAML, which reads 1.1."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def nearest(name: object, known: Sequence[str]) -> str:
    """A suggestion for a mistyped name: the nearest known one, or all of them."""
    match = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.6)
    return f"did you mean {match[0]!r}?" if match else f"known: {', '.join(known)}"
