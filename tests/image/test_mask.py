"""The matte under transparent pictures, and the alpha put back."""

from __future__ import annotations

import numpy as np

from danqing.image.mask import composite, cover, drawn, flatten, reattach, resolved
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


def test_a_drawn_mask_is_its_luminance_and_black_where_it_is_transparent() -> None:
    mask = drawn(half_there(), (6, 4))
    np.testing.assert_allclose(mask[:, :3], 0.2126 * 0.8 + 0.7152 * 0.4 + 0.0722 * 0.2, rtol=1e-5)
    assert mask[:, 3:].max() == 0


def test_soft_edges_survive_another_size() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    picture = Picture(pixels=np.tile(ramp[None, :, None], (8, 1, 3)))
    np.testing.assert_allclose(drawn(picture, (16, 4))[0], ramp.reshape(16, 4).mean(1), atol=0.02)


def test_where_each_style_is_painted() -> None:
    left, half = np.float32([[1, 0]]), np.float32([[0.5, 0.5]])
    assert resolved([None, None]) is None
    for masks, protected, expected in [
        ([left, None], None, ([[1, 0]], [[0, 1]])),
        ([None, left, None], None, ([[0, 1]], [[1, 0]], [[0, 1]])),
        ([left, half], half, ([[0.5, 0]], [[0.25, 0.25]])),
        ([left, None], half, ([[0.5, 0]], [[0, 0.5]])),
        ([None], left, ([[0, 1]],)),
    ]:
        np.testing.assert_array_equal(resolved(masks, protected), expected)


def test_what_masks_cover() -> None:
    left, half = np.float32([[1, 0]]), np.float32([[0.5, 0.5]])
    np.testing.assert_array_equal(cover([left, half]), [[1, 0.5]])
    np.testing.assert_array_equal(cover([half, half.copy()]), half)  # two styles blended in one place


def test_a_composite_is_exact_where_it_is_all_or_nothing() -> None:
    photo, painting = (np.random.default_rng(seed).random((2, 3, 3), dtype=np.float32) for seed in (1, 2))
    mixed = composite(photo, painting, np.float32([[0, 1, 0.5], [0, 1, 0.5]]))
    np.testing.assert_array_equal(mixed[:, 0], photo[:, 0])
    np.testing.assert_array_equal(mixed[:, 1], painting[:, 1])
    np.testing.assert_allclose(mixed[:, 2], (photo + painting)[:, 2] / 2, atol=1e-6)


def test_what_is_protected_leaves_each_style_its_own_region() -> None:
    left, protected = np.float32([[1, 0, 0]]), np.float32([[0, 0, 1]])
    first, second = resolved([left, None], protected)
    np.testing.assert_array_equal(first, [[1, 0, 0]])
    np.testing.assert_array_equal(second, [[0, 1, 0]])


def test_a_hard_edge_does_not_ring() -> None:
    pixels = np.zeros((4, 16, 3), np.float32)
    pixels[:, 8:] = 1
    mask = drawn(Picture(pixels=pixels), (64, 16))
    assert mask[:, :30].max() == 0
    assert mask[:, 34:].min() > 0.999
