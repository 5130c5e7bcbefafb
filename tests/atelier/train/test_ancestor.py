"""What a network of today's form inherits from an older one with more residual blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed: nothing can be trained")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

from danqing.atelier.nets.pastiche import BANDS, Conditional, PasticheNet  # noqa: E402
from danqing.atelier.nets.predictor import Predictor  # noqa: E402
from danqing.atelier.train import ancestor, publish  # noqa: E402
from danqing.card import LearntStyle  # noqa: E402
from tests.pastiches import drawn, published  # noqa: E402


def numbered(places: NDArray[np.intp]) -> NDArray[np.float32]:
    """A number for each place that float16 holds, the same for none within reach."""
    return (places % 1021 / 1024).astype(np.float32)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> tuple[PasticheNet, Predictor, Path]:
    """A network with three residual blocks, and its files; a style whose entries are numbered."""
    torch.manual_seed(5)
    net = PasticheNet(blocks=3).eval()
    predictor = Predictor(net.neutral()).eval()
    folder = tmp_path_factory.mktemp("older")
    ramp = np.zeros((3, net.vector_size), dtype=np.float32)
    ramp[:, net.given :] = numbered(np.arange(net.vector_size - net.given))
    style = LearntStyle(name="ramp", title="Ramp", artist="Unknown", date="1700", source="a test")
    said = {"origin": "a test", "teacher": "none", "data": "none"}
    publish.pastiche(net, predictor, {"ramp": ramp}, [style], folder, **said)
    return net, predictor, folder


def test_layers_that_both_have_are_taken(older: tuple[PasticheNet, Predictor, Path]) -> None:
    theirs, _, folder = older
    net, predictor = drawn(seed=9)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    ancestor.inherit(net, predictor, folder)
    for name, module in net.named_modules():
        if isinstance(module, Conditional):
            other = theirs.get_submodule(name)
            assert isinstance(other, Conditional)
            torch.testing.assert_close(module.kernels(), other.kernels(), atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(net.near_4.weight, theirs.near_4.weight, atol=1e-3, rtol=1e-2)
    assert not torch.equal(net.near_4.weight, before["near_4.weight"])


def test_entries_of_layers_that_are_gone_are_left_out(older: tuple[PasticheNet, Predictor, Path]) -> None:
    theirs, his, folder = older
    net, predictor = drawn(seed=9)
    kept = ancestor.inherit(net, predictor, folder)["ramp"][1]
    places, at = [*range(len(BANDS))], len(BANDS)
    for name, module in theirs.named_modules():
        if isinstance(module, Conditional):
            if not name.startswith(("blocks_8.1", "blocks_8.2")):
                places += range(at, at + 2 * len(module.weight))
            at += 2 * len(module.weight)
    np.testing.assert_array_equal(kept.numpy(), numbered(np.array(places)))
    stats = torch.randn(2, len(his.mean))
    with torch.no_grad():
        torch.testing.assert_close(predictor(stats), his(stats)[:, places], atol=0.02, rtol=0.02)


def test_a_network_of_the_same_form_is_taken_over_with_its_stem(tmp_path: Path) -> None:
    theirs, his = drawn(seed=3)
    published(tmp_path)
    net, predictor = drawn(seed=9)
    assert ancestor.sees(tmp_path)
    ancestor.inherit(net, predictor, tmp_path)
    photo, stats = torch.rand(1, 3, 32, 32), torch.randn(2, len(his.mean))
    with torch.no_grad():
        for layer, seen in theirs.stem(photo).items():
            torch.testing.assert_close(net.stem(photo)[layer], seen, atol=0.02, rtol=0.02)
        torch.testing.assert_close(predictor(stats), his(stats), atol=0.02, rtol=0.02)


def test_it_is_known_whether_there_is_a_stem(tmp_path: Path) -> None:
    published(tmp_path)
    graph = tmp_path / "pastiche.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"stem.first.weight", b"root.first.weight"))
    assert not ancestor.sees(tmp_path)
