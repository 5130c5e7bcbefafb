"""Grain: the weak relief of paper and canvas, which a photo gets before it is painted at once.

The pastiche network draws strokes where it sees something. In plain areas of a photo that is what a camera and JPEG
leave there, quantised steps and edges of 8 x 8 px, and becomes mazes and brick walls; in rendered pictures it is
nothing. The relief is irregular, a few px wide, always the same, and repeats too seldom to be seen.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from danqing import machine, scratch
from danqing.image.fit import resize

F32 = NDArray[np.float32]

AMOUNT = 0.008
"""Standard deviation of the relief, of 1."""

WIDTH = 6
"""px: of its bumps."""

SIDE = 1020
"""px after which it repeats."""

ROWS = 60
"""px: rows that are given it at a time, few enough to stay at hand; `SIDE` is a multiple of them."""


LARGE = 1 << 20
"""Pixels from which on several threads take less time."""


def grained(pixels: F32, strength: float) -> F32:
    """Pixels (H, W, 3) in 0..1 with so much of the relief, 0..1, a little of it beyond; in memory colour by colour, as
    networks take them.
    """
    height, width = pixels.shape[:2]
    relief, out = _scaled(AMOUNT * strength), scratch.pixels((3, height, width))

    def give(top: int) -> None:
        rows = slice(top, min(height, top + ROWS))
        part = relief[top % SIDE : top % SIDE + rows.stop - rows.start]
        for left in range(0, width, SIDE):
            columns = slice(left, min(width, left + SIDE))
            for colour, plane in enumerate(out):
                np.add(pixels[rows, columns, colour], part[:, : columns.stop - columns.start], out=plane[rows, columns])

    tops = range(0, height, ROWS)
    if height * width < LARGE:
        for top in tops:
            give(top)
    else:
        with ThreadPoolExecutor(machine.cores()) as threads:
            list(threads.map(give, tops))
    return out.transpose(1, 2, 0)


@lru_cache(1)
def _scaled(amount: float) -> F32:
    """So much of the relief (SIDE, SIDE)."""
    return np.float32(amount) * _relief()


@lru_cache(1)
def _relief() -> F32:
    """The relief (SIDE, SIDE); its edges fit each other."""
    bumps = np.random.default_rng(7).standard_normal((SIDE // WIDTH, SIDE // WIDTH, 1), dtype=np.float32)
    around = np.pad(bumps, ((8, 8), (8, 8), (0, 0)), mode="wrap")
    relief = resize(around, (SIDE + 16 * WIDTH,) * 2)[8 * WIDTH : -8 * WIDTH, 8 * WIDTH : -8 * WIDTH]
    return np.ascontiguousarray(relief[..., 0] / relief.std())
