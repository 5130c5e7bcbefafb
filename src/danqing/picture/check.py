"""What a file's own container says about whether it is whole, before anything is decoded.

Some damaged files decode without complaint: a PNG without its end, a WebP or JPEG that was cut where the decoder had
seen enough. The rule here: **a file whose container contradicts itself is refused**, even where a decoder would make
do. What that finds, format by format:

    PNG    every chunk up to IEND lies in the file and has its right CRC; IHDR comes first, IEND comes; there is enough
           IDAT for so many pixels at deflate's best possible ratio. What follows IEND is ignored.
    JPEG   the markers lead to a scan, and an end of image comes after it. What follows is ignored.
    GIF    the blocks lead to a first frame that ends properly. Later frames are not looked at.
    WebP   the RIFF length and every chunk lie in the file, and one of them holds a picture.
    AVIF, HEIC   every box lies in the file.
    BMP, TIFF    nothing: their decoders notice what is missing.

What no container can tell is flipped bits inside compressed data without a checksum (JPEG, WebP, AVIF, TIFF, GIF): if
the decoder accepts them they are a picture, a broken-looking one. Sizes that the container states are handed back, so
that they can be refused before a decoder sees the file.
"""

from __future__ import annotations

import struct
import zlib

Size = tuple[int, int]

_DEFLATE_BEST = 1032  # bytes out of one byte in; deflate cannot do better
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_METADATA = {b"tEXt", b"zTXt", b"iTXt"}
_MAX_METADATA = 32_000_000


class Truncated(Exception):
    """The file ends before its container does."""


class Damaged(Exception):
    """The container contradicts itself."""


class TooMuchMetadata(Exception):
    """Text beyond what any picture needs."""


def check(data: bytes, kind: str) -> Size | None:
    """Look through a container.

    Args:
        data: the whole file.
        kind: the name of its format.

    Returns:
        (width, height) if the container states it where it is cheap to read, else None.

    Raises:
        Truncated, Damaged, TooMuchMetadata: the file is not whole, by the rules above.
    """
    checks = {"PNG": _png, "JPEG": _jpeg, "GIF": _gif, "WEBP": _webp, "AVIF": _boxes, "HEIC": _boxes}
    if kind not in checks:
        return None
    try:
        return checks[kind](data)
    except (struct.error, IndexError) as error:
        raise Truncated from error


def _png(data: bytes) -> Size:
    view = memoryview(data)
    at, idat, metadata, size, row = 8, 0, 0, (0, 0), 0
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if not kind.isalpha():
            raise Damaged
        if end > len(data):
            raise Truncated
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise Damaged
        if (at == 8) != (kind == b"IHDR"):
            raise Damaged
        if kind == b"IHDR":
            width, height, bits, colour = struct.unpack_from(">IIBB", data, at + 8)
            size, row = (width, height), (width * bits * _PNG_SAMPLES.get(colour, 1) + 7) // 8
        elif kind == b"IDAT":
            idat += length
        elif kind in _PNG_METADATA:
            metadata += length
        elif kind == b"IEND":
            break
        at = end
    if metadata > _MAX_METADATA:
        raise TooMuchMetadata
    if idat * _DEFLATE_BEST < row * size[1]:
        raise Truncated
    return size


def _jpeg(data: bytes) -> Size | None:
    at, size = 2, None
    while True:
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, 0xFF):  # stray and fill bytes may stand before any marker
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            at += 2
            continue
        if marker == 0xDA:
            break
        if marker == 0xD9:
            raise Damaged
        length = struct.unpack_from(">H", data, at + 2)[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = (width, height)
        at += 2 + length
    if data.find(b"\xff\xd9", at) < 0:
        raise Truncated
    return size


def _gif(data: bytes) -> Size:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + _colour_table(flags)
    while True:
        kind = data[at]
        if kind == 0x21:  # an extension: its label, then sub-blocks
            at = _sub_blocks(data, at + 2)
        elif kind == 0x2C:  # a frame: its place, size and colours, the code size, then sub-blocks
            _sub_blocks(data, at + 11 + _colour_table(data[at + 9]))
            return width, height
        elif kind == 0x3B:
            raise Damaged
        else:  # a stray byte
            at += 1


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks(data: bytes, at: int) -> int:
    while length := data[at]:
        at += 1 + length
    return at + 1


def _webp(data: bytes) -> Size | None:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise Truncated
    at, size, picture = 12, None, False
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise Truncated
        body = at + 8
        if kind == b"VP8X":
            size = (1 + int.from_bytes(data[body + 4 : body + 7], "little"),
                    1 + int.from_bytes(data[body + 7 : body + 10], "little"))  # fmt: skip
        elif kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, body + 6)
            size = size or (width & 0x3FFF, height & 0x3FFF)
        elif kind == b"VP8L":
            packed = struct.unpack_from("<I", data, body + 1)[0]
            size = size or (1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF))
        picture |= kind in (b"VP8 ", b"VP8L", b"ANMF")
        at += 8 + length + (length & 1)
    if not picture:
        raise Damaged
    return size


def _boxes(data: bytes) -> None:
    at = 0
    while at + 8 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        if length == 0:  # the last box reaches to the end
            return
        if length == 1:
            length = struct.unpack_from(">Q", data, at + 8)[0]
        if length < 8:
            raise Damaged
        at += length
    if at > len(data):
        raise Truncated
