"""Sizes exactly as asked, antialiased, and colours that do not bleed out of what is hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danqing.image.fit import fit, fitted_size, resize, square
from danqing.picture import Picture

SIDES = st.integers(1, 3000)


def flat(width: int, height: int, value: float = 0.3) -> Picture:
    return Picture(pixels=np.full((height, width, 3), value, np.float32))


@given(width=SIDES, height=SIDES, size=SIDES, enlarge=st.booleans())
def test_the_long_side_is_the_size(width: int, height: int, size: int, enlarge: bool) -> None:
    got = fitted_size((width, height), size=size, enlarge=enlarge)
    if size > max(width, height) and not enlarge:
        assert got == (width, height)
    else:
        assert max(got) == size
        scale = size / max(width, height)
        assert abs(got[0] - width * scale) <= 0.5 or got[0] == 1
        assert abs(got[1] - height * scale) <= 0.5 or got[1] == 1


@given(width=SIDES, height=SIDES, wanted=SIDES, enlarge=st.booleans())
def test_the_width_is_the_width(width: int, height: int, wanted: int, enlarge: bool) -> None:
    got = fitted_size((width, height), width=wanted, enlarge=enlarge)
    if wanted > width and not enlarge:
        assert got == (width, height)
    else:
        assert got[0] == wanted
        assert abs(got[1] - height * wanted / width) <= 0.5 or got[1] == 1


def test_a_picture_that_fits_is_the_same_picture() -> None:
    picture = flat(40, 30)
    assert fit(picture) is picture
    assert fit(picture, size=40) is picture
    assert fit(picture, size=400) is picture
    assert fit(picture, size=80, enlarge=True).size == (80, 60)
    assert fit(picture, width=20).size == (20, 15)


def test_both_or_nonsense() -> None:
    with pytest.raises(ValueError, match="exclude"):
        fit(flat(4, 4), size=2, width=2)
    with pytest.raises(ValueError, match="at least 1"):
        fit(flat(4, 4), size=0)


def test_reduction_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), np.float32)
    stripes[:, ::2] = 1  # finer than the result can show: it must become grey, not stripes
    small = fit(Picture(pixels=stripes), size=17).pixels
    assert np.abs(small[:, 2:-2] - 0.5).max() < 0.06


def test_resize_keeps_floats_and_means() -> None:
    values = np.random.default_rng(0).random((50, 70, 2)).astype(np.float32)
    got = resize(values, (35, 25))
    assert got.shape == (25, 35, 2)
    assert got.dtype == np.float32
    assert np.abs(got.mean(axis=(0, 1)) - values.mean(axis=(0, 1))).max() < 0.01
    assert len(np.unique(got)) > 1700  # floats, not 256 steps
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], (8, 1, 1))
    wanted = ramp.reshape(8, 32, 2).mean(axis=2)
    assert np.abs(resize(ramp, (32, 8))[:, 3:-3, 0] - wanted[:, 3:-3]).max() < 1e-5


def test_results_stay_in_range() -> None:
    edge = np.zeros((40, 40, 3), np.float32)
    edge[:, 20:] = 1
    got = fit(Picture(pixels=edge), size=33).pixels
    assert got.min() >= 0
    assert got.max() <= 1


def test_hidden_colours_do_not_bleed() -> None:
    pixels = np.zeros((40, 40, 3), np.float32)
    pixels[:, :21] = (1, 0, 0)
    pixels[:, 21:] = (0, 1, 0)  # hidden
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, :21] = 1
    got = fit(Picture(pixels=pixels, alpha=alpha), size=10)
    assert got.alpha is not None
    seen = got.alpha > 0.05
    assert got.pixels[seen][:, 1].max() < 0.1
    assert got.alpha.shape == (10, 10)


def test_the_square_is_the_middle() -> None:
    pixels = np.arange(4 * 7 * 3, dtype=np.float32).reshape(4, 7, 3) / 84
    cut = square(Picture(pixels=pixels, alpha=pixels[..., 0]))
    np.testing.assert_array_equal(cut.pixels, pixels[:, 1:5])
    np.testing.assert_array_equal(cut.alpha, pixels[:, 1:5, 0])
