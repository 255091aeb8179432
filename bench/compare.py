"""The speed comparison: this project against what people use. Writes reports/bench.md and reports/bench.json.

    make bench                                    everything, about 12 minutes on 2 cores
    python bench/compare.py --quick                 the same on little, to see that it runs
    python bench/compare.py --images mine.zip       other pictures for the whole `dvc exp run`

Run it in the environment that `make bench` makes: bench/.venv, with PyTorch. The sides of a comparison are
measured in turn (A B A B), each in a process of its own, because machines drift; a ratio is taken pair
by pair. What each side computed stands beside its speed, so that nobody wins by computing less.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image

from bench import tables
from cnn.common import dataset, environment, files, parallel
from tests.verify import processor

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data/sample"
RESULTS = ROOT / "reports" / "bench.json"
TABLE = ROOT / "reports" / "bench.md"
PACKAGES = ("tensorflow-cpu", "keras", "torch", "numpy", "pillow", "dvc")
# Of the plain network on 96x96 pictures, 4 classes: two for each product of a forward pass, and twice
# that for the gradients, less the first layer's gradient by the picture.
PRODUCTS = (94 * 94 * 27 * 6, 45 * 45 * 54 * 12, 5808 * 120, 120 * 60, 60 * 4)
FLOP_A_PICTURE = 2 * (3 * sum(PRODUCTS) - PRODUCTS[0])
# The other programs' environments must be theirs: cnn.common.environment set this process's for ours.
# Nor is numpy's library of products held back, as a shell may do (OPENBLAS_CORETYPE): the peak is the machine's.
PLAIN = {k: v for k, v in os.environ.items() if k not in environment.VARIABLES and not k.startswith("OPENBLAS_")}


def side(name: str, folder: Path) -> dict:
    """One measurement of bench/sides.py."""
    command = [sys.executable, ROOT / "bench" / "sides.py", name, folder]
    done = subprocess.run(command, env=PLAIN, capture_output=True, text=True, check=False)
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not results:
        sys.exit(f"error: {name} failed:\n{done.stderr[-2000:]}")
    return json.loads(results[0].removeprefix("RESULT "))


def in_turn(names: Sequence[str], folder: Path, rounds: int) -> dict[str, list[dict]]:
    """Each side `rounds` times, in turn."""
    results: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            results[name].append(side(name, folder))
            print(f"  {name}: {results[name][-1]['pictures_per_second']:.0f} pictures a second", flush=True)
    return results


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Median and range of ours over theirs, pair by pair."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(pairs), "least": min(pairs), "most": max(pairs), "n": len(pairs)}


def speeds(results: Sequence[dict]) -> list[float]:
    return [each["pictures_per_second"] for each in results]


def begin_alike(names: Sequence[str], folder: Path) -> None:
    """End the program unless every side counts the same loss for one batch with the first weights.

    folder: as bench/sides.py takes it, with one batch of pictures, whose loss does not depend on their order.
    """
    losses = {name: side(name, folder)["losses"][0] for name in names}
    if max(losses.values()) - min(losses.values()) > 1e-5:
        sys.exit(f"error: the sides do not begin alike: {losses}")


def training_folder(folder: Path, most: int) -> Path:
    """The training pictures of the last `dvc repro`, and the first weights of its first repeat."""
    from cnn.model import saving

    split = dataset.read("train", ROOT / dataset.FOLDER)
    rows = slice(0, most)
    np.save(folder / "images.npy", np.asarray(split.images[rows]))
    np.save(folder / "labels.npy", split.labels[rows])
    shutil.copy(ROOT / "models/architecture.json", folder)
    shutil.copy(ROOT / "models/initial/repeat-0.weights.h5", folder / "first.weights.h5")
    model = saving.read_architecture(folder / "architecture.json")
    model.load_weights(folder / "first.weights.h5")
    np.savez(folder / "first.npz", *model.get_weights())
    return folder


def sgemm_peak() -> float:
    """The best of ten products of 3000 x 3000 matrices, on all cores, in GFLOP/s."""
    code = (
        "import numpy as np, time\n"
        "a = np.random.default_rng(0).random((3000, 3000), np.float32); b = a.T.copy(); times = []\n"
        "for _ in range(10): s = time.perf_counter(); a @ b; times.append(time.perf_counter() - s)\n"
        "print(2 * 3000**3 / min(times) / 1e9)"
    )
    return float(subprocess.run([sys.executable, "-c", code], env=PLAIN, capture_output=True, check=True).stdout)


def training(folder: Path, rounds: int, most: int) -> dict:
    print("training")
    names = ("ours", "keras_fit", "torch", "ours_three", "keras_jit")
    begin_alike(names, training_folder(folder, 10))
    results = in_turn(names, training_folder(folder, most), rounds)
    peak = sgemm_peak()
    three = speeds(results["ours_three"])
    return {
        "pictures": most,
        "speeds": {name: speeds(each) for name, each in results.items()},
        "losses": {name: each[0]["losses"] for name, each in results.items()},
        "one model / plain Keras": ratio(speeds(results["ours"]), speeds(results["keras_fit"])),
        "one model / PyTorch channels_last": ratio(speeds(results["ours"]), speeds(results["torch"])),
        "one model / Keras jit_compile": ratio(speeds(results["ours"]), speeds(results["keras_jit"])),
        "3 side by side / plain Keras in a row": ratio(three, speeds(results["keras_fit"])),
        "sgemm peak": peak,
        "share of peak, 3 side by side": statistics.median(three) * FLOP_A_PICTURE / peak / 1e9,
    }


def photographs(folder: Path, size: tuple[int, int], count: int) -> Path:
    """`count` JPEG pictures of two classes: the drawn surfaces enlarged, with noise, so that none is smooth."""
    generator = np.random.default_rng(0)
    drawn = sorted((ROOT / "data/sample").rglob("*.jpg"))
    noise = generator.normal(0, 6, (size[1], size[0], 3))
    for number in range(count):
        image = Image.open(drawn[number % len(drawn)]).convert("RGB").resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(image) + np.roll(noise, number, axis=(0, 1)[number % 2])
        path = folder / f"class {number % 2}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=88)
    return folder


def reading(folder: Path, rounds: int, part: float) -> dict:
    results = {}
    for (width, height), count in (((320, 240), 3000), ((384, 512), 1500), ((1600, 1200), 300)):
        name = f"{width}x{height}"
        print(f"reading {name} JPEG")
        made = photographs(folder / name, (width, height), max(int(count * part), 40))
        measured = in_turn(("ours_reading", "tf_reading", "decoding", "in_libraries"), made, rounds)
        ours, theirs, decoding, _ = by_side = [speeds(each) for each in measured.values()]
        results[name] = {
            "speeds": dict(zip(measured, by_side, strict=True)),
            "ours / image_dataset_from_directory": ratio(ours, theirs),
            "decoding / image_dataset_from_directory": ratio(decoding, theirs),
            "share in libraries": [each["share"] for each in measured["in_libraries"]],
        }
        shutil.rmtree(made)
    return results


def answering(folder: Path, rounds: int, most: int) -> dict:
    """The exported files of the last `dvc repro`, a picture at a time."""
    print("answering")
    for name in tables.ANSWERING.values():
        shutil.copy(ROOT / "models" / name, folder)
    np.save(folder / "images.npy", np.asarray(dataset.read("test", ROOT / dataset.FOLDER).images[:most]))
    results = in_turn(tuple(tables.ANSWERING), folder, rounds)
    named = {name: each[0]["named"] for name, each in results.items()}
    same = {name: float(np.mean(np.equal(each, named["keras_predict"]))) for name, each in named.items()}
    return {
        "milliseconds": {name: [1000 / speed for speed in speeds(each)] for name, each in results.items()},
        "bytes": {name: (folder / name).stat().st_size for name in sorted(os.listdir(folder)) if "model" in name},
        "same class as Keras": same,
    }


def clone(folder: Path) -> Path:
    """The last commit with its data, as a user has it after `make repro`."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    subprocess.run(["git", "config", "user.email", "bench@example.com"], cwd=folder, check=True)
    subprocess.run(["git", "config", "user.name", "bench"], cwd=folder, check=True)
    return folder


