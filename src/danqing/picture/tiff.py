"""TIFF with 8 or 16 bits a colour: RGB or RGBA, deflate with horizontal differences.

Whole numbers go in, a TIFF's bytes come out (TIFF 6.0; Adobe technical notes on deflate, 2002), which Pillow cannot
write with 16 bits. Not more than 4 GB.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing.picture.exif import UNDEFINED, Block, Directory, Entry

MAX_BYTES = 2**32 - 2**24

_STRIP_BYTES = 1 << 18


def encode(values: NDArray[np.uint8] | NDArray[np.uint16], *, icc: bytes, block: Block | None = None) -> bytes:
    """A TIFF.

    Args:
        values: (H, W, 3) or (H, W, 4), straight alpha.
        icc: the profile that the colours are in.
        block: EXIF to go with them; its byte order becomes the file's.

    Raises:
        OverflowError: larger than a TIFF can be.
    """
    block = block or Block()
    height, width, channels = values.shape
    rows = max(1, _STRIP_BYTES // (width * channels * values.itemsize))
    strips = [zlib.compress(_differences(values[top : top + rows], block.order)) for top in range(0, height, rows)]
    lengths = [len(strip) for strip in strips]
    if sum(lengths) > MAX_BYTES:
        raise OverflowError
    tags = block.tags | _layout(block, values, rows) | {34675: Entry(UNDEFINED, len(icc), icc)}
    tags[279] = block.number(*lengths)
    tags[273] = block.number(*lengths)  # as long as the offsets, which depend on the length
    whole = Block(block.order, tags, block.details, block.interop, block.gps)
    start = 8 + len(whole.directories(8))
    tags[273] = block.number(*(int(n) for n in np.cumsum([start, *lengths[:-1]])))
    return whole.header() + whole.directories(8) + b"".join(strips)


def _layout(block: Block, values: NDArray[Any], rows: int) -> Directory:
    height, width, channels = values.shape
    inch = struct.pack(block.order + "II", 72, 1)
    tags = {
        256: block.number(width),
        257: block.number(height),
        258: block.short(*(values.itemsize * 8,) * channels),
        259: block.short(8),  # deflate
        262: block.short(2),  # RGB
        277: block.short(channels),
        278: block.number(rows),
        282: Entry(5, 1, inch),
        283: Entry(5, 1, inch),
        284: block.short(1),  # the colours of a pixel stand together
        296: block.short(2),
        317: block.short(2),  # horizontal differences
        339: block.short(*(1,) * channels),  # whole numbers without sign
    }
    if channels == 4:
        tags[338] = block.short(2)  # alpha, not multiplied in
    return {tag: block.tags.get(tag, entry) if tag in (282, 283, 296) else entry for tag, entry in tags.items()}


def _differences(strip: NDArray[Any], order: str) -> bytes:
    """Each colour less the one to its left, modulo its range (TIFF 6.0, section 14)."""
    out = strip.copy()
    out[:, 1:] -= strip[:, :-1]
    return out.astype(out.dtype.newbyteorder(order), copy=False).tobytes()  # type: ignore[arg-type]
