"""Build the article's network from params.yaml, untrained.

    dvc repro build          or          python stages/build.py

Writes models/architecture.json, models/initial/repeat-N.weights.h5 (each repeat's first weights,
drawn from seed + N) and reports/model.txt, a summary to read.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stages.lib import runtime  # before numpy

if __name__ == "__main__":
    runtime.no_arguments(__doc__)  # before the imports that take time
from stages.lib import network, outputs, params

DATA = Path("reports/data.json")
ARCHITECTURE = Path("models/architecture.json")
INITIAL = Path("models/initial")
SUMMARY = Path("reports/model.txt")


def main() -> None:
    p = params.read()
    data = json.loads(DATA.read_text(encoding="utf-8"))
    numbers = {key: data["target"][key] for key in ("mean", "deviation")} if "target" in data else {}
    with outputs.aside(INITIAL) as folder:
        folder.mkdir()
        for repeat in range(p.repeats):
            runtime.seed_everything(p.seed + repeat)
            model = network.build(p, len(data["classes"]), **numbers)
            network.save_weights(model, folder / f"repeat-{repeat}.weights.h5")
    outputs.write_text(ARCHITECTURE, network.architecture(model))
    outputs.write_text(SUMMARY, network.summary(model))
    print(network.summary(model), end="")


if __name__ == "__main__":
    runtime.run(main)
