"""Build the article's network from params.yaml, untrained.

    dvc repro build          or          python -m stages.build

Writes models/architecture.json, models/initial/repeat-N.weights.h5 (each repeat's first weights,
drawn from seed + N) and reports/model.txt, a summary to read.
"""

from pathlib import Path

from cnn.common import files, params, runtime
from cnn.common.task import read_task
from cnn.model import saving
from cnn.model.backend import keras
from cnn.model.build import build
from cnn.model.saving import ARCHITECTURE, INITIAL

SUMMARY = Path("reports/model.txt")


def main() -> None:
    p, task = params.read(), read_task()
    with files.atomic_path(INITIAL) as folder:
        folder.mkdir()
        for repeat in range(p.repeats):
            # Keras, TensorFlow, numpy and Python; not covered are numpy.random.default_rng's own generators.
            keras.utils.set_random_seed(p.seed + repeat)
            model = build(p, task)
            saving.save_weights(model, folder / f"repeat-{repeat}.weights.h5")
    files.write_text(ARCHITECTURE, saving.architecture(model))
    files.write_text(SUMMARY, saving.summary(model))
    print(saving.summary(model), end="")


if __name__ == "__main__":
    runtime.run_stage(main)
