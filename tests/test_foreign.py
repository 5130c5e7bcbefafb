"""Networks out of files: what is remembered, under what the file holds, and what is said of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import danqing
from danqing import catalog, foreign
from danqing.engines import fast, probe
from danqing.errors import ModelDamaged, UsageError
from danqing.picture import Picture
from tests import networks
from tests.networks import TINT


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DANQING_HOME", str(tmp_path / "家"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_network_is_tried_out_once_whatever_its_name(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = networks.zoo()
    (workplace / "一.onnx").write_bytes(data)
    first = foreign.read("一.onnx")
    assert first.card.parity == {"as exported": 0.0}
    assert first.card.sha256 == hashlib.sha256(first.graph).hexdigest() != first.source_sha256
    assert first.source_sha256 == hashlib.sha256(data).hexdigest()

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was tried out again")

    monkeypatch.setattr(probe, "explored", never)
    (workplace / "一.onnx").rename("two.onnx")
    again = foreign.read("two.onnx")
    assert (again.graph, again.card.name, again.card.origin) == (first.graph, "two", "two.onnx: an ONNX model")
    assert [note.replace("two", "一") for note in again.notes] == list(first.notes)
    for kept in (catalog.home() / "foreign").iterdir():
        kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(AssertionError, match="again"):
        foreign.read("two.onnx")


def test_what_is_said_of_a_network_counts_and_is_remembered_apart(workplace: Path) -> None:
    (workplace / "n.onnx").write_bytes(networks.tint())
    assert foreign.read("n.onnx").card.value_range == (0, 1)
    assert foreign.read("n.onnx", given={"value_range": (0.0, 2.0)}).card.value_range == (0, 2)
    assert foreign.read("n.onnx").card.value_range == (0, 1)


def test_python_paints_with_a_model(workplace: Path) -> None:
    (workplace / "n.onnx").write_bytes(networks.tint())
    pixels = probe.known_picture(40, 50)
    for words in ({"model": "n.onnx"}, {"model": Path("n.onnx")}, {"style": "n.onnx"}, {"style": [Path("n.onnx")]}):
        pastiche = danqing.paint(Picture(pixels=pixels), **words)
        np.testing.assert_allclose(pastiche.picture.pixels, np.clip(pixels @ TINT.T, 0, 1), atol=1e-5)
        assert pastiche.recipe.styles[0].sha256 == hashlib.sha256(networks.tint()).hexdigest()
        assert pastiche.recipe.engine == "fast"


@pytest.mark.skipif(fast.find_spec("openvino") is None, reason="openvino is not installed")
def test_openvino_paints_the_same(workplace: Path) -> None:
    for name, data in (("bytes", networks.bytes_in()), ("zoo", networks.zoo())):
        (workplace / f"{name}.onnx").write_bytes(data)
        picture = Picture(pixels=probe.known_picture(48, 64))
        one, other = (danqing.paint(picture, model=f"{name}.onnx", runtime=r) for r in ("onnx", "openvino"))
        assert np.abs(one.picture.pixels - other.picture.pixels).max() < 0.05


def test_what_is_no_network_is_refused(workplace: Path) -> None:
    (workplace / "n.txt").write_bytes(b"text")
    with pytest.raises(UsageError, match="of a kind that is not read"):
        foreign.read("n.txt")
    (workplace / "n.onnx").write_bytes(b"<html>404</html>")
    with pytest.raises(ModelDamaged, match="web page"):
        foreign.read("n.onnx")
    (workplace / "n.onnx").write_bytes(networks.tint())
    with pytest.raises(UsageError, match="std must be positive"):
        foreign.read("n.onnx", given={"std": (0.0, 1.0, 1.0)})
