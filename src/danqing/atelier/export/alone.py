"""A network that stands alone: one ONNX graph from picture to painting, whatever the network inside wants.

A card, its graph and perhaps a style vector go in; a serialised model comes out that takes `picture` float32
(1, 3, H, W), sRGB in 0..1, and gives `painting`, the same. What `engines.feed` does around a network (padding, range,
mean, order of colours and axes, cutting back) stands inside the graph, and so does the vector. Needs onnx, not torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, compose, helper, inliner, numpy_helper, version_converter

from danqing.atelier.export.halves import halved
from danqing.card import Card
from danqing.engines.openvino import EXACT
from danqing.errors import ModelDamaged, UsageError
from danqing.files import shown
from danqing.messages import text

INNER = "net."
"""How the names of the network inside begin."""

OPSET, OLDEST = 17, 13
"""What older graphs are brought to, and from which version on a graph is taken as it is."""


def alone(
    card: Card,
    graph: bytes,
    *,
    vector: NDArray[np.float32] | None = None,
    half: bool = False,
    fixed: tuple[int, int] | None = None,
) -> bytes:
    """The model.

    Args:
        card: how the network is fed.
        graph: the network.
        vector: (P,) of the style, for a pastiche network.
        half: store weights and compute in float16; pictures stay float32.
        fixed: (width, height) in px of the only pictures that it is to take; None = any.

    Raises:
        UsageError: a size that the network does not take.
        ModelDamaged: the graph is too old, or damaged.
    """
    size = fixed or card.fixed_size
    if card.fixed_size is not None and size != card.fixed_size:
        only = "x".join(map(str, card.fixed_size))
        raise UsageError(text("engines.export_fixed", name=card.name, only=only))
    if size is not None and min(size) < card.min_size:
        raise UsageError(text("engines.export_small", name=card.name, least=card.min_size))
    try:
        writer = _Writer(card, _inner(graph), size)
        return writer.model(vector, half=half)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        reason = shown((str(error).strip().splitlines() or [type(error).__name__])[0][:200])
        raise ModelDamaged(text("engines.export_failed", name=card.name, reason=reason)) from error


def _inner(graph: bytes) -> ModelProto:
    """The network with names of its own, in a version of ONNX in which sizes can be computed."""
    model = inliner.inline_local_functions(onnx.load_model_from_string(graph))
    if _version(model) < OLDEST:
        model = version_converter.convert_version(model, OPSET)
    model = compose.add_prefix(model, INNER, rename_nodes=False)
    for node in model.graph.node:  # what must stay exact is known by the beginning of its name
        exact = EXACT if node.name.startswith(EXACT) else ""
        node.name = f"{exact}{INNER}{node.name.removeprefix(EXACT)}" if node.name else ""
    del model.graph.value_info[:]
    return model


def _version(model: ModelProto) -> int:
    return max((one.version for one in model.opset_import if not one.domain), default=1)


class _Writer:
    def __init__(self, card: Card, inner: ModelProto, size: tuple[int, int] | None) -> None:
        self.card, self.inner, self.size = card, inner, size
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def model(self, vector: NDArray[np.float32] | None, *, half: bool) -> bytes:
        """The serialised model, checked."""
        graph = self.inner.graph
        picture, painting = INNER + self.card.picture, INNER + self.card.painting
        (own,) = (one for one in graph.input if one.name == picture)
        before = self.fed("picture", picture, own.type.tensor_type.elem_type)
        self.nodes = []
        (given,) = (one for one in graph.output if one.name == painting)
        after = self.painted(painting, "painting", before[1], given.type.tensor_type.elem_type)
        if vector is not None:
            self.constant(vector[None].astype(np.float32), f"{INNER}vectors")
            self.constant(np.ones((1, 1), np.float32), f"{INNER}weights")
        shape = [1, 3, *(reversed(self.size) if self.size else ("height", "width"))]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("picture", "painting")]
        nodes = [*before[0], *graph.node, *after]
        stored = {one.name for one in graph.initializer} | {one.name for one in self.weights}
        left = [one.name for one in graph.input if one.name not in stored and one.name != picture]
        if left:
            raise ValueError(f"inputs {left}")
        whole = helper.make_graph(nodes, "danqing", ends[:1], ends[1:], [*graph.initializer, *self.weights])
        model = helper.make_model(whole, opset_imports=list(self.inner.opset_import), producer_name="danqing")
        model.ir_version = max(8, min(self.inner.ir_version, 10))
        helper.set_model_props(model, self.papers())
        model = halved(model) if half else model
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def papers(self) -> dict[str, str]:
        """What the model says of itself."""
        return {"name": self.card.name, "license": self.card.license, "origin": self.card.origin}

    # ── around the network ──────────────────────────────────────────────────────────────────────────────────────

    def fed(self, picture: str, target: str, kind: int) -> tuple[list[NodeProto], str]:
        """The nodes from a picture to what the network takes; and the name of the picture's own size, if it is padded.

        As `engines.feed.fed`.
        """
        card = self.card
        x, own = self.padded(picture)
        low, high = card.value_range
        std, mean = np.array(card.std, np.float32), np.array(card.mean, np.float32)
        x = self.turned(x)
        scale, shift = np.broadcast_to((high - low) / std, 3), np.broadcast_to((low - mean) / std, 3)
        if (scale != 1).any() or shift.any():
            x = self.add("Mul", x, self.constant(_colours(scale)))
            x = self.add("Add", x, self.constant(_colours(shift)))
        if card.layout == "NHWC":
            x = self.add("Transpose", x, perm=[0, 2, 3, 1])
        if kind == TensorProto.UINT8:
            x = self.add("Clip", self.add("Round", x), self.number(0), self.number(255))
        if kind != TensorProto.FLOAT:
            x = self.add("Cast", x, to=kind)
        self.add("Identity", x, name=target)
        return self.nodes, own

    def painted(self, given: str, target: str, own: str, kind: int) -> list[NodeProto]:
        """The nodes from what the network gives to a painting; as `engines.feed.painted`."""
        card, x = self.card, given
        if kind != TensorProto.FLOAT:
            x = self.add("Cast", x, to=TensorProto.FLOAT)
        if card.layout == "NHWC":
            x = self.add("Transpose", x, perm=[0, 3, 1, 2])
        low, high = card.output_range
        if card.output_range != (0, 1) or any(card.output_mean):
            x = self.add("Add", x, self.constant(_colours(np.array(card.output_mean) - low)))
            x = self.add("Mul", x, self.number(1 / (high - low)))
        x = self.turned(x)
        if own:
            axes = self.whole([2, 3])
            x = self.add("Slice", x, self.whole([0, 0]), own, axes)
        self.add("Clip", x, self.number(0), self.number(1), name=target)
        return self.nodes

    def turned(self, x: str) -> str:
        """Colours in the network's order, or back."""
        return x if self.card.channels == "RGB" else self.add("Gather", x, self.whole([2, 1, 0]), axis=1)

    def padded(self, picture: str) -> tuple[str, str]:
        """A picture continued by its edge to a size that the network takes; and its own size, or nothing."""
        multiple = self.card.multiple_of
        least = -(-self.card.min_size // multiple) * multiple
        if self.size is not None:
            height, width = reversed(self.size)
            more = [max(least, -(-side // multiple) * multiple) - side for side in (height, width)]
            if not any(more) or self.card.fixed_size is not None:
                return picture, ""
            pads = self.whole([0] * 6 + more)
            return self.add("Pad", picture, pads, mode="edge"), self.whole([height, width])
        if least <= 1:
            return picture, ""
        sides = self.add("Slice", self.add("Shape", picture), self.whole([2]), self.whole([4]))
        up = self.add("Div", self.add("Add", sides, self.whole([multiple - 1])), self.whole([multiple]))
        wanted = self.add("Max", self.add("Mul", up, self.whole([multiple])), self.whole([least]))
        pads = self.add("Concat", self.whole([0] * 6), self.add("Sub", wanted, sides), axis=0)
        return self.add("Pad", picture, pads, mode="edge"), sides

    # ── nodes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one output; its name."""
        output = name or f"around.v{len(self.nodes)}.{len(self.weights)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{EXACT}{output}", **attributes))
        return output

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        """Numbers as they are."""
        name = name or f"around.c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, value: float) -> str:
        """One float32."""
        return self.constant(np.array(value, np.float32))

    def whole(self, values: Sequence[int]) -> str:
        """Whole numbers."""
        return self.constant(np.array(values, np.int64))


def _colours(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(values, np.float32).reshape(1, 3, 1, 1)
