"""Graphs that stand alone paint what danqing paints, in plain onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

from danqing.atelier.export.alone import alone  # noqa: E402
from danqing.card import Card  # noqa: E402
from danqing.engines import fast, onnx, probe  # noqa: E402
from danqing.errors import ModelDamaged, UsageError  # noqa: E402
from tests import networks  # noqa: E402

MAKERS = ("tint", "tint255", "tanh", "zoo", "fixed", "caffe", "bytes_in")


def known(name: str) -> tuple[Card, bytes]:
    """A network, with what is found out about it."""
    data = getattr(networks, name)()
    findings = probe.explore(data, name=name, given={})
    card = probe.UNKNOWN.model_copy(update={"name": name, **findings.facts})
    return card, onnx.freed(data, card.picture, card.layout) if findings.freed else data


def both(data: bytes, card: Card, graph: bytes, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    picture = probe.known_picture(size[1], size[0])
    expected = fast.run(onnx.Session(graph, name="x"), card, picture)
    session = ort.InferenceSession(data)
    assert [one.name for one in session.get_inputs()] == ["picture"]
    found = session.run(["painting"], {"picture": picture.transpose(2, 0, 1)[None]})[0]
    return found[0].transpose(1, 2, 0), expected


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_it_paints_what_danqing_paints(name: str, half: bool) -> None:
    card, graph = known(name)
    data = alone(card, graph, half=half)
    for size in [card.fixed_size] if card.fixed_size else [(64, 40), (67, 51)]:
        found, expected = both(data, card, graph, size)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=0.02 if half else 2e-3)


def test_it_takes_one_size_where_that_is_asked_for() -> None:
    card, graph = known("tanh")
    data = alone(card, graph, fixed=(50, 41))
    assert ort.InferenceSession(data).get_inputs()[0].shape == [1, 3, 41, 50]
    found, expected = both(data, card, graph, (50, 41))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_float16_halves_the_file() -> None:
    big = networks.Graph().then("Conv", np.ones((64, 3, 9, 9), np.float32) / 300)
    graph = big.then("Conv", np.ones((3, 64, 1, 1), np.float32) / 64).model((1, 3, "h", "w"))
    card = probe.UNKNOWN.model_copy(update={"picture": "input1", "painting": "v1"})
    whole, half = alone(card, graph), alone(card, graph, half=True)
    assert len(half) < 0.6 * len(whole)


@pytest.mark.parametrize(("told", "fixed"), [({"fixed_size": (64, 64)}, (32, 32)), ({"min_size": 40}, (100, 39))])
def test_a_size_that_is_not_taken_is_said(told: dict[str, Any], fixed: tuple[int, int]) -> None:
    card = probe.UNKNOWN.model_copy(update={"picture": "input1", "painting": "v1", **told})
    with pytest.raises(UsageError, match="--fixed"):
        alone(card, networks.tint(), fixed=fixed)


def test_what_cannot_be_written_is_one_line() -> None:
    card = probe.UNKNOWN.model_copy(update={"picture": "input1", "painting": "v1"})
    more = [networks.helper.make_tensor_value_info("strength", networks.FLOAT, [1])]
    with pytest.raises(ModelDamaged, match="strength") as caught:
        alone(card, networks.tint(more=more))
    assert "\n" not in str(caught.value)
