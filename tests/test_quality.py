"""The distances against their formulas, and what they must and must not see."""

from __future__ import annotations

import numpy as np
import pytest

from danqing import quality
from danqing.quality import Features

RNG = np.random.default_rng(7)


def features(layers: tuple[str, ...], shape: tuple[int, int, int] = (6, 9, 7)) -> dict[str, np.ndarray]:
    return {layer: RNG.standard_normal(shape).astype(np.float32) for layer in layers}


def test_content_distance_is_its_formula() -> None:
    out, photo = features(quality.CONTENT_LAYERS), features(quality.CONTENT_LAYERS)

    def slowly(a: np.ndarray, b: np.ndarray) -> float:
        total = 0.0
        for x, y in zip(a, b, strict=True):
            total += (((x - x.mean()) / (x.std() + 1e-5) - (y - y.mean()) / (y.std() + 1e-5)) ** 2).sum()
        return 0.5 * total / a.size

    expected = np.mean([slowly(out[layer], photo[layer]) for layer in quality.CONTENT_LAYERS])
    assert quality.content_distance(out, photo) == pytest.approx(expected, rel=1e-4)


def test_style_distance_is_its_formula() -> None:
    out = [features(quality.STYLE_LAYERS), features(quality.STYLE_LAYERS, (6, 4, 4))]
    style = [features(quality.STYLE_LAYERS, (6, 5, 8)), features(quality.STYLE_LAYERS, (6, 3, 4))]
    expected = []
    for o, s in zip(out, style, strict=True):
        for layer in quality.STYLE_LAYERS:
            a, b = (np.cov(f[layer].reshape(6, -1), bias=True) for f in (o, s))
            expected.append(np.sqrt(((a - b) ** 2).sum()) / (np.sqrt((a**2).sum()) + np.sqrt((b**2).sum())))
    assert quality.style_distance(out, style) == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_same_picture_has_no_distance_and_unrelated_noise_much() -> None:
    out = features(quality.CONTENT_LAYERS, (4, 40, 40))
    other = features(quality.CONTENT_LAYERS, (4, 40, 40))
    assert quality.content_distance(out, out) == 0
    assert quality.content_distance(out, other) == pytest.approx(1, abs=0.1)
    style = features(quality.STYLE_LAYERS)
    assert quality.style_distance([style], [style]) == 0


def test_content_is_blind_to_contrast_and_brightness() -> None:
    photo = features(quality.CONTENT_LAYERS, (4, 20, 20))
    loud: Features = {layer: 3 * f + 5 for layer, f in photo.items()}
    assert quality.content_distance(loud, photo) < 1e-4


def test_style_is_blind_to_flat_colour_and_place_but_not_to_contrast() -> None:
    style = features(quality.STYLE_LAYERS, (4, 20, 20))
    shifted: Features = {layer: f + 5 for layer, f in style.items()}
    moved: Features = {layer: f[:, ::-1] for layer, f in style.items()}
    louder: Features = {layer: 2 * f for layer, f in style.items()}
    assert quality.style_distance([shifted], [style]) < 1e-4
    assert quality.style_distance([moved], [style]) < 1e-4
    assert quality.style_distance([louder], [style]) == pytest.approx(3 / 5, abs=1e-4)


def test_flat_pictures_have_no_style_and_no_division_by_zero() -> None:
    flat: Features = {layer: np.zeros((4, 5, 5), np.float32) for layer in quality.STYLE_LAYERS}
    assert quality.style_distance([flat], [flat]) == 0
    assert quality.style_distance([flat], [features(quality.STYLE_LAYERS, (4, 5, 5))]) == 1


def test_art_weighs_style_three_times() -> None:
    score = quality.Score(content=0.3, style=0.2)
    assert score.art == pytest.approx(0.9) == quality.art(0.3, 0.2)
    assert not score.failed and quality.Score(content=0.56, style=0.0).failed


@pytest.mark.parametrize(
    ("size", "long_side", "judged"),
    [((1024, 768), 512, (512, 384)), ((100, 50), 512, (512, 256)), ((3, 3000), 256, (1, 256)), ((9, 1), 9, (9, 1))],
)
def test_the_rule_of_sizes(size: tuple[int, int], long_side: int, judged: tuple[int, int]) -> None:
    assert quality.judged_size(size, long_side) == judged


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="relu3_3"):
        quality.content_distance(features(("relu3_3", "relu4_1")), features(("relu3_3", "relu4_1"), (6, 9, 8)))
    with pytest.raises(ValueError):
        quality.style_distance([], [])


def test_frechet_distance_is_its_formula() -> None:
    scipy = pytest.importorskip("scipy.linalg", reason="scipy is not installed: there is no other root to compare with")
    one, other = RNG.normal(size=(60, 5)), RNG.normal(0.5, 2, size=(40, 5)) @ RNG.normal(size=(5, 5))
    spread = [np.cov(samples, rowvar=False) for samples in (one, other)]
    gap = one.mean(0) - other.mean(0)
    expected = gap @ gap + np.trace(spread[0] + spread[1] - 2 * scipy.sqrtm(spread[0] @ spread[1]).real)
    assert quality.frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)
    assert quality.frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="two samples"):
        quality.frechet_distance(one[:1], other)


def test_cells_are_means_of_parts() -> None:
    seen = {"relu3_1": RNG.random((3, 16, 20)).astype(np.float32), "relu4_1": RNG.random((2, 9, 7)).astype(np.float32)}
    found = quality.cells(seen)
    assert found.shape == (16, 5)
    np.testing.assert_allclose(found[5, :3], seen["relu3_1"][:, 4:8, 5:10].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[0, 3:], seen["relu4_1"][:, :3, :2].mean((1, 2)), rtol=1e-5)
