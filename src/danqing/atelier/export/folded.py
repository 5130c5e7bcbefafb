"""Convolutions of 3x3 that are done at half the resolution.

A value is folded where each square of 2x2 px lies in one place as four channels, which follow each other row by row
(`SpaceToDepth`, and back `DepthToSpace` in its mode CRD). What is large and has few channels is slow to go over and to
convolve; folded, it is a quarter as large, has four times as many channels, and need not be enlarged before.

Of kernels (O, C, 3, 3) others become by linear maps, (4 O, ..., 3, 3), whose outputs are folded. Beyond the border are
zeros. This module knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from danqing.atelier.export.graph import Graph

_ROWS = np.arange(2)[:, None] + np.arange(-1, 2)
"""Which row an output's px and a tap of its kernel meet in, counted from the upper px of their place: (px, tap)."""

_LIES = np.stack([[2 * place + px == _ROWS for px in range(2)] for place in (-1, 0, 1)]).astype(np.float64)
"""Whether it is one of the px of a place: (place, px, px of the output, tap)."""

_SHARE = np.stack([np.maximum(1 - np.abs((_ROWS + 0.5) / 2 - 0.5 - place), 0) for place in (-1, 0, 1)])
"""What a place has of it where places are enlarged bilinearly: (place, px of the output, tap)."""

OF_FOLDED = np.einsum("epay,fqbx->yxabpqef", _LIES, _LIES).reshape(9, 4, 4, 9)
"""For inputs that are folded as well: (tap, px of the output, px of the input, place)."""

OF_ENLARGED = np.einsum("eay,fbx->yxabef", _SHARE, _SHARE).reshape(9, 4, 1, 9)
"""For inputs that were first to be enlarged to twice their size, bilinearly."""

OF_REPEATED = OF_FOLDED.sum(2, keepdims=True)
"""For inputs each of which stands for 2x2 px."""


def smoothing(windows: Sequence[int]) -> NDArray[np.float64]:
    """What windows of so many px, one after the other, do to a folded plane: (px of the output, of the input, 5, 5).

    Together they reach no further than 5 px.
    """
    line = np.ones(1)
    for side in windows:
        line = np.convolve(line, np.full(side, 1 / side))
    reach, lies = len(line) // 2, np.zeros((2, 2, 5))
    for output in range(2):
        for tap, share in enumerate(line, output - reach):
            lies[output, tap % 2, tap // 2 + 2] = share
    both: NDArray[np.float64] = np.einsum("aey,bfx->abefyx", lies, lies).reshape(4, 4, 5, 5)
    return both


def kernels(graph: Graph, given: str, shape: tuple[int, int], how: NDArray[np.float64], name: str) -> str:
    """Kernels (O, C, 3, 3) as those (4 O, C or 4 C, 3, 3) of a convolution at half the resolution.

    Args:
        graph: that they are in.
        given: what they are called.
        shape: (O, C).
        how: one of the maps above.
        name: of the map.
    """
    outputs, inputs = shape
    before = how.shape[2]
    linear = graph.constant(how.reshape(9, -1).astype(np.float32), f"folded.{name}")
    found = graph.add("MatMul", graph.reshaped(given, [outputs, inputs, 9]), linear)
    found = graph.add("Transpose", graph.reshaped(found, [outputs, inputs, 4, before * 9]), perm=[0, 2, 1, 3])
    return graph.reshaped(found, [4 * outputs, before * inputs, 3, 3])
