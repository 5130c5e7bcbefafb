"""Sizes: what a picture's should be, and how its pixels get there.

Pictures or float arrays go in and come out. Reduction is antialiased (each pixel of the result looks at all pixels it
stands for) and stays in float32 from end to end. This module knows no limits of memory.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danqing import scratch
from danqing.picture import Picture

F32 = NDArray[np.float32]
Size = tuple[int, int]


def fit(picture: Picture, *, size: int | None = None, width: int | None = None, enlarge: bool = False) -> Picture:
    """The picture at the size asked for; the same picture where nothing is to be done.

    Args:
        picture: at any size.
        size: px, the long side of the result.
        width: px, the width of the result; not together with `size`.
        enlarge: whether a smaller picture may grow; else it stays as it is.

    Raises:
        ValueError: both `size` and `width`, or not positive.
    """
    target = fitted_size(picture.size, size=size, width=width, enlarge=enlarge)
    if target == picture.size:
        return picture
    if picture.alpha is None:
        return dataclasses.replace(picture, pixels=_clipped(resize(picture.pixels, target)))
    # Colours count as much as they are there: else what is hidden would show at the edges.
    alpha = np.clip(resize(picture.alpha[..., None], target)[..., 0], 0, 1)
    weighted = resize(picture.pixels * picture.alpha[..., None], target)
    plain = resize(picture.pixels, target)
    there = alpha[..., None] > 1e-3
    pixels = np.where(there, weighted / np.maximum(alpha[..., None], 1e-3), plain)
    return dataclasses.replace(picture, pixels=np.clip(pixels, 0, 1), alpha=alpha)


def square(picture: Picture) -> Picture:
    """The largest square in the middle of the picture."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    rows, columns = slice(top, top + side), slice(left, left + side)
    alpha = picture.alpha
    return dataclasses.replace(
        picture,
        pixels=np.ascontiguousarray(picture.pixels[rows, columns]),
        alpha=None if alpha is None else np.ascontiguousarray(alpha[rows, columns]),
    )


def fitted_size(have: Size, *, size: int | None = None, width: int | None = None, enlarge: bool = False) -> Size:
    """(width, height) of `fit`'s result in px: the side asked for exactly, the other to the nearest px, at least 1.

    Raises:
        ValueError: as `fit`.
    """
    if size is not None and width is not None:
        raise ValueError("size and width exclude each other")
    wanted = size if size is not None else width
    if wanted is None:
        return have
    if wanted < 1:
        raise ValueError(f"a size is at least 1 px, not {wanted}")
    side = max(have) if size is not None else have[0]
    if wanted == side or (wanted > side and not enlarge):
        return have
    return max(1, _scaled(have[0], wanted, side)), max(1, _scaled(have[1], wanted, side))


def _scaled(length: int, wanted: int, side: int) -> int:
    return (2 * length * wanted + side) // (2 * side)  # to the nearest, exactly


def _clipped(values: F32) -> F32:
    return np.clip(values, 0, 1, out=values)


def resize(values: F32, size: Size) -> F32:
    """An array (H, W, C) at (width, height), Lanczos with three lobes, antialiased; may overshoot its range a little.

    Source: Pillow's convolution resampling, in float32, a channel at a time.
    """
    width, height = size
    out = scratch.pixels((height, width, values.shape[2]))
    for channel in range(values.shape[2]):
        image = Image.fromarray(np.ascontiguousarray(values[..., channel], dtype=np.float32))
        out[..., channel] = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    return out
