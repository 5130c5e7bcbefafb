"""Which photos a batch paints, and what their paintings are called.

Folders, files, patterns and a list on stdin go in; photos with their places in a tree come out. The tree is what lies
below the deepest folder that everything named has in common. This module opens no picture.
"""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from danqing.errors import BadInput, UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.picture import formats

KEPT = ".danqing"
"""The folder, inside that of the paintings, in which a batch keeps its work list."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that is to be painted.

    Attributes:
        path: absolute.
        place: below the folder that all have in common.
    """

    path: Path
    place: PurePosixPath


def find(
    inputs: Sequence[str], *, recursive: bool = False, apart: Sequence[Path] = (), stdin: BinaryIO | None = None
) -> list[Photo]:
    """The photos that are meant, each once, in the order in which they are named, those of a folder by name.

    Of folders and patterns, what is called as pictures are; a file that is named is taken whatever it is called. What
    is hidden is left out, and so are folders that a batch has painted into, unless they are named themselves.

    Args:
        inputs: folders, files, patterns such as `photos/**/*.jpg`, or `-` for a list of these on stdin, one a line or
            ended by NUL.
        recursive: whether folders within folders are gone through too.
        apart: folders that are left out where they lie among the photos, such as the one for the paintings.
        stdin: for `-`.

    Raises:
        UsageError: the photos lie in one of the folders that are to be left out.
        BadInput: something named is not there, or there is no photo at all.
    """
    left_out = {_real(folder) for folder in apart}
    roots: list[Path] = []
    found: dict[Path, None] = {}
    for given, listed in _named(inputs, stdin):
        path = _absolute(given)
        kind = _kind(path)
        if kind == "folder":
            roots.append(path)
            paths = list(_walk(path, recursive=recursive, left_out=left_out))
        elif kind is None and glob.has_magic(given):
            paths = _matching(given)
            roots += [match.parent for match in paths]
        elif listed or kind is not None:
            paths = [path]
            roots.append(path.parent)
        else:
            raise BadInput(text("batch.missing", name=shown(given)))
        found.update(dict.fromkeys(paths))
    photos = _placed(list(found), roots, left_out)
    if not photos:
        key = "batch.no_photos" if recursive else "batch.no_photos_here"
        raise BadInput(text(key, names=", ".join(map(shown, inputs))))
    return photos


def targets(photos: Sequence[Photo], *, format: str | None = None, depth: int = 8) -> list[PurePosixPath]:
    """Where the painting of each photo goes: its own place, with the ending of the painting's format.

    No two are the same, not even on systems that take `a.JPG` for `a.jpg`: where a name is wanted twice, it stays with
    the photo that has it, and the others keep their whole name before the new ending (`a.png.jpg`).
    """
    endings = [formats.ending(photo.place.suffix, format=format, depth=depth) for photo in photos]
    wanted = [p.place.with_name(p.place.stem + ending) for p, ending in zip(photos, endings, strict=True)]
    count = Counter(map(_folded, wanted))
    taken: set[str] = set()
    chosen: dict[int, PurePosixPath] = {}
    for at in sorted(range(len(photos)), key=lambda at: wanted[at] != photos[at].place):
        name = wanted[at]
        if name != photos[at].place and count[_folded(name)] > 1:
            name = name.with_name(photos[at].place.name + endings[at])
        stem, number = name.stem, 1
        while _folded(name) in taken:
            number += 1
            name = name.with_name(f"{stem}-{number}{name.suffix}")
        taken.add(_folded(name))
        chosen[at] = name
    return [chosen[at] for at in range(len(photos))]


def masks(photos: Sequence[Photo], folder: Path) -> list[Path | None]:
    """For each photo the picture of the same place and name in a folder of masks, whatever its format, or None.

    Raises:
        BadInput: there is no such folder.
    """
    if _kind(folder) != "folder":
        raise BadInput(text("batch.no_mask_folder", name=shown(folder)))
    root = _absolute(folder)
    known: dict[PurePosixPath, Path] = {}
    for path in _walk(root, recursive=True, left_out=set()):
        place = PurePosixPath(path.relative_to(root).as_posix())
        known[place] = path
        known.setdefault(place.with_suffix(""), path)
    return [known.get(photo.place) or known.get(photo.place.with_suffix("")) for photo in photos]


def _named(inputs: Sequence[str], stdin: BinaryIO | None) -> Iterator[tuple[str, bool]]:
    """What is named, and whether by a list, which may hold what has gone meanwhile."""
    for given in inputs:
        if given != "-":
            yield given, False
        elif stdin is not None:
            data = stdin.read()
            lines = data.split(b"\0") if b"\0" in data else data.splitlines()
            yield from ((os.fsdecode(line), True) for line in lines if line)


def _walk(root: Path, *, recursive: bool, left_out: set[Path]) -> Iterator[Path]:
    for name, below, names in os.walk(root):
        folder = Path(name)
        yield from (folder / n for n in sorted(names) if not n.startswith(".") and formats.by_suffix(n) is not None)
        below[:] = sorted(n for n in below if recursive and not n.startswith(".") and not _apart(folder / n, left_out))


def _apart(folder: Path, left_out: set[Path]) -> bool:
    return _real(folder) in left_out or _kind(folder / KEPT) == "folder"


def _kind(path: Path) -> Literal["folder", "file"] | None:
    """What a path leads to; None where it leads nowhere, or cannot be followed."""
    try:
        return "folder" if path.is_dir() else "file" if path.exists() else None
    except OSError:  # too long a name, or no permission
        return None


def _matching(pattern: str) -> list[Path]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    return [_absolute(name) for name in found if Path(name).is_file() and formats.by_suffix(name) is not None]


def _placed(paths: Sequence[Path], roots: Sequence[Path], left_out: set[Path]) -> list[Photo]:
    """Photos with their places below what all roots have in common, without those in what is left out there."""
    try:
        common = Path(os.path.commonpath(roots)) if roots else Path()
    except ValueError:  # on several drives of Windows
        return [Photo(path=path, place=PurePosixPath(path.name)) for path in paths]
    inside = {folder for folder in left_out if folder.is_relative_to(_real(common))}
    if _real(common) in inside:
        raise UsageError(text("batch.onto_itself", folder=shown(common)))
    return [
        Photo(path=path, place=PurePosixPath(path.relative_to(common).as_posix()))
        for path in paths
        if not inside or not inside.intersection(_real(path).parents)
    ]


def _absolute(name: str | Path) -> Path:
    return Path(os.path.normpath(Path(name).absolute()))


def _folded(place: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(place)).casefold()


def _real(path: Path) -> Path:
    return Path(os.path.normcase(os.path.realpath(path)))
