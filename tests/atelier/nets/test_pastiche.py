"""The pastiche network: sizes, what the vector decides, colours, and the graph against the module."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the networks cannot be tested")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

import onnxruntime  # noqa: E402

from danqing import catalog  # noqa: E402
from danqing.atelier.export.pastiche import pastiche_to_onnx  # noqa: E402
from danqing.atelier.nets.pastiche import PasticheNet, moved  # noqa: E402
from danqing.atelier.train.session import bundled  # noqa: E402
from danqing.engines import onnx, openvino  # noqa: E402
from danqing.image import color  # noqa: E402
from tests.pastiches import vector  # noqa: E402


@pytest.fixture
def net() -> PasticheNet:
    """The network at a quarter of its widths, with drawn weights that float16 holds."""
    torch.manual_seed(3)
    net = PasticheNet((4, 8, 12, 16, 16), width=16)
    return net.half().float().eval()


def vectors(net: PasticheNet, count: int, *, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([vector(net, rng) for _ in range(count)]))


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
    whole = vectors(net, 1).requires_grad_()
    net(torch.rand(1, 3, 64, 64), whole).square().sum().backward()
    asleep = (whole.grad[0].abs() < 1e-12).float().mean()
    assert asleep < 0.2, "units that never fire have no gradient, but most must"


def some(seed: int, *, channels: int = 3) -> torch.Tensor:
    """Something whose channels vary together."""
    generator = torch.Generator().manual_seed(seed)
    mixture = torch.randn(channels, channels, generator=generator)
    return torch.einsum("cd,ndhw->nchw", mixture, torch.rand(1, channels, 40, 40, generator=generator)) + seed


@pytest.mark.parametrize("channels", [3, 24])
def test_what_is_moved_has_the_statistics_asked_for(channels: int) -> None:
    photo, style = some(1, channels=channels), some(2, channels=channels)
    mean, covariance = style.mean((2, 3)), torch.cov(style[0].flatten(1), correction=0)[None]
    found = moved(photo, mean, torch.linalg.cholesky(covariance).mT)
    torch.testing.assert_close(found.mean((2, 3)), mean, atol=1e-3, rtol=1e-3)
    off = (torch.cov(found[0].flatten(1), correction=0) - covariance).norm() / covariance.norm()
    assert off < 0.1


def test_what_has_them_already_stays() -> None:
    photo = some(1, channels=8)
    covariance = torch.cov(photo[0].flatten(1), correction=0)[None]
    found = moved(photo, photo.mean((2, 3)), torch.linalg.cholesky(covariance).mT)
    assert (found - photo).std() < 0.05 * photo.std()


def test_colours_become_those_of_the_style() -> None:
    photo, style = 0.5 + 0.1 * some(1) / some(1).std(), 0.5 + 0.1 * some(2) / some(2).std()
    root = torch.linalg.cholesky(torch.cov(style[0].flatten(1), correction=0)[None]).mT
    found = moved(photo, style.mean((2, 3)), root)
    expected = color.transfer(*(picture[0].permute(1, 2, 0).numpy() for picture in (photo, style)))
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy().clip(0, 1), expected, atol=0.05)


def test_a_photo_of_one_colour_is_painted(net: PasticheNet) -> None:
    assert torch.isfinite(net(torch.full((1, 3, 32, 32), 0.3), vectors(net, 1))).all()


@pytest.mark.parametrize("size", [(40, 40), (48, 64)])
@pytest.mark.parametrize("styles", [1, 3])
@pytest.mark.parametrize("contrast", [1, 0.05, 0])
def test_the_graph_paints_what_the_module_paints(
    net: PasticheNet, size: tuple[int, int], styles: int, contrast: float
) -> None:
    session = onnxruntime.InferenceSession(pastiche_to_onnx(net), providers=["CPUExecutionProvider"])
    x, several = 0.7 + contrast * (torch.rand(1, 3, *size) - 0.7), vectors(net, styles)
    weights = torch.softmax(torch.randn(1, styles), 1)
    inputs = {"picture": x.numpy(), "vectors": several.numpy(), "weights": weights.numpy()}
    (found,) = session.run(["painting"], inputs)
    with torch.no_grad():
        expected = net(x, weights @ several).clamp(0, 1)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)


def test_the_network_that_ships_paints_a_single_colour_the_same_everywhere() -> None:
    """Features that do not vary are divided by what is next to nothing: whatever is lost of their means shows here."""
    net, _ = bundled()
    _, rows = catalog.vectors("ink-cliffs")
    assert rows is not None
    x = np.full((1, 3, 384, 512), 0.6, dtype=np.float32)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(x), torch.from_numpy(rows[1:2])).clamp(0, 1).numpy()
    graph = pastiche_to_onnx(net)
    inputs = {"picture": x, "vectors": rows[1:2], "weights": np.ones((1, 1), np.float32)}
    found = onnx.Session(graph, name="pastiche")(inputs)["painting"]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    if find_spec("openvino") is not None:
        found = openvino.Session(graph, name="pastiche")(inputs)["painting"]
        assert -10 * np.log10(np.square(found - expected).mean()) >= 38
