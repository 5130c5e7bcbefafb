"""Collections: folders of pictures of one kind, as methods that learn from two of them want them.

Folders go in; lists of files, with channels and depth that all of them share, come out. Only the files' heads are read.
This module knows no training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from danqing.errors import BadInput, BadPicture
from danqing.files import shown
from danqing.messages import text
from danqing.picture.formats import by_suffix
from danqing.picture.load import nature

FEWEST = 2
"""Pictures that a collection needs."""

NAMED = 5
"""So many files are named where many are wrong."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Pictures of one kind.

    Attributes:
        folder: where they lie, sub-folders included.
        files: in the order of their names.
        channels: 1 where all are grey, else 3.
        depth: 8 or 16 bits.
        left_out: files that are too small or cannot be read.
    """

    folder: Path
    files: tuple[Path, ...]
    channels: int
    depth: int
    left_out: int = 0

    def spread(self, count: int | None) -> Collection:
        """So many of the pictures, spread evenly; None = all."""
        if count is None or count >= len(self.files):
            return self
        return replace(self, files=tuple(self.files[n * len(self.files) // count] for n in range(count)))


def survey(folder: str | Path, *, least: int) -> Collection:
    """The pictures below a folder whose sides are `least` px at least.

    Raises:
        BadInput: no such folder, too few pictures, or pictures of different depths.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(text("collection.no_folder", path=shown(folder)))
    files = sorted(path for path in folder.rglob("*") if by_suffix(path.name) and path.is_file())
    kept: dict[Path, tuple[int, int]] = {}
    small = broken = 0
    for path in files:
        try:
            size, channels, depth = nature(path)
        except BadPicture:
            broken += 1
            continue
        if min(size) < least:
            small += 1
        else:
            kept[path] = channels, depth
    if len(kept) < FEWEST:
        fields = {"count": len(kept), "small": small, "broken": broken, "least": least, "fewest": FEWEST}
        raise BadInput(text("collection.too_few", path=shown(folder), **fields))
    depths = {depth for _, depth in kept.values()}
    if len(depths) > 1:
        odd = min(({p for p, (_, d) in kept.items() if d == depth} for depth in depths), key=len)
        raise BadInput(text("collection.depths", path=shown(folder), files=_named(odd)))
    return Collection(
        folder=folder.absolute(),
        files=tuple(kept),
        channels=max(channels for channels, _ in kept.values()),
        depth=depths.pop(),
        left_out=small + broken,
    )


def alike(one: Collection, other: Collection) -> None:
    """Refuse two collections between which depth would be lost.

    Raises:
        BadInput: one has 8 bits, the other 16.
    """
    if one.depth != other.depth:
        fields = {"one": shown(one.folder.name), "other": shown(other.folder.name)}
        raise BadInput(text("collection.unlike", depth_one=one.depth, depth_other=other.depth, **fields))


def paired(one: Collection, other: Collection) -> tuple[Collection, Collection]:
    """The same collections, with their files in the same order: those of one name belong together.

    Raises:
        BadInput: a picture has no partner.
    """
    names = [{path.relative_to(c.folder).with_suffix(""): path for path in c.files} for c in (one, other)]
    alone = names[0].keys() ^ names[1].keys()
    if alone:
        raise BadInput(text("collection.alone", count=len(alone), files=_named(alone)))
    second = tuple(names[1][name] for name in names[0])
    return one, replace(other, files=second)


def _named(paths: set[Path]) -> str:
    named = ", ".join(shown(path.name) for path in sorted(paths)[:NAMED])
    return f"{named}, ..." if len(paths) > NAMED else named
