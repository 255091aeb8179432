"""Folders and archives behind one interface: list the files, read one, without unpacking anything.

Nothing is ever extracted by name, so an entry cannot reach a path of this machine; entries that try
(`../`, absolute names, links) are refused all the same, because such an archive is broken or hostile.
"""

import functools
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from cnn.common.runtime import UserError

# An archive of photographs unpacks to about its own size. What claims far more is a bomb.
MAX_RATIO = 100
MAX_TOTAL = 256 * 2**30
MIN_ALLOWED = 64 * 2**20


@dataclass(frozen=True)
class Entry:
    """A run of bytes of a container: `size` bytes from byte `start` of what `name` names."""

    name: str
    start: int
    size: int


class Container(Protocol):
    """What Folder, Zip and Tar offer. Sent to worker processes, so they hold paths, not open files."""

    path: Path

    def entries(self) -> list[Entry]:
        """All files, sorted by name; names are relative, with forward slashes."""

    def read(self, entry: Entry) -> bytes:
        """The entry's bytes. Raises OSError (also for a damaged entry)."""


def open_container(path: Path) -> Container:
    """The container for a folder or an archive. Raises UserError for anything else."""
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; expected a folder, .zip, .tar, .tar.gz, .csv or .tsv")
    name = path.name.lower()
    if name.endswith(".zip"):
        return Zip(path)
    if name.endswith(".tar"):
        return Tar(path)
    if name.endswith((".tar.gz", ".tgz")):
        return Tar(_gunzip(path))
    raise UserError(f"{path} is no picture set; expected a folder, .zip, .tar, .tar.gz, .csv or .tsv")


@dataclass(frozen=True)
class Folder:
    """A folder on disk. Linked folders are followed, each real folder once."""

    path: Path

    def entries(self) -> list[Entry]:
        entries, visited = [], set()
        for folder, folders, files in os.walk(self.path, followlinks=True):
            folders[:] = [name for name in sorted(folders) if _is_new(os.path.join(folder, name), visited)]
            parent = Path(folder).relative_to(self.path).as_posix()
            prefix = "" if parent == "." else f"{parent}/"
            entries += [Entry(prefix + name, 0, _file_size(os.path.join(folder, name))) for name in files]
        return sorted(entries, key=lambda entry: entry.name)

    def read(self, entry: Entry) -> bytes:
        return _read_part(os.path.join(self.path, entry.name), entry)


@dataclass(frozen=True)
class Zip:
    """A .zip file."""

    path: Path

    def entries(self) -> list[Entry]:
        try:
            members = _members(self.path, self.path.stat().st_mtime_ns)[1]
        except (zipfile.BadZipFile, EOFError, ValueError) as error:
            raise UserError(f"{self.path} is not a whole zip archive ({error}); copy or download it again") from None
        for member in members.values():
            if member.flag_bits & 1:
                raise UserError(f"{self.path}: {member.filename!r} is encrypted; make the archive without a password")
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _link_error(self.path, member.filename)
        entries = [Entry(name, 0, member.file_size) for name, member in members.items()]
        _check_bounds(self.path, self.path.stat().st_size, sum(entry.size for entry in entries))
        return sorted(entries, key=lambda entry: entry.name)

    def read(self, entry: Entry) -> bytes:
        return _zip_entry(self.path, self.path.stat().st_mtime_ns, entry.name)[entry.start : entry.start + entry.size]


@dataclass(frozen=True)
class Tar:
    """An uncompressed .tar file: an entry's bytes lie in it as they are."""

    path: Path

    def entries(self) -> list[Entry]:
        try:
            with tarfile.open(self.path, "r:") as tar:
                members = tar.getmembers()
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise UserError(f"{self.path} is not a whole tar archive ({error}); copy or download it again") from None
        for member in members:
            if member.issym() or member.islnk():
                raise _link_error(self.path, member.name)
        entries = [Entry(_safe_name(self.path, m.name), m.offset_data, m.size) for m in members if m.isfile()]
        if any(entry.start + entry.size > self.path.stat().st_size for entry in entries):
            raise UserError(f"{self.path} is cut off; copy or download it again")
        return sorted(entries, key=lambda entry: entry.name)

    def read(self, entry: Entry) -> bytes:
        return _read_part(self.path, entry)


