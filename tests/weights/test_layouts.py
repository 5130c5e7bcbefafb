"""Layouts: torchvision's counting of modules, against the numbers that its papers and users know."""

from __future__ import annotations

import pytest

from danqing.weights import layouts


def parameters(*layers: str) -> list[str]:
    return [f"{layer}.{part}" for layer in layers for part in ("bias", "weight")]


@pytest.mark.parametrize(
    ("name", "place", "layer"),
    [
        ("vgg19", 0, "conv1_1"), ("vgg19", 5, "conv2_1"), ("vgg19", 10, "conv3_1"), ("vgg19", 16, "conv3_4"),
        ("vgg19", 19, "conv4_1"), ("vgg19", 21, "conv4_2"), ("vgg19", 28, "conv5_1"), ("vgg19", 34, "conv5_4"),
        ("vgg16", 14, "conv3_3"), ("vgg16", 17, "conv4_1"), ("vgg16", 24, "conv5_1"), ("vgg16", 28, "conv5_3"),
    ],
)  # fmt: skip
def test_places_are_torchvisions(name: str, place: int, layer: str) -> None:
    assert layouts.torchvision_names(layouts.DEPTHS[name])[f"features.{place}"] == layer


@pytest.mark.parametrize("name", ["vgg19", "vgg16"])
@pytest.mark.parametrize("front", ["", "module."])
def test_a_whole_network_is_recognised(name: str, front: str) -> None:
    places = layouts.torchvision_names(layouts.DEPTHS[name])
    files_names = [front + n for n in [*parameters(*places), *parameters("classifier.0", "classifier.6")]]
    layout = layouts.recognise(files_names)
    assert layout.depths == layouts.DEPTHS[name]
    assert layout.layers == tuple(layouts.order(layouts.DEPTHS[name]))
    assert layout.unknown == ()
    assert layout.names["conv2_1.weight"] == f"{front}features.5.weight"


def test_own_names_tell_their_depths() -> None:
    layout = layouts.recognise(parameters("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"))
    assert layout.depths == (2, 2, 1)
    assert layout.layers == ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")


def test_where_the_two_agree_the_caller_decides() -> None:
    names = parameters("features.0", "features.2", "features.5")
    assert layouts.recognise(names).depths == layouts.DEPTHS["vgg19"]
    assert layouts.recognise(names, like="vgg16").depths == layouts.DEPTHS["vgg16"]
    longer = [*names, *parameters("features.16")]
    assert layouts.recognise(longer, like="vgg16").depths == layouts.DEPTHS["vgg19"]


def test_batch_norms_network_is_not_taken_for_a_plain_one() -> None:
    names = [*parameters("features.0", "features.1", "features.3"), "features.1.running_mean"]
    layout = layouts.recognise(names)
    assert "features.1.running_mean" in layout.unknown
    assert "features.3.weight" in layout.unknown


def test_the_convolutions_alone_are_recognised() -> None:
    places = layouts.torchvision_names(layouts.DEPTHS["vgg16"])
    layout = layouts.recognise(parameters(*(place.removeprefix("features.") for place in places)))
    assert layout.depths == layouts.DEPTHS["vgg16"]
    assert layout.names["conv2_1.weight"] == "5.weight"
    assert layout.unknown == ()
    padded = layouts.recognise(parameters("0", "2", "5", "9", "12"))  # with layers for its padding between them
    assert padded.unknown == ("9.bias", "9.weight")
