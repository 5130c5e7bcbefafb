"""What fits: caps and estimates of pixels, edges and bytes, in one place.

Sizes go in; nothing, or `DoesNotFit` with one line, comes out. This module knows how many bytes a pixel costs where,
and asks `machine` how many there are; it opens no file.
"""

from __future__ import annotations

import re

from danqing import machine
from danqing.errors import DoesNotFit, UsageError
from danqing.messages import text

MAX_EDGE = 65_536
"""px; the longest edge of any picture, read or written."""

LOAD_BYTES = 50
"""Bytes a pixel at the peak of reading a picture, the result included; most for 16 bits with alpha."""

SAVE_BYTES = 60
"""Bytes a pixel at the peak of writing one, besides the picture; most for WebP and AVIF, whose encoders are large."""

PICTURE_BYTES = 16
"""Bytes a pixel of a Picture that just lies there: float32, three colours and alpha."""

SHARE = 0.5
"""Of the memory that is free, how much one picture may take while it is read."""

CACHE_SHARE = 0.2
"""Of the memory that is free when a training begins, how much the pictures that it keeps may take."""

MAX_RECIPE_BYTES = 1_000_000
"""The longest recipe that is read out of a picture."""

DECODER_SECONDS = 30.0
"""How long a decoder that runs in a process of its own may take."""


def max_pixels() -> int:
    """The most pixels of one picture that the memory free at this moment allows to read."""
    return max(1, int(machine.memory_available() * SHARE / LOAD_BYTES))


def budget(asked: int | str | None = None) -> int:
    """Bytes that a painting may take: what is asked for, but no more than the machine can spare.

    Args:
        asked: bytes, or text such as `4G`, `4GB`, `1.5g` or `800M` in powers of 1000, or `4GiB` in powers of 1024.

    Raises:
        UsageError: no such amount.
    """
    spare = machine.memory_available()
    if asked is None:
        return spare
    pattern = r"(\d+\.?\d*|\.\d+)\s*(?:([kmgt])(i?)b?)" if isinstance(asked, str) else r"(\d+)()()"
    match = re.fullmatch(pattern, str(asked).strip().lower())
    amount = int(float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2] or " ")) if match else 0
    if amount < 1:
        raise UsageError(text("limits.memory", value=repr(str(asked)[:40])))
    return min(amount, spare)


def kept_pictures(size: int, *, most: int) -> int:
    """How many pictures of so many bytes a training may keep in memory, `most` at most."""
    return min(most, int(machine.memory_available() * CACHE_SHARE / size))


def max_file_bytes() -> int:
    """The largest file that is read into memory as a whole."""
    return max(1, int(machine.memory_available() * SHARE / 2))


def check_size(size: tuple[int, int], *, name: str, cap: int | None = None) -> None:
    """Refuse a size that is too large, before anything of that size is allocated.

    Args:
        size: (width, height) in px.
        name: of the picture, for the message.
        cap: pixels, besides what the memory allows, such as a server's.

    Raises:
        DoesNotFit: an edge beyond `MAX_EDGE`, or more pixels than fit.
    """
    width, height = size
    if max(size) > MAX_EDGE:
        raise DoesNotFit(text("limits.edge", name=name, width=width, height=height, limit=MAX_EDGE))
    limit = max_pixels() if cap is None else min(cap, max_pixels())
    if width * height > limit:
        raise DoesNotFit(
            text(
                "limits.pixels",
                name=name,
                width=width,
                height=height,
                megapixels=f"{width * height / 1e6:.4g}",
                limit=f"{limit / 1e6:.4g}",
            )
        )


def check_file(size: int, *, name: str) -> None:
    """Refuse a file of so many bytes when it does not fit into memory.

    Raises:
        DoesNotFit: it does not.
    """
    limit = max_file_bytes()
    if size > limit:
        raise DoesNotFit(text("limits.file", name=name, limit=limit // 1_000_000))
