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


def resolved(masks: Sequence[F32 | None], protected: F32 | None = None) -> list[F32] | None:
    """Where each style is painted, once what is protected is taken out; None = everywhere.

    A style without a mask is painted wherever the masks of the others leave room.

    Args:
        masks: for each style (H, W) in 0..1, or None.
        protected: (H, W) in 0..1, or None.
    """
    given = [mask for mask in masks if mask is not None]
    if not given and protected is None:
        return None
    rest = np.float32(1) - (cover(given) if given else np.zeros_like(protected, dtype=np.float32))
    free = np.float32(1) if protected is None else np.float32(1) - protected
    return [np.asarray((rest if mask is None else mask) * free, dtype=np.float32) for mask in masks]


def cover(masks: Sequence[F32]) -> F32:
    """How far styles are painted in each pixel, (H, W) in 0..1; styles with the same mask share their place."""
    distinct = [mask for at, mask in enumerate(masks) if not any(np.array_equal(mask, other) for other in masks[:at])]
    covered: F32 = np.clip(np.sum(distinct, axis=0), 0, 1).astype(np.float32)
    return covered


def composite(photo: F32, painting: F32, covered: F32) -> F32:
    """The painting (H, W, 3) where it covers, the photo elsewhere."""
    part = covered[..., None]
    return np.where(part == 1, painting, photo + part * (painting - photo)).astype(np.float32)
