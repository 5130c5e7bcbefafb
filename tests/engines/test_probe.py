"""What is found out about unknown graphs: names, axes, sizes, ranges, a mean; and what runs away is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from danqing.engines import feed, onnx, probe
from danqing.errors import ModelDamaged
from tests import networks
from tests.networks import FLOAT, TINT, Graph, helper

RNG = np.random.default_rng(2)


def found(data: bytes, **given: Any) -> tuple[dict[str, Any], probe.Findings]:
    findings = probe.explore(data, name="网络.onnx", given=given)
    card = probe.UNKNOWN.model_copy(update=dict(findings.facts) | given)
    return card.model_dump(), findings


def painted(data: bytes, **given: Any) -> tuple[np.ndarray, np.ndarray]:
    """A picture, and what the network makes of it when it is fed as was found out."""
    card, findings = found(data, **given)
    whole = probe.UNKNOWN.model_copy(update=card)
    graph = onnx.freed(data, whole.picture, whole.layout) if findings.freed else data
    session = onnx.Session(graph, name="x")
    pixels = probe.known_picture(70, 91)
    return pixels, feed.run(whole, pixels, lambda seen: session({whole.picture: seen})[whole.painting])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (networks.tint, {"value_range": (0, 1), "output_range": (0, 1), "layout": "NCHW", "multiple_of": 1}),
        (networks.tint255, {"value_range": (0, 255), "output_range": (0, 255), "layout": "NCHW"}),
        (networks.tanh, {"value_range": (-1, 1), "output_range": (-1, 1), "layout": "NHWC", "multiple_of": 8}),
        (networks.zoo, {"value_range": (0, 255), "output_range": (0, 255), "multiple_of": 2, "fixed_size": None}),
        (networks.fixed, {"value_range": (0, 1), "fixed_size": (64, 64)}),
        (networks.stretched, {"value_range": (0, 1), "fixed_size": (64, 64)}),
        (networks.caffe, {"channels": "BGR", "mean": (103.939, 116.779, 123.68), "output_range": (0, 255)}),
        (networks.bytes_in, {"value_range": (0, 255), "output_range": (0, 255), "layout": "NHWC"}),
    ],
)
def test_the_form_of_a_network_is_found(make: Callable[[], bytes], expected: dict[str, Any]) -> None:
    card, _ = found(make())
    assert {name: card[name] for name in expected} == expected
    assert card["picture"] == "input1"
    assert card["mean"] == card["output_mean"]


@pytest.mark.parametrize("make", [networks.tint, networks.tint255])
def test_a_network_that_is_fed_so_paints_what_it_is_for(make: Callable[[], bytes]) -> None:
    pixels, painting = painted(make())
    np.testing.assert_allclose(painting, pixels @ TINT.T, atol=0.01)


def test_a_mean_is_taken_away_and_added_again() -> None:
    pixels, painting = painted(networks.caffe())
    mean = np.array((103.939, 116.779, 123.68)) / 255
    seen = (pixels[..., ::-1] - mean) @ TINT.T
    usual = (seen - seen.mean(axis=(0, 1))) / seen.std(axis=(0, 1))
    told = 150 * np.tanh(0.4 * usual) / 255 + mean
    np.testing.assert_allclose(painting, np.clip(told, 0, 1)[..., ::-1], atol=2e-3)


def test_bytes_come_and_go() -> None:
    pixels, painting = painted(networks.bytes_in())
    np.testing.assert_allclose(painting, pixels * (0.5, 0.8, 1.0), atol=1.6 / 255)


@pytest.mark.parametrize("opset", [9, 10])
def test_a_size_that_was_only_written_down_is_freed(opset: int) -> None:
    data = networks.zoo(96) if opset == 9 else networks.fixed(96)
    _, findings = found(data)
    assert findings.freed == (opset == 9)
    if findings.freed:
        free = onnx.Session(onnx.freed(data, "input1", "NCHW"), name="x")
        assert free.inputs == {"input1": (1, 3, None, None)}
        picture = RNG.random((1, 3, 96, 96), dtype=np.float32) * 255
        before, after = (s({"input1": picture})["output1"] for s in (onnx.Session(data, name="x"), free))
        np.testing.assert_allclose(before, after, rtol=1e-5)
        assert free({"input1": RNG.random((1, 3, 40, 64), dtype=np.float32)})["output1"].shape == (1, 3, 40, 64)


def test_a_network_of_one_size_paints_pictures_of_every_size() -> None:
    pixels, painting = painted(networks.fixed())
    assert painting.shape == pixels.shape
    assert np.abs(painting - pixels @ TINT.T).mean() < 0.05


def test_what_is_said_counts() -> None:
    given = {"value_range": (-1.0, 1.0), "output_range": (0.0, 255.0), "channels": "BGR", "multiple_of": 16}
    card, findings = found(networks.tint(), **given)
    assert {name: card[name] for name in given} == given
    assert not set(findings.facts) & set(given)


def test_what_cannot_be_told_is_named() -> None:
    data = Graph().then("Conv", networks.kernel(TINT)).model((1, 3, "h", "w"))  # as good in 0..1 as in 0..255
    _, findings = found(data)
    assert "output_range" in findings.unsure


def two_inputs() -> bytes:
    return networks.tint(more=[helper.make_tensor_value_info("strength", FLOAT, [1])])


def numbers_in() -> bytes:
    g = Graph().then("Cast", to=FLOAT)
    return g.model((1, 3, "h", "w"), kind=networks.onnx.TensorProto.INT64)


def features() -> bytes:
    return Graph().then("Conv", np.ones((8, 3, 1, 1), np.float32)).model((1, 3, "h", "w"))


def no_numbers() -> bytes:
    return Graph().then("Mul", np.float32(np.nan)).model((1, 3, "h", "w"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (two_inputs, "input1, strength"),
        (numbers_in, "does not take one picture"),
        (features, "does not turn a picture"),
        (lambda: networks.tint((1, 4, "h", "w")), "does not turn a picture|cannot be run"),
        (lambda: networks.tint((1, 3, "w")), "does not turn a picture|cannot be"),
        (no_numbers, "no numbers"),
    ],
)
def test_what_is_no_such_network_is_one_line(make: Callable[[], bytes], says: str) -> None:
    with pytest.raises(ModelDamaged, match=says) as caught:
        found(make())
    assert "\n" not in str(caught.value) and "网络.onnx" in str(caught.value)


def huge() -> bytes:
    g = Graph()
    g.last = g.constant(np.array([200_000, 200_000], np.int64))
    g.then("ConstantOfShape").then("ReduceSum", keepdims=0)
    total, g.last = g.last, "input1"
    g.nodes.append(helper.make_node("Add", ["input1", total], ["sum"]))
    g.last = "sum"
    return g.model((1, 3, "h", "w"))


def endless() -> bytes:
    inner = [helper.make_node("Identity", [name], [f"{name}_"]) for name in ("go", "x")]
    body = helper.make_graph(
        inner,
        "body",
        [
            helper.make_tensor_value_info("n", networks.onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", networks.onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_", networks.onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_", FLOAT, None),
        ],
    )
    g = Graph()
    always = g.constant(np.array(True))
    g.nodes.append(helper.make_node("Loop", ["", always, "input1"], ["out"], body=body))
    g.last = "out"
    return g.model((1, 3, "h", "w"))


@pytest.mark.skipif(probe.sys.platform == "win32", reason="Windows has no such limits; the clock's holds")
@pytest.mark.parametrize("make", [huge, endless])
def test_a_network_that_runs_away_is_stopped(make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SECONDS", 5)
    with pytest.raises(ModelDamaged, match=r"could not be tried out|cannot be run"):
        probe.explored(make(), name="网络.onnx", given={})


def test_a_process_of_its_own_finds_the_same() -> None:
    inside = probe.explore(networks.zoo(), name="x", given={"std": (2.0, 1.0, 1.0)})
    assert probe.explored(networks.zoo(), name="x", given={"std": (2.0, 1.0, 1.0)}) == inside


def test_one_that_takes_too_long_by_the_clock_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "WAITED", 0.01)
    with pytest.raises(ModelDamaged, match="too slow"):
        probe.explored(networks.tint(), name="x", given={})
