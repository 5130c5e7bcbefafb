"""Networks out of Torch7 files: the graph paints what torch's own modules paint, for both families of the old tool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: there is nothing to compare with")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

from torch import nn  # noqa: E402

from danqing import limits  # noqa: E402
from danqing.atelier.export.torch7 import network, torch7_to_onnx  # noqa: E402
from danqing.engines import onnx  # noqa: E402
from danqing.errors import DoesNotFit, ModelDamaged  # noqa: E402
from danqing.weights import t7  # noqa: E402
from danqing.weights.t7 import Module  # noqa: E402
from tests.weights.t7_writer import Writer  # noqa: E402

RNG = np.random.default_rng(5)
Pair = tuple[Module, nn.Module]
"""A module as Torch7 saves it, and torch's own with the same numbers."""


def half(*shape: int) -> np.ndarray:
    """Numbers that float16 holds."""
    return (0.2 * RNG.normal(size=shape)).astype(np.float16).astype(np.float32)


def convolution(inputs: int, outputs: int, size: int, *, stride: int = 1, pad: int = 0, flat: bool = False) -> Pair:
    weight, bias = half(outputs, inputs, size, size), half(outputs)
    own = nn.Conv2d(inputs, outputs, size, stride=stride, padding=pad)
    own.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    fields = {
        "nInputPlane": inputs, "nOutputPlane": outputs, "kW": size, "kH": size, "dW": stride, "dH": stride,
        "padW": pad, "padH": pad, "weight": weight.reshape(outputs, -1) if flat else weight, "bias": bias,
        "gradWeight": np.zeros(0, np.float32),
    }  # fmt: skip
    return Module("nn.SpatialConvolutionMM" if flat else "nn.SpatialConvolution", fields), own


def enlarging(inputs: int, outputs: int) -> Pair:
    weight, bias = half(inputs, outputs, 3, 3), half(outputs)
    own = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    own.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    fields = {
        "nInputPlane": inputs, "nOutputPlane": outputs, "kW": 3, "kH": 3, "dW": 2, "dH": 2, "padW": 1, "padH": 1,
        "adjW": 1, "adjH": 1, "weight": weight, "bias": bias,
    }  # fmt: skip
    return Module("nn.SpatialFullConvolution", fields), own


def instance(size: int) -> Pair:
    weight, bias = 1 + half(size), half(size)
    own = nn.InstanceNorm2d(size, affine=True)
    own.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    statistics = {"running_mean": np.zeros(size, np.float32), "running_var": np.ones(size, np.float32)}
    inner = Module("nn.SpatialBatchNormalization", {"affine": False, "eps": 1e-5, "momentum": 0.1, **statistics})
    fields = {"weight": weight, "bias": bias, "eps": 1e-5, "nOutput": size, "prev_batch_size": -1, "bn": inner}
    return Module("nn.InstanceNormalization", fields), own


def batch(size: int, *, old: bool = False) -> Pair:
    weight, bias, mean, variance = 1 + half(size), half(size), half(size), 0.5 + np.abs(half(size))
    own = nn.BatchNorm2d(size)
    state = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
    own.load_state_dict({name: torch.from_numpy(v) for name, v in state.items()}, strict=False)
    fields: dict[str, Any] = dict(state, eps=1e-5)
    if old:
        fields["running_std"] = (fields.pop("running_var") + 1e-5) ** -0.5
    return Module("nn.SpatialBatchNormalization", fields), own


def reflected(size: int) -> Pair:
    sides = {f"pad_{side}": size for side in "lrtb"}
    return Module("nn.SpatialReflectionPadding", sides), nn.ReflectionPad2d(size)


def relu() -> Pair:
    return Module("nn.ReLU", {"inplace": True}), nn.ReLU()


def sequence(*pairs: Pair) -> Pair:
    inner = {place + 1: module for place, (module, _) in enumerate(pairs)}
    return Module("nn.Sequential", {"modules": inner}), nn.Sequential(*(own for _, own in pairs))


class Residual(nn.Module):
    def __init__(self, inner: nn.Module, shaved: int) -> None:
        super().__init__()
        self.inner, self.shaved = inner, shaved

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s = self.shaved
        kept = x[:, :, s:-s, s:-s] if s else x
        return self.inner(x) + kept


def residual(size: int, normalisation: Callable[[int], Pair], *, pad: int) -> Pair:
    convolved = [convolution(size, size, 3, pad=pad) for _ in range(2)]
    tree, own = sequence(convolved[0], normalisation(size), relu(), convolved[1], normalisation(size))
    beside = Module("nn.Identity") if pad else Module("nn.ShaveImage", {"size": 2})
    table = Module("nn.ConcatTable", {"modules": {1: tree, 2: beside}})
    whole = Module("nn.Sequential", {"modules": {1: table, 2: Module("nn.CAddTable", {"inplace": False})}})
    return whole, Residual(own, 0 if pad else 2)


