"""The speed comparison itself: that what runs without PyTorch runs, and counts the right thing."""

import importlib
import json
import os
import statistics
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, stripes, write_pictures

from cnn.common import params
from cnn.common.task import Classification
from cnn.export import onnx
from cnn.model import build, outputs, saving

sys.path.insert(0, str(ROOT / "bench"))
compare = importlib.import_module("compare")
FOUR = Classification(("1", "2", "3", "4"))


@pytest.fixture
def sides(work):
    """A folder for the training sides: ten pictures and the network's first weights."""
    build.keras.utils.set_random_seed(0)
    model = build.build(params.read(ROOT / "params.yaml"), FOUR)
    labels = np.arange(10) % 4  # one batch, whose loss does not depend on the order
    np.save(work / "images.npy", np.array([np.asarray(stripes(k, n, (96, 96))) for n, k in enumerate(labels)]))
    np.save(work / "labels.npy", labels.astype(np.int32))
    np.savez(work / "first.npz", *model.get_weights())
    saving.save_weights(model, work / "first.weights.h5")
    (work / "architecture.json").write_text(saving.architecture(model))
    return work


def measured(name: str, folder) -> dict:
    command = [sys.executable, ROOT / "bench/sides.py", name, folder]
    done = subprocess.run(command, env=compare.PLAIN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1].removeprefix("RESULT "))


def test_both_sides_begin_with_the_same_weights_and_count_the_same_loss(sides):
    """PyTorch is held to it by `make bench` itself: it is in bench/.venv only."""
    ours, plain = measured("ours", sides), measured("keras_fit", sides)
    assert ours["pictures_per_second"] > 0
    assert plain["pictures_per_second"] > 0
    assert ours["losses"][0] == pytest.approx(plain["losses"][0], abs=1e-5)
    assert len(ours["losses"]) == len(plain["losses"])


def test_the_other_programs_have_the_environment_of_their_user(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setenv("MINE", "1")
    plain = importlib.reload(compare).PLAIN
    assert "MINE" in plain
    assert not {"OPENBLAS_CORETYPE", "TF_NUM_INTRAOP_THREADS"} & plain.keys()


def test_sides_that_do_not_begin_alike_end_the_comparison(sides, monkeypatch):
    losses = {"ours": 1.38, "torch": 1.38000001, "keras_fit": 1.39}
    monkeypatch.setattr(compare, "side", lambda name, _: {"losses": [losses[name]]})
    compare.begin_alike(("ours", "torch"), sides)
    with pytest.raises(SystemExit, match=r"do not begin alike.*1\.39"):
        compare.begin_alike(("ours", "torch", "keras_fit"), sides)


def test_both_sides_read_every_picture(work):
    folder = write_pictures(work / "pictures", ("a", "b"), each=20)
    for name in ("ours_reading", "tf_reading"):
        assert measured(name, folder)["pictures_per_second"] > 0


def test_ratios_are_of_pairs():
    found = compare.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0])
    assert found == {"median": 2.0, "least": 1.0, "most": 3.0, "n": 3}
    assert found["median"] != statistics.median([2.0, 9.0, 4.0]) / statistics.median([1.0, 3.0, 4.0])


def test_the_networks_arithmetic_is_counted_as_in_the_article():
    """2 operations for each weight and place of the forward pass, twice that for the way back, less the input's."""
    forward = 2 * (94 * 94 * 27 * 6 + 45 * 45 * 54 * 12 + 5808 * 120 + 120 * 60 + 60 * 4)
    assert 3 * forward - 2 * 94 * 94 * 27 * 6 == compare.FLOP_A_PICTURE


def test_other_programs_run_in_their_own_environment():
    assert "TF_NUM_INTRAOP_THREADS" in os.environ
    assert "TF_NUM_INTRAOP_THREADS" not in compare.PLAIN
    assert "XLA_FLAGS" not in compare.PLAIN


def test_the_exported_network_answers_in_the_comparison(work):
    build.keras.utils.set_random_seed(0)
    model = build.build(params.read(ROOT / "params.yaml"), FOUR)
    images = np.array([np.asarray(stripes(n % 4, n, (96, 96))) for n in range(6)])
    np.save(work / "images.npy", images)
    (work / "model.onnx").write_bytes(onnx.build(model, {}))
    named = outputs.predict(model, FOUR, images).argmax(axis=1).tolist()
    result = measured("onnx", work)
    assert result["named"] == named and result["pictures_per_second"] > 0
