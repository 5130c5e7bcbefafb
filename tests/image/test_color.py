"""Each way to keep colours against the statistics that define it."""

from __future__ import annotations

import numpy as np
import pytest

from danqing.image import color


def picture(seed: int, *, height: int = 60, width: int = 80, spread: float = 0.06) -> np.ndarray:
    """Correlated colours well inside 0..1, so that nothing is clipped."""
    rng = np.random.default_rng(seed)
    mix = (np.eye(3) + 0.5 * rng.normal(size=(3, 3))) * spread
    return (rng.uniform(0.4, 0.6, 3) + rng.uniform(-1, 1, (height, width, 3)) @ mix).clip(0, 1).astype(np.float32)


PAINTING, PHOTO = picture(1), picture(2, height=45, width=50)


def covariance(pixels: np.ndarray) -> np.ndarray:
    return np.cov(pixels.reshape(-1, 3).astype(np.float64), rowvar=False, bias=True)


@pytest.mark.parametrize("how", color.KEEP_COLOR)
def test_range_type_and_size(how: str) -> None:
    rng = np.random.default_rng(5)
    harsh = (rng.random((30, 20, 3)) > 0.5).astype(np.float32)
    got = color.keep_color(harsh, PHOTO, how)
    assert got.shape == harsh.shape
    assert got.dtype == np.float32
    assert got.min() >= 0
    assert got.max() <= 1
    assert np.isfinite(got).all()


@pytest.mark.parametrize("how", color.KEEP_COLOR)
def test_a_picture_keeps_its_own_colours(how: str) -> None:
    got = color.keep_color(PHOTO, PHOTO, how)
    assert np.abs(got - PHOTO).max() < 2e-4


@pytest.mark.parametrize("how", color.KEEP_COLOR)
@pytest.mark.parametrize(
    ("painting", "photo"), [("flat", "photo"), ("painting", "flat"), ("grey", "photo"), ("painting", "black")]
)
def test_pictures_without_colours(how: str, painting: str, photo: str) -> None:
    grey = np.repeat(PAINTING[..., :1], 3, axis=-1)
    pictures = {"flat": np.full((9, 7, 3), 0.5, np.float32), "grey": grey, "black": np.zeros((5, 5, 3), np.float32)}
    pictures |= {"painting": PAINTING, "photo": PHOTO}
    got = color.keep_color(pictures[painting], pictures[photo], how)
    assert np.isfinite(got).all()


def test_luminance_is_the_paintings_and_hue_the_photos() -> None:
    photo = picture(3)
    got = color.luminance(PAINTING, photo)
    assert np.abs(got @ color.LUMA - PAINTING @ color.LUMA).max() < 1e-5
    chroma, wanted = got - (got @ color.LUMA)[..., None], photo - (photo @ color.LUMA)[..., None]
    assert np.abs(chroma - wanted).max() < 1e-5


def test_luminance_holds_also_where_colours_are_extreme() -> None:
    rng = np.random.default_rng(4)
    painting, photo = (rng.random((2, 40, 40, 3)) ** 0.2).round().astype(np.float32)
    got = color.luminance(painting, photo)
    assert np.abs(got @ color.LUMA - painting @ color.LUMA).max() < 1e-5


def test_moments() -> None:
    got, wanted = color._to_lab(color.moments(PAINTING, PHOTO)), color._to_lab(PHOTO)
    assert np.abs(got.mean(axis=(0, 1)) - wanted.mean(axis=(0, 1))).max() < 1e-4
    assert np.abs(got.std(axis=(0, 1)) / wanted.std(axis=(0, 1)) - 1).max() < 1e-3


def test_lab_is_undone() -> None:
    assert np.abs(color._from_lab(color._to_lab(PHOTO)) - PHOTO).max() < 1e-5


@pytest.mark.parametrize("way", [color.coral, color.transfer])
def test_mean_and_covariance(way: object) -> None:
    assert callable(way)
    got = way(PAINTING, PHOTO)
    assert np.abs(got.mean(axis=(0, 1)) - PHOTO.mean(axis=(0, 1))).max() < 1e-5
    assert np.abs(covariance(got) - covariance(PHOTO)).max() < 1e-6


def test_transfer_is_one_matrix_and_moves_least() -> None:
    got = color.transfer(PAINTING, PHOTO)
    flat = np.c_[PAINTING.reshape(-1, 3), np.ones(PAINTING.size // 3)]
    matrix, residual, *_ = np.linalg.lstsq(flat, got.reshape(-1, 3), rcond=None)
    assert residual.max() < 1e-6
    assert np.abs(matrix[:3] - matrix[:3].T).max() < 1e-3  # the optimal map is symmetric
    assert np.square(got - PAINTING).mean() <= np.square(color.coral(PAINTING, PHOTO) - PAINTING).mean()


def test_histogram_on_the_principal_axes_of_the_photo() -> None:
    photo = picture(2)  # of the painting's size: every value of the photo is used exactly once
    got = color.histogram(PAINTING, photo).reshape(-1, 3)
    basis = np.linalg.eigh(covariance(photo))[1]
    for axis in basis.T:
        assert np.abs(np.sort(got @ axis) - np.sort(photo.reshape(-1, 3) @ axis)).max() < 1e-5


def test_histogram_with_another_size_agrees_in_its_quantiles() -> None:
    got, photo = color.histogram(PAINTING, PHOTO).reshape(-1, 3), PHOTO.reshape(-1, 3)
    quantiles = np.linspace(0.01, 0.99, 50)
    for axis in np.linalg.eigh(covariance(PHOTO))[1].T:
        assert np.abs(np.quantile(got @ axis, quantiles) - np.quantile(photo @ axis, quantiles)).max() < 2e-3


def test_equal_colours_stay_equal_in_a_histogram() -> None:
    painting = PAINTING.copy()
    painting[:30] = 0.25
    got = color.histogram(painting, PHOTO)
    assert np.ptp(got[:30], axis=(0, 1)).max() < 1e-6


def test_unknown_way() -> None:
    with pytest.raises(ValueError, match=r"luminance, moments, coral, histogram.*'none'"):
        color.keep_color(PAINTING, PHOTO, "none")