class Tanh150(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 150 * torch.tanh(x)


def tanh() -> Pair:
    inner = {
        1: Module("nn.Tanh"), 2: Module("nn.MulConstant", {"constant_scalar": 150}),
        3: Module("nn.TotalVariation", {"strength": 1e-6}),
    }  # fmt: skip
    return Module("nn.Sequential", {"modules": inner}), Tanh150()


def instance_norm() -> Pair:
    """As the models of `instance_norm/`: padded once, shaving blocks, enlarging by nearest neighbours."""
    nearest: Pair = (Module("nn.SpatialUpSamplingNearest", {"scale_factor": 2}), nn.Upsample(scale_factor=2))
    return sequence(
        reflected(12), convolution(3, 4, 9, pad=4), instance(4), relu(), convolution(4, 6, 3, stride=2, pad=1),
        instance(6), relu(), residual(6, instance, pad=0), residual(6, instance, pad=0), nearest,
        convolution(6, 4, 3, pad=1, flat=True), instance(4), relu(), convolution(4, 3, 9, pad=4), tanh(),
    )  # fmt: skip


def eccv16() -> Pair:
    """As the models of `eccv16/`: batch normalisation and full convolutions."""
    return sequence(
        convolution(3, 4, 9, pad=4), batch(4), relu(),
        convolution(4, 6, 3, stride=2, pad=1), batch(6, old=True), relu(),
        residual(6, batch, pad=1), enlarging(6, 4), batch(4), relu(),
        convolution(4, 3, 9, pad=4), tanh(),
    )  # fmt: skip


@pytest.mark.parametrize("family", [instance_norm, eccv16])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_the_graph_paints_what_torch_paints(family: Callable[[], Pair], checkpoint: bool) -> None:
    tree, own = family()
    data = Writer().bytes({"opt": {"arch": "c9s1-4"}, "model": tree} if checkpoint else tree)
    graph = torch7_to_onnx(network(t7.read(data), name="net.t7"), name="net.t7")
    x = RNG.random((1, 3, 48, 64), dtype=np.float32)
    mean = np.array((103.939, 116.779, 123.68), np.float32)[:, None, None]
    with torch.no_grad():
        told = own.eval()(torch.from_numpy(x[:, ::-1].copy() * 255 - mean))
    expected = ((told.numpy() + mean) / 255)[:, ::-1].clip(0, 1)
    found = onnx.Session(graph, name="net")({"picture": x})["painting"]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda fields: fields.pop("weight"), "weight"),
        (lambda fields: fields.update(weight=half(5)), "weight"),
        (lambda fields: fields.update(kW="three"), "kW"),
        (lambda fields: fields.update(dW=10**9), "dW"),
        (lambda fields: fields.update(bias=half(7)), "bias"),
    ],
)
def test_what_does_not_fit_is_one_line(change: Callable[[dict[str, Any]], Any], says: str) -> None:
    module, _ = convolution(3, 4, 3)
    change(module.fields)
    with pytest.raises(ModelDamaged, match=says) as caught:
        torch7_to_onnx(module, name="net.t7")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("found", [None, 5, {"opt": {}}, {"model": {"weight": 1}}])
def test_a_file_without_a_network_is_refused(found: Any) -> None:
    with pytest.raises(ModelDamaged, match="holds no network"):
        network(found, name="net.t7")


@pytest.mark.parametrize("kind", ["nn.Sequential", "nn.ConcatTable"])
def test_modules_within_themselves_are_refused(kind: str) -> None:
    loop = Module(kind)
    loop.fields["modules"] = {1: loop}
    twins = Module("nn.Identity")
    for _ in range(40):
        twins = Module(kind, {"modules": {1: twins, 2: twins}})
    for tree in (loop, twins):
        with pytest.raises(ModelDamaged, match="nested too deeply"):
            torch7_to_onnx(tree, name="net.t7")


def test_weights_that_are_used_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = convolution(3, 3, 3, pad=1)
    tree = Module("nn.Sequential", {"modules": dict.fromkeys(range(1, 101), module)})
    assert len(torch7_to_onnx(tree, name="net.t7")) > 100 * module.fields["weight"].nbytes
    monkeypatch.setattr(limits, "max_file_bytes", lambda: 50 * module.fields["weight"].nbytes)
    with pytest.raises(DoesNotFit, match="net"):
        torch7_to_onnx(tree, name="net.t7")


def test_a_table_that_nobody_adds_up_is_refused() -> None:
    table = Module("nn.ConcatTable", {"modules": {1: Module("nn.Identity"), 2: Module("nn.Identity")}})
    with pytest.raises(ModelDamaged):
        torch7_to_onnx(table, name="net.t7")
    with pytest.raises(ModelDamaged):
        torch7_to_onnx(Module("nn.Sequential", {"modules": {1: table, 2: relu()[0]}}), name="net.t7")
