"""First stage: draw the demonstration pictures, four surfaces, into data/sample/<class>/NNN.jpg.

    dvc repro sample          or          python -m stages.sample

Every picture has a generator of its own, so the bytes depend neither on the number of workers nor on the order.
"""

from pathlib import Path

from PIL import Image

from cnn.common import files, parallel, params, runtime
from cnn.synthetic.sample import picture
from cnn.synthetic.surfaces import PATTERNS

FOLDER = "data/sample"
PER_CLASS = 400
CHUNK = 50  # pictures a task: enough tasks to keep the workers evenly busy


def draw(folder: Path, kind: str, numbers: range) -> range:
    """Write the pictures `numbers` of class `kind` to folder/<kind>/NNN.jpg; returns the numbers."""
    for number in numbers:
        pixels, quality = picture(kind, number)
        Image.fromarray(pixels).save(folder / kind / f"{number:03d}.jpg", quality=quality)
    return numbers


def draw_all(folder: Path, per_class: int, processes: int | str) -> int:
    """Write `per_class` pictures of every class into `folder`, a folder each; returns how many in all."""
    for kind in PATTERNS:
        (folder / kind).mkdir(parents=True)
    tasks = [
        (folder, kind, range(start, min(start + CHUNK, per_class)))
        for kind in PATTERNS
        for start in range(0, per_class, CHUNK)
    ]
    results = parallel.progress(
        parallel.parallel_map(draw, tasks, processes), per_class * len(PATTERNS), "pictures drawn"
    )
    return sum(len(numbers) for numbers in results)


def main() -> None:
    """Draw the whole sample. params.yaml is checked whole, though only `workers` is used."""
    p = params.read()
    with files.atomic_path(FOLDER) as folder:
        count = draw_all(folder, PER_CLASS, p.workers)
    print(f"sample: {count} pictures, {PER_CLASS} each of {', '.join(PATTERNS)}, in {FOLDER}")


if __name__ == "__main__":
    runtime.run_stage(main)
