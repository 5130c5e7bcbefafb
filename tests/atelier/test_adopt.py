"""Adopting weights: the same features as the layers written out by hand, and all problems at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="encoders need torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from danqing import catalog  # noqa: E402
from danqing.atelier import adopt  # noqa: E402
from danqing.card import Card  # noqa: E402
from danqing.errors import ModelDamaged  # noqa: E402
from danqing.weights import layouts  # noqa: E402

Arrays = dict[str, np.ndarray[Any, Any]]

CONFIGURATIONS = {  # torchvision's `cfgs`, letters E and D, a sixteenth as wide
    "vgg19": [4, 4, "M", 8, 8, "M", 16, 16, 16, 16, "M", 32, 32, 32, 32, "M", 32, 32, 32, 32, "M"],
    "vgg16": [4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"],
}
TORCHVISION = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CAFFE = {"channels": "BGR", "value_range": (0.0, 255.0), "mean": (103.939, 116.779, 123.68)}


def card(name: str = "vgg19", **fields: Any) -> Card:
    return Card(name=name, kind="encoder", file="权重.pth", sha256="0" * 64, license="MIT", origin="a test", **fields)


def torchvision(name: str) -> nn.Sequential:
    """The layers as torchvision's `make_layers` stacks them."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for step in CONFIGURATIONS[name]:
        if step == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, int(step), 3, padding=1), nn.ReLU(inplace=False)]
            channels = int(step)
    return nn.Sequential(*layers)


def arrays_of(net: nn.Sequential, front: str = "features.") -> Arrays:
    return {f"{front}{name}": value.numpy() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("front", ["features.", "module.features."])
def test_features_are_torchvisions(name: str, front: str) -> None:
    net = torchvision(name)
    encoder = adopt.encoder(card(name, **TORCHVISION), arrays_of(net, front))
    x = torch.rand(1, 3, 48, 40)
    layers = [layer for layer in encoder.layers if layer.startswith("relu")]
    ours = encoder(x, layers)
    mean, std = (torch.tensor(TORCHVISION[k])[:, None, None] for k in ("mean", "std"))
    y, seen = (x - mean) / std, []
    for layer in net:
        y = layer(y)
        if isinstance(layer, nn.ReLU):
            seen.append(y)
    assert len(seen) == len(layers) == len(layouts.order(layouts.DEPTHS[name]))
    for layer, expected in zip(layers, seen, strict=True):
        torch.testing.assert_close(ours[layer], expected, atol=1e-5, rtol=1e-4)


def test_it_is_frozen_and_in_eval_mode() -> None:
    encoder = adopt.encoder(card(), arrays_of(torchvision("vgg19")))
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    assert encoder.pooling == "max"
    assert adopt.encoder(card(), arrays_of(torchvision("vgg19")), pooling="average").pooling == "average"


def test_the_card_decides_colours_and_padding() -> None:
    arrays = arrays_of(torchvision("vgg19"))
    encoder = adopt.encoder(card(**CAFFE, padding="reflect"), arrays)
    x = torch.rand(1, 3, 16, 16)
    caffe = 255 * x.flip(1) - torch.tensor(CAFFE["mean"])[:, None, None]
    torch.testing.assert_close(encoder.see(x), caffe, atol=1e-3, rtol=1e-5)
    padded = F.pad(caffe, (1, 1, 1, 1), mode="reflect")
    expected = F.conv2d(padded, torch.tensor(arrays["features.0.weight"]), torch.tensor(arrays["features.0.bias"]))
    torch.testing.assert_close(encoder(x, ["conv1_1"])["conv1_1"], expected, atol=1e-3, rtol=1e-4)


def test_an_encoder_ends_where_its_file_ends() -> None:
    arrays = {k: v for k, v in arrays_of(torchvision("vgg19")).items() if int(k.split(".")[1]) <= 16}
    assert adopt.encoder(card(), arrays).layers[-1] == "relu3_4"


def test_own_names_and_halves_and_the_classifier() -> None:
    names = layouts.torchvision_names(layouts.DEPTHS["vgg16"])
    theirs = arrays_of(torchvision("vgg16"))
    own = {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in theirs.items()}
    theirs["classifier.0.weight"] = np.zeros((2, 2), np.float32)
    x = torch.rand(1, 3, 32, 32)
    expected = adopt.encoder(card("vgg16"), theirs)(x, ["relu5_3"])["relu5_3"]
    torch.testing.assert_close(adopt.encoder(card("mine"), own)(x, ["relu5_3"])["relu5_3"], expected)
    halves = adopt.encoder(card("mine"), {k: v.astype(np.float16) for k, v in own.items()})
    assert next(halves.parameters()).dtype == torch.float32
    torch.testing.assert_close(halves(x, ["relu5_3"])["relu5_3"], expected, atol=1e-2, rtol=1e-2)


def test_the_arrays_are_copied() -> None:
    arrays = arrays_of(torchvision("vgg19"))
    encoder = adopt.encoder(card(), arrays)
    arrays["features.0.bias"][:] = 99
    assert encoder.get_submodule("conv1_1").get_parameter("bias").abs().max() < 99


def test_all_problems_are_told_at_once() -> None:
    arrays = arrays_of(torchvision("vgg19"))
    del arrays["features.5.weight"]
    arrays["features.0.bias"] = np.zeros(5, np.float32)
    arrays["features.2.weight"] = np.zeros((4, 4, 5, 5), np.float32)
    arrays["features.10.bias"] = np.zeros(16, np.int64)
    arrays["features.12.bias"] = np.full(16, np.nan, np.float32)
    arrays["features.1.running_mean"] = np.zeros(4, np.float32)
    with pytest.raises(ModelDamaged) as caught:
        adopt.encoder(card(layers=("relu6_1",)), arrays)
    line = str(caught.value)
    for problem in (
        "features.1.running_mean is unknown",
        "conv2_1.weight is missing",
        "conv6_1 is missing",
        "conv1_1.bias is 5 instead of 4",
        "conv1_2.weight is 4 x 4 x 5 x 5 instead of 4 x 4 x 3 x 3",
        "conv3_1.bias holds no weights (int64)",
        "conv3_2.bias has values that are not numbers",
    ):
        assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "arrays",
    [{}, {"a": np.zeros(3)}, {"conv1_1.weight": np.zeros(())}, {"features.0.weight": np.zeros((4, 3, 3, 3))}],
    ids=["nothing", "foreign", "a number", "no bias"],
)
def test_what_is_no_encoder_is_refused(arrays: Arrays) -> None:
    with pytest.raises(ModelDamaged, match="do not fit"):
        adopt.encoder(card(), arrays)


