"""Small ONNX networks from picture to picture, of known form, as other tools write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: no model can be written")
helper = onnx.helper
FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8

Shape = Sequence[int | str | None]


class Graph:
    """Nodes one after the other; each step's output is the next one's input."""

    def __init__(self, *, picture: str = "input1") -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.picture = self.last = picture

    def then(self, kind: str, *more: np.ndarray, out: str = "", **attributes: Any) -> Graph:
        names = [self.constant(one) for one in more]
        output = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.last, *names], [output], **attributes))
        self.last = output
        return self

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def model(
        self, shape: Shape, *, opset: int = 17, kind: int = FLOAT, out_kind: int = FLOAT, more: Sequence[Any] = ()
    ) -> bytes:
        """The model, with its input declared as `shape` and its output as of the same rank."""
        ends = [helper.make_tensor_value_info(self.picture, kind, shape), *more]
        outs = [helper.make_tensor_value_info(self.last, out_kind, [None] * len(shape))]
        graph = helper.make_graph(self.nodes, "net", ends, outs, self.weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        return bytes(made.SerializeToString())


def kernel(matrix: np.ndarray, size: int = 1) -> np.ndarray:
    """Colours mixed by a matrix, as a convolution's weights."""
    weights = np.zeros((3, 3, size, size), np.float32)
    weights[:, :, size // 2, size // 2] = matrix
    return weights


TINT = np.array([[0.8, 0.15, 0.0], [0.1, 0.8, 0.05], [0.0, 0.2, 0.7]], np.float32)
"""What the networks do to colours."""


def affine(x: Graph, scale: float, shift: float = 0.0) -> Graph:
    return x.then("Mul", np.float32(scale)).then("Add", np.float32(shift))


def tint(shape: Shape = (1, 3, "h", "w"), **settings: Any) -> bytes:
    """0..1 in and out, within 0..1."""
    g = Graph().then("Conv", kernel(TINT)).then("Clip", np.float32(0), np.float32(1))
    return g.model(shape, **settings)


def tint255() -> bytes:
    """0..255 in and out, within its range."""
    g = Graph().then("Conv", kernel(TINT)).then("Clip", np.float32(2), np.float32(253))
    return g.model((1, 3, "h", "w"))


def tanh() -> bytes:
    """-1..1 in and out, NHWC, sides multiples of 8, as AnimeGAN's are."""
    g = Graph().then("Transpose", perm=[0, 3, 1, 2]).then("Conv", kernel(2 * TINT))
    g = g.then("Tanh").then("AveragePool", kernel_shape=[8, 8], strides=[8, 8])
    scales = np.array([1, 1, 8, 8], np.float32)
    g.nodes.append(helper.make_node("Resize", [g.last, "", g.constant(scales)], ["up"], mode="linear"))
    g.last = "up"
    return g.then("Transpose", perm=[0, 2, 3, 1]).model((1, "h", "w", 3))


def zoo(size: int = 96, *, opset: int = 9) -> bytes:
    """As the model zoo's: opset 9, one size declared, 0..255, reflected borders, instance normalisation, enlarging."""
    half = np.array([0.5] * 3, np.float32)
    g = Graph().then("Pad", mode="reflect", pads=[0, 0, 2, 2, 0, 0, 2, 2])
    g = g.then("Conv", kernel(TINT, 5)).then("InstanceNormalization", 60 + half, 120 + half)
    g = g.then("Pad", mode="reflect", pads=[0, 0, 1, 1, 0, 0, 1, 1])
    g = g.then("Conv", kernel(np.eye(3), 3), strides=[2, 2]).then("Relu")
    g = g.then("Upsample", np.array([1, 1, 2, 2], np.float32), mode="nearest", out="output1")
    return g.model((1, 3, size, size), opset=opset)


def fixed(size: int = 64) -> bytes:
    """Of one size, and truly so: the picture is laid out and put together again."""
    g = Graph().then("Conv", kernel(TINT)).then("Clip", np.float32(0), np.float32(1))
    g = g.then("Reshape", np.array([1, 3 * size * size], np.int64))
    g = g.then("Reshape", np.array([1, 3, size, size], np.int64))
    return g.model((1, 3, size, size))


def stretched(size: int = 64) -> bytes:
    """Of one size: it takes others too, but gives the same size for each of them."""
    g = Graph().then("Conv", kernel(TINT)).then("Clip", np.float32(0), np.float32(1))
    sizes = g.constant(np.array([1, 3, size, size], np.int64))
    g.nodes.append(helper.make_node("Resize", [g.last, "", "", sizes], ["up"], mode="linear"))
    g.last = "up"
    return g.model((1, 3, size, size))


def caffe() -> bytes:
    """Blue, green, red in 0..255 less Caffe's mean, in and out: what comes of a `.t7` that OpenCV reads."""
    three = np.ones(3, np.float32)
    g = Graph().then("Conv", kernel(TINT)).then("InstanceNormalization", 0.4 * three, 0 * three)
    g = g.then("Tanh").then("Mul", np.float32(150))
    return g.model((1, 3, "h", "w"))


def bytes_in() -> bytes:
    """uint8 in and out, NHWC."""
    g = Graph().then("Cast", to=FLOAT).then("Mul", np.array([0.5, 0.8, 1.0], np.float32)).then("Cast", to=UINT8)
    return g.model((1, "h", "w", 3), kind=UINT8, out_kind=UINT8)
