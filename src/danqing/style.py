"""Style: what a painting is to be painted like, and how much of it; and how a style is written on a line.

Text such as `great-wave:0.7` goes in, a name and a weight come out. This module knows no gallery and opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danqing.card import Network
from danqing.picture import Picture

_WEIGHTED = re.compile(r"(?s)(?P<name>.+):(?P<weight>\d+\.?\d*|\.\d+)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Style:
    """One style of a painting.

    Attributes:
        source: the picture to learn from, the name of a style in the gallery, or the network that paints in it.
        name: what to call it in file names and recipes.
        weight: its share beside the other styles, > 0; shares are relative.
        mask: float32 (H, W) in 0..1 of the content's size, where this style is painted; None = wherever the masks of
            other styles leave room.
    """

    source: Picture | str | Network
    name: str
    weight: float = 1.0
    mask: NDArray[np.float32] | None = None


def split_weight(written: str, exists: Callable[[str], bool]) -> tuple[str, float]:
    r"""A style's name or path, and its weight, from `NAME`, `NAME:WEIGHT`, `PATH` or `PATH:WEIGHT`.

    What exists as a file is a path as a whole; else a weight is the last colon and a number: `C:\a.jpg` has none.

    Args:
        written: what the user wrote.
        exists: whether a path leads to a file.
    """
    if exists(written):
        return written, 1.0
    match = _WEIGHTED.fullmatch(written)
    return (match["name"], float(match["weight"])) if match else (written, 1.0)
