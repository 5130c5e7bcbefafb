"""How networks are fed: the card's numbers, one after the other, and back."""

from __future__ import annotations

import numpy as np
import pytest

from danqing.engines import feed
from danqing.engines.probe import UNKNOWN, known_picture

RNG = np.random.default_rng(0)
PIXELS = RNG.random((5, 7, 3), dtype=np.float32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_a_network_sees_what_its_card_says(layout: str, channels: str) -> None:
    told = {"layout": layout, "channels": channels, "value_range": (0, 1), "mean": MEAN, "std": STD}
    card = UNKNOWN.model_copy(update=told)
    expected = ((PIXELS if channels == "RGB" else PIXELS[..., ::-1]) - MEAN) / np.array(STD)
    found = feed.fed(card, PIXELS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected if layout == "NHWC" else expected.transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("low", [0, -1])
def test_what_comes_out_is_what_went_in(layout: str, channels: str, low: int) -> None:
    mean = (10.0, 20.0, 30.0) if low == 0 else (0.0, 0.0, 0.0)
    values = (float(low), 255.0 if low == 0 else 1.0)
    told = {"layout": layout, "channels": channels, "value_range": values, "output_range": values, "mean": mean}
    card = UNKNOWN.model_copy(update=told | {"output_mean": mean})
    np.testing.assert_allclose(feed.painted(card, feed.fed(card, PIXELS)), PIXELS, atol=1e-5)


def test_a_plain_network_gets_the_very_numbers() -> None:
    np.testing.assert_array_equal(feed.fed(UNKNOWN, PIXELS)[0].transpose(1, 2, 0), PIXELS)


@pytest.mark.parametrize("size", [(3, 90), (64, 64), (65, 80)])
def test_sizes_are_brought_to_what_a_network_takes(size: tuple[int, int]) -> None:
    seen = []
    card = UNKNOWN.model_copy(update={"multiple_of": 16, "min_size": 40})
    pixels = known_picture(*size)
    painting = feed.run(card, pixels, lambda x: (seen.append(x.shape), x)[1])
    np.testing.assert_array_equal(painting, pixels)
    assert seen == [(1, 3, max(48, -(-size[0] // 16) * 16), max(48, -(-size[1] // 16) * 16))]


def test_a_network_of_one_size_and_one_that_enlarges_give_the_photos_size() -> None:
    pixels = known_picture(60, 90)
    one = UNKNOWN.model_copy(update={"fixed_size": (45, 30)})
    shapes = []
    small = feed.run(one, pixels, lambda x: (shapes.append(x.shape), x)[1])
    assert small.shape == pixels.shape and shapes == [(1, 3, 30, 45)]
    twice = feed.run(UNKNOWN, pixels, lambda x: x.repeat(2, axis=2).repeat(2, axis=3))
    assert twice.shape == pixels.shape
    assert np.abs(twice - pixels).mean() < 0.01


def test_a_painting_stays_within_its_range() -> None:
    assert feed.painted(UNKNOWN, np.array([[[[-3.0]], [[0.5]], [[7.0]]]], np.float32)).ravel().tolist() == [0, 0.5, 1]
