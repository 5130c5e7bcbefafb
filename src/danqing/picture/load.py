"""Reading: from a file, bytes, a stream, an array or another library's picture to a Picture.

A source goes in, a `Picture` comes out, or one line that says what is wrong with it. In order: the format is told by
content, never by name; the container is checked for damage (`check.py`); the size is checked against what fits
(`limits.py`); only then is anything decoded. Modes are turned into colours by the rules of `modes.py`, the orientation
is applied, EXIF is tidied by the rule of `exif.py`. This module knows nothing of networks or addresses.

Of files with several pictures (GIF, APNG, WebP, TIFF pages, MPO) the first is read. PNG's gAMA and cHRM are ignored:
without a profile a picture is sRGB.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from danqing import limits, scratch
from danqing.errors import BadPicture
from danqing.files import shown
from danqing.messages import text
from danqing.picture import check, exif, formats, heif, modes
from danqing.picture.picture import Picture
from danqing.picture.quiet import DECODER_ERRORS, libtiff_kept_quiet, pillow_kept_quiet

PictureSource = str | Path | bytes | BinaryIO | Image.Image | NDArray[Any] | Picture


def load(
    source: PictureSource, *, name: str | None = None, keep_gps: bool = False, max_pixels: int | None = None
) -> Picture:
    """Read a picture.

    Args:
        source: a path, a file's bytes, a binary stream (read to its end), a Pillow image, an array (H, W), (H, W, 3)
            or (H, W, 4) of uint8, uint16 or floats in 0..1, or a Picture, which is handed back.
        name: what messages call it; the path's, where there is one.
        keep_gps: keep the place in the EXIF block.
        max_pixels: a cap besides what the memory allows.

    Raises:
        BadPicture: it is missing, no picture, damaged, or of a kind that is not read.
        DoesNotFit: it has too many pixels.
        TypeError, ValueError: an array of a wrong type, shape or range.
    """
    if isinstance(source, Picture):
        return source
    called = shown(name) if name is not None else text("picture.from_memory")
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        limits.check_size(source.size, name=called, cap=max_pixels)
        with pillow_kept_quiet(), _one_line(called, source.format or source.mode):
            return _from_image(source, keep_gps=keep_gps)
    if isinstance(source, str | Path):
        called = shown(name if name is not None else source)
    return _from_bytes(read_bytes(source, called), called, keep_gps=keep_gps, max_pixels=max_pixels)


def measure(data: bytes, *, name: str | None = None, max_pixels: int | None = None) -> tuple[str, check.Size]:
    """The format of a picture's bytes and its (width, height) in px before it is turned, checked as `load` does.

    Nothing is decoded, but HEIC, whose size is not told otherwise.

    Raises:
        BadPicture, DoesNotFit: as `load`.
    """
    called = shown(name) if name is not None else text("picture.from_memory")
    kind = _format_of(data, called)
    size = _check(data, kind, called)
    if size is None and kind == "HEIC":
        height, width = heif.decode(data, name=called, max_pixels=max_pixels).values.shape[:2]
        size = width, height
    elif size is None:
        with (
            pillow_kept_quiet(),
            libtiff_kept_quiet(kind),
            _one_line(called, kind),
            Image.open(io.BytesIO(data), formats=(kind,)) as image,
        ):
            size = image.size
    _check_size(size, kind, called, max_pixels)
    return kind, size


def read_bytes(source: str | Path | bytes | BinaryIO, name: str) -> bytes:
    """All bytes of a source, as far as they fit.

    Raises:
        BadPicture: not there, a folder, unreadable.
        DoesNotFit: more bytes than fit into memory.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    most = limits.max_file_bytes()
    try:
        if isinstance(source, str | Path):
            with Path(source).open("rb") as stream:
                data = stream.read(most + 1)
        else:
            data = source.read(most + 1)
    except FileNotFoundError as error:
        raise BadPicture(text("picture.missing", name=name)) from error
    except IsADirectoryError as error:
        raise BadPicture(text("picture.folder", name=name)) from error
    except (OSError, ValueError) as error:
        if isinstance(source, str | Path) and Path(source).is_dir():  # Windows calls it a lack of permission
            raise BadPicture(text("picture.folder", name=name)) from error
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BadPicture(text("picture.unreadable", name=name, reason=reason)) from error
    limits.check_file(len(data), name=name)
    return data


def nature(path: str | Path) -> tuple[check.Size, int, int]:
    """What a picture's file says of itself, without decoding it: (width, height) as stored, channels, bits of each.

    Channels are 1 for grey, else 3; bits 8, or 16 for all that has more.

    Raises:
        BadPicture: it cannot be read.
    """
    called = shown(path)
    head = read_bytes(path, called)
    kind = _format_of(head, called)
    if kind == "HEIC":
        values = heif.decode(head, name=called, max_pixels=None).values
        return (values.shape[1], values.shape[0]), 1 if values.shape[2] < 3 else 3, 8 * values.dtype.itemsize
    with (
        pillow_kept_quiet(),
        libtiff_kept_quiet(kind),
        _one_line(called, kind),
        Image.open(io.BytesIO(head), formats=(kind,)) as image,
    ):
        raws = [t.args if isinstance(t.args, str) else t.args[0] for t in getattr(image, "tile", []) if t.args]
        deep = image.mode[0] in "IF" or (kind in ("PNG", "TIFF") and any("16" in str(raw) for raw in raws))
        grey = image.mode[0] in "IF1" or image.mode in ("L", "LA", "La")
        return image.size, 1 if grey else 3, 16 if deep else 8


