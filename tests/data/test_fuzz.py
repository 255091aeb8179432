"""The readers against files that went wrong, and against anything at all."""

import csv
import io
import os
import re
import subprocess
import sys
import zipfile

import pytest
import yaml
from conftest import DEFAULTS, ROOT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cnn.common import params
from cnn.common.runtime import UserError
from cnn.data import manifest, source
from cnn.data.decode import Unusable, decode

# What may stand in a cell: spaces around it are stripped, and an empty one is refused.
CELL = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(lambda t: t.strip())


@pytest.mark.skipif(os.name == "nt", reason="Windows tells a process's memory otherwise")
def test_two_thousand_mutated_files_are_used_or_rejected_within_1_gib(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "fuzz.py", "2000", "7"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = dict(re.findall(r"^(\w+ +\w+) +(\d+)$", done.stdout, re.MULTILINE))
    assert sum(map(int, outcomes.values())) == 2000
    assert {line.split()[0] for line in outcomes} == {"JPEG", "PNG", "ZIP", "other"}
    assert {line.split()[1] for line in outcomes} == {"used", "rejected", "refused"}


def one_line(error: UserError) -> bool:
    return str(error) != "" and "\n" not in str(error)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_picture_or_one(data):
    try:
        image, _ = decode(data, 16)
        assert image.shape == (16, 16, 3)
    except Unusable as error:
        assert error.reason
        assert error.advice


@given(st.binary(max_size=300))
@example(b"path,label\n\xff,a\n")
@example(b'path,label\n"a.png,b\n')
def test_any_bytes_are_no_manifest_or_one(data):
    for name in ("list.csv", "list.tsv"):
        try:
            rows = manifest.parse(name, data)
        except UserError as error:
            assert one_line(error)
        else:
            assert all(row.label and row.path and ".." not in row.path.split("/") for row in rows)
            assert len({row.path for row in rows}) == len(rows)


@given(
    st.lists(st.tuples(CELL, st.sampled_from(["", "train", "val", "Test"])), min_size=1, max_size=20),
    st.sampled_from([",", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_a_manifest_is_read_as_it_was_written(rows, delimiter, line_end, bom):
    """Whatever the labels, the separator, the line ends, with a byte order mark or without."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(("path", "label", "split"))
    writer.writerows((f"p/{number}.png", label, split) for number, (label, split) in enumerate(rows))
    data = text.getvalue().encode("utf-8-sig" if bom else "utf-8")
    parsed = manifest.parse("list.tsv" if delimiter == "\t" else "list.csv", data)
    splits = {"": None, "train": "train", "val": "validation", "Test": "test"}
    assert [(row.path, row.label, row.split) for row in parsed] == [
        (f"p/{number}.png", label.strip(), splits[split]) for number, (label, split) in enumerate(rows)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL, st.binary(max_size=40)), max_size=12))
@example([("a", "../b", b"")])
@example([("..", "b", b"")])
@example([("\\", "0", b"")])  # two slashes are a root of their own in POSIX
@example([("a\\..\\..", "b", b"")])
def test_a_zip_with_any_names_is_refused_or_every_file_is_found(tmp_path, files):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        names = {f"{folder}/{name}": data for folder, name, data in files}
        for name, data in names.items():
            archive.writestr(name, data)
    try:
        found = source.find(str(path))
    except UserError as error:
        assert one_line(error)
        return
    for picture in found.pictures:
        assert ".." not in picture.entry.name.split("/")
        assert not picture.entry.name.startswith("/")
        assert found.container.read(picture.entry) in names.values()
    # Names that are spelled otherwise than they are meant (a\\b, a/./b) may be one file or a folder.
    if all("\\" not in name and name.count("/") == 1 and "." not in name.split("/") for name in names):
        assert len(found.pictures) + found.ignored == len([name for name in names if not name.endswith("/")])


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2)
)
KINDS = {name: type(value) for name, value in DEFAULTS.items()}


@given(st.sampled_from(sorted(DEFAULTS)), VALUES)
def test_any_value_is_refused_in_one_line_or_has_its_type(key, value):
    try:
        checked = params.check(DEFAULTS | {key: value})
    except UserError as error:
        assert one_line(error)
        assert key in str(error)
    else:
        accepted = getattr(checked, key)
        assert isinstance(accepted, (int, str) if key == "workers" else KINDS[key])
        assert accepted == value or float(accepted) == float(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=80), st.dictionaries(CELL, VALUES, max_size=4).map(lambda d: yaml.safe_dump(d).encode())
    )
)
@example(b"!!python/object/apply:os.system ['true']")
@example(b"a: &x [*x]\n")
def test_any_bytes_as_params_are_refused_in_one_line(tmp_path, data):
    """No few bytes hold every key, so none of these is accepted."""
    path = tmp_path / "params.yaml"
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        params.read(path)
    assert one_line(error.value)
