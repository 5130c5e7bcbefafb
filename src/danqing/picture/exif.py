"""EXIF: what of it is kept, which way up the picture is, and a recipe in it.

EXIF bytes go in and tidied EXIF bytes come out. Entries are copied as the bytes they are, so that nothing is lost that
this module does not understand. The rule: everything is kept except

    orientation                     it is applied to the pixels; a second time would turn the picture again
    GPS, unless asked for           where somebody lives is nobody's business
    the thumbnail                   it shows the photograph, not the painting
    width, height, strip offsets    they describe the file that was, not the one that will be
    XMP, IPTC, Photoshop blocks     second copies of the same, GPS among them
    a recipe of danqing             it tells how this picture was painted, not how the next one will be

From a TIFF, whose tags of pixels and of description stand in one list, only the descriptive ones are taken. A single
entry that cannot be read is left out; when the list itself cannot be read, everything is. The maker's notes are kept
as they are, though those of some makers point to places that have moved.

Source: CIPA DC-008 (EXIF 2.32), TIFF 6.0 section 2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
GPS_IFD = 0x8825
INTEROP_IFD = 0xA005
MAKER_NOTE = 0x927C
USER_COMMENT = 0x9286

UNDEFINED = 7
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value, by type."""

_PREFIX = b"Exif\0\0"
_UNICODE = b"UNICODE\0"
_RECIPE_OPENING = "danqing:recipe\n"

_DESCRIPTIVE = frozenset(
    {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298, 0x882A}
    | set(range(0x9C9B, 0x9CA0))
)
_STRUCTURAL = frozenset(
    set(range(0x00FE, 0x010E))
    | {0x0111, ORIENTATION, 0x0115, 0x0116, 0x0117, 0x0118, 0x0119, 0x011C, 0x013D, 0x0140, 0x0142, 0x0143, 0x0144}
    | {0x0145, 0x014A, 0x0152, 0x0153, 0x0201, 0x0202, 0x02BC, 0x83BB, 0x8649, 0x8773}
)
_OF_THE_FILE = frozenset({0xA002, 0xA003})  # PixelXDimension, PixelYDimension


@dataclass(frozen=True)
class Entry:
    """One value: its type, how many of it, and its bytes in the order of the block."""

    kind: int
    count: int
    data: bytes


Directory = dict[int, Entry]


@dataclass
class Block:
    """An EXIF block.

    Attributes:
        order: `<` or `>`, as in `struct`.
        tags: what describes the picture.
        details: the EXIF directory proper: exposure, lens, maker's notes.
        interop, gps: what their names say.
    """

    order: str = "<"
    tags: Directory = field(default_factory=dict)
    details: Directory = field(default_factory=dict)
    interop: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)

    @property
    def orientation(self) -> int:
        """1..8; anything else that stands there, or nothing, counts as 1."""
        entry = self.tags.get(ORIENTATION)
        if entry is None or entry.count != 1 or entry.kind not in (1, 3, 4):
            return 1
        value = int.from_bytes(entry.data, "little" if self.order == "<" else "big")
        return value if 1 <= value <= 8 else 1

    @property
    def recipe(self) -> str | None:
        """The recipe in the UserComment, in whatever encoding it was written; None when there is none."""
        comment = self.details.get(USER_COMMENT)
        if comment is None or not comment.data.startswith(_UNICODE):
            return None
        for encoding in ("utf-16-le", "utf-16-be", "utf-8"):
            try:
                decoded = comment.data[len(_UNICODE) :].decode(encoding)
            except UnicodeDecodeError:
                continue
            if decoded.startswith(_RECIPE_OPENING):
                return decoded.removeprefix(_RECIPE_OPENING).rstrip("\0")
        return None

    def put_recipe(self, recipe: str) -> None:
        """Make a recipe the UserComment: marked `UNICODE` as the standard asks, in the byte order of the block."""
        data = _UNICODE + (_RECIPE_OPENING + recipe).encode("utf-16-le" if self.order == "<" else "utf-16-be")
        self.details[USER_COMMENT] = Entry(UNDEFINED, len(data), data)

    def tobytes(self) -> bytes:
        r"""The block as it stands in files, beginning with `Exif\\0\\0`."""
        return _PREFIX + self.header() + self.directories(8)

    def header(self) -> bytes:
        """The 8 bytes of a TIFF whose directory follows at once."""
        return (b"II*\0" if self.order == "<" else b"MM\0*") + struct.pack(self.order + "I", 8)

    def directories(self, at: int) -> bytes:
        """All directories one after another, the first at this offset."""
        tags, details = dict(self.tags), dict(self.details)
        if self.interop:
            details[INTEROP_IFD] = self.number(0)
        if details:
            tags[EXIF_IFD] = self.number(0)
        if self.gps:
            tags[GPS_IFD] = self.number(0)
        places = [at]  # lengths do not depend on what the pointers say
        for directory in (tags, details, self.interop, self.gps):
            places.append(places[-1] + len(self._packed(directory, 0)))
        for holder, pointer, place in ((tags, EXIF_IFD, 1), (details, INTEROP_IFD, 2), (tags, GPS_IFD, 3)):
            if pointer in holder:
                holder[pointer] = self.number(places[place])
        parts = (tags, details, self.interop, self.gps)
        return b"".join(self._packed(part, place) for part, place in zip(parts, places, strict=False))

    def number(self, *values: int) -> Entry:
        """Whole numbers of 32 bits as an entry."""
        return Entry(4, len(values), struct.pack(f"{self.order}{len(values)}I", *values))

    def short(self, *values: int) -> Entry:
        """Whole numbers of 16 bits as an entry."""
        return Entry(3, len(values), struct.pack(f"{self.order}{len(values)}H", *values))

    def _packed(self, directory: Directory, at: int) -> bytes:
        if not directory:
            return b""
        entries, values = [struct.pack(self.order + "H", len(directory))], b""
        after = at + 2 + 12 * len(directory) + 4
        for tag, entry in sorted(directory.items()):
            where = entry.data.ljust(4, b"\0")
            if len(entry.data) > 4:
                where = struct.pack(self.order + "I", after + len(values))
                values += entry.data + bytes(len(entry.data) & 1)
            entries.append(struct.pack(self.order + "HHI", tag, entry.kind, entry.count) + where)
        return b"".join(entries) + bytes(4) + values


