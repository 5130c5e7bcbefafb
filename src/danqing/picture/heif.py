"""HEIC and HEIF, decoded in a process of their own that can be killed.

libheif has had memory faults that a file of 800 bytes can set off after it was parsed without complaint, so it never
runs inside this process. Bytes go in through a pipe, pixels come back through another; a decoder that crashes, hangs
or grows is one line. Needs the extra `heif`.
"""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danqing import limits
from danqing.errors import BadPicture
from danqing.messages import text

CHILD = Path(__file__).with_name("heif_child.py")
_MEMORY = 1_000_000_000  # bytes besides those of the pixels: libraries, threads' stacks


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What the child sent: uint8 or uint16 (H, W, C), already the right way up."""

    values: NDArray[np.uint8] | NDArray[np.uint16]
    icc: bytes | None
    exif: bytes | None


def decode(data: bytes, *, name: str, max_pixels: int | None = None, seconds: float | None = None) -> Decoded:
    """Decode the primary picture of a HEIF file.

    Args:
        data: the file.
        name: of the picture, for messages.
        max_pixels: a cap besides what the memory allows.
        seconds: how long the decoder may take; `limits.DECODER_SECONDS` unless told.

    Raises:
        BadPicture: the extra is missing, the file is damaged, or the decoder took too long or died.
        DoesNotFit: too many pixels.
    """
    if importlib.util.find_spec("pillow_heif") is None:
        raise BadPicture(text("picture.heif_extra", name=name))
    seconds = limits.DECODER_SECONDS if seconds is None else seconds
    cap = limits.max_pixels() if max_pixels is None else min(max_pixels, limits.max_pixels())
    order = json.dumps({"max_pixels": cap, "max_edge": limits.MAX_EDGE, "seconds": seconds, "memory": _memory(cap)})
    try:
        # -P: the folder of the script stays out of the module path.
        child = subprocess.run(  # noqa: S603
            [sys.executable, "-P", str(CHILD), order], input=data, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BadPicture(text("picture.heif_timeout", name=name, seconds=f"{seconds:g}")) from error
    return _read(child.stdout, name=name, max_pixels=max_pixels)


def _memory(pixels: int) -> int:
    return _MEMORY + limits.LOAD_BYTES * pixels


def _read(answer: bytes, *, name: str, max_pixels: int | None) -> Decoded:
    """Take the answer apart without trusting it: a header's length, the header as JSON, then what it announces."""
    try:
        length = struct.unpack_from("<I", answer)[0]
        header = json.loads(answer[4 : 4 + length])
        width, height = (int(v) for v in header["size"])
        if "too_large" in header:
            limits.check_size((width, height), name=name, cap=max_pixels)
        channels, bits = int(header["channels"]), int(header["bits"])
        icc_length, exif_length = int(header["icc"]), int(header["exif"])
        at = 4 + length + icc_length + exif_length
        dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
        values = np.frombuffer(answer, dtype, width * height * channels, at).reshape(height, width, channels)
    except (struct.error, ValueError, LookupError, TypeError) as error:
        raise BadPicture(text("picture.damaged", name=name, format="HEIC")) from error
    start = 4 + length
    icc = answer[start : start + icc_length] or None
    exif = answer[start + icc_length : at] or None
    return Decoded(values=values, icc=icc, exif=exif)
