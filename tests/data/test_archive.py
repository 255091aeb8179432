"""Archives that are broken or hostile are refused in one line; nothing is ever unpacked by name."""

import io
import os
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from cnn.common.runtime import UserError
from cnn.data import archive
from cnn.data.archive import Folder, Tar, Zip, open_container


def make_tar(name: str, *members: tarfile.TarInfo, data: bytes = b"x") -> Path:
    with tarfile.open(name, "w:gz" if name.endswith("gz") else "w") as tar:
        for member in members:
            member.size = len(data) if member.isfile() else 0
            tar.addfile(member, io.BytesIO(data) if member.isfile() else None)
    return Path(name)


def make_zip(name: str, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry, data in entries:
            packed.writestr(entry, data)
    return Path(name)


def refused(path: Path, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        open_container(path).entries()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/etc/passwd", "C:/out.png", "..\\out.png"])
def test_an_entry_outside_the_archive_is_refused(work, name):
    refused(make_zip("set.zip", (zipfile.ZipInfo(name), b"x")), "points outside the archive")
    refused(make_tar("set.tar", tarfile.TarInfo(name)), "points outside the archive")


def test_links_are_refused(work):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        member = tarfile.TarInfo("cat/1.png")
        member.type, member.linkname = kind, "/etc/passwd"
        refused(make_tar("set.tar", member), "is a link")
    link = zipfile.ZipInfo("cat/1.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    refused(make_zip("set.zip", (link, b"/etc/passwd")), "is a link")


def test_devices_in_a_tar_are_no_pictures(work):
    member = tarfile.TarInfo("cat/pipe")
    member.type = tarfile.FIFOTYPE
    assert open_container(make_tar("set.tar", member, tarfile.TarInfo("cat/1.png"))).entries()[0].name == "cat/1.png"


def test_an_encrypted_zip_is_refused(work):
    data = bytearray(make_zip("set.zip", ("cat/1.png", b"x")).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    Path("set.zip").write_bytes(data)
    refused(Path("set.zip"), "is encrypted")


def test_an_archive_that_was_cut_off_is_refused(work):
    noise = random.Random(0).randbytes(5000)
    for path in (
        make_zip("set.zip", ("cat/1.png", noise)),
        make_tar("set.tar", tarfile.TarInfo("cat/1.png"), data=noise),
        make_tar("set.tar.gz", tarfile.TarInfo("cat/1.png"), data=noise),
    ):
        path.write_bytes(path.read_bytes()[:2000])
        refused(path, "copy or download it again")
        path.write_bytes(b"no archive at all")
        refused(path, "copy or download it again")


def test_a_bomb_is_refused_before_it_is_unpacked(work, monkeypatch):
    monkeypatch.setattr(archive, "MIN_ALLOWED", 2**20)
    zeros = bytes(8 * 2**20)
    refused(make_zip("set.zip", ("cat/1.png", zeros)), "would unpack from")
    refused(make_tar("set.tar.gz", tarfile.TarInfo("cat/1.png"), data=zeros), "would unpack from")


def test_a_damaged_entry_is_an_error_of_that_entry_alone(work):
    path = make_zip("set.zip", ("cat/1.png", b"a" * 3000), ("cat/2.png", b"b" * 3000))
    data = bytearray(path.read_bytes())
    data[45] ^= 255  # inside the first entry's packed bytes
    path.write_bytes(data)
    container = Zip(path)
    first, second = container.entries()
    with pytest.raises(OSError, match="damaged in the archive"):
        container.read(first)
    assert container.read(second) == b"b" * 3000


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_is_an_error_of_the_entry_however_it_is_packed(work, method):
    with zipfile.ZipFile("set.zip", "w", method) as archive:
        archive.writestr("a/1.png", random.Random(0).randbytes(2000))
    data = bytearray(Path("set.zip").read_bytes())
    data[100:108] = b"\xff" * 8
    Path("set.zip").write_bytes(data)
    container = open_container(Path("set.zip"))
    with pytest.raises(OSError, match=r"."):
        container.read(container.entries()[0])


def test_what_is_no_file_cannot_be_read_and_is_not_waited_for(work):
    folder = Path("set/cat")
    folder.mkdir(parents=True)
    (folder / "gone.png").symlink_to("nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
    container = Folder(Path("set"))
    for entry in container.entries():
        with pytest.raises(OSError, match=r"No such file|not a regular file"):
            container.read(entry)


def test_the_temporary_tar_of_a_tar_gz_goes_with_the_process(work):
    container = open_container(make_tar("set.tar.gz", tarfile.TarInfo("cat/1.png"), data=b"abc"))
    assert isinstance(container, Tar)
    assert container.path.parent != Path()
    assert container.read(container.entries()[0]) == b"abc"


def test_names_that_begin_with_a_dot_and_a_slash_are_found(work):
    for path in (make_zip("set.zip", ("./cat/1.png", b"x")), make_tar("set.tar", tarfile.TarInfo("./cat/1.png"))):
        container = open_container(path)
        (entry,) = container.entries()
        assert (entry.name, container.read(entry)) == ("cat/1.png", b"x")
