"""Pages and texts from templates, and how pictures and numbers look on them. A page needs no other file."""

import base64
import functools
import io
import re
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from cnn.common import files

TEMPLATES = Path(__file__).parents[1]  # a template is named from here: ladder/templates/ladder.md.j2
SIDE = 96  # pixels of a picture shown on a page


def write(path: Path, template: str, **values: object) -> None:
    """Write a template, named from the package's folder, filled with `values`."""
    files.write_text(path, render(template, **values))


def render(template: str, **values: object) -> str:
    """A template filled with `values`. On a page everything is escaped, names included."""
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> jinja2.Environment:
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
