"""The page to drop a photo on, in a real browser: the answers of predict.py, errors in words, closed to the outside."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encoded, stripes
from support import CLASSES, read_csv, run_predict, write_onnx

from cnn.common import dataset
from cnn.common.task import Classification

TASK = Classification(("<b>across", *CLASSES[1:]))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of the page and the folder it was started in, with a model and training pictures."""
    folder = tmp_path_factory.mktemp("demo")
    write_onnx(folder / "models/model.onnx", TASK, temperature=0.2)
    (folder / "data/processed").mkdir(parents=True)
    images = np.array([np.asarray(stripes(n % 3, n).resize((32, 32))) for n in range(30)])
    np.save(folder / "pixels.npy", images)
    dataset.write(folder / "data/processed", folder / "pixels.npy", {"train": range(30)}, np.arange(30) % 3)
    dataset.write_pictures(folder / "data/processed", [("train", f"{n}.png", CLASSES[n % 3], n) for n in range(30)])
    process = subprocess.Popen(
        [sys.executable, ROOT / "demo.py", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    assert line.startswith("open http://127.0.0.1:"), line
    # Nobody is refused once the address is printed.
    socket.create_connection(("127.0.0.1", int(line.split()[1].rstrip("/").rsplit(":", 1)[1]))).close()
    yield line.split()[1], folder
    process.terminate()
    process.wait()


def post(address: str, data: bytes, **headers: str) -> tuple[int, dict]:
    request = urllib.request.Request(address + "classify", data=data, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}") if error.code != 400 or not headers else {}


def test_the_page_answers_what_predict_answers(served, browser, tmp_path):
    address, folder = served
    (tmp_path / "one.jpg").write_bytes(encoded(stripes(1, 4, (200, 150)), "JPEG"))
    run_predict(
        folder / "models/model.onnx", str(tmp_path / "one.jpg"), "--top", "3", "--csv", str(tmp_path / "out.csv")
    )
    cells = read_csv(str(tmp_path / "out.csv"))[1][1:7]
    page = browser.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.set_input_files("#file", tmp_path / "one.jpg")
    page.wait_for_selector("#result:not([hidden])")
    shown = [bar.inner_text().split("\n") for bar in page.locator(".bar").all()]
    expected = [[cells[n], f"{100 * float(cells[n + 1]):.1f}%"] for n in (0, 2, 4)]
    assert [[name, percent] for name, percent in ([row[0], row[-1]] for row in shown)] == expected
    assert page.locator("#message").inner_text() == f"The model names: {cells[0]}"
    assert page.locator("#nearest li").count() == 6
    for image in page.locator("img").all():
        assert image.evaluate("each => each.decode().then(() => each.naturalWidth)") > 0

    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    page.set_input_files("#file", tmp_path / "bad.jpg")
    page.locator("#message", has_text="cannot be used: not a picture").wait_for()
    assert not page.locator("#result").is_visible()
    assert [each for each in complaints if "400" not in each] == []  # the browser logs the refused upload


def test_a_training_picture_is_its_own_nearest(served):
    address, _ = served
    code, answer = post(address, encoded(stripes(2, 5).resize((32, 32))))
    assert code == 200
    assert answer["nearest"][0] | {"source": ""} == {"source": "", "file": "5.png", "label": "falling"}


def test_uploads_are_bounded_and_other_hosts_refused_and_nothing_is_stored(served):
    address, folder = served
    before = sorted(path for path in folder.rglob("*"))
    assert post(address, b"\0" * (16 * 2**20 + 1))[0] == 413
    assert post(address, b"")[1]["error"].startswith("empty file")
    assert post(address, encoded(stripes(0, 0)), Host="evil.example")[0] == 400
    assert post(address, encoded(stripes(0, 0)), Origin="http://evil.example")[0] == 403
    assert post(address, encoded(stripes(0, 0)), Origin=address.rstrip("/"))[0] == 200
    assert post(address, encoded(stripes(0, 0)))[0] == 200
    assert sorted(path for path in folder.rglob("*")) == before


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="reads Linux's list of sockets")
def test_it_listens_on_this_machine_only(served):
    port = int(served[0].rstrip("/").rsplit(":", 1)[1])
    listening = {
        line.split()[1].split(":")[0]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port
    }
    assert listening == {"0100007F"}  # 127.0.0.1, and no other address


def test_the_page_as_one_file(served):
    def write(*options: str) -> subprocess.CompletedProcess:
        command = [sys.executable, ROOT / "demo.py", "--static", "reports/page.html", *options]
        return subprocess.run(command, cwd=served[1], capture_output=True, text=True, check=False)

    done = write()
    assert done.returncode == 1 and "make demo-page" in done.stderr and done.stderr.count("\n") == 1
    if not (ROOT / "web/node_modules").exists():
        pytest.skip("npm's part is missing: make web/node_modules/.package-lock.json")
    (served[1] / "web").symlink_to(ROOT / "web")
    page = served[1] / "reports/page.html"
    for options, pictures in (((), True), (("--no-pictures",), False)):
        done = write(*options)
        assert done.returncode == 0 and "see reports/page.html" in done.stdout, done.stderr
        assert ("data:image/jpeg" in page.read_text()) is pictures
    page.unlink()


def test_a_taken_port_and_a_missing_model_are_one_line(served, tmp_path):
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        for folder, words in ((served[1], "cannot be used"), (tmp_path, "model.onnx is missing")):
            done = subprocess.run(
                [sys.executable, ROOT / "demo.py", "--port", str(occupied.getsockname()[1])],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1
