"""PNG beyond what Pillow writes: 16 bits a colour, and chunks put into a finished file.

Whole numbers go in, a PNG's bytes come out. It knows chunks and filters (PNG, third edition, W3C 2025), not pictures.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"

Chunk = tuple[bytes, bytes]


def encode16(values: NDArray[np.uint16], chunks: Iterable[Chunk] = ()) -> bytes:
    """A PNG of 16 bits a colour.

    Args:
        values: uint16 (H, W, 3) or (H, W, 4), straight alpha.
        chunks: (kind, content) of ancillary chunks that stand before the pixels.
    """
    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    deflate = zlib.compressobj(6)
    parts = [SIGNATURE, *_chunk(b"IHDR", header)]
    for kind, content in chunks:
        parts += _chunk(kind, content)
    for band in _filtered(values):  # an IDAT for each piece that deflate gives up, so that nothing is copied
        if piece := deflate.compress(band):
            parts += _chunk(b"IDAT", piece)
    parts += [*_chunk(b"IDAT", deflate.flush()), *_chunk(b"IEND", b"")]
    return b"".join(parts)


def insert(png: bytes, chunks: Iterable[Chunk]) -> bytes:
    """A finished PNG with further ancillary chunks right after its header."""
    after = len(SIGNATURE) + 25  # IHDR: 8 bytes before its 13, 4 after
    new = [part for kind, content in chunks for part in _chunk(kind, content)]
    return b"".join([png[:after], *new, memoryview(png)[after:]])


def profile_chunk(icc: bytes) -> Chunk:
    """The iCCP chunk of a colour profile."""
    return b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)


def exif_chunk(exif: bytes) -> Chunk:
    r"""The eXIf chunk of an EXIF block that begins with `Exif\\0\\0`."""
    return b"eXIf", exif.removeprefix(b"Exif\0\0")


def text_chunk(key: str, value: str) -> Chunk:
    """An iTXt chunk, not compressed, so that the text can be found in the file with nothing but eyes."""
    return b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + value.encode()


def read_text(png: bytes, key: str, most: int) -> str | None:
    """The text of an iTXt chunk (compressed or not), at most so many bytes of it; None without one."""
    opening = key.encode("latin-1") + b"\0"
    for kind, content in _chunks(png):
        if kind != b"iTXt" or not content.startswith(opening):
            continue
        parts = content[len(opening) + 2 :].split(b"\0", 2)  # language, translated key, text
        if len(parts) != 3:
            return None
        compressed = content[len(opening)]
        try:
            text = zlib.decompressobj().decompress(parts[2], most + 1) if compressed else parts[2]
            return text.decode() if len(text) <= most else None
        except (zlib.error, UnicodeDecodeError):
            return None
    return None


def _chunks(png: bytes) -> Iterator[Chunk]:
    at = len(SIGNATURE)
    while at + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, content: bytes) -> tuple[bytes, bytes, bytes]:
    crc = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I4s", len(content), kind), content, struct.pack(">I", crc)


def _filtered(values: NDArray[np.uint16]) -> Iterator[bytes]:
    """Bands of rows, each row with the filter out of Sub, Up and Paeth whose bytes are smallest (section 12.7)."""
    height, width, channels = values.shape
    step = channels * 2
    above = np.zeros(width * step, dtype=np.uint8)
    for top in range(0, height, 64):
        band = values[top : top + 64].astype(">u2").view(np.uint8).reshape(-1, width * step)
        ups = np.vstack([above[None], band[:-1]])
        lefts = np.zeros_like(band)
        lefts[:, step:] = band[:, :-step]
        corners = np.zeros_like(band)
        corners[:, step:] = ups[:, :-step]
        candidates = (band - lefts, band - ups, band - _paeth(lefts, ups, corners))
        costs = np.stack([np.abs(c.view(np.int8).astype(np.int16)).sum(axis=1, dtype=np.int64) for c in candidates])
        best = costs.argmin(axis=0)
        rows = np.empty((len(band), 1 + width * step), dtype=np.uint8)
        rows[:, 0] = np.array([1, 2, 4], dtype=np.uint8)[best]
        for number, candidate in enumerate(candidates):
            rows[best == number, 1:] = candidate[best == number]
        yield rows.tobytes()
        above = band[-1]


def _paeth(left: NDArray[np.uint8], up: NDArray[np.uint8], corner: NDArray[np.uint8]) -> NDArray[np.uint8]:
    a, b, c = (v.astype(np.int16) for v in (left, up, corner))
    p = a + b - c
    pa, pb, pc = np.abs(p - a), np.abs(p - b), np.abs(p - c)
    return np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, up, corner))
