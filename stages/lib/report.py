"""report.html: what was done and what came of it, in one file that needs nothing else."""

import base64
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stages.lib import outputs
from stages.lib.params import Params

TEMPLATES = Path(__file__).parent
SIDE = 96  # pixels of a picture shown on a page


@dataclass(frozen=True)
class Shown:
    """A picture in the report; `source` is a data: address. Where numbers are asked for there is no probability."""

    source: str
    file: str
    actual: str
    predicted: str
    probability: float | None = None


@dataclass(frozen=True)
class Alike:
    """One of several pictures that look the same; `source` is a data: address."""

    source: str
    file: str
    label: str
    split: str


def write(path: Path, template: str, **values: object) -> None:
    """Write a template of this folder, filled with `values`."""
    outputs.write_text(path, render(template, **values))


def render(template: str, **values: object) -> str:
    """A template of this folder, filled with `values`. On a page everything is escaped, names included."""
    return _environment().get_template(template).render(values)


@functools.cache
def _environment():
    import jinja2  # which who only formats numbers or pictures need not wait for

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = markdown
    environment.filters["number"] = number
    environment.filters["percent"] = lambda value: f"{value:.1%}"
    return environment


def number(value: float) -> str:
    """A number of any scale, for people: three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(text: object) -> str:
    """Any text, a class name say, as plain text of Markdown, in one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(text).split()))


def picture_source(image: np.ndarray) -> str:
    """uint8 (h, w, 3) as a data: address holding a JPEG of at most SIDE pixels a side: about 4 kB."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    picture.save(buffer, format="JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def figure_source(path: Path) -> str:
    """An SVG file as a data: address; inside <img>, nothing in it can run."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def advice(params: Params) -> list[str]:
    """The parameters worth trying when a model has not learned, as `key=value`, most likely first."""
    tries = []
    if params.activation in ("sigmoid", "hard_sigmoid", "linear", "softmax", "log_softmax"):
        tries.append("activation=relu")
    # Learning rates that work for this network: around 0.05 for SGD, less where steps are rescaled.
    usual = {"sgd": 0.05, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.01}.get(params.optimizer, 0.001)
    if not usual / 4 <= params.learning_rate <= usual * 4:
        tries.append(f"learning_rate={usual:g}")
    if params.optimizer in ("sgd", "momentum", "nesterov") and not tries:
        tries += ["optimizer=adam learning_rate=0.001"]
    if params.loss == "mean_squared_error":
        tries.append("loss=auto")
    if params.epochs < 20 or not tries:
        tries.append(f"epochs={params.epochs * 4}")
    return tries


def command(tries: Sequence[str]) -> str:
    """The DVC command that tries `key=value` changes together."""
    return " ".join(["dvc exp run", *(f"-S {change}" for each in tries for change in each.split())])
