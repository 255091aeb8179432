"""The page that runs the model in the browser, opened as a file: the answers of predict.py, and no network."""

import base64
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOGRAPHS, ROOT, encoded, scene, stripes, turned_exif
from PIL import Image
from support import write_onnx

from cnn.common import render
from cnn.common.runtime import UserError
from cnn.common.task import Classification, Regression
from cnn.data import archive
from cnn.data.decode import decode
from cnn.inference import static_page, tables
from cnn.inference.model import Model

RUNTIME = ROOT / "web/node_modules/onnxruntime-web/dist"
SIZE = 32
TASKS = {
    "classes": (Classification(("<b>across", "along", "falling")), {"temperature": 0.2}),
    "two classes": (Classification(("ok", "bad")), {"temperature": 0.5, "threshold": 0.47}),
    "numbers": (Regression(), {"margin": 1.25}),
}
LOOK = """async packed => {
    const file = new File([Uint8Array.from(atob(packed), each => each.charCodeAt(0))], "picture");
    const pixels = resize(await decode(file), settings.size), result = await answer(file);
    const map = await heat(pixels, (await predict([pixels]))[0]);
    return {...result, pixels: [...pixels], heat: [...map]};
}"""

pytestmark = pytest.mark.skipif(
    not (RUNTIME / static_page.WASM).exists(), reason="npm's part is missing: make web/node_modules/.package-lock.json"
)


def page_file(folder: Path, task: str) -> Path:
    """The page of an untrained network, with a few training pictures."""
    write_onnx(folder / "model.onnx", TASKS[task][0], **TASKS[task][1])
    train = np.stack([np.asarray(stripes(number % 4, number, (SIZE, SIZE))) for number in range(20)])
    names = [(f"{number}.png", "<i>label") for number in range(20)]
    static_page.write(folder / "demo.html", folder / "model.onnx", RUNTIME, train, names, nearest=6, max_bytes=2**20)
    return folder / "demo.html"


def pictures() -> dict[str, bytes]:
    """Pictures that a browser and Pillow may read differently."""
    clear = stripes(1, 1).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    return {
        "png": encoded(scene(0, (101, 57))),
        "tall": encoded(scene(7, (60, 150))),
        "as tall as wide first": encoded(scene(8, (60, 88))),
        "smaller": encoded(stripes(0, 0, (7, 45))),
        "its own size": encoded(stripes(2, 3, (SIZE, SIZE))),
        "grey": encoded(scene(1).convert("L")),
        "palette": encoded(scene(2).quantize(50)),
        "jpeg": encoded(scene(3, (70, 60)), "JPEG", quality=90),
        "turned jpeg": encoded(scene(4, (75, 50)), "JPEG", exif=turned_exif()),
        "large jpeg": encoded(scene(5, (407, 300)), "JPEG", quality=90),
        "webp": encoded(scene(6, (64, 70)), "WEBP", lossless=True),
        "transparent": encoded(clear),
    }


@pytest.mark.parametrize("task", TASKS)
def test_the_file_alone_gives_predicts_answers(browser, tmp_path, task):
    file = page_file(tmp_path, task)
    model = Model(tmp_path / "model.onnx")
    page = browser.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    for name, data in pictures().items():
        found = page.evaluate(LOOK, base64.b64encode(data).decode())
        pixels, _ = decode(data, SIZE)
        difference = np.abs(np.reshape(found["pixels"], (SIZE, SIZE, 3)) - pixels.astype(int))
        # Only libjpeg's own reduction of large pictures, and half transparent pixels, are not the same to the bit.
        assert difference.mean() <= {"large jpeg": 1.0, "transparent": 0.5}.get(name, 0), name
        seen = np.array(found["pixels"], dtype=np.uint8).reshape(SIZE, SIZE, 3)
        (row,) = tables.predict(model, [("", seen, "")])
        assert [each["name"] for each in found["classes"]] == [name for name, _ in row.classes]
        probabilities = [each["probability"] for each in found["classes"]]
        np.testing.assert_allclose(probabilities, [p for _, p in row.classes], atol=1e-5)
        if not row.classes:
            assert found["text"] == row.text(1)
        np.testing.assert_allclose(np.reshape(found["heat"], (SIZE, SIZE)), model.heat(seen), atol=0.01)
    assert [url for url in requests if not url.startswith(("data:", "blob:", "file:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == 1 and complaints == []


def test_it_shows_the_answer_and_says_what_is_wrong(browser, tmp_path):
    page = browser.new_page()
    page.goto(page_file(tmp_path, "classes").as_uri())
    (tmp_path / "one.png").write_bytes(encoded(stripes(3, 7, (SIZE, SIZE))))
    page.set_input_files("#file", tmp_path / "one.png")
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator(".bar").count() == 3 and page.locator("#nearest li").count() == 6
    assert page.locator("#nearest li small").first.inner_text() == "7.png"  # the same picture is its own nearest
    assert page.locator("#nearest li b").first.inner_text() == "<i>label"
    for name, data, words in (
        ("bad.jpg", b"no picture", "cannot be used: not a picture"),
        ("empty.png", b"", "cannot be used: empty file"),
        ("flat.png", encoded(stripes(0, 0, (50, 3))), "cannot be used: 50 x 3 pixels"),
        ("large.bin", b"\0" * (2**20 + 1), "larger than 1 MiB"),
    ):
        (tmp_path / name).write_bytes(data)
        page.set_input_files("#file", tmp_path / name)
        page.locator("#message", has_text=words).wait_for()
        assert not page.locator("#result").is_visible()


def test_numbers_are_written_as_in_python(browser, tmp_path):
    page = browser.new_page()
    page.goto(page_file(tmp_path, "numbers").as_uri())
    for number in (0.0, 1.0, -2.5, 3.14159, 0.00123456, 1.2e-5, -1e-7, 99.94, 100.4, 100.5, -1234567.8):
        assert page.evaluate("formatNumber", number) == render.number(number)
    (tmp_path / "one.png").write_bytes(encoded(stripes(3, 7)))
    page.set_input_files("#file", tmp_path / "one.png")
    page.wait_for_selector("#result:not([hidden])")
    assert "± 1.25" in page.locator(".number").inner_text()


@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="needs the photographs beside the checkout")
def test_photographs_are_seen_nearly_as_training_saw_them(browser, tmp_path):
    page = browser.new_page()
    page.goto(page_file(tmp_path, "classes").as_uri())
    container = archive.open_container(PHOTOGRAPHS)
    photographs = [entry for entry in container.entries() if entry.name.endswith(".jpg")][::100]
    for entry in photographs:
        data = container.read(entry)
        found = page.evaluate(LOOK, base64.b64encode(data).decode())
        pixels, _ = decode(data, SIZE)
        assert np.abs(np.reshape(found["pixels"], (SIZE, SIZE, 3)) - pixels.astype(int)).mean() < 1.5


def test_without_npms_part_it_says_what_to_do(tmp_path):
    page_file(tmp_path, "classes")
    with pytest.raises(UserError, match="make demo-page"):
        images = np.zeros((0, SIZE, SIZE, 3), np.uint8)
        static_page.write(tmp_path / "x.html", tmp_path / "model.onnx", tmp_path, images, [], 6, 2**20)
    assert not (tmp_path / "x.html").exists()
    static_page.write(tmp_path / "x.html", tmp_path / "model.onnx", RUNTIME, images, [], 6, 2**20)  # no pictures
    assert (tmp_path / "x.html").read_bytes().startswith(b"<!doctype html>")
