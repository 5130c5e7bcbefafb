"""Writing: from a Picture to a file that is there as a whole or not at all.

A `Picture` and a target go in. The picture is encoded in memory and then written by `files.atomic_write`, so that no
fault of the disk or the encoder leaves half a file. The rules:

    format      by the ending of the name, unless it is given
    colours     sRGB, and tagged so with a profile (BMP and GIF hold none)
    quality     JPEG, WebP, AVIF: 1..100; from 90 the colours keep full resolution (4:4:4); WebP at 100 is lossless
    16 bits     PNG and TIFF
    alpha       kept where the format has it; GIF's is on or off, at one half; JPEG and BMP are laid on white
    EXIF        kept, in JPEG as far as its 64 kB go: first the maker's notes give way, then everything but the recipe
    recipe      see `provenance.py`
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from danqing import files
from danqing.errors import DoesNotFit, RunFailed, UsageError
from danqing.messages import text
from danqing.picture import exif, formats, png, profile, provenance, tiff
from danqing.picture.formats import Format
from danqing.picture.picture import Picture

PictureTarget = str | Path | BinaryIO

_JPEG_EXIF = 65_533
_JPEG_VALUE = 4  # bytes that no value of a JPEG exceeds: its longest code has 27 bits
_FULL_COLOUR = 90

_block_lock = threading.Lock()


def save(
    picture: Picture,
    target: PictureTarget,
    *,
    format: str | None = None,
    quality: int = 80,
    depth: int = 8,
    recipe: str | None = None,
    overwrite: bool = False,
) -> Path | None:
    """Write a picture.

    Args:
        picture: what to write.
        target: a path, or a binary stream, which then needs `format`.
        format: `jpeg`, `png`, ...; by the path's ending unless told.
        quality: 1..100, for the lossy formats.
        depth: 8 or 16 bits a colour.
        recipe: TOML text to store in the file; left out where the format has no place for it.
        overwrite: whether an existing file may be replaced.

    Returns:
        The path written, None for a stream.

    Raises:
        UsageError: an ending or format that is not written, 16 bits where there are none, a name that is taken.
        DoesNotFit: more pixels than the format can hold.
        RunFailed: the disk or the encoder failed; nothing is left behind.
    """
    if not 1 <= quality <= 100 or depth not in (8, 16):
        raise ValueError(f"quality is 1..100 and depth 8 or 16, not {quality} and {depth}")
    path = Path(target) if isinstance(target, str | Path) else None
    chosen = target_format(path, format=format, depth=depth)
    called = files.shown(path) if path else chosen.name
    if path:
        files.check_target(path, overwrite=overwrite)
    data = encode(picture, chosen, name=called, quality=quality, depth=depth, recipe=recipe)
    if not isinstance(target, str | Path):
        target.write(data)
        return None
    with files.atomic_write(target, overwrite=overwrite) as stream:
        stream.write(data)
    return path


def target_format(
    path: str | Path | None, *, format: str | None = None, depth: int = 8, size: tuple[int, int] | None = None
) -> Format:
    """The format that a path or a name asks for; cheap, to be called before long work.

    Args:
        path: where the picture is to go, or None.
        format: as for `save`.
        depth: as for `save`.
        size: (width, height) in px, where it is known.

    Raises:
        UsageError: it is not written, or not at that depth.
        DoesNotFit: an edge that is longer than the format can hold.
    """
    if format is not None or path is None:
        chosen = formats.by_name(format or "")
        if chosen is None or not chosen.written:
            raise UsageError(text("picture.format", format=format or "-", formats=", ".join(formats.WRITTEN)))
    else:
        chosen = formats.by_suffix(str(path))
        if chosen is None or not chosen.written:
            suffixes = ", ".join(s for name in formats.WRITTEN for s in formats.FORMATS[name].suffixes)
            raise UsageError(text("picture.suffix", name=files.shown(path), suffixes=suffixes))
    if depth == 16 and not chosen.deep:
        raise UsageError(text("picture.depth", format=chosen.name))
    if size is not None:
        _check_edges(size, chosen, files.shown(path) if path else chosen.name)
    return chosen


def _check_edges(size: tuple[int, int], chosen: Format, name: str) -> None:
    if chosen.max_edge and max(size) > chosen.max_edge:
        fields = {"name": name, "width": size[0], "height": size[1], "format": chosen.name, "limit": chosen.max_edge}
        raise DoesNotFit(text("picture.format_edge", **fields))


def encode(
    picture: Picture, chosen: Format, *, name: str, quality: int = 80, depth: int = 8, recipe: str | None = None
) -> bytes:
    """A picture as the bytes of a file; arguments and errors as those of `save`, `name` being what messages call it."""
    width, height = picture.size
    _check_edges(picture.size, chosen, name)
    values = quantised(picture, depth=depth, alpha=chosen.alpha, name=name)
    recipe = recipe if chosen.recipe else None
    try:
        if chosen.name == "PNG":
            return _png(values, picture.exif, recipe)
        block = _exif_block(picture.exif, recipe, chosen, name)
        if chosen.name == "TIFF":
            return tiff.encode(values, icc=profile.srgb(), block=exif.parse(block) if block else None)
        return _by_pillow(values, chosen, quality=quality, block=block)
    except OverflowError as error:
        fields = {"name": name, "width": width, "height": height, "format": chosen.name}
        raise DoesNotFit(text("picture.format_pixels", **fields)) from error
    except (OSError, ValueError, SyntaxError, RuntimeError) as error:
        reason = str(error) or type(error).__name__
        raise RunFailed(text("picture.encoding", name=name, format=chosen.name, reason=reason)) from error


def quantised(picture: Picture, *, depth: int, alpha: bool, name: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Whole numbers (H, W, 3 or 4), rounded to the nearest; laid on white where alpha cannot be kept.

    Raises:
        RunFailed: the pixels are not finite.
    """
    height, width = picture.pixels.shape[:2]
    top, dtype = (255, np.uint8) if depth == 8 else (65535, np.uint16)
    keep = alpha and picture.alpha is not None
    out = np.empty((height, width, 4 if keep else 3), dtype=dtype)
    for at in range(0, height, 256):  # in bands, so that the copies stay small
        band = slice(at, at + 256)
        colours = picture.pixels[band]
        if not np.isfinite(colours).all():
            raise RunFailed(text("picture.pixels_not_finite", name=name))
        if picture.alpha is not None:
            cover = picture.alpha[band, :, None]
            if keep:
                out[band, :, 3:] = np.rint(np.clip(cover, 0, 1) * top)
            else:
                colours = colours * cover + (1 - cover)
        out[band, :, :3] = np.rint(np.clip(colours, 0, 1) * top)
    return out