def _from_bytes(data: bytes, name: str, *, keep_gps: bool, max_pixels: int | None) -> Picture:
    kind = _format_of(data, name)
    size = _check(data, kind, name)
    if size is not None:
        _check_size(size, kind, name, max_pixels)
    if kind == "HEIC":
        return _from_heif(data, name, keep_gps=keep_gps, max_pixels=max_pixels)
    with (
        pillow_kept_quiet(),
        libtiff_kept_quiet(kind),
        _one_line(name, kind),
        Image.open(io.BytesIO(data), formats=(kind,)) as image,
    ):
        _check_size(image.size, kind, name, max_pixels)
        deep = _read_deep(image, data)
        return _from_image(image, keep_gps=keep_gps, deep=deep, exif_bytes=data if kind == "TIFF" else None)


def _format_of(data: bytes, name: str) -> str:
    if not data:
        raise BadPicture(text("picture.empty", name=name))
    head = data[:512]
    found = formats.sniff(head)
    if found is None:
        readable = ", ".join(formats.READ)
        if kind := formats.kind_of(head):
            raise BadPicture(text("picture.kind", name=name, kind=kind, formats=readable))
        raise BadPicture(text("picture.unknown", name=name, formats=readable))
    return found.name


def _check(data: bytes, kind: str, name: str) -> check.Size | None:
    try:
        return check.check(data, kind)
    except check.Truncated as error:
        raise BadPicture(text("picture.truncated", name=name, format=kind)) from error
    except check.Damaged as error:
        raise BadPicture(text("picture.damaged", name=name, format=kind)) from error
    except check.TooMuchMetadata as error:
        raise BadPicture(text("picture.metadata", name=name)) from error


def _check_size(size: check.Size, kind: str, name: str, cap: int | None) -> None:
    width, height = size
    if min(size) < 1:
        raise BadPicture(text("picture.no_pixels", name=name, width=width, height=height))
    if max(size) > 2**31 - 1:
        raise BadPicture(text("picture.impossible_size", name=name, format=kind, width=width, height=height))
    limits.check_size(size, name=name, cap=cap)


def _from_image(
    image: Image.Image, *, keep_gps: bool, deep: modes.Colours | None = None, exif_bytes: bytes | None = None
) -> Picture:
    image.load()
    tiff = image.format == "TIFF"
    block = image.info.get("exif") if exif_bytes is None else exif_bytes
    if block is None and image.format is None:  # made in memory, or turned by others
        block = image.getexif().tobytes() if image.getexif() else None
    turn, tidied, notes = _tidied(block, keep_gps=keep_gps, tiff=tiff)
    icc = image.info.get("icc_profile") or None
    colours = deep if deep is not None else modes.from_image(image, icc)
    with contextlib.suppress(*DECODER_ERRORS):  # whether more follows is worth a note, not a failure
        if getattr(image, "is_animated", False):
            notes.append(text("picture.note_first"))
    return _finish(colours, turn=turn, exif_bytes=tidied, notes=notes)


def _tidied(block: bytes | None, *, keep_gps: bool, tiff: bool = False) -> tuple[int, bytes | None, list[str]]:
    """The orientation, what is kept of the EXIF, and a note if it was broken."""
    if not block or (tiff and block[2:4] in (b"+\0", b"\0+")):  # BigTIFF has directories of another kind
        return 1, None, []
    try:
        parsed = exif.parse(block)
    except ValueError:
        return 1, None, [text("picture.note_exif")]
    turn = 1 if tiff else parsed.orientation  # Pillow's TIFF reader has turned it already
    return turn, exif.tidy(parsed, keep_gps=keep_gps, tiff=tiff), []


def _read_deep(image: Image.Image, data: bytes) -> modes.Colours | None:
    """The 16 bits of a PNG or TIFF of which Pillow would hand over the upper 8; None where there are none such.

    Pillow has no 16-bit RGB, but its unpackers take the upper byte of each number; told that the numbers have the
    other byte order, they take the lower one. So the file is decoded twice and the halves are joined.
    """
    tiles = getattr(image, "tile", [])
    raws = [t.args if isinstance(t.args, str) else t.args[0] for t in tiles if t.args]
    if not raws:
        return None
    icc = image.info.get("icc_profile") or None
    transparent = image.info.get("transparency")
    if image.format == "TIFF" and any(raw in ("R", "G", "B") for raw in raws):
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        if max(bits) > 8:  # Pillow reads these as if they had 8 bits
            raise modes.UnknownMode("16-bit, planes apart, not compressed")
    if image.format == "PNG" and raws[0] == "LA;16B":
        four = _decode_as(data, "PNG", {"LA;16B": "RGBA"})  # the four bytes of a pixel, as they are
        return modes.from_deep(four.view(">u2").astype(np.uint16), icc)
    swaps = {f"{m};16{a}": f"{m};16{b}" for m in ("RGB", "RGBA") for a, b in (("B", "L"), ("L", "B"), ("N", _OTHER))}
    if not all(raw in swaps for raw in raws):
        return None
    low = _decode_as(data, str(image.format), swaps)
    image.load()
    values = np.asarray(image).astype(np.uint16)
    values <<= 8
    values |= low
    return modes.from_deep(values, icc, transparent=transparent if isinstance(transparent, tuple) else None)


