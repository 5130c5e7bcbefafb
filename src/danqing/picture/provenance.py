"""The recipe inside a picture: put in when it is written, read out to paint it again.

A recipe's TOML text goes in and comes out; what it says is not this module's business. It stands in PNG as the iTXt
chunk `danqing:recipe`, in JPEG, WebP, AVIF and TIFF as the EXIF UserComment, whose text is marked `UNICODE` as the
EXIF standard asks and begins with a line that tells it from other comments. A UserComment that was there is replaced.
BMP and GIF hold no recipe.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from danqing import limits
from danqing.files import shown
from danqing.picture import exif, formats, png
from danqing.picture.quiet import DECODER_ERRORS, pillow_kept_quiet

KEY = "danqing:recipe"


def embed(block: bytes | None, recipe: str) -> bytes:
    """An EXIF block (or none) with the recipe as its UserComment.

    Args:
        block: EXIF bytes, or None.
        recipe: TOML text.

    Raises:
        ValueError: the block cannot be read.
    """
    tags = exif.parse(block) if block else exif.Block()
    tags.put_recipe(recipe)
    return tags.tobytes()


def read(data: bytes) -> str | None:
    """The recipe in the bytes of a picture file, or None when there is none; decodes no pixels.

    A damaged file, or one that is no picture, has none.
    """
    kind = formats.sniff(data[:512])
    if kind is None or not kind.recipe or not kind.written:
        return None
    if kind.name == "PNG":
        return png.read_text(data, KEY, limits.MAX_RECIPE_BYTES)
    try:
        recipe = exif.parse(_exif_of(data, kind.name)).recipe
    except ValueError:
        return None
    return recipe if recipe is not None and len(recipe) <= limits.MAX_RECIPE_BYTES else None


def read_recipe(path: str | Path) -> str | None:
    """The recipe inside a picture file, or None.

    Raises:
        BadPicture: the file is not there or cannot be read.
    """
    from danqing.picture.load import read_bytes

    return read(read_bytes(path, shown(path)))


def _exif_of(data: bytes, kind: str) -> bytes:
    if kind == "TIFF":
        return data
    try:
        with pillow_kept_quiet(), Image.open(io.BytesIO(data), formats=(kind,)) as image:
            return bytes(image.info.get("exif", b""))
    except DECODER_ERRORS:
        return b""