BUNDLED = [card.name for card in catalog.cards() if not card.urls and card.kind == "encoder"]


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_encoder_is_what_its_card_promises(name: str) -> None:
    found, path = catalog.find(name)
    encoder = adopt.encoder(found, catalog.read(found, path))
    features = encoder(torch.rand(1, 3, found.min_size, found.min_size * 2), found.layers)
    assert set(features) == set(found.layers)
    assert all(torch.isfinite(f).all() and f.std() > 0 for f in features.values())


@pytest.mark.parametrize("name", [n for n in BUNDLED if catalog.card(n).onnx])
def test_every_graph_gives_the_features_of_its_weights(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    found, path = catalog.find(name)
    encoder = adopt.encoder(found, catalog.read(found, path))
    session = runtime.InferenceSession(catalog.find(name, form="onnx")[1].read_bytes())
    layers = [output.name for output in session.get_outputs()]
    x = torch.rand(1, 3, 72, 96, generator=torch.Generator().manual_seed(0))
    features = encoder(x, layers)
    for layer, graphs in zip(layers, session.run(None, {session.get_inputs()[0].name: x.numpy()}), strict=True):
        error = (features[layer] - torch.from_numpy(graphs)).norm() / features[layer].norm()
        assert error < 1e-3, layer


def test_weights_may_be_true_vggs(shared: Any) -> None:
    made, arrays = catalog.from_file(shared / "weights" / "vgg19-caffe-conv1_1-conv3_4.safetensors")
    encoder = adopt.encoder(made, arrays)
    seen = encoder(torch.rand(1, 3, 64, 64), ["relu3_4"])["relu3_4"]
    assert seen.shape == (1, 256, 16, 16)
    assert 0 < (seen > 0).float().mean() < 0.9
