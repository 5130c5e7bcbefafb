"""Half precision: a model whose weights and sums are float16, except where that would go wrong.

A model goes in and another comes out, with the same inputs and outputs. Nodes that are named `exact.…` go on in
float32, and values are converted where the two kinds meet. Tools that do this (onnxruntime's own among them) convert
what passes between two exact nodes as well, and lose there what was to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from danqing.engines.openvino import EXACT

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16

MAKERS = frozenset({"Constant", "ConstantOfShape", "Cast", "RandomNormal", "RandomUniform", "Range", "EyeLike"})
"""Nodes whose attributes say of what kind their output is; it is converted afterwards."""

WHOLE = frozenset({"Resize", "Upsample"})
"""Nodes of which only the first input may be halved: the others are factors."""


def halved(model: ModelProto) -> ModelProto:
    """The model in float16.

    Raises:
        ValueError: there are loops or branches in it, which are not looked into.
    """
    return _Halves(model).model()


class _Halves:
    def __init__(self, model: ModelProto) -> None:
        self.source = shape_inference.infer_shapes(model, strict_mode=True)
        graph = self.source.graph
        known = [*graph.input, *graph.output, *graph.value_info]
        self.kinds: dict[str, int] = {one.name: one.type.tensor_type.elem_type for one in known}
        self.stored = {one.name: one for one in graph.initializer}
        self.kinds |= {one.name: one.data_type for one in graph.initializer}
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, TensorProto] = {}
        self.converted: dict[tuple[str, int], str] = {}

    def model(self) -> ModelProto:
        for node in self.source.graph.node:
            if any(attribute.HasField("g") for attribute in node.attribute):
                raise ValueError(f"{node.op_type} in float16")
            self.nodes += self.node(node)
        made = ModelProto()
        made.CopyFrom(self.source)
        for field in (made.graph.node, made.graph.initializer, made.graph.value_info):
            del field[:]
        made.graph.node.extend(self.nodes)
        made.graph.initializer.extend(self.weights.values())
        return made

    def node(self, source: NodeProto) -> Iterator[NodeProto]:
        """A node with what converts its inputs before it."""
        node = NodeProto()
        node.CopyFrom(source)
        maker = node.op_type in MAKERS
        wanted = FLOAT if node.name.startswith(EXACT) else HALF
        for place, name in enumerate(node.input):
            kind = FLOAT if place and node.op_type in WHOLE else wanted
            if maker or self.kinds.get(name) not in (FLOAT, HALF):
                self.weights |= {name: self.stored[name]} if name in self.stored else {}
            elif name in self.stored:
                node.input[place] = self.weight(name, kind)
            elif self.kinds[name] != kind:
                if (name, kind) not in self.converted:
                    self.converted[name, kind] = _called(name, kind)
                    target = self.converted[name, kind]
                    yield helper.make_node("Cast", [name], [target], name=target, to=kind)
                node.input[place] = self.converted[name, kind]
        for name in node.output:
            if not maker and self.kinds.get(name) == FLOAT:
                self.kinds[name] = wanted
        yield node

    def weight(self, name: str, kind: int) -> str:
        """A stored weight, of a kind."""
        values = numpy_helper.to_array(self.stored[name])
        if self.stored[name].data_type == kind:
            self.weights[name] = self.stored[name]
            return name
        target = _called(name, kind)
        if target not in self.weights:
            limit = float(np.finfo(np.float16).max)
            as_kind = values.astype(np.float32) if kind == FLOAT else values.clip(-limit, limit).astype(np.float16)
            self.weights[target] = numpy_helper.from_array(as_kind, target)
        return target


def _called(name: str, kind: int) -> str:
    """What a value is called once it is of another kind."""
    return f"{name}@{'f32' if kind == FLOAT else 'f16'}"
