"""Encoders: names, shapes, and the very features of a network written out plainly."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: encoders cannot be tested")

from danqing.atelier import encoders  # noqa: E402
from tests.atelier.conftest import seeded  # noqa: E402


def test_compact_is_small_and_reaches_relu5_1() -> None:
    encoder = encoders.compact()
    assert encoder.layers[-1] == "relu5_1"
    assert sum(p.numel() for p in encoder.parameters()) <= 1_200_000


def test_vgg19_and_vgg16_have_their_layers() -> None:
    assert encoders.layer_names(encoders.VGG19_DEPTHS)[-1] == "conv5_4"
    assert encoders.layer_names(encoders.VGG16_DEPTHS)[4:7] == ("conv3_1", "conv3_2", "conv3_3")


def test_features_are_those_of_the_network_written_out() -> None:
    encoder = seeded(encoders.VGG((4, 6, 8, 8, 8), matrix=encoders.CAFFE_MATRIX, bias=encoders.CAFFE_BIAS))
    x = torch.rand(1, 3, 37, 50)
    found = encoder(x, ["conv1_1", "relu1_1", "conv2_1", "relu2_2"])
    bgr = x.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    conv1_1 = torch.conv2d(bgr, encoder.conv1_1.weight, encoder.conv1_1.bias, padding=1)
    relu1_2 = torch.conv2d(conv1_1.relu(), encoder.conv1_2.weight, encoder.conv1_2.bias, padding=1).relu()
    conv2_1 = torch.conv2d(torch.max_pool2d(relu1_2, 2), encoder.conv2_1.weight, encoder.conv2_1.bias, padding=1)
    relu2_2 = torch.conv2d(conv2_1.relu(), encoder.conv2_2.weight, encoder.conv2_2.bias, padding=1).relu()
    for layer, expected in {
        "conv1_1": conv1_1,
        "relu1_1": conv1_1.relu(),
        "conv2_1": conv2_1,
        "relu2_2": relu2_2,
    }.items():
        torch.testing.assert_close(found[layer], expected, rtol=1e-4, atol=1e-2)
    assert found["relu2_2"].shape[2:] == (18, 25)


def test_padding_and_pooling_can_be_chosen(small_encoder: encoders.VGG) -> None:
    x = torch.rand(1, 3, 32, 32)
    default = small_encoder(x, ["relu2_1"])["relu2_1"]
    for options in ({"padding": "zeros"}, {"padding": "reflect", "pooling": "average"}):
        other = encoders.VGG(encoders.COMPACT_WIDTHS, matrix=small_encoder.matrix.tolist(), bias=[-2] * 3, **options)
        other.load_state_dict(small_encoder.state_dict())
        assert other(x, ["relu2_1"])["relu2_1"].shape == default.shape
        assert not torch.allclose(other(x, ["relu2_1"])["relu2_1"], default)


def test_colours_stay_exact_in_half_precision(small_encoder: encoders.VGG) -> None:
    half = small_encoder.to(torch.bfloat16)
    assert half.matrix.dtype == torch.float32
    assert half(torch.rand(1, 3, 32, 32), ["relu1_1"])["relu1_1"].dtype == torch.bfloat16


def test_an_unknown_layer_names_those_there_are(small_encoder: encoders.VGG) -> None:
    with pytest.raises(KeyError, match=r"relu9_9.*relu5_1"):
        small_encoder(torch.rand(1, 3, 32, 32), ["relu9_9"])


def test_the_network_stops_at_the_deepest_layer_asked_for(small_encoder: encoders.VGG) -> None:
    small_encoder.conv3_1.weight.data.fill_(float("nan"))
    assert torch.isfinite(small_encoder(torch.rand(1, 3, 32, 32), ["relu2_2"])["relu2_2"]).all()
