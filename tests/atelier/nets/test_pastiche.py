"""The pastiche network: sizes, what the vector decides, colours, and the graph against the module."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the networks cannot be tested")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

import onnxruntime  # noqa: E402

from danqing.atelier.export.onnx import pastiche_to_onnx  # noqa: E402
from danqing.atelier.nets.pastiche import PasticheNet, recoloured  # noqa: E402
from danqing.atelier.nets.predictor import colours  # noqa: E402
from danqing.image import color  # noqa: E402
from tests.atelier.conftest import seeded  # noqa: E402


@pytest.fixture
def net() -> PasticheNet:
    """The network at a quarter of its widths, with drawn weights that float16 holds."""
    torch.manual_seed(3)
    net = PasticheNet((4, 8, 12, 16, 16), widths=(4, 8, 16, 32))
    seeded(net.encoder)
    return net.half().float().eval()


def vectors(net: PasticheNet, count: int, *, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(count, net.vector_size, generator=torch.Generator().manual_seed(seed))
    return net.neutral() + 0.2 * noise


@pytest.mark.parametrize("size", [(24, 24), (8, 8), (64, 40)])
def test_the_painting_has_the_photos_size(net: PasticheNet, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        assert net(x, vectors(net, 2)).shape == x.shape


def test_only_its_own_vector_decides_a_painting(net: PasticheNet) -> None:
    x, two = torch.rand(1, 3, 48, 48), vectors(net, 2)
    with torch.no_grad():
        both, first = net(x.expand(2, -1, -1, -1), two), net(x, two[:1])
    torch.testing.assert_close(both[:1], first, atol=1e-5, rtol=1e-4)
    assert (both[0] - both[1]).abs().mean() > 0.01


def test_every_entry_of_the_vector_counts(net: PasticheNet) -> None:
    vector = vectors(net, 1).requires_grad_()
    net(torch.rand(1, 3, 64, 64), vector).square().sum().backward()
    asleep = (vector.grad[0].abs() < 1e-12).float().mean()
    assert asleep < 0.2, "units that never fire have no gradient, but most must"


def test_colours_become_those_of_the_style() -> None:
    photo, style = (
        torch.rand(1, 3, 40, 40) * torch.tensor([0.2, 0.9, 0.5])[:, None, None],
        torch.rand(1, 3, 32, 32) ** 2,
    )
    tinted, plain = recoloured(photo, colours(style))
    expected = color.transfer(*(picture[0].permute(1, 2, 0).numpy() for picture in (photo, style)))
    np.testing.assert_allclose(tinted[0].permute(1, 2, 0).numpy().clip(0, 1), expected, atol=0.05)
    torch.testing.assert_close(tinted.mean((2, 3)), style.mean((2, 3)), atol=1e-4, rtol=1e-3)
    assert 0.8 < plain.std() < 1.2


def test_a_photo_of_one_colour_is_painted(net: PasticheNet) -> None:
    assert torch.isfinite(net(torch.full((1, 3, 32, 32), 0.3), vectors(net, 1))).all()


@pytest.mark.parametrize("size", [(24, 24), (40, 64)])
@pytest.mark.parametrize("styles", [1, 3])
def test_the_graph_paints_what_the_module_paints(net: PasticheNet, size: tuple[int, int], styles: int) -> None:
    session = onnxruntime.InferenceSession(pastiche_to_onnx(net), providers=["CPUExecutionProvider"])
    x, several = torch.rand(1, 3, *size), vectors(net, styles)
    weights = torch.softmax(torch.randn(1, styles), 1)
    inputs = {"picture": x.numpy(), "vectors": several.numpy(), "weights": weights.numpy()}
    (found,) = session.run(["painting"], inputs)
    with torch.no_grad():
        expected = net(x, weights @ several).clamp(0, 1)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)
