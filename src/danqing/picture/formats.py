"""The picture formats that are read and written, and how a file's first bytes tell them apart.

Bytes or a file name go in, a `Format` comes out. Content decides on reading, the ending of the name on writing. This
module decodes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, kw_only=True)
class Format:
    """A picture format.

    Attributes:
        name: what Pillow and people call it.
        suffixes: endings of file names, the usual one first.
        written: whether it is written, not only read.
        alpha: whether a written file keeps transparency; else the picture is laid on white.
        deep: whether 16 bits a colour are written.
        recipe: whether a recipe can be stored in it.
        max_edge: the longest edge in px that a file can have, or None.
    """

    name: str
    suffixes: tuple[str, ...]
    written: bool = True
    alpha: bool = True
    deep: bool = False
    recipe: bool = True
    max_edge: int | None = None


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(name="JPEG", suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"), alpha=False, max_edge=65_500),
        Format(name="PNG", suffixes=(".png",), deep=True),
        Format(name="WEBP", suffixes=(".webp",), max_edge=16_383),
        Format(name="TIFF", suffixes=(".tif", ".tiff"), deep=True),
        Format(name="BMP", suffixes=(".bmp",), alpha=False, recipe=False),
        Format(name="GIF", suffixes=(".gif",), recipe=False, max_edge=65_535),
        Format(name="AVIF", suffixes=(".avif",), max_edge=65_536),
        Format(name="HEIC", suffixes=(".heic", ".heif", ".hif"), written=False),
    )
}

READ = tuple(FORMATS)
WRITTEN = tuple(f.name for f in FORMATS.values() if f.written)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}

# What people take for pictures and what is not read, by the first bytes; good to be told by name.
_OTHERS = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"8BPS", "Photoshop (PSD)"),
    (b"SIMPLE  =", "FITS"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "CUR"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"\x1aE\xdf\xa3", "Matroska / WebM"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"DDS ", "DDS"),
)


def sniff(head: bytes) -> Format | None:
    """The format that a file's first bytes (32 are enough) belong to, or None."""
    name = None
    if head.startswith(b"\xff\xd8\xff"):
        name = "JPEG"
    elif head.startswith(b"\x89PNG\r\n\x1a\n"):
        name = "PNG"
    elif head.startswith((b"GIF87a", b"GIF89a")):
        name = "GIF"
    elif head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        name = "TIFF"
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        name = "WEBP"
    elif head.startswith(b"BM"):
        name = "BMP"
    elif head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4))}
        name = "AVIF" if brands & _AVIF_BRANDS else "HEIC" if brands & _HEIF_BRANDS else None
    return FORMATS[name] if name else None


def kind_of(head: bytes) -> str | None:
    """What a file is that is no picture read here, if its first bytes tell; never decides anything."""
    for start, kind in _OTHERS:
        if head.startswith(start):
            return kind
    if head[4:8] == b"ftyp":
        return "MP4 / MOV"
    opening = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if opening.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    if opening.startswith(b"<svg") or (opening.startswith(b"<?xml") and b"<svg" in opening):
        return "SVG"
    return None


def by_suffix(name: str) -> Format | None:
    """The format that a file name asks for by its ending, or None."""
    suffix = PurePath(name).suffix.lower()
    return next((f for f in FORMATS.values() if suffix in f.suffixes), None)


def by_name(name: str) -> Format | None:
    """The format of a name such as `png`, `JPG` or `.tif`, or None."""
    wanted = name.lower().lstrip(".")
    return next((f for f in FORMATS.values() if wanted == f.name.lower() or f".{wanted}" in f.suffixes), None)


def ending(own: str, *, format: str | None = None, depth: int = 8) -> str:
    """The ending of a painting's file: the photo's, where that format can hold it, else `.png` (`.jpg` for HEIC)."""
    wanted = by_name(format) if format else by_suffix(f"x{own}")
    if format is None and wanted is not None and wanted.name == "HEIC":
        wanted = FORMATS["JPEG"]
    if wanted is None or not wanted.written or (depth == 16 and not wanted.deep):
        return f".{format.lower()}" if format else ".png"
    return own if own.lower() in wanted.suffixes else wanted.suffixes[0]
