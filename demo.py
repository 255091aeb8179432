"""A page to drop a photo on: classes with probabilities, a heat map, and the nearest training pictures.

    make demo               or          python demo.py [--port 8000]
    make demo-page          or          python demo.py --static reports/demo.html

The first listens on 127.0.0.1 only, and stores nothing. The second is the same page as one file, which runs the model
in the browser and needs no server: open it, send it, or put it on a web site. It holds some training pictures
(--no-pictures: none). Both run the exported network, as predict.py does.
"""

import argparse
from pathlib import Path

import numpy as np

from cnn.common import dataset, runtime
from cnn.common.runtime import UserError
from cnn.inference import page, static_page
from cnn.inference.model import Model

MODEL = Path("models/model.keras")
NEAREST = 6
CANDIDATES = 20_000  # training pictures at most among which the nearest are searched
EMBEDDED = 400  # of these, in a page that is one file
RUNTIME = Path("web/node_modules/onnxruntime-web/dist")
MAX_UPLOAD = 16 * 2**20  # bytes; pixels are bounded by cnn.data.decode


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="8000, if not given; 0 takes a free one")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FILE", help="models/model.keras, if not named")
    parser.add_argument(
        "--static", type=Path, metavar="FILE", help="write the page into this file instead of serving it"
    )
    parser.add_argument("--no-pictures", action="store_true", help="without training pictures, to publish it")
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    if not 0 <= options.port <= 65535:
        raise UserError(f"--port is {options.port}; allowed: 0 to 65535")
    model = Model(options.model)
    images, names = training_pictures(model.size)
    if options.static:
        rows = [] if options.no_pictures else [*range(0, len(images), max(len(images) // EMBEDDED, 1))][:EMBEDDED]
        embedded = images[rows], [names[row] for row in rows]
        static_page.write(options.static, options.model, RUNTIME, *embedded, NEAREST, MAX_UPLOAD)
        print(f"see {options.static}: {options.static.stat().st_size / 2**20:.1f} MiB")
        return
    features = model.features(np.asarray(images))

    def respond(pixels: np.ndarray) -> dict[str, object]:
        """All that the page shows of uint8 (size, size, 3)."""
        similarity = features @ model.features(pixels[None])[0]
        nearest = np.argsort(-similarity, kind="stable")[:NEAREST]
        return page.answer(model, pixels, [(images[row], *names[row]) for row in nearest])

    page.serve(options.port, model, MAX_UPLOAD, respond)


def training_pictures(size: int) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """At most CANDIDATES: uint8 (n, size, size, 3), memory-mapped, and their names (file, label). Raises UserError."""
    try:
        images, rows = dataset.read("train").images[:CANDIDATES], dataset.read_pictures()["train"]
    except FileNotFoundError:
        raise UserError("data/processed is missing; `dvc repro` makes it") from None
    if images.shape[1] != size:
        raise UserError(
            f"data/processed has pictures of {images.shape[1]} pixels a side, the model takes {size}; "
            "`dvc repro` makes both anew"
        )
    return images, [(row["file"], row["label"]) for row in rows]


if __name__ == "__main__":
    runtime.run(lambda: main(arguments()), stopped="stopped")
