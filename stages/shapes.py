"""Draw the demonstration pictures for the two other tasks: numbers, and two classes.

    dvc repro shapes          or          python -m stages.shapes

data/counts/: counts.csv and pictures with 0 to 9 shapes, which are to be counted (regression).
data/scratches/: tiles in the folders ok and scratched, a third of which have a scratch (two classes).
"""

from pathlib import Path

from cnn.common import files, runtime
from cnn.synthetic.shapes import shapes_picture, tile_picture

COUNTS, SCRATCHES = Path("data/counts"), Path("data/scratches")
PICTURES = 600  # of each set
QUALITY = 90  # of the JPEG files


def main() -> None:
    with files.atomic_path(COUNTS) as folder:
        (folder / "pictures").mkdir(parents=True)
        rows = []
        for number in range(PICTURES):
            image, count = shapes_picture(number)
            image.save(folder / "pictures" / f"{number:03d}.jpg", quality=QUALITY)
            rows.append((f"pictures/{number:03d}.jpg", count))
        files.write_csv(folder / "counts.csv", ("path", "target"), rows)
    with files.atomic_path(SCRATCHES) as folder:
        for name in ("ok", "scratched"):
            (folder / name).mkdir(parents=True)
        for number in range(PICTURES):
            image, name = tile_picture(number)
            image.save(folder / name / f"{number:03d}.jpg", quality=QUALITY)
    print(f"shapes: {PICTURES} pictures in {COUNTS} and as many in {SCRATCHES}")


if __name__ == "__main__":
    runtime.run_stage(main)
