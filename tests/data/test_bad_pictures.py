"""Every picture is accounted for, whatever lies in the folder: used + rejected = found."""

import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import encoded, scene, stripes, turned_exif, write_params
from PIL import Image
from support import data, names, run_all, run_stage

from cnn.data import decode
from stages import preprocess


def bomb() -> bytes:
    """A PNG of 200 kB that claims, and holds, 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(5001) * 100) for _ in range(400)) + packer.flush()
    head = struct.pack(">IIBBBBB", 40000, 40000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def rotated() -> bytes:
    return encoded(stripes(0, 900), "JPEG", exif=turned_exif())


def animation(kind: str) -> bytes:
    frames = [stripes(label, 901 if kind == "GIF" else 902) for label in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


PICTURE = stripes(0, 903)
JPEG = encoded(PICTURE, "JPEG")
USED = {
    "a png.jpg": encoded(stripes(0, 904), "PNG"),
    "animated.gif": animation("GIF"),
    "animated.webp": animation("WEBP"),
    "cmyk.jpg": encoded(stripes(0, 905).convert("CMYK"), "JPEG"),
    "greyscale.jpg": encoded(stripes(0, 906).convert("L"), "JPEG"),
    "16 bits.png": encoded(Image.fromarray(np.asarray(stripes(0, 907).convert("L")).astype(np.uint16) * 257), "PNG"),
    "palette.png": encoded(stripes(0, 908).quantize(16), "PNG"),
    "rgba.png": encoded(stripes(0, 909).convert("RGBA"), "PNG"),
    "rotated.jpg": rotated(),
    "with a space.png": encoded(stripes(0, 910), "PNG"),
    "猫の写真.png": encoded(stripes(0, 911), "PNG"),
}
REJECTED = {
    "truncated.jpg": (JPEG[: len(JPEG) // 2], "damaged"),
    "nothing.png": (b"", "empty file"),
    "text.jpg": (b"I am no picture\n" * 9, "not a picture"),
    "dot.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), "1 x 1 pixels"),
    "line.png": (encoded(Image.new("RGB", (20000, 1)), "PNG"), "20000 x 1 pixels"),
    "bomb.png": (bomb(), "40000 x 40000 pixels"),
}
SYSTEM_FILES = ("Thumbs.db", ".DS_Store", "desktop.ini")


def test_each_kind_of_picture_is_used_or_rejected_with_its_reason(pictures):
    write_params(max_rejected=1)
    folder = pictures / "across"
    for name, content in (USED | {name: content for name, (content, _) in REJECTED.items()}).items():
        (folder / name).write_bytes(content)
    for name in SYSTEM_FILES:
        (folder / name).write_bytes(b"x")
    (folder / "dangling.png").symlink_to("nowhere.png")
    preprocess.main()

    facts = data()
    assert facts["ignored"] == len(SYSTEM_FILES)
    assert facts["used"] == 60 + len(USED)
    assert facts["rejected"] == len(REJECTED) + 1
    assert facts["found"] == facts["used"] + facts["rejected"]
    assert facts["greyscale_share"] == round(2 / facts["used"], 4)
    used = names("train") | names("validation") | names("test")
    assert {f"across/{name}" for name in USED} <= used
    rejected = pd.read_csv("reports/rejected.csv").set_index("file")
    assert rejected["what to do"].notna().all()
    assert "No such file" in rejected.loc["across/dangling.png", "reason"]
    for name, (_, reason) in REJECTED.items():
        assert reason in rejected.loc[f"across/{name}", "reason"], name


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_names_that_are_no_utf_8_are_shown_with_escapes(pictures):
    path = os.fsencode(pictures / "across") + b"/caf\xe9.png"
    with open(path, "wb") as file:
        file.write(encoded(stripes(0, 50), "PNG"))
    bad = os.fsencode(pictures / "across") + b"/b\xe4d.png"
    with open(bad, "wb") as file:
        file.write(b"x")
    preprocess.main()
    assert r"across/caf\udce9.png" in names("train") | names("validation") | names("test")
    assert pd.read_csv("reports/rejected.csv")["file"].tolist() == [r"across/b\udce4d.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_a_file_that_cannot_be_read_is_rejected_and_named(pictures):
    locked = pictures / "across" / "000.png"
    locked.chmod(0)
    # Root may read everything, unless it gives that right away.
    as_anyone = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.access(locked, os.R_OK) else []
    if as_anyone and not shutil.which("setpriv"):
        pytest.skip("root, and no setpriv")
    assert run_stage("preprocess", *as_anyone).returncode == 0
    rejected = pd.read_csv("reports/rejected.csv")
    assert rejected["file"].tolist() == ["across/000.png"]
    assert rejected["reason"].tolist() == ["cannot be read: Permission denied"]
    assert data()["found"] == 60 == data()["used"] + 1


def test_a_file_larger_than_any_picture_is_not_read(pictures):
    with open(pictures / "across" / "huge.jpg", "wb") as file:
        file.truncate(decode.MAX_BYTES + 1)
    preprocess.main()
    assert "268435457 bytes" in pd.read_csv("reports/rejected.csv")["reason"][0]


def test_ten_thousand_files(work):
    """Each is found, read once, and stands in one row of one array."""
    write_params(image_size=8, depth=1)
    generator = np.random.default_rng(0)
    for label in range(4):
        folder = work / "pictures" / f"class {label}"
        folder.mkdir(parents=True)
        for number in range(2500):
            pixels = generator.integers(0, 256, 8 * 8 * 3, dtype=np.uint8).tobytes()
            (folder / f"{number}.ppm").write_bytes(b"P6 8 8 255\n" + pixels)
    preprocess.main()
    assert (data()["used"], data()["duplicates"]) == (10000, 0)
    files = [name for split in ("train", "validation", "test") for name in names(split)]
    assert len(files) == len(set(files)) == 10000
    assert [len(names(split)) for split in ("validation", "test")] == [2000, 2000]


def test_the_report_shows_what_is_in_the_data_more_than_once(work):
    write_params(epochs=1, repeats=1)
    for label, name in enumerate(("across", "along")):
        (work / "pictures" / name).mkdir(parents=True)
        for number in range(8):
            scene(100 * label + number).save(work / "pictures" / name / f"{number}.png")
    scene(0).save("pictures/along/under another class.png")
    scene(105).save("pictures/along/copy.bmp")
    run_all()
    page = Path("reports/report.html").read_text(encoding="utf-8")
    shown = page[page.index("more than once") :]
    assert "2 groups" in shown
    order = [shown.index(name) for name in ("under another class.png", "copy.bmp")]
    assert order == sorted(order)
    assert shown.count("<img") == 4
    assert "1 picture stands under two classes and stays out of validation and test" in page