_OTHER = "B" if struct.pack("=H", 1) == struct.pack("<H", 1) else "L"


def _decode_as(data: bytes, kind: str, raws: dict[str, str]) -> NDArray[np.uint8]:
    """Decode again with other unpackers, by name."""
    with Image.open(io.BytesIO(data), formats=(kind,)) as image:
        assert isinstance(image, ImageFile.ImageFile)  # noqa: S101 - what Image.open gives
        image.tile = [t._replace(args=_renamed(t.args, raws)) for t in image.tile]
        image.load()
        return np.ascontiguousarray(np.asarray(image))


def _renamed(args: Any, raws: dict[str, str]) -> Any:
    return raws[args] if isinstance(args, str) else (raws[args[0]], *args[1:])


def _from_heif(data: bytes, name: str, *, keep_gps: bool, max_pixels: int | None) -> Picture:
    decoded = heif.decode(data, name=name, max_pixels=max_pixels)
    values = decoded.values
    if values.dtype == np.uint8:
        image = Image.fromarray(values if values.shape[2] > 1 else values[..., 0])
        colours = modes.from_image(image, decoded.icc)
    else:
        colours = modes.from_deep(values.astype(np.uint16, copy=False), decoded.icc)
    _, tidied, notes = _tidied(decoded.exif, keep_gps=keep_gps)
    # HEIF turns by its own boxes, which libheif has obeyed; the EXIF orientation only repeats them.
    return _finish(colours, turn=1, exif_bytes=tidied, notes=notes)


def _from_array(values: NDArray[Any]) -> Picture:
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)) or 0 in values.shape:
        raise ValueError(f"an array of a picture is (H, W), (H, W, 3) or (H, W, 4), not {values.shape}")
    values = values[..., None] if values.ndim == 2 else values
    if values.dtype == np.uint8 or values.dtype == np.uint16:
        top = 255 if values.dtype == np.uint8 else 65535
        return _finish(modes.from_deep(values.astype(np.uint16, copy=False), top=top))
    if values.dtype.kind != "f":
        raise TypeError(f"an array of a picture holds uint8, uint16 or floats in 0..1, not {values.dtype}")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise ValueError(f"floats of a picture lie in 0..1, not in {values.min()}..{values.max()}")
    values = values.astype(np.float32)
    pixels = np.repeat(values, 3, axis=-1) if values.shape[2] == 1 else values[..., :3]
    return _finish(modes.Colours(pixels=pixels, alpha=values[..., 3] if values.shape[2] == 4 else None))


def _finish(
    colours: modes.Colours, *, turn: int = 1, exif_bytes: bytes | None = None, notes: list[str] | None = None
) -> Picture:
    alpha = colours.alpha
    if alpha is not None and alpha.min() >= 1:
        alpha = None
    return Picture(
        pixels=_contiguous(turned(colours.pixels, turn)),
        alpha=None if alpha is None else np.ascontiguousarray(turned(alpha, turn)),
        icc=colours.icc,
        exif=exif_bytes,
        notes=(*colours.notes, *(notes or ())),
    )


def _contiguous(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    if pixels.flags.c_contiguous:
        return pixels
    copy = scratch.pixels(pixels.shape)
    np.copyto(copy, pixels)
    return copy


def turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of (H, W, ...) the right way up, by the EXIF orientation 1..8 (TIFF 6.0, tag 274)."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    flip_rows = orientation in (3, 4, 7, 8)
    flip_columns = orientation in (2, 3, 6, 7)
    return values[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


@contextlib.contextmanager
def _one_line(name: str, kind: str) -> Iterator[None]:
    """Whatever a decoder raises becomes one line for the user."""
    try:
        yield
    except BadPicture:
        raise
    except modes.NotFinite as error:
        raise BadPicture(text("picture.not_finite", name=name)) from error
    except modes.UnknownMode as error:
        raise BadPicture(text("picture.variety", name=name, format=kind, mode=error)) from error
    except MemoryError as error:
        raise BadPicture(text("picture.memory", name=name)) from error
    except DECODER_ERRORS as error:
        says = str(error).lower()
        key = (
            "picture.metadata" if isinstance(error, ValueError) and "too large" in says
            else "picture.truncated" if "truncated" in says
            else "picture.damaged"
        )  # fmt: skip
        raise BadPicture(text(key, name=name, format=kind)) from error
