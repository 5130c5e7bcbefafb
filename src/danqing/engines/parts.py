"""A part of an ONNX graph, as a model of its own: from values with names to values with names.

The bytes of a model go in, the bytes of another come out, which runs on whatever runs the whole. Only the outermost
messages of the format are taken apart (onnx.proto); nodes and weights are handed on as they are. This module knows no
network and no runtime.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danqing.engines.protobuf import encoded, fields, key, varint

Shape = tuple[int | None, ...]

_IR_VERSION, _GRAPH, _OPSET = 1, 7, 8
_NODE, _NAME, _INITIALIZER, _INPUT, _OUTPUT = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _TENSOR_NAME, _VALUE_NAME = 1, 2, 8, 1
_FLOAT = 1


@dataclass(frozen=True, kw_only=True)
class _Node:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    data: bytes


class Graph:
    """A model that parts are taken from.

    Args:
        data: the model. It must be one that ONNX Runtime has loaded; what is wrong with others is not looked for here.
    """

    def __init__(self, data: bytes) -> None:
        self._head = b""
        self._nodes: list[_Node] = []
        self._weights: dict[str, bytes] = {}
        self._inputs: dict[str, bytes] = {}
        for number, value in fields(memoryview(data)):
            if number == _IR_VERSION and isinstance(value, int):
                self._head += key(number, 0) + varint(value)
            elif number == _OPSET and not isinstance(value, int):
                self._head += encoded(number, bytes(value))
            elif number == _GRAPH and not isinstance(value, int):
                self._read(value)

    def _read(self, graph: memoryview) -> None:
        for number, value in fields(graph):
            if isinstance(value, int):
                continue
            if number == _NODE:
                self._nodes.append(
                    _Node(inputs=_texts(value, _NODE_INPUT), outputs=_texts(value, _NODE_OUTPUT), data=bytes(value))
                )
            elif number == _INITIALIZER:
                self._weights[_texts(value, _TENSOR_NAME)[0]] = bytes(value)
            elif number == _INPUT:
                self._inputs[_texts(value, _VALUE_NAME)[0]] = bytes(value)

    def needed(self, outputs: Sequence[str], given: Collection[str]) -> list[str]:
        """Which of the values that may be `given` the values `outputs` are computed from."""
        return [name for name in self._walk(outputs, given)[1] if name in given]

    def part(
        self,
        outputs: Sequence[str],
        inputs: Mapping[str, Shape],
        fixed: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> bytes:
        """The model that computes values from others.

        Args:
            outputs: the values' names, which are the new model's outputs.
            inputs: the names of the values that are given, with their shapes; sides that may be any are None. Those of
                the whole model that are needed besides are the new one's too.
            fixed: values that are given once and for all.

        Raises:
            ValueError: they need more than these.
        """
        weights = self._weights | {name: _tensor(name, value) for name, value in (fixed or {}).items()}
        own = {name: value for name, value in self._inputs.items() if name not in weights and name not in inputs}
        nodes, others = self._walk(outputs, {*inputs, *weights})
        if missing := [name for name in others if name not in inputs and name not in weights and name not in own]:
            raise ValueError(f"{', '.join(outputs)}: needs {', '.join(missing)}")
        graph = [encoded(_NODE, node.data) for node in nodes]
        graph.append(encoded(_NAME, b"part"))
        graph += [encoded(_INITIALIZER, weights[name]) for name in others if name in weights]
        graph += [encoded(_INPUT, own[name]) for name in others if name in own]
        graph += [encoded(_INPUT, _value(name, shape)) for name, shape in inputs.items()]
        graph += [encoded(_OUTPUT, _value(name)) for name in outputs]
        return self._head + encoded(_GRAPH, b"".join(graph))

    def _walk(self, outputs: Sequence[str], given: Collection[str]) -> tuple[list[_Node], list[str]]:
        """The nodes between, in their order, and the names at which they begin."""
        wanted, nodes = dict.fromkeys(outputs), []
        for node in reversed(self._nodes):
            if any(name in wanted and name not in given for name in node.outputs):
                nodes.append(node)
                wanted |= dict.fromkeys(name for name in node.inputs if name)
        made = {name for node in nodes for name in node.outputs}
        return nodes[::-1], [name for name in wanted if name not in made or name in given]


def _texts(message: memoryview, number: int) -> tuple[str, ...]:
    return tuple(str(value, "utf-8") for n, value in fields(message) if n == number and not isinstance(value, int))


def _tensor(name: str, values: NDArray[np.float32]) -> bytes:
    """A TensorProto of float32."""
    sides = b"".join(key(1, 0) + varint(side) for side in values.shape)
    raw = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return sides + key(2, 0) + varint(_FLOAT) + encoded(_TENSOR_NAME, name.encode()) + encoded(9, raw)


def _value(name: str, shape: Shape | None = None) -> bytes:
    """A ValueInfoProto of float32; None = of any shape."""
    tensor = key(1, 0) + varint(_FLOAT)
    if shape is not None:
        sides = [
            encoded(2, f"{name}.{place}".encode()) if side is None else key(1, 0) + varint(side)
            for place, side in enumerate(shape)
        ]
        tensor += encoded(2, b"".join(encoded(1, side) for side in sides))
    return encoded(1, name.encode()) + encoded(2, encoded(1, tensor))
