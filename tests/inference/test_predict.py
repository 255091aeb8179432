"""predict.py: answers for any number of pictures, bad ones accounted for, submissions in order and complete."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encoded, stripes
from PIL import Image
from support import CLASSES, read_csv, run_predict, untrained, write_onnx

from cnn.common import files
from cnn.common.task import Classification
from cnn.data import decode
from cnn.export import onnx
from cnn.inference import tables
from cnn.inference.model import Model
from cnn.model import occlusion, outputs

TWO = Classification(("ok", "bad"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .onnx file of an untrained network."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_onnx(path, Classification(tuple(CLASSES)), temperature=0.2)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pictures/: two pictures and one that is none; the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures/more").mkdir(parents=True)
    stripes(0, 0).save("pictures/a.png")
    stripes(1, 0, (300, 200)).save("pictures/more/b.jpg")
    Path("pictures/notes.txt").write_text("not a picture")
    Path("pictures/.DS_Store").write_text("litter")
    return tmp_path


def test_a_table_and_csv_with_a_row_for_every_picture(model, folder):
    output = run_predict(model, "pictures", "--top", "2", "--csv", "out.csv", code=3)
    assert "1 of 3 could not be used" in output
    rows = read_csv("out.csv")
    assert rows[0] == ["file", "class", "probability", "class_2", "probability_2", "reason"]
    assert [row[0] for row in rows[1:]] == ["a.png", "more/b.jpg", "notes.txt"]
    assert rows[3][1:5] == [""] * 4 and rows[3][5].startswith("not a picture")
    for row in rows[1:3]:
        assert float(row[2]) > float(row[4]) > 0
        assert any(line.split()[:3] == [row[0], row[1], f"{float(row[2]):.3f}"] for line in output.splitlines())


def test_pictures_are_read_as_in_training(model, folder):
    run_predict(model, "pictures/more/b.jpg", "--csv", "out.csv")
    pixels, _ = decode.decode(Path("pictures/more/b.jpg").read_bytes(), 32)
    expected = Model(model).predict(pixels[None])[0]
    assert read_csv("out.csv")[1][:3] == ["pictures/more/b.jpg", CLASSES[expected.argmax()], f"{expected.max():.6f}"]


def test_of_two_classes_the_threshold_decides_which_comes_first(tmp_path):
    network = untrained(TWO)
    metadata = {"classes": TWO.classes, "temperature": 2.0, "keras_md5": "none"}
    pixels = np.stack([np.asarray(stripes(number % 4, number, (32, 32))) for number in range(12)])
    probability = outputs.predict(network, TWO, pixels)[:, 1]
    threshold = float(np.sort(probability)[3:5].mean())  # eight of twelve are bad, whatever one half would say
    files.write_bytes(tmp_path / "model.onnx", onnx.build(network, metadata | {"threshold": threshold}))
    model = Model(tmp_path / "model.onnx")
    rows = tables.predict(model, [("", each, "") for each in pixels])
    assert [row.label for row in rows] == ["bad" if each >= threshold else "ok" for each in probability]
    between = np.flatnonzero((probability >= threshold) != (probability > 0.5))[0]  # the predicted one is less probable
    expected = occlusion.heat(model.predict, pixels[between], int(probability[between] >= threshold))
    np.testing.assert_array_equal(model.heat(pixels[between]), expected)
    assert tables.predict(model, [("x", None, "no picture")])[0].reason == "no picture"  # and none besides
    assert all(sum(p for _, p in row.classes) == pytest.approx(1) for row in rows)


def test_many_pictures_over_processes_and_an_archive_keep_their_order(model, folder):
    with zipfile.ZipFile("many.zip", "w") as archive:
        for number in range(150):
            archive.writestr(f"{number:03d}.png", encoded(stripes(number % 4, number)))
    run_predict(model, "many.zip", "pictures/a.png", "--csv", "out.csv")
    rows = read_csv("out.csv")[1:]
    assert [row[0] for row in rows] == [*(f"many.zip/{number:03d}.png" for number in range(150)), "pictures/a.png"]
    classifier = Model(model)
    pixels = np.array([decode.decode(encoded(stripes(number % 4, number)), 32)[0] for number in range(150)])
    expected = classifier.predict(pixels)
    assert [row[1] for row in rows[:-1]] == [CLASSES[index] for index in expected.argmax(axis=1)]
    np.testing.assert_allclose([float(row[2]) for row in rows[:-1]], expected.max(axis=1), atol=1e-5)


def test_submissions_for_signate_and_kaggle(model, folder):
    run_predict(model, "pictures/a.png", "pictures/more", "--submission", "out.tsv")
    rows = read_csv("out.tsv", "\t")
    assert [row[0] for row in rows] == ["a.png", "b.jpg"] and all(row[1] in CLASSES for row in rows)
    Path("sample.csv").write_text("id,label\nb,0\na,0\n")
    options = ("--header", "id,label", "--sample", "sample.csv")
    run_predict(model, "pictures/a.png", "pictures/more", "--submission", "out.csv", *options)
    assert read_csv("out.csv") == [["id", "label"], ["b", rows[1][1]], ["a", rows[0][1]]]


@pytest.mark.parametrize(
    ("sample", "options", "words"),
    [
        ("a.png,0\nc.png,0\n", ("pictures/a.png",), "names 1 pictures that are not there, first 'c.png'"),
        ("a.png,0\n", ("pictures/a.png", "pictures/more"), "1 pictures are not in the sample, first 'b.jpg'"),
        ("a.png,0\na.png,0\n", ("pictures/a.png",), "names 2 pictures, 1 different ones"),
        ("a.png,0\n", ("pictures/a.png", "--header", "id,label"), "begins with 'a.png,0', not with the header"),
    ],
)
def test_an_incomplete_submission_is_refused_and_not_written(model, folder, sample, options, words):
    Path("sample.csv").write_text(sample)
    output = run_predict(model, *options, "--submission", "out.csv", "--sample", "sample.csv", code=1)
    assert words in output and not Path("out.csv").exists()


def test_a_wrong_submission_is_refused_before_anything_is_written(model, folder):
    Path("sample.csv").write_text("c,0\n")
    options = ("--submission", "out.csv", "--sample", "sample.csv", "--explain", "why", "--csv", "table.csv")
    run_predict(model, "pictures/a.png", *options, code=1)
    assert not any(Path(name).exists() for name in ("why", "out.csv", "table.csv"))
    Path("sample.csv").write_bytes(b"\xff\xfe\xff")
    assert "cannot be read" in run_predict(model, "pictures/a.png", *options, code=1)


def test_a_folder_is_never_replaced_by_a_table(model, folder):
    Path("precious.csv").mkdir()
    Path("precious.csv/thesis.txt").write_text("mine")
    output = run_predict(model, "pictures/a.png", "--csv", "precious.csv", code=1)
    assert "precious.csv is there already, and is a folder" in output
    assert Path("precious.csv/thesis.txt").read_text() == "mine"
    assert "a name that ends with .csv" in run_predict(model, "pictures/a.png", "--csv", "pictures", code=1)


def test_two_folders_with_the_same_names_are_told_apart(model, folder):
    Path("others").mkdir()
    stripes(2, 0).save("others/a.png")
    run_predict(model, "pictures", "others", "--csv", "out.csv", code=3)
    assert [row[0] for row in read_csv("out.csv")[1:]] == [
        *("pictures/a.png", "pictures/more/b.jpg", "pictures/notes.txt", "others/a.png")
    ]
    output = run_predict(model, "pictures/a.png", "others", "--submission", "out.tsv", "--sample", "x.csv", code=1)
    assert "--sample x.csv cannot be read" in output


def test_an_unusable_picture_in_a_submission_needs_a_fallback(model, folder):
    assert "1 pictures could not be used, first 'notes.txt'" in run_predict(
        model, "pictures", "--submission", "out.tsv", code=1
    )
    run_predict(model, "pictures", "--submission", "out.tsv", "--fallback", "along", code=3)
    assert ["notes.txt", "along"] in read_csv("out.tsv", "\t")


def test_heat_maps_have_the_picture_beside_them(model, folder):
    run_predict(model, "pictures", "--explain", "why", code=3)
    assert sorted(path.name for path in Path("why").iterdir()) == ["00001-a.png", "00002-b.png"]
    with Image.open("why/00001-a.png") as image:
        assert image.size == (768, 384)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("nowhere.jpg",), "nowhere.jpg does not exist"),
        (("pictures", "--top", "4"), "--top is 4; allowed: 1 to 3"),
        (("pictures", "--submission", "out.txt"), "a name that ends with .tsv or .csv"),
        (("pictures", "--header", "a,b"), "--header is for a submission"),
        (("pictures", "--submission", "o.csv", "--fallback", "acros"), "no class; did you mean 'across'?"),
        (("pictures", "--model", "missing.keras"), "missing.onnx is missing; `dvc repro` makes it"),
    ],
)
def test_a_mistake_is_one_line(model, folder, options, words):
    output = run_predict(model, *options, code=1)
    assert words in output and output.count("\n") == 1


@pytest.mark.parametrize("program", ["predict.py", "demo.py"])
def test_the_programs_import_nothing_slow(model, folder, program):
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0].rsplit('/', 1)[0])\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print({'tensorflow', 'keras', 'scipy', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    options = ["--model", str(model), "pictures/a.png"] if program == "predict.py" else ["--help"]
    command = [sys.executable, "-c", code, str(ROOT / program), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
