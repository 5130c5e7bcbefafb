"""What time does to photographs: seen, repeatable, within range, and of every depth."""

from __future__ import annotations

import numpy as np
import pytest

from danqing.atelier import degrade

PICTURE = np.random.default_rng(3).random((60, 80, 3), dtype=np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_number_ages_the_same(channels: int) -> None:
    one, same, other = (degrade.aged(PICTURE[..., :channels], np.random.default_rng(n)) for n in (1, 1, 2))
    assert one.shape == (60, 80, channels) and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 1
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 0.01
    assert np.abs(one - PICTURE[..., :channels]).mean() > 0.05


def test_blur_is_the_formula_and_keeps_what_is_even() -> None:
    grid = np.arange(-3, 4)
    weights = np.exp(-0.5 * (grid[:, None] ** 2 + grid[None] ** 2))
    point = np.zeros((7, 7, 1), np.float32)
    point[3, 3] = 1
    np.testing.assert_allclose(degrade.blurred(point, 1.0)[..., 0], weights / weights.sum(), atol=1e-6)
    np.testing.assert_allclose(degrade.blurred(np.full((9, 8, 3), 0.3, np.float32), 0.7), 0.3, atol=1e-6)


def test_sepia_is_the_matrix_and_contrast_is_around_the_middle() -> None:
    seen = degrade.sepia(np.array([[[0.2, 0.4, 0.1]]], np.float32), contrast=0.5)
    expected = 0.5 + 0.5 * (degrade.SEPIA @ [0.2, 0.4, 0.1] - 0.5)
    np.testing.assert_allclose(seen[0, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(degrade.sepia(PICTURE, share=0), PICTURE)


def test_scratches_are_few_and_strong() -> None:
    plain = np.full((100, 120, 3), 0.5, np.float32)
    changed = np.abs(degrade.scratched(plain, np.random.default_rng(0)) - plain).max(2)
    assert changed.max() > 0.2
    assert 0.001 < (changed > 0.02).mean() < 0.2
