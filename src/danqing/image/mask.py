"""Alpha: what is painted where a picture is transparent, and how it becomes transparent again.

A painting has no holes, so a picture with alpha is laid on a matte before it is painted and gets its alpha back
afterwards.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from danqing.image.fit import resize
from danqing.picture import Picture

F32 = NDArray[np.float32]


def flatten(picture: Picture) -> F32:
    """The picture's pixels (H, W, 3) on a neutral matte.

    The matte is the mean colour of what can be seen, so that neither an edge nor a cast appears that is not in the
    picture; middle grey where nothing can be seen.
    """
    if picture.alpha is None:
        return picture.pixels
    cover = picture.alpha[..., None]
    seen = float(cover.sum(dtype=np.float64))
    matte = (
        (picture.pixels * cover).sum(axis=(0, 1), dtype=np.float64) / seen if seen > 0 else np.full(3, 0.5)
    ).astype(np.float32)
    return picture.pixels * cover + matte * (1 - cover)


def reattach(pixels: F32, picture: Picture) -> Picture:
    """Painted pixels (H, W, 3) with the alpha, profile and EXIF of the picture that they were painted from.

    Where the sizes differ the alpha is resized to the painting's.
    """
    alpha = picture.alpha
    height, width = pixels.shape[:2]
    if alpha is not None and alpha.shape != (height, width):
        alpha = np.clip(resize(alpha[..., None], (width, height))[..., 0], 0, 1)
    return dataclasses.replace(picture, pixels=pixels, alpha=alpha)
