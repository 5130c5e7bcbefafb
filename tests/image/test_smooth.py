"""The median filter against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from danqing.image import smooth


@pytest.mark.parametrize("width", [3, 5, 9])
@pytest.mark.parametrize("size", [(11, 14), (3, 20), (1, 1)])
def test_each_value_is_the_median_of_its_square(width: int, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).random((*size, 3), dtype=np.float32)
    around = np.pad(pixels, ((width // 2, width // 2), (width // 2, width // 2), (0, 0)), mode="edge")
    squares = np.lib.stride_tricks.sliding_window_view(around, (width, width), axis=(0, 1))
    np.testing.assert_array_equal(smooth.median(pixels, width), np.median(squares, axis=(-2, -1)))


def test_nothing_is_done_unless_asked_for() -> None:
    pixels = np.ones((2, 2, 3), np.float32)
    assert smooth.median(pixels, 0) is pixels