def _is_new(folder: str, visited: set[str]) -> bool:
    """Whether the real folder behind `folder` is none of those visited; now it is."""
    real = os.path.realpath(folder)
    if real in visited:
        return False
    visited.add(real)
    return True


def _file_size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # a dangling link: reading it fails too, and that is where it is reported


def _read_part(path: str | Path, entry: Entry) -> bytes:
    # The system's own calls take half the time of Python's file objects.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        # A named pipe or a device would block for ever; only regular files are pictures.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        os.lseek(descriptor, entry.start, os.SEEK_SET)
        data = os.read(descriptor, entry.size)
        while len(data) < entry.size and (more := os.read(descriptor, entry.size - len(data))):
            data += more  # one call may return less than there is
        return data
    finally:
        os.close(descriptor)


@functools.lru_cache(maxsize=1)
def _members(path: Path, mtime_ns: int) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """The open archive and its files by name. mtime_ns: of the archive, so that a new version is opened anew.

    Cached, because reading the directory of a large archive takes longer than reading a picture.
    """
    archive = zipfile.ZipFile(path)
    return archive, {_safe_name(path, each.filename): each for each in archive.infolist() if not each.is_dir()}


@functools.lru_cache(maxsize=1)
def _zip_entry(path: Path, mtime_ns: int, name: str) -> bytes:
    """Cached, because the pictures of an STL-10 file are many parts of one entry."""
    try:
        archive, members = _members(path, mtime_ns)
        return archive.read(members[name])
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError) as error:
        raise OSError(f"damaged in the archive ({error})") from None


def _gunzip(path: Path) -> Path:
    """Unpack path.tar.gz to a temporary .tar file, which is removed when the process ends."""
    limit = _max_unpacked(path.stat().st_size)
    folder = tempfile.TemporaryDirectory(prefix="pictures-")
    _temporary.append(folder)
    target = Path(folder.name) / path.name.removesuffix(".gz")
    try:
        with gzip.open(path) as source, open(target, "wb") as output:
            while block := source.read(2**20):
                if output.tell() + len(block) > limit:
                    raise _bomb_error(path, f"more than {limit}", path.stat().st_size)
                output.write(block)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole .tar.gz archive ({error}); copy or download it again") from None
    return target


_temporary: list[tempfile.TemporaryDirectory] = []


def _safe_name(archive: Path, name: str) -> str:
    """`name` with forward slashes and no `./`; UserError if it leads out of the archive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0].startswith("/") or ":" in parts[0]:
        raise UserError(
            f"{archive}: entry {name!r} points outside the archive; make it from inside the pictures' folder"
        )
    return "/".join(parts)


def _link_error(archive: Path, name: str) -> UserError:
    return UserError(f"{archive}: entry {name!r} is a link; make the archive from real files (tar -h follows links)")


def _max_unpacked(packed_size: int) -> int:
    return min(max(packed_size * MAX_RATIO, MIN_ALLOWED), MAX_TOTAL)


def _check_bounds(archive: Path, packed_size: int, unpacked_size: int) -> None:
    if unpacked_size > _max_unpacked(packed_size):
        raise _bomb_error(archive, str(unpacked_size), packed_size)


def _bomb_error(archive: Path, unpacked_size: str, packed_size: int) -> UserError:
    return UserError(
        f"{archive} would unpack from {packed_size} to {unpacked_size} bytes; "
        f"at most {_max_unpacked(packed_size)} are allowed; an archive of photographs unpacks to about its own size"
    )
