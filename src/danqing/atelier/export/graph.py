"""An ONNX graph that is written out by hand: nodes and weights are added, bytes come out.

Weights are stored in float16 unless told otherwise, and computed with in float32. This module knows no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from torch import nn

from danqing.engines.openvino import EXACT

OPSET = 17


class Graph:
    """A graph on its way; values are called by their names.

    Args:
        whole: weights are stored in float32.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._stored: set[str] = set()
        self._prefix = ""

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Nodes that are added meanwhile are named `exact.…`: whatever runs the graph may not halve their precision."""
        before, self._prefix = self._prefix, EXACT
        try:
            yield
        finally:
            self._prefix = before

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one output, which is called `name`, or by a number."""
        output = self._prefix + (name or f"v{len(self.nodes)}")
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def repeated(self, x: str, times: int) -> str:
        """A picture whose every pixel stands so many times across and down."""
        scales = self.constant(np.array([1, 1, times, times], dtype=np.float32))
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", x, "", scales, mode="nearest", **how)

    def reshaped(self, value: str, shape: Sequence[int], name: str = "") -> str:
        """A value in another shape; 0 and -1 mean what they mean in ONNX."""
        return self.add("Reshape", value, self.constant(np.array(shape, dtype=np.int64), f"shape.{shape}"), name=name)

    def split(self, value: str, sizes: Sequence[int], *, axis: int) -> list[str]:
        """A value cut into pieces along an axis."""
        outputs = [f"v{len(self.nodes)}.{place}" for place in range(len(sizes))]
        counts = self.constant(np.array(sizes, dtype=np.int64))
        self.nodes.append(helper.make_node("Split", [value, counts], outputs, axis=axis))
        return outputs

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        """Numbers that are stored as they are, once for a name."""
        name = name or f"c{len(self.weights)}"
        if name not in self._stored:
            self._stored.add(name)
            self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, value: float) -> str:
        """One float32."""
        return self.constant(np.array(value, dtype=np.float32))

    def half(self, value: NDArray[np.float32], name: str) -> str:
        """Weights stored in float16, unless they are to stay whole."""
        if self.whole:
            return self.constant(value, name)
        stored = self.constant(value.astype(np.float16), f"{name}.f16")
        return self.add("Cast", stored, name=name, to=TensorProto.FLOAT)

    def convolution(self, value: str, layer: nn.Conv2d, name: str, *, pads: int | None = None, output: str = "") -> str:
        """A convolution with the weights of `layer`, and zeros beyond the border unless told otherwise."""
        inputs = [value, self.half(layer.weight.detach().float().numpy(), f"{name}.weight")]
        if layer.bias is not None:
            inputs.append(self.half(layer.bias.detach().float().numpy(), f"{name}.bias"))
        around = layer.kernel_size[0] // 2 if pads is None else pads
        return self.add("Conv", *inputs, name=output, pads=[around] * 4, strides=list(layer.stride))

    def model(self, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto], *, name: str) -> bytes:
        """The serialised model, checked."""
        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="danqing")
        model.ir_version = 9
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def value(name: str, shape: Sequence[int | str | None]) -> ValueInfoProto:
    """A float32 input or output."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
