"""TIFF with 8 or 16 bits a colour, which Pillow cannot write: RGB or RGBA, deflate with horizontal differences.

Whole numbers go in, a TIFF's bytes come out (TIFF 6.0; Adobe technical notes on deflate, 2002). Not more than 4 GB.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from danqing.picture import exif

MAX_BYTES = 2**32 - 2**24

_STRIP_BYTES = 1 << 18


def encode(values: NDArray[np.uint8] | NDArray[np.uint16], *, icc: bytes, block: Image.Exif | None = None) -> bytes:
    """A TIFF.

    Args:
        values: (H, W, 3) or (H, W, 4), straight alpha.
        icc: the profile that the colours are in.
        block: EXIF to go with them.

    Raises:
        OverflowError: larger than a TIFF can be.
    """
    height, width, channels = values.shape
    rows = max(1, _STRIP_BYTES // (width * channels * values.itemsize))
    strips = [zlib.compress(_differences(values[top : top + rows])) for top in range(0, height, rows)]
    if sum(map(len, strips)) > MAX_BYTES:
        raise OverflowError
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    for tag, value in _tags(block).items():
        directory[tag] = value
    for tag, number in _layout(values, rows).items():
        directory[tag] = number
    directory[34675] = icc
    directory.tagtype[34675] = 7
    for tag, numbers in ((273, np.cumsum([0, *map(len, strips[:-1])])), (279, np.array([len(s) for s in strips]))):
        directory[tag] = tuple(int(n) for n in numbers)
        directory.tagtype[tag] = 4
    # The directory stands before the strips; Pillow adds its length to their offsets.
    return b"II*\0\x08\0\0\0" + directory.tobytes(8) + b"".join(strips)


def _tags(block: Image.Exif | None) -> dict[int, Any]:
    """All tags, those of the nested directories as mappings, as Pillow wants them for writing."""
    if block is None:
        return {}
    tags = dict(block)
    for directory in (exif.EXIF_IFD, exif.GPS_IFD):
        if directory in tags:
            tags[directory] = dict(block.get_ifd(directory))
    if exif.INTEROP_IFD in tags.get(exif.EXIF_IFD, {}):
        tags[exif.EXIF_IFD][exif.INTEROP_IFD] = dict(block.get_ifd(exif.INTEROP_IFD))
    return tags


def _layout(values: NDArray[Any], rows: int) -> dict[int, Any]:
    height, width, channels = values.shape
    tags: dict[int, Any] = {
        256: width,
        257: height,
        258: (values.itemsize * 8,) * channels,
        259: 8,  # deflate
        262: 2,  # RGB
        277: channels,
        278: rows,
        284: 1,  # the colours of a pixel stand together
        317: 2,  # horizontal differences
        339: (1,) * channels,  # whole numbers without sign
    }
    if channels == 4:
        tags[338] = 2  # alpha, not multiplied in
    return tags


def _differences(strip: NDArray[Any]) -> bytes:
    """Each colour less the one to its left, modulo its range (TIFF 6.0, section 14), little-endian."""
    out = strip.copy()
    out[:, 1:] -= strip[:, :-1]
    return out.astype(out.dtype.newbyteorder("<"), copy=False).tobytes()
