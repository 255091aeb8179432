"""Where the pictures come from: find each picture of a folder, archive or manifest, with its class.

The layouts, looked for in this order in a folder or archive (with or without one top folder):
STL-10's binary files, a manifest (.csv or .tsv), folders train/test/... with a folder per class in
each, and a folder per class.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn.common.runtime import UserError
from cnn.data import manifest
from cnn.data.archive import Container, Entry, Folder, open_container
from cnn.data.decode import MAX_BYTES, Unusable, decode

STL10_PICTURE = (3, 96, 96)  # bytes of one picture: channels, columns, rows ("column-major order")
STL10_SIZE = 3 * 96 * 96
# Files that file managers leave among pictures. They are counted as ignored, not as bad pictures.
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "icon\r"}


@dataclass(frozen=True)
class Picture:
    """One picture that was found; nothing of it has been read yet."""

    file: str  # its name for people: relative to the source, printable
    label: str  # its class name, or its number as the manifest writes it; printable
    entry: Entry  # where its bytes are, for Container.read
    split: str | None = None  # train, validation or test where the source says so
    raw: bool = False  # bytes are STL-10's, not an image file's
    target: float | None = None  # its number, for regression


@dataclass(frozen=True)
class Source:
    """All that was found at `images`."""

    container: Container
    pictures: list[Picture]  # sorted by file
    ignored: int  # files whose name or folder says that they are no pictures
    empty_classes: list[str]  # class folders without a file


def find(images: str) -> Source:
    """Find the pictures at the path `images`. Raises UserError where there is no usable layout."""
    path = Path(images)
    if path.name.lower().endswith((".csv", ".tsv")) and path.is_file():
        container: Container = Folder(path.parent)
        name = path.name
    else:
        container, name = open_container(path), None
    files = container.entries()
    candidates = [entry for entry in files if not _is_system_file(entry.name)]
    pictures = _pictures(container, _strip_top_folder(candidates), name)
    if not pictures:
        raise UserError(f"{images} holds no pictures; expected a folder per class with the pictures in it")
    pictures.sort(key=lambda picture: picture.file)
    empty = _empty_folders(path, pictures) if path.is_dir() else []
    return Source(container, pictures, len(files) - len(pictures), empty)


def each_unlabelled(path: str, many: bool) -> Iterator[tuple[Container, Picture]]:
    """Every file at `path` but system files, as a picture without a class: one file, or those of a folder or archive.

    One file is named by its path, the others by their path within the folder or archive; with `many`, `path` comes
    first. Raises UserError where there is nothing.
    """
    if Path(path).is_file() and not path.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz")):
        entry = Entry(Path(path).name, 0, Path(path).stat().st_size)
        yield Folder(Path(path).parent), Picture(printable(path), "", entry)
        return
    container = open_container(Path(path))
    entries = [entry for entry in container.entries() if not _is_system_file(entry.name)]
    if not entries:
        raise UserError(f"{path} holds no files; expected a picture, a folder of pictures, .zip, .tar or .tar.gz")
    for entry in entries:
        yield container, Picture(printable(f"{Path(path) / entry.name}" if many else entry.name), "", entry)


def load(container: Container, picture: Picture, size: int) -> tuple[bytes, np.ndarray, dict[str, object]]:
    """The picture's bytes, its pixels uint8 (size, size, 3), and the facts of decode.decode. Raises Unusable."""
    if picture.entry.size > MAX_BYTES:
        raise Unusable(f"{picture.entry.size} bytes", f"make it smaller than {MAX_BYTES} bytes")
    try:
        data = container.read(picture.entry)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise Unusable(reason, "check that the file is there and readable") from None
    return data, *decode(image_file(picture, data), size)


