"""Each form in which pictures may come leads to the same pictures with the same classes."""

import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import stripes, write_pictures

from cnn.common.runtime import UserError
from cnn.data import source
from cnn.data.decode import decode


def contents(found: source.Source) -> list[tuple[str, str, bytes]]:
    """(file name, class, bytes) of each picture, sorted."""
    return sorted((Path(p.file).name, p.label, found.container.read(p.entry)) for p in found.pictures)


def make_zip(folder: Path, top: str = "") -> Path:
    with zipfile.ZipFile("set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, f"{top}{path.relative_to(folder)}")
    return Path("set.zip")


def make_tar(folder: Path, ending: str, top: str = "") -> Path:
    with tarfile.open(f"set{ending}", "w:gz" if ending.endswith("gz") else "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.add(path, f"{top}{path.relative_to(folder)}")
    return Path(f"set{ending}")


def make_manifest(folder: Path, name: str, separator: str, header: str) -> Path:
    lines = [f"{path.relative_to(folder)}{separator}{path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    (folder / name).write_text("\n".join([header, *lines] if header else lines) + "\n")
    return folder / name


FORMS = {
    "folder": lambda folder: folder,
    "folder in a folder": lambda folder: Path(shutil.copytree(folder, "outer/inner")).parent,
    "zip": make_zip,
    "zip with a top folder": lambda folder: make_zip(folder, "top/"),
    "tar": lambda folder: make_tar(folder, ".tar"),
    "tar.gz": lambda folder: make_tar(folder, ".tar.gz"),
    "tgz with a top folder": lambda folder: make_tar(folder, ".tgz", "top/"),
    "manifest csv": lambda folder: make_manifest(folder, "list.csv", ",", "path,label"),
    "manifest tsv": lambda folder: make_manifest(folder, "list.tsv", "\t", "path\tlabel"),
    "manifest tsv without header": lambda folder: make_manifest(folder, "train_master.tsv", "\t", ""),
    "folder with a manifest": lambda folder: make_manifest(folder, "list.csv", ",", "path,label").parent,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pictures(work, form):
    folder = write_pictures(work / "pictures", each=3)
    expected = sorted((p.name, p.parent.name, p.read_bytes()) for p in folder.rglob("*.png"))
    found = source.find(str(FORMS[form](folder)))
    assert contents(found) == expected
    assert source.class_names(found.pictures) == ["across", "along", "falling"]


def test_a_manifest_may_name_the_split_and_have_windows_line_ends(work):
    write_pictures(work / "pictures", each=2)
    text = "\ufefflabel,path,split\r\na,across/000.png,train\r\nb,along/000.png,Val\r\nb,along\\001.png,\r\n"
    (work / "pictures/list.csv").write_bytes(text.encode())
    found = source.find("pictures/list.csv")
    assert [(p.file, p.label, p.split) for p in found.pictures] == [
        ("across/000.png", "a", "train"),
        ("along/000.png", "b", "validation"),
        ("along/001.png", "b", None),
    ]


def test_the_first_line_of_a_manifest_without_header_may_look_like_one(work):
    (work / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        stripes(0, 0).save(work / "pictures" / name)
    (work / "pictures/list.tsv").write_text("a.png\ttarget\nb.png\tlabel\n")
    assert [(each.file, each.label) for each in source.find("pictures").pictures] == [
        ("a.png", "target"),
        ("b.png", "label"),
    ]


def test_folders_named_train_and_test_are_splits_and_not_classes(work):
    write_pictures(work / "set/train", each=2)
    write_pictures(work / "set/test", each=1)
    found = source.find("set")
    assert source.class_names(found.pictures) == ["across", "along", "falling"]
    assert sorted({(p.split, p.file.split("/")[0]) for p in found.pictures}) == [("test", "test"), ("train", "train")]


@pytest.mark.parametrize("form", ["folder", "tar.gz", "zip"])
def test_stl10_binary_files_have_their_columns_first(work, form):
    images = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    folder = work / "stl10_binary"
    folder.mkdir()
    (folder / "train_X.bin").write_bytes(images[:3].transpose(0, 3, 2, 1).tobytes())
    (folder / "train_y.bin").write_bytes(bytes([1, 2, 1]))
    (folder / "test_X.bin").write_bytes(images[3:].transpose(0, 3, 2, 1).tobytes())
    (folder / "test_y.bin").write_bytes(bytes([2, 1]))
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    if form == "tar.gz":
        with tarfile.open("stl10_binary.tar.gz", "w:gz") as archive:
            archive.add(folder, "stl10_binary")
    elif form == "zip":
        shutil.make_archive("stl10_binary", "zip", work, "stl10_binary")
    found = source.find({"folder": "stl10_binary"}.get(form, f"stl10_binary.{form}"))
    by_name = {p.file: p for p in found.pictures}
    assert [by_name[n].label for n in ("train/00000", "train/00001", "test/00000")] == ["airplane", "bird", "bird"]
    assert [by_name[n].split for n in ("train/00000", "test/00000")] == [None, "test"]
    for name, image in zip(("train/00000", "train/00001", "train/00002", "test/00000"), images, strict=False):
        picture = by_name[name]
        data = source.image_file(picture, found.container.read(picture.entry))
        assert np.array_equal(decode(data, 96)[0], image)


def test_stl10_files_that_do_not_fit_together_are_refused(work):
    Path("s").mkdir()
    Path("s/train_X.bin").write_bytes(b"x" * 100)
    with pytest.raises(UserError, match=r"not train_y\.bin"):
        source.find("s")
    Path("s/train_y.bin").write_bytes(b"\x01")
    Path("s/class_names.txt").write_text("a")
    with pytest.raises(UserError, match="100 bytes"):
        source.find("s")


def test_numbers_as_class_names_stand_in_the_order_of_numbers(work):
    for name in ("10", "9", "0"):
        Path("n", name).mkdir(parents=True)
        stripes(0, 0).save(f"n/{name}/a.png")
    assert source.class_names(source.find("n").pictures) == ["0", "9", "10"]


def test_what_file_managers_leave_behind_is_ignored_and_counted(pictures):
    for name in ("Thumbs.db", ".DS_Store", "across/._000.png", "across/Thumbs.db"):
        (pictures / name).write_bytes(b"x")
    found = source.find("pictures")
    assert (len(found.pictures), found.ignored) == (60, 4)


def test_names_are_shown_without_control_characters():
    assert source.printable("a\x01\r\n\x85b\udcff 猫") == r"a\x01\x0d\x0a\x85b\udcff 猫"


def test_links_to_folders_are_followed_once(pictures, work):
    (pictures / "across" / "loop").symlink_to(pictures, target_is_directory=True)
    (work / "more").symlink_to(pictures, target_is_directory=True)
    assert len(source.find("more").pictures) in (60, 120)


MANIFESTS = {
    "path,label\nnone.png,a\n": "not there, first 'none.png'",
    "path,label\n../x.png,a\n": "outside the manifest's folder",
    "path,label\n.,a\n": "outside the manifest's folder",
    "path,label\n/etc/passwd,a\n": "outside the manifest's folder",
    "path,label\nC:\\x.png,a\n": "outside the manifest's folder",
    "path,label\nacross/000.png,a\nacross/000.png,a\n": "twice",
    "path,label\nacross/000.png,a\nacross/000.png,b\n": "as 'a' and as 'b'",
    "file,label\nacross/000.png,a\n": "has the columns file, label",
    "path,label,price\nacross/000.png,a,1\n": "has the columns path, label, price",
    "path,label\nacross/000.png\n": "line 2 has 1 columns",
    "path,label\nacross/000.png,\n": "line 2 has 2 columns or an empty one",
    "path,label,split\nacross/000.png,a,other\n": "split is 'other'",
    "": "is empty",
    "path,label\n": "holds no pictures",
}


@pytest.mark.parametrize("text", MANIFESTS)
def test_a_manifest_with_a_mistake_is_refused_in_one_line(pictures, text):
    (pictures / "list.csv").write_text(text)
    with pytest.raises(UserError) as error:
        source.find("pictures/list.csv")
    assert MANIFESTS[text] in str(error.value)
    assert "\n" not in str(error.value)


def test_places_without_pictures_are_refused(work):
    Path("empty").mkdir()
    Path("words.txt").write_text("x")
    for images, words in {"empty": "no pictures", "gone": "does not exist", "words.txt": "no picture set"}.items():
        with pytest.raises(UserError, match=words):
            source.find(images)
