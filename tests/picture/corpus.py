"""The bad, odd and borderline pictures that danqing must survive, built by this script; nothing is downloaded.

Each `Item` is a file's bytes with what must become of them:

    bad      BadPicture, one line
    big      DoesNotFit under the limit of the test (50 Mpx)
    good     a picture
    either   a picture or BadPicture: the format carries no checksum, so the decoder decides

`python tests/picture/corpus.py DIR` writes them all.
"""

from __future__ import annotations

import io
import random
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class Item:
    """One file: its number in the plan, its name, how it is made, what becomes of it and which sentence says so."""

    number: str
    name: str
    make: Callable[[], bytes]
    expect: str
    key: str = ""

    @property
    def file_name(self) -> str:
        return f"图{self.number}-{self.name}"


@cache
def valid(kind: str) -> bytes:
    """A good picture of 96 x 64 px with some detail."""
    y, x = np.mgrid[0:64, 0:96]
    noise = np.random.default_rng(7).integers(0, 40, (64, 96))
    values = np.stack([x * 2 + noise // 2, y * 3 + noise // 4, (x + y) + noise], axis=-1).clip(0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).save(out, kind)
    return out.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    width: int, height: int, *, bits: int = 8, colour: int = 2, raw: bytes = b"", extra: bytes = b"", end: bool = True
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(raw, 9)) if raw else b""
    return b"\x89PNG\r\n\x1a\n" + header + extra + body + (chunk(b"IEND", b"") if end else b"")


def large_png(side: int) -> bytes:
    """A whole, legal picture of side x side black 1-bit px."""
    return png(side, side, bits=1, colour=0, raw=bytes((1 + (side + 7) // 8) * side))


def half(kind: str) -> Callable[[], bytes]:
    return lambda: valid(kind)[: len(valid(kind)) // 2]


def without_end(kind: str) -> Callable[[], bytes]:
    return lambda: valid(kind)[:-10]


def flipped(kind: str) -> Callable[[], bytes]:
    def make() -> bytes:
        data = bytearray(valid(kind))
        chance = random.Random(kind)
        for _ in range(20):
            data[chance.randrange(len(data) // 4, len(data))] ^= chance.randrange(1, 256)
        return bytes(data)

    return make


def bad_crc() -> bytes:
    data = bytearray(valid("PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    return bytes(data)


def many_texts() -> bytes:
    texts = b"".join(chunk(b"tEXt", b"k%d\0" % n + b"x" * 1_000_000) for n in range(70))
    return png(1, 1, raw=bytes(4), extra=texts)


def pillow(mode: str, kind: str, **options: object) -> Callable[[], bytes]:
    def make() -> bytes:
        image = Image.open(io.BytesIO(valid("PNG"))).convert(mode)
        out = io.BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    return make


def palette_transparent() -> bytes:
    image = Image.open(io.BytesIO(valid("PNG"))).quantize(16)
    out = io.BytesIO()
    image.save(out, "PNG", transparency=3)
    return out.getvalue()


def deep_png() -> bytes:
    return png(4, 4, bits=16, raw=b"".join(b"\0" + bytes(range(24)) for _ in range(4)))


def lab() -> bytes:
    values = np.dstack([np.full((8, 8), 136), np.full((8, 8), 148), np.full((8, 8), 108)]).astype(np.uint8)
    out = io.BytesIO()
    Image.frombytes("LAB", (8, 8), values.tobytes()).save(out, "TIFF")
    return out.getvalue()


def floats(*values: float) -> Callable[[], bytes]:
    def make() -> bytes:
        out = io.BytesIO()
        Image.fromarray(np.array(values, dtype=np.float32).reshape(2, -1)).save(out, "TIFF")
        return out.getvalue()

    return make


def oriented(value: int) -> Callable[[], bytes]:
    def make() -> bytes:
        exif = Image.Exif()
        exif[0x0112] = value
        exif[0x010F] = "制造者"
        out = io.BytesIO()
        Image.open(io.BytesIO(valid("JPEG"))).save(out, "JPEG", exif=exif.tobytes())
        return out.getvalue()

    return make


def animated(kind: str, frames: int, **options: object) -> Callable[[], bytes]:
    def make() -> bytes:
        images = [Image.new("RGB", (16, 12), (n * 37 % 256, 255 - n * 53 % 256, 90)) for n in range(frames)]
        out = io.BytesIO()
        images[0].save(out, kind, save_all=True, append_images=images[1:], **options)
        return out.getvalue()

    return make


def bmp(width: int, height: int, bits: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 54 + 4096, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
        + bytes(4096)
    )


def tiff_loop() -> bytes:
    """A TIFF whose only directory is followed by itself."""
    data = bytearray(pillow("RGB", "TIFF")())
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    return bytes(data)


def gif_extent() -> bytes:
    data = bytearray(valid("GIF"))
    struct.pack_into("<HH", data, 6, 60000, 60000)
    return bytes(data)


KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF")
SUFFIX = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "GIF": "gif", "AVIF": "avif", "BMP": "bmp"}
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
BIG_TEXT = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9))

ITEMS: list[Item] = [
    Item("01", "empty.jpg", lambda: b"", "bad", "empty"),
    Item("02", "one-byte.jpg", lambda: b"\xff", "bad", "unknown"),
    Item("03", "text.png", lambda: "只是文字\n".encode() * 40, "bad", "unknown"),
    Item("04", "page.jpg", lambda: b"<!DOCTYPE html><html><body>404</body></html>", "bad", "kind"),
    Item("05", "random.jpg", lambda: random.Random(5).randbytes(4096), "bad", "unknown"),
    Item("06", "drawing.svg", lambda: SVG, "bad", "kind"),
    Item("07", "drawing.eps", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "bad", "kind"),
    Item("08", "paper.pdf", lambda: b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", "bad", "kind"),
    Item("09", "layers.psd", lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3), "bad", "kind"),
    Item("10", "stars.fits", lambda: b"SIMPLE  =                    T".ljust(2880), "bad", "kind"),
    Item("11", "icon.ico", pillow("RGB", "ICO"), "bad", "kind"),
    *(Item(f"{12 + n}", f"half.{SUFFIX[k]}", half(k), "bad", "truncated") for n, k in enumerate(KINDS)),
    *(Item(f"{18 + n}", f"cut.{SUFFIX[k]}", without_end(k), "bad", "truncated") for n, k in enumerate(KINDS)),
    *(
        Item(f"{24 + n}", f"flipped.{SUFFIX[k]}", flipped(k), "bad" if k == "PNG" else "either")
        for n, k in enumerate(KINDS)
    ),
    Item("30", "bomb-74-bytes.png", lambda: png(50_000, 50_000, raw=b"\0"), "bad", "truncated"),
    Item("31", "12k.png", lambda: large_png(12_000), "big", "pixels"),
    Item("32", "header-only.png", lambda: png(8900, 10_000), "bad", "truncated"),
    Item("33", "nothing.png", lambda: png(0, 0, raw=b"\0"), "bad", "no_pixels"),
    Item("34", "1x1.png", lambda: png(1, 1, raw=bytes(4)), "good"),
    Item("35", "1x5000.png", lambda: png(1, 5000, raw=bytes(4 * 5000)), "good"),
    Item("36", "four-milliards.png", lambda: png(2**32 - 1, 2**32 - 1, raw=b"\0"), "bad", ""),
    Item("37", "ztxt-bomb.png", lambda: png(1, 1, raw=bytes(4), extra=BIG_TEXT), "bad", "metadata"),
    Item("38", "seventy-texts.png", many_texts, "bad", "metadata"),
    Item("39", "bad-crc.png", bad_crc, "bad", "damaged"),
    Item("40", "no-iend.png", lambda: valid("PNG")[:-12], "bad", "truncated"),
    Item("41", "polyglot.png", lambda: valid("PNG") + b"PK\3\4" + bytes(100), "good"),
    Item("42", "deep.png", deep_png, "good"),
    Item("43", "palette.png", palette_transparent, "good"),
    Item("44", "grey-alpha.png", pillow("LA", "PNG"), "good"),
    Item("45", "1-bit.png", pillow("1", "PNG"), "good"),
    Item("46", "cmyk.jpg", pillow("CMYK", "JPEG"), "good"),
    Item("47", "lab.tif", lab, "good"),
    Item("48a", "nan.tif", floats(0, 1, float("nan"), float("inf"), float("-inf"), 0.5), "good"),
    Item("48b", "only-nan.tif", floats(float("nan"), float("nan")), "bad", "not_finite"),
    Item("49a", "turned.jpg", oriented(6), "good"),
    Item("49b", "turned-99.jpg", oriented(99), "good"),
    Item("49c", "broken-exif.jpg", pillow("RGB", "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(9)), "good"),
    Item("50", "broken-profile.png", pillow("RGB", "PNG", icc_profile=b"no profile at all" * 20), "good"),
    Item("51a", "500-frames.gif", animated("GIF", 500), "good"),
    Item("51b", "apng.png", animated("PNG", 5), "good"),
    Item("51c", "pages.tif", animated("TIFF", 5), "good"),
    Item("51d", "animated.webp", animated("WEBP", 5), "good"),
    Item("52a", "really-a-gif.jpg", lambda: valid("GIF"), "good"),
    Item("52b", "40-bits.bmp", lambda: bmp(16, 16, 40), "bad", "damaged"),
    Item("52c", "negative.bmp", lambda: bmp(-16, 16, 24), "bad", ""),
    Item("52d", "ifd-loop.tif", tiff_loop, "good"),
    Item("52e", "extent.gif", gif_extent, "big", "pixels"),
]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for item in ITEMS:
        (folder / item.file_name).write_bytes(item.make())
