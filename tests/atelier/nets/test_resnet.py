"""Generator and discriminators of CycleGAN: as large as the authors', seeing as far, and the same as ONNX."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: there are no networks")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

from danqing.atelier.export.onnx import generator_to_onnx  # noqa: E402
from danqing.atelier.nets.patch import PatchDiscriminator, StyledDiscriminator  # noqa: E402
from danqing.atelier.nets.resnet import ResnetGenerator, blocks_for, normed  # noqa: E402
from danqing.engines import onnx  # noqa: E402

AUTHORS = {
    ("generator", 3, 9): 11_378_179,
    ("generator", 3, 6): 7_837_699,
    ("generator", 1, 9): 11_365_633,
    ("discriminator", 3): 2_764_737,
    ("discriminator", 1): 2_762_689,
    ("discriminator", 6): 2_767_809,
}
"""Parameters of the networks in junyanz/pytorch-CycleGAN-and-pix2pix."""


def count(net: torch.nn.Module) -> int:
    return sum(value.numel() for value in net.parameters())


def test_they_are_as_large_as_the_authors() -> None:
    found = {("generator", channels, blocks): count(ResnetGenerator(channels, blocks=blocks))
             for channels, blocks in ((3, 9), (3, 6), (1, 9))}  # fmt: skip
    found |= {("discriminator", channels): count(PatchDiscriminator(channels)) for channels in (3, 1, 6)}
    assert found == AUTHORS
    assert (blocks_for(256), blocks_for(248)) == (9, 6)


def test_weights_are_drawn_as_in_the_paper() -> None:
    torch.manual_seed(0)
    net = ResnetGenerator(3, width=16, blocks=2)
    weights = torch.cat([value.detach().flatten() for name, value in net.named_parameters() if name.endswith("weight")])
    assert float(weights.std()) == pytest.approx(0.02, rel=0.02) and abs(float(weights.mean())) < 1e-3
    assert all(not value.any() for name, value in net.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("batch", [1, 2])
def test_normalised_are_values_and_gradients_in_any_layout(batch: int) -> None:
    """torch's own gives wrong gradients for a single picture with channels last."""
    x, wanted = torch.rand(batch, 5, 6, 7), torch.rand(batch, 5, 6, 7)
    plain = x.double().requires_grad_()
    expected = torch.nn.functional.instance_norm(plain)
    expected.backward(wanted.double())
    last = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    found = normed(last)
    found.backward(wanted.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(last.grad.double(), plain.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("layers", "seen"), [(3, 70), (2, 34)])
def test_every_place_judges_a_patch(layers: int, seen: int) -> None:
    torch.manual_seed(0)
    net = PatchDiscriminator(1, width=8, layers=layers)
    for layer in net.layers:
        torch.nn.init.constant_(layer.weight, 0.1)
    x = torch.zeros(1, 1, 160, 160, requires_grad=True)
    flow = x  # without the normalisation, which sees everything
    for layer in [*net.layers, net.last]:
        flow = layer(flow)
    flow[0, 0, flow.shape[2] // 2, flow.shape[3] // 2].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == seen


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("upsampling", "skips"), [("transposed", False), ("nearest", True)])
def test_the_graph_computes_the_same(
    channels: int, whole: bool, upsampling: Literal["transposed", "nearest"], skips: bool
) -> None:
    torch.manual_seed(1)
    net = ResnetGenerator(channels, width=8, blocks=2, upsampling=upsampling, skips=skips)
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(3)
    graph = generator_to_onnx(net, whole=whole)
    x = torch.rand(2, 3, 28, 36) * 2 - 1
    with torch.no_grad():
        expected = net(x if channels == 3 else x.mean(1, keepdim=True)).expand(-1, 3, -1, -1).numpy()
    found = onnx.Session(graph, name="generator")({"picture": x.numpy()})["painting"]
    allowed = 2e-5 if whole else 5e-3
    np.testing.assert_allclose(found, expected, atol=allowed)
    assert np.abs(expected).max() > 0.05
    half = len(generator_to_onnx(net))
    assert len(graph) > 1.8 * half if whole else len(graph) == half


def test_with_skips_a_pixel_reaches_the_painting_at_full_size() -> None:
    torch.manual_seed(0)
    net = ResnetGenerator(width=8, blocks=1, skips=True)
    torch.nn.init.zeros_(net.up[1].weight)  # nothing comes from the blocks
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    other = x.clone()
    other[0, :, 16, 16] += 0.5
    changed = (net(other) - net(x)).abs().amax((0, 1)).detach() > 0
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    assert [int(found.min()) for found in (rows, columns)] == [9, 9]
    assert [int(found.max()) for found in (rows, columns)] == [23, 23]


def test_with_skips_a_pale_picture_is_told_from_its_stretched_self() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    apart = [
        float((net(x) - net(0.5 * x)).detach().abs().max())
        for net in (ResnetGenerator(width=8, blocks=1, skips=skips) for skips in (False, True))
    ]
    assert apart[0] < 0.1 * apart[1]


def test_the_style_has_a_say_at_every_scale() -> None:
    torch.manual_seed(0)
    net = StyledDiscriminator(10, channels={"relu2_1": 4, "relu4_1": 6}, width=8, layers=3)
    seen, stats = {"relu2_1": torch.rand(2, 4, 32, 40), "relu4_1": torch.rand(2, 6, 8, 10)}, torch.randn(2, 10)
    found = net(seen, stats)
    assert [tuple(one.shape) for one in found] == [(2, 1, 8, 10), (2, 1, 8, 10)]
    other = net(seen, stats.flip(0))
    assert all((one - two).abs().max() > 1e-4 for one, two in zip(found, other, strict=True))
