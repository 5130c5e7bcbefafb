"""Masks: what is painted where a picture is transparent, and which style is painted where.

A painting has no holes, so a picture with alpha is laid on a matte before it is painted and gets its alpha back
afterwards. A style's mask is white where it is painted; where no style is painted the photo stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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


# ── where a style is painted ────────────────────────────────────────────────────────────────────────────────────────


def drawn(picture: Picture, size: tuple[int, int]) -> F32:
    """A drawn mask as numbers: its luminance (Rec. 709, as stored) at (width, height), float32 (H, W) in 0..1.

    What is transparent is black. Soft edges stay soft: they are resized antialiased.
    """
    grey = picture.pixels @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    if picture.alpha is not None:
        grey = grey * picture.alpha
    return sized(grey, size)


def sized(mask: F32, size: tuple[int, int]) -> F32:
    """A mask (H, W) at (width, height), in 0..1; linear, because a sharper kernel rings beside a hard edge."""
    mask = np.clip(mask, 0, 1).astype(np.float32)
    if mask.shape[::-1] != size:
        mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))
    return np.clip(mask, 0, 1)


def folded(masks: Sequence[F32 | None], protected: F32 | None) -> list[F32 | None]:
    """The styles' masks with a protected region, (H, W) in 0..1 or None, taken out of each.

    A style without a mask gets what the masks of the others leave.
    """
    if protected is None:
        return list(masks)
    given = [mask for mask in masks if mask is not None]
    rest = np.float32(1) - (np.clip(np.sum(given, axis=0), 0, 1) if given else np.float32(0))
    free = np.float32(1) - protected
    return [np.asarray((rest if mask is None else mask) * free, dtype=np.float32) for mask in masks]


def cover(masks: Sequence[F32 | None], protected: F32 | None = None) -> F32 | None:
    """How far styles are painted in each pixel, (H, W) in 0..1; None = everywhere.

    A style without a mask is painted wherever the others leave room.
    """
    given = [mask for mask in masks if mask is not None]
    everywhere = len(given) < len(masks)
    if everywhere and protected is None:
        return None
    painted = np.float32(1) if everywhere else np.clip(np.sum(given, axis=0), 0, 1)
    return np.asarray(painted if protected is None else painted * (1 - protected), dtype=np.float32)


def composite(photo: F32, painting: F32, covered: F32) -> F32:
    """The painting (H, W, 3) where it covers, the photo elsewhere."""
    part = covered[..., None]
    return np.where(part == 1, painting, photo + part * (painting - photo)).astype(np.float32)