def parse(data: bytes) -> Block:
    """An EXIF block, or a whole TIFF file's first directory.

    Raises:
        ValueError: it cannot be read.
    """
    at = 0
    while data.startswith(_PREFIX, at):
        at += len(_PREFIX)
    data = data[at:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise ValueError("no EXIF")
    try:
        tags = _directory(data, struct.unpack_from(order + "I", data, 4)[0], order)
    except struct.error as error:
        raise ValueError("broken EXIF") from error
    block = Block(order, tags)
    block.details = _nested(data, tags, EXIF_IFD, order)
    block.interop = _nested(data, block.details, INTEROP_IFD, order)
    block.gps = _nested(data, tags, GPS_IFD, order)
    return block


def tidy(block: Block, *, keep_gps: bool = False, tiff: bool = False) -> bytes | None:
    """What of a block is kept, by the rule above; None when nothing is.

    Args:
        block: as it was read.
        keep_gps: keep the place.
        tiff: whether it is the directory of a TIFF, with the tags of its pixels.
    """
    drop = _OF_THE_FILE | ({USER_COMMENT} if block.recipe is not None else set())
    kept = Block(
        block.order,
        {t: e for t, e in block.tags.items() if t not in _STRUCTURAL and (not tiff or t in _DESCRIPTIVE)},
        {t: e for t, e in block.details.items() if t not in drop},
        block.interop,
        block.gps if keep_gps else {},
    )
    return kept.tobytes() if kept.tags or kept.details or kept.gps else None


def without_maker_note(data: bytes) -> bytes:
    """The same block without the camera maker's own, often very long, notes."""
    block = parse(data)
    block.details.pop(MAKER_NOTE, None)
    return block.tobytes()


def _nested(data: bytes, holder: Directory, pointer: int, order: str) -> Directory:
    """The directory that an entry points to; the pointer itself is taken out of its holder."""
    entry = holder.pop(pointer, None)
    if entry is None or len(entry.data) != 4:
        return {}
    try:
        return _directory(data, struct.unpack(order + "I", entry.data)[0], order)
    except (struct.error, ValueError):
        return {}


def _directory(data: bytes, at: int, order: str) -> Directory:
    """Entries that lie in the data; more bytes of them than there are in all is no honest directory."""
    directory: Directory = {}
    budget = 2 * len(data) + 1024
    for n in range(struct.unpack_from(order + "H", data, at)[0]):
        tag, kind, count = struct.unpack_from(order + "HHI", data, at + 2 + 12 * n)
        length = SIZES.get(kind, 0) * count
        where = at + 10 + 12 * n
        if length > 4:
            where = struct.unpack_from(order + "I", data, where)[0]
        if not 0 < length <= len(data) - where:
            continue
        budget -= length
        if budget < 0:
            raise ValueError("entries overlap")
        directory[tag] = Entry(kind, count, data[where : where + length])
    return directory