def _png(values: NDArray[Any], block: bytes | None, recipe: str | None) -> bytes:
    chunks = [png.profile_chunk(profile.srgb())]
    if block:
        chunks.append(png.exif_chunk(block))
    if recipe is not None:
        chunks.append(png.text_chunk(provenance.KEY, recipe))
    if values.dtype == np.uint16:
        return png.encode16(values, chunks)
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return png.insert(out.getvalue(), chunks)


def _exif_block(block: bytes | None, recipe: str | None, chosen: Format, name: str) -> bytes | None:
    """EXIF with the recipe in it, short enough for the format."""
    if not chosen.recipe:
        return None
    full = provenance.embed(block, recipe) if recipe is not None else block
    if chosen.name != "JPEG" or full is None or len(full) <= _JPEG_EXIF:
        return full
    full = exif.without_maker_note(full)
    if len(full) <= _JPEG_EXIF:
        return full
    full = provenance.embed(None, recipe) if recipe is not None else None
    if full is not None and len(full) > _JPEG_EXIF:
        raise RunFailed(text("picture.recipe_too_long", name=name, format=chosen.name))
    return full


def _by_pillow(values: NDArray[Any], chosen: Format, *, quality: int, block: bytes | None) -> bytes:
    image = Image.fromarray(values)
    full = "4:4:4" if quality >= _FULL_COLOUR else "4:2:0"
    options_of: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": quality, "subsampling": full, "progressive": True, "optimize": True},
        "WEBP": {"quality": quality, "lossless": quality == 100, "method": 4},
        "AVIF": {"quality": quality, "subsampling": full},
        "BMP": {},
        "GIF": {},
    }
    options = options_of[chosen.name]
    if chosen.recipe:
        options["icc_profile"] = profile.srgb()
        if block:
            options["exif"] = block
    if chosen.name == "GIF":
        image = _palette(image)
    out = io.BytesIO()
    with _in_one_block(_JPEG_VALUE * values.size) if chosen.name == "JPEG" else contextlib.nullcontext():
        image.save(out, chosen.name, **options)
    return out.getvalue()


@contextlib.contextmanager
def _in_one_block(count: int) -> Iterator[None]:
    """Inside the block Pillow's encoders have room for so many bytes, and metadata, at once; one thread at a time.

    A progressive JPEG is given out in one piece, and what Pillow guesses it to need is too little for grainy pictures.
    """
    with _block_lock:
        before = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = max(before, count + 2 * _JPEG_EXIF)
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = before


def _palette(image: Image.Image) -> Image.Image:
    """256 colours with error diffusion; with alpha, 255 and one that is not there."""
    if image.mode == "RGB":
        return image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    gone = image.getchannel("A").point(lambda a: 255 if a < 128 else 0)
    opaque = image.convert("RGB")
    indexed = opaque.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    indexed.paste(255, mask=gone)
    indexed.info["transparency"] = 255
    return indexed
