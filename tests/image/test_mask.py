"""The matte under transparent pictures, and the alpha put back."""

from __future__ import annotations

import numpy as np

from danqing.image.mask import flatten, reattach
from danqing.picture import Picture


def half_there() -> Picture:
    pixels = np.zeros((4, 6, 3), np.float32)
    pixels[:, :3] = (0.8, 0.4, 0.2)
    pixels[:, 3:] = (0, 0, 1)
    alpha = np.zeros((4, 6), np.float32)
    alpha[:, :3] = 1
    return Picture(pixels=pixels, alpha=alpha, exif=b"Exif\0\0", icc=b"icc")


def test_the_matte_is_the_mean_of_what_is_seen() -> None:
    assert np.abs(flatten(half_there()) - np.float32([0.8, 0.4, 0.2])).max() < 1e-6


def test_opaque_pictures_are_as_they_are() -> None:
    picture = Picture(pixels=half_there().pixels)
    assert flatten(picture) is picture.pixels


def test_nothing_to_be_seen_is_grey() -> None:
    picture = Picture(pixels=np.ones((3, 3, 3), np.float32), alpha=np.zeros((3, 3), np.float32))
    assert np.array_equal(flatten(picture), np.full((3, 3, 3), 0.5, np.float32))
    assert flatten(picture).dtype == np.float32


def test_reattach() -> None:
    picture = half_there()
    same = reattach(np.zeros((4, 6, 3), np.float32), picture)
    assert same.alpha is picture.alpha
    assert (same.exif, same.icc) == (picture.exif, picture.icc)
    larger = reattach(np.zeros((8, 12, 3), np.float32), picture)
    assert larger.alpha is not None
    assert larger.alpha.shape == (8, 12)
    assert larger.alpha[:, 0].min() > 0.99
    assert larger.alpha[:, -1].max() < 0.01
    assert reattach(np.zeros((2, 2, 3), np.float32), Picture(pixels=picture.pixels)).alpha is None