def class_names(pictures: Iterable[Picture]) -> list[str] | None:
    """The classes in the order of the network's outputs: by name, or by number where all are numbers.

    None where the pictures have targets, which means regression.
    """
    labels = {picture.label for picture in pictures if picture.target is None}
    if not labels:
        return None
    if all(label.isascii() and label.isdigit() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def image_file(picture: Picture, data: bytes) -> bytes:
    """The bytes of an image file for `picture`: `data` itself, or STL-10's pixels as an uncompressed PPM.

    STL-10 stores a picture channel by channel and each channel column by column.
    """
    if not picture.raw:
        return data
    channels, columns, rows = STL10_PICTURE
    step = columns * rows
    red, green, blue = (data[channel * step : (channel + 1) * step] for channel in range(channels))
    pixels = bytearray(len(data))
    for column in range(columns):
        for offset, plane in enumerate((red, green, blue)):
            start = column * channels + offset
            pixels[start :: columns * channels] = plane[column * rows : (column + 1) * rows]
    return b"P6 %d %d 255\n" % (columns, rows) + bytes(pixels)


def printable(name: str) -> str:
    """`name` with bytes that are no UTF-8, and control characters, written as backslash escapes."""
    if name.isprintable():
        return name
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(f"\\x{ord(each):02x}" if unicodedata.category(each) == "Cc" else each for each in text)


def _pictures(container: Container, by_name: dict[str, Entry], manifest_name: str | None) -> list[Picture]:
    stl10 = _from_stl10(container, by_name)
    if stl10:
        return stl10
    manifests = [name for name in by_name if "/" not in name and name.lower().endswith((".csv", ".tsv"))]
    if manifest_name is None and len(manifests) > 1:
        raise UserError(f"{container.path} holds {len(manifests)} manifests ({', '.join(manifests)}); keep one")
    if manifest_name or manifests:
        return _from_manifest(container, by_name, manifest_name or manifests[0])
    return _from_folders(by_name)


def _is_system_file(name: str) -> bool:
    parts = name.split("/")
    return any(part.startswith((".", "__MACOSX")) for part in parts) or parts[-1].lower() in SYSTEM_FILES


def _strip_top_folder(entries: list[Entry]) -> dict[str, Entry]:
    """The entries by name, without the one folder that holds all of them, if there is one.

    A folder that directly holds files is a class, not a top folder, unless they are a manifest's.
    """
    parts = [(entry.name.replace("\\", "/").split("/"), entry) for entry in entries]
    tops = {names[0] for names, _ in parts}
    in_top = [names[1].lower() for names, _ in parts if len(names) == 2]
    holds_table = any(name.endswith((".csv", ".tsv", ".bin")) for name in in_top)
    nested = any(len(names) > 2 for names, _ in parts)
    strip = len(tops) == 1 and all(len(names) > 1 for names, _ in parts) and (nested or holds_table)
    return {"/".join(names[1:] if strip else names): entry for names, entry in parts}


def _from_folders(by_name: dict[str, Entry]) -> list[Picture]:
    in_folders = {name: name.split("/") for name in by_name if "/" in name}
    tops = {parts[0].lower() for parts in in_folders.values()}
    split_folders = len(tops) > 1 and tops <= set(manifest.SPLIT_NAMES)
    pictures = []
    for name, parts in in_folders.items():
        if split_folders and len(parts) < 3:
            continue
        split = manifest.SPLIT_NAMES[parts[0].lower()] if split_folders else None
        pictures.append(Picture(printable(name), printable(parts[1 if split_folders else 0]), by_name[name], split))
    return pictures


def _from_manifest(container: Container, by_name: dict[str, Entry], name: str) -> list[Picture]:
    shown = str(container.path / name) if isinstance(container, Folder) else f"{container.path}: {name}"
    rows = manifest.parse(shown, container.read(by_name[name]))
    missing = [row.path for row in rows if row.path not in by_name]
    if missing:
        raise UserError(
            f"{shown} names {len(missing)} files that are not there, first {missing[0]!r}; "
            "paths are relative to the manifest's folder"
        )
    return [
        Picture(printable(row.path), printable(row.label), by_name[row.path], row.split, target=row.target)
        for row in rows
    ]


def _from_stl10(container: Container, by_name: dict[str, Entry]) -> list[Picture]:
    """The pictures of STL-10's binary files: train_X.bin, and test_X.bin as the test split if it is there."""
    if "train_X.bin" not in by_name:
        return []
    pictures = []
    for part, split in (("train", None), ("test", "test")):
        if f"{part}_X.bin" not in by_name:
            continue
        for needed in (f"{part}_y.bin", "class_names.txt"):
            if needed not in by_name:
                raise UserError(f"{container.path} holds {part}_X.bin but not {needed}; STL-10 has both")
        names = container.read(by_name["class_names.txt"]).decode("utf-8", "backslashreplace").split()
        labels = container.read(by_name[f"{part}_y.bin"])
        images = by_name[f"{part}_X.bin"]
        if images.size != len(labels) * STL10_SIZE or not all(1 <= label <= len(names) for label in labels):
            raise UserError(
                f"{container.path}: {part}_X.bin has {images.size} bytes and {part}_y.bin {len(labels)} labels of "
                f"{len(names)} classes; expected {STL10_SIZE} bytes a label, and labels from 1 on"
            )
        for index, label in enumerate(labels):
            entry = Entry(images.name, images.start + index * STL10_SIZE, STL10_SIZE)
            pictures.append(Picture(f"{part}/{index:05d}", names[label - 1], entry, split, raw=True))
    return pictures


def _empty_folders(path: Path, pictures: list[Picture]) -> list[str]:
    labels = {picture.label for picture in pictures} | set(manifest.SPLIT_NAMES)
    folders = sorted(each for each in path.iterdir() if each.is_dir() and not _is_system_file(each.name))
    return [printable(each.name) for each in folders if printable(each.name) not in labels and not any(each.iterdir())]