# dvc.yaml calls plain `python`, which has to be this one.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
OURS = os.environ | {"PATH": PATH, "DVC_NO_ANALYTICS": "1"}


def timed(command: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - start, done.stdout


def whole(folder: Path, rounds: int, images: Path) -> dict:
    """`dvc exp run` after a change of the optimizer, against the article's script from import to curves."""
    print(f"whole experiment on {images.name}")
    repository = clone(folder / "clone")
    timed(["dvc", "exp", "run", "-S", f"images={images}", "evaluate"], repository, OURS)
    subprocess.run(["git", "commit", "--quiet", "--all", "--message", "pictures"], cwd=repository, check=True)
    script = [sys.executable, ROOT / "bench/article.py", images, folder, "--optimizer", "adagrad"]
    ours, theirs, accuracies = [], [], {}
    for number in range(rounds):
        # Another learning rate each time, because a finished experiment comes from DVC's cache.
        change = ["-S", "optimizer=adagrad", "-S", f"learning_rate={0.05 + number * 1e-6}"]
        ours.append(timed(["dvc", "exp", "run", *change, "evaluate"], repository, OURS)[0])
        metrics = json.loads((repository / "reports/metrics.json").read_text())
        accuracies["ours"] = metrics["val_accuracy"]
        subprocess.run(["git", "checkout", "--quiet", "."], cwd=repository, check=True)
        subprocess.run(["dvc", "checkout", "--quiet"], cwd=repository, env=OURS, check=False)
        seconds, output = timed(script, folder, PLAIN)
        theirs.append(seconds)
        accuracies["article's script, test"] = json.loads(output.splitlines()[-1])["test"][1]
        print(f"  ours {ours[-1]:.1f} s, article's script {theirs[-1]:.1f} s", flush=True)
    return {"seconds": {"ours": ours, "article": theirs}, "accuracy": accuracies, "article / ours": ratio(theirs, ours)}


def growth(folder: Path, small: int) -> dict:
    """`dvc repro preprocess` on ten times as many pictures: time, and memory of the largest process."""
    print(f"growth from {small} to {10 * small} pictures")
    repository = clone(folder / "growing")
    generator = np.random.default_rng(0)
    seconds, memory = {}, {}
    for count in (small, 10 * small):
        pictures = folder / f"{count} pictures"
        for number in range(count):
            coarse = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
            path = pictures / f"class {number % 4}" / f"{number:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse.resize((160, 120), Image.Resampling.BICUBIC).save(path, quality=85)
        change = ["dvc", "exp", "run", "-S", f"images={pictures}", "preprocess"]
        watched = [sys.executable, "-c", WATCH, *change]
        seconds[str(count)], output = timed(watched, repository, OURS)
        memory[str(count)] = int(output.splitlines()[-1]) / 2**20
        print(f"  {count}: {seconds[str(count)]:.1f} s, {memory[str(count)]:.0f} MiB", flush=True)
        shutil.rmtree(pictures)
    return {"seconds": seconds, "MiB": memory, "times": seconds[str(10 * small)] / seconds[str(small)]}


# Runs a command and says the most memory that one of its processes had.
WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="little of everything, to see that it runs; writes nothing"
    )
    parser.add_argument(
        "--only",
        choices=("training", "reading", "experiment", "growth", "answering"),
        help="measure one part again, keep the others",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured")
    parser.add_argument("--images", type=Path, default=SAMPLE, help="pictures for the whole experiment")
    asked = parser.parse_args()
    rounds = 1 if asked.quick else asked.rounds
    part = 0.01 if asked.quick else 1.0
    # Names, not paths: the result is for other machines, too.
    arguments = " ".join(Path(each).name if os.sep in each else each for each in sys.argv[1:])
    command = "make bench" + (f' BENCH="{arguments}"' if arguments else "")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        measures = {
            "training": lambda: training(folder, rounds, 60 if asked.quick else 960),
            "reading": lambda: reading(folder, rounds, part),
            "experiment": lambda: whole(folder, rounds, asked.images.resolve()) | {"pictures": asked.images.name},
            "growth": lambda: growth(folder, int(10_000 * part)),
            "answering": lambda: answering(folder, rounds, 20 if asked.quick else 320),
        }
        if asked.only:
            results = json.loads(RESULTS.read_text(encoding="utf-8")) | {asked.only: measures[asked.only]()}
            results["command"] = f"{results['command']}, then {command}"
        else:
            results = {
                "command": command,
                "machine": f"{processor()}, {parallel.count('auto')} cores, {platform.system()}",
                "versions": ", ".join(
                    [f"Python {platform.python_version()}", *(f"{each} {version(each)}" for each in PACKAGES)]
                ),
                **{name: measure() for name, measure in measures.items()},
            }
    text = tables.markdown(results)
    print(text)
    if not asked.quick:
        files.write_json(RESULTS, results)
        files.write_text(TABLE, text)


if __name__ == "__main__":
    main()
