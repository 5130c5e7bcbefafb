"""Adopting weights: the same features as the layers written out by hand, and all problems at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

torch = pytest.importorskip("torch", reason="encoders need torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from danqing import catalog  # noqa: E402
from danqing.atelier import adopt  # noqa: E402
from danqing.card import Card  # noqa: E402
from danqing.errors import ModelDamaged  # noqa: E402
from danqing.weights import feeding, layouts  # noqa: E402
from tests.weights import matconvnet  # noqa: E402

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


# ── one network, written down in every way that is read ─────────────────────────────────────────────────────────────


def caffe_network() -> Arrays:
    """The beginning of a VGG-19 that sees B, G, R in 0..255: random, but for the kernel that Caffe's is known by."""
    rng, arrays, channels = np.random.default_rng(0), {}, 3
    for layer in ("conv1_1", "conv1_2", "conv2_1"):
        width = layouts.WIDTHS[int(layer[4]) - 1]
        weight = rng.normal(size=(width, channels, 3, 3)) * np.sqrt(2 / 9 / channels)
        arrays[f"{layer}.weight"] = weight.astype(np.float32)
        arrays[f"{layer}.bias"] = rng.normal(size=width).astype(np.float32)
        channels = width
    arrays["conv1_1.weight"][0, 0] = np.reshape(feeding.PUBLISHED[0].kernel, (3, 3))
    arrays["conv1_1.bias"][0] = feeding.PUBLISHED[0].bias
    return arrays


def turned(arrays: Arrays) -> Arrays:
    """The same network for R, G, B."""
    return arrays | {"conv1_1.weight": np.ascontiguousarray(arrays["conv1_1.weight"][:, ::-1])}


def for_torchvision(arrays: Arrays) -> Arrays:
    """The same network for R, G, B in 0..1, normalised: 255 (std x + mean) - 255 mean', written into conv1_1."""
    weight = turned(arrays)["conv1_1.weight"].astype(np.float64)
    mean, std = (np.array(TORCHVISION[k])[:, None, None] * 255 for k in ("mean", "std"))
    shift = (weight * (mean - np.array(CAFFE["mean"])[::-1, None, None])).sum((1, 2, 3))
    first = {"conv1_1.weight": (weight * std).astype(np.float32)}
    return arrays | first | {"conv1_1.bias": (arrays["conv1_1.bias"] + shift).astype(np.float32)}


def theirs(arrays: Arrays) -> dict[str, torch.Tensor]:
    """Under torchvision's names, for a checkpoint."""
    places = {layer: place for place, layer in layouts.torchvision_names(layouts.DEPTHS["vgg19"]).items()}
    return {f"{places[k[:7]]}{k[7:]}": torch.from_numpy(v) for k, v in arrays.items()}


def written(folder: Path, way: str) -> Path:
    arrays = caffe_network()
    match way:
        case "caffe":
            torch.save(theirs(arrays), folder / "权重.pth")
            return folder / "权重.pth"
        case "caffe, own names":
            torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, folder / "vgg_conv.pth")
            return folder / "vgg_conv.pth"
        case "torchvision":
            torch.save(theirs(for_torchvision(arrays)), folder / "torchvision-权重.pth")
            return folder / "torchvision-权重.pth"
        case "mat, old" | "mat, new":
            return matconvnet.write(folder / "网络.mat", turned(arrays), old=way.endswith("old"))
        case _:
            words = {"input": "BGR, 0..255, minus (103.939,116.779,123.68)"}
            (folder / "权重.safetensors").write_bytes(safetensors.numpy.save(arrays, metadata=words))
            return folder / "权重.safetensors"


@pytest.mark.parametrize("way", ["caffe", "caffe, own names", "torchvision", "mat, old", "mat, new", "safetensors"])
def test_the_same_network_gives_the_same_features_however_it_is_written(way: str, tmp_path: Path) -> None:
    arrays = caffe_network()
    x = torch.rand(1, 3, 40, 32, generator=torch.Generator().manual_seed(0))
    y = 255 * x.flip(1) - torch.tensor(CAFFE["mean"])[:, None, None]
    expected = {}
    for layer in ("conv1_1", "conv1_2", "conv2_1"):
        y = F.max_pool2d(y, 2) if layer == "conv2_1" else y
        y = F.conv2d(y, *(torch.from_numpy(arrays[f"{layer}.{part}"]) for part in ("weight", "bias")), padding=1)
        expected[layer] = y
        y = F.relu(y)
    features = adopt.encoder(*catalog.from_file(written(tmp_path, way)))(x, expected)
    edge = 3 if way == "torchvision" else 0  # where the padding is torchvision's mean instead of Caffe's
    for layer, oracle in expected.items():
        height, width = oracle.shape[2:]
        inside = (..., slice(edge, height - edge), slice(edge, width - edge))
        error = (features[layer][inside] - oracle[inside]).abs().max() / oracle.abs().max()
        assert error < 1e-4, layer


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
