"""EXIF: what of it is kept, and which way up the picture is.

EXIF bytes go in and tidied EXIF bytes come out. The rule: everything is kept except

    orientation                     it is applied to the pixels; a second time would turn the picture again
    GPS, unless asked for           where somebody lives is nobody's business
    the thumbnail                   it shows the photograph, not the painting
    width, height, strip offsets    they describe the file that was, not the one that will be
    XMP, IPTC, Photoshop blocks     second copies of the same, GPS among them
    a recipe of danqing             it tells how this picture was painted, not how the next one will be

From a TIFF, whose tags of pixels and of description stand in one list, only the descriptive ones are taken. Broken
EXIF is left out as a whole.
"""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
GPS_IFD = 0x8825
INTEROP_IFD = 0xA005
MAKER_NOTE = 0x927C
USER_COMMENT = 0x9286

_DESCRIPTIVE = frozenset(
    {0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298, 0x882A}
    | set(range(0x9C9B, 0x9CA0))
    | {EXIF_IFD, GPS_IFD}
)
_STRUCTURAL = frozenset(
    set(range(0x00FE, 0x010E))
    | {0x0111, ORIENTATION, 0x0115, 0x0116, 0x0117, 0x0118, 0x0119, 0x011C, 0x013D, 0x0140, 0x0142, 0x0143, 0x0144}
    | {0x0145, 0x014A, 0x0152, 0x0153, 0x0201, 0x0202, 0x02BC, 0x83BB, 0x8649, 0x8773}
)
_UNICODE = b"UNICODE\0"
_RECIPE_OPENING = "danqing:recipe\n"

_OF_THE_FILE = frozenset({0xA002, 0xA003})  # PixelXDimension, PixelYDimension

BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, struct.error)
"""What Pillow raises on EXIF that is no EXIF."""


def orientation(exif: Image.Exif) -> int:
    """1..8 as in the EXIF standard; anything else, or broken EXIF, counts as 1."""
    try:
        value = exif.get(ORIENTATION)
    except BROKEN:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def of(image: Image.Image) -> Image.Exif | None:
    """A loaded image's EXIF, or None when there is none.

    Raises:
        ValueError: there is, and it is broken.
    """
    if image.format not in ("TIFF", None) and "exif" not in image.info:
        return None
    try:
        return image.getexif()
    except BROKEN as error:
        raise ValueError("broken EXIF") from error


def tidy(exif: Image.Exif, *, keep_gps: bool = False, tiff: bool = False) -> bytes | None:
    """What of an EXIF block is kept, by the rule above, as bytes that begin with `Exif\\0\\0`; None when nothing is.

    Raises:
        ValueError: the block is broken.
    """
    kept = Image.Exif()
    try:
        for tag in list(exif):
            if tag in _STRUCTURAL or (tiff and tag not in _DESCRIPTIVE) or tag in (EXIF_IFD, GPS_IFD):
                continue
            kept[tag] = exif[tag]
        _keep_ifds(exif, kept, keep_gps=keep_gps)
        return kept.tobytes() if len(kept) else None
    except BROKEN as error:
        raise ValueError("broken EXIF") from error


def recipe_comment(recipe: str, endian: str | None) -> bytes:
    """A recipe as the value of UserComment: marked `UNICODE` as the standard asks, in the byte order of the block."""
    return _UNICODE + (_RECIPE_OPENING + recipe).encode("utf-16-le" if endian == "<" else "utf-16-be")


def recipe_of(comment: object) -> str | None:
    """The recipe in a UserComment, in whatever encoding it was written; None when the comment is something else."""
    if not isinstance(comment, bytes) or not comment.startswith(_UNICODE):
        return None
    for encoding in ("utf-16-le", "utf-16-be", "utf-8"):
        try:
            decoded = comment[len(_UNICODE) :].decode(encoding)
        except UnicodeDecodeError:
            continue
        if decoded.startswith(_RECIPE_OPENING):
            return decoded.removeprefix(_RECIPE_OPENING).rstrip("\0")
    return None


def _keep_ifds(exif: Image.Exif, kept: Image.Exif, *, keep_gps: bool) -> None:
    details: dict[int, Any] = {k: v for k, v in exif.get_ifd(EXIF_IFD).items() if k not in _OF_THE_FILE}
    if recipe_of(details.get(USER_COMMENT)) is not None:
        del details[USER_COMMENT]
    if INTEROP_IFD in details:
        if interop := exif.get_ifd(INTEROP_IFD):
            details[INTEROP_IFD] = interop
        else:
            del details[INTEROP_IFD]
    if details:
        kept[EXIF_IFD] = details
    if keep_gps and (gps := exif.get_ifd(GPS_IFD)):
        kept[GPS_IFD] = dict(gps)


def parse(data: bytes | None) -> Image.Exif:
    """EXIF bytes as a mapping; broken ones, like none, as an empty one."""
    exif = Image.Exif()
    if data:
        try:
            exif.load(data)
        except BROKEN:
            return Image.Exif()
    return exif


def without_maker_note(data: bytes) -> bytes:
    """The same block without the camera maker's own, often very long, notes."""
    exif = parse(data)
    details = {k: v for k, v in exif.get_ifd(EXIF_IFD).items() if k != MAKER_NOTE}
    exif[EXIF_IFD] = details
    return exif.tobytes()
