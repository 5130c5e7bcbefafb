"""Feeding: the published networks are known by their first kernel, and nothing else is taken for one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danqing.card import Card
from danqing.errors import ModelDamaged
from danqing.weights import feeding, safetensors
from danqing.weights.feeding import CAFFE, PUBLISHED, TORCHVISION, Feed, Published

First = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

ALL = pytest.mark.parametrize("network", PUBLISHED, ids=lambda network: network.name)


def first(network: Published | None = None, *, seed: int = 0, size: float = 1 / 5) -> First:
    """A first layer, random but for what is known of a published one."""
    rng = np.random.default_rng(seed)
    weight, bias = (rng.normal(size=shape).astype(np.float32) * size for shape in ((64, 3, 3, 3), (64,)))
    if network is not None:
        weight[0, 0] = np.reshape(network.kernel, (3, 3))
        bias[0] = network.bias or bias[0]
    return weight, bias


def told(network: Published) -> tuple[str, Feed]:
    return network.name, network.feed


@ALL
def test_a_published_network_is_known(network: Published) -> None:
    weight, bias = first(network)
    assert feeding.known(weight, bias) == told(network)
    half = weight.astype(np.float16), bias.astype(np.float16)
    assert feeding.known(*half) == told(network)


@ALL
def test_the_other_order_of_colours_is_seen(network: Published) -> None:
    weight, bias = first(network)
    name, feed = feeding.known(weight[:, ::-1], bias) or ("", CAFFE)
    assert (name, feed) == (network.name, network.feed.reversed())
    assert feed.channels != network.feed.channels
    assert feed.mean == network.feed.mean[::-1]
    assert feed.reversed() == network.feed


@ALL
def test_another_range_is_not_taken_for_the_publishers(network: Published) -> None:
    """Weights that were multiplied alone, so that pictures go in as 0..1, or as 0..255, are no published ones."""
    weight, bias = first(network)
    for factor in (255, 1 / 255, 1 / 57, -1, 0):
        assert feeding.known(weight * factor, bias) is None


def test_normalised_networks_are_known() -> None:
    """Gatys et al. divide each filter and its bias by the filter's mean activation."""
    for network in (network for network in PUBLISHED if network.bias is not None):
        weight, bias = first(network)
        assert feeding.known(weight / 37, bias / 37) == told(network)


def test_random_networks_are_nobodys() -> None:
    for seed in range(300):
        for size in (1 / 300, 1 / 5, 20):
            assert feeding.known(*first(seed=seed, size=size)) is None


def test_another_kernel_near_a_published_one_is_not_it() -> None:
    for network in PUBLISHED:
        for other in PUBLISHED:
            if other is not network:
                weight, bias = first(network)
                weight[0, 0] = (np.reshape(network.kernel, (3, 3)) + weight[1, 0] * 0.1) * 1.001
                assert feeding.known(weight, bias) is None


def test_the_true_network_is_known(shared: Path) -> None:
    arrays = safetensors.read(shared / "weights" / "vgg19-caffe-conv1_1-conv3_4.safetensors")
    weight, bias = arrays["features.0.weight"], arrays["features.0.bias"]
    assert feeding.known(weight, bias) == ("Caffe VGG-19", CAFFE)
    assert feeding.known(weight[:, ::-1], bias) == ("Caffe VGG-19", CAFFE.reversed())
    per_filter = np.random.default_rng(0).uniform(1 / 200, 1 / 20, 64).astype(np.float32)
    assert feeding.known(weight * per_filter[:, None, None, None], bias * per_filter) == ("Caffe VGG-19", CAFFE)
    assert feeding.known(weight.transpose(0, 1, 3, 2), bias) is None  # kernels on their side
    norms = np.sqrt((weight**2).sum((1, 2, 3)))
    assert np.median(np.abs(bias) / norms) > 0.1  # so biases do not tell that it sees 0..255


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("BGR, 0..255, minus (103.939,116.779,123.68), zero padding, max pooling", CAFFE),
        ("BGR 0..255", CAFFE),
        ("RGB 0..255", CAFFE.reversed()),
        ("torchvision", TORCHVISION),
        ("as Caffe has it", CAFFE),
        ("RGB 0..1; conv0 is a 1x1 colour transform", None),
        ("", None),
        ("caffe or torchvision", None),
    ],
)
def test_what_a_file_states(words: str, expected: Feed | None) -> None:
    assert feeding.stated(words) == expected


def test_a_stated_mean_counts() -> None:
    feed = feeding.stated("RGB, 0..255, minus (129.186, 104.76, 93.5)")
    assert feed is not None
    assert (feed.channels, feed.mean) == ("RGB", (129.186, 104.76, 93.5))


def test_what_counts_more() -> None:
    weights = first(PUBLISHED[0])
    decide = feeding.decide
    assert decide(Path("权重-torchvision.pth"), weights)[0] == CAFFE
    assert decide(Path("权重.safetensors"), weights, words="torchvision")[0] == TORCHVISION
    assert decide(Path("权重-Caffe.pth"), first())[0] == CAFFE
    assert decide(Path("torchvision-权重.pth"), first())[0] == TORCHVISION
    feed, note = decide(Path("权重.mat"), first(), mean=(120.0, 110.0, 100.0))
    assert (feed.channels, feed.mean) == ("RGB", (120, 110, 100))
    assert "RGB 0..255 - (120, 110, 100)" in note
    assert "权重.mat" in note


@pytest.mark.parametrize("name", ["权重.pth", "caffe-torchvision.pth", "权重.mat"])
def test_what_nobody_can_know_is_one_line(name: str) -> None:
    with pytest.raises(ModelDamaged) as caught:
        feeding.decide(Path(name), first())
    assert name in str(caught.value)
    assert f"{Path(name).stem}.toml" in str(caught.value)
    assert str(caught.value).isprintable()


def test_fields_are_a_cards() -> None:
    assert set(Feed.__dataclass_fields__) <= set(Card.model_fields)
