"""Networks out of Torch7 files as ONNX graphs, written node by node as the tree of modules says.

A tree of `weights.t7` goes in, a serialised model comes out: from `picture` float32 (N, 3, H, W), sRGB in 0..1, to
`painting` in 0..1. What the network sees and gives back is jcjohnson/fast-neural-style's: blue, green, red in 0..255
minus VGG's means. Batch normalisation works with its running statistics, as OpenCV has it. Weights stay float32: where
nothing but batch normalisation holds the numbers together, rounding them can be seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing import limits
from danqing.atelier.export.graph import Graph, value
from danqing.atelier.nets.johnson import CAFFE_MEAN
from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights.source import told
from danqing.weights.t7 import MAX_DEPTH, Module

F32 = NDArray[np.float32]

CONVOLUTIONS = frozenset({"nn.SpatialConvolution", "nn.SpatialConvolutionMM", "cudnn.SpatialConvolution"})
ENLARGING = frozenset({"nn.SpatialFullConvolution", "cudnn.SpatialFullConvolution"})
BATCH = frozenset({"nn.SpatialBatchNormalization", "cudnn.SpatialBatchNormalization"})
NOTHING = frozenset({"nn.Identity", "nn.TotalVariation", "nn.Dropout", "nn.SpatialDropout"})
PADDINGS = {
    "nn.SpatialReflectionPadding": "reflect",
    "nn.SpatialReplicationPadding": "edge",
    "nn.SpatialZeroPadding": "constant",
}
SIMPLE = {"nn.ReLU": "Relu", "cudnn.ReLU": "Relu", "nn.Tanh": "Tanh", "cudnn.Tanh": "Tanh"}

MAX_MODULES = 1000
"""So many are written, each as often as it stands in the tree; the networks that were published have a hundred."""


def network(found: Any, *, name: str) -> Module:
    """The network of a file: the object itself, or the `model` of a checkpoint.

    Raises:
        ModelDamaged: there is none.
    """
    inner = found.get("model") if isinstance(found, dict) else found
    if not isinstance(inner, Module):
        raise ModelDamaged(text("weights.t7_no_network", name=name))
    return inner


def torch7_to_onnx(tree: Module, *, name: str) -> bytes:
    """A network of Torch7 as a serialised ONNX model.

    Raises:
        ModelDamaged: a module lacks what it needs, or stands where it cannot, such as within itself.
        DoesNotFit: its weights, each as often as it stands in the tree, are larger than the memory that is free.
    """
    writer = _Writer(name)
    graph = writer.graph
    mean = graph.constant(np.array(CAFFE_MEAN, dtype=np.float32)[None, :, None, None])
    order = graph.constant(np.array([2, 1, 0], dtype=np.int64))
    x = graph.add("Mul", "picture", graph.number(255))
    x = graph.add("Sub", graph.add("Gather", x, order, axis=1), mean)
    outputs = writer.flow([x], tree)
    if len(outputs) != 1:
        raise writer.lacks(tree, "output")
    x = outputs[0]
    x = graph.add("Gather", graph.add("Add", x, mean), order, axis=1)
    graph.add("Clip", graph.add("Div", x, graph.number(255)), graph.number(0), graph.number(1), name="painting")
    picture = value("picture", ["pictures", 3, "height", "width"])
    painting = value("painting", ["pictures", 3, "out_height", "out_width"])
    return graph.model([picture], [painting], name="torch7")


class _Writer:
    def __init__(self, name: str) -> None:
        self.name, self.graph = name, Graph()
        self.modules = self.bytes = 0

    def flow(self, values: list[str], module: Module, depth: int = 0) -> list[str]:
        """The outputs of a module for its inputs; only tables have several."""
        self.modules += 1
        if self.modules > MAX_MODULES or depth > MAX_DEPTH:
            raise ModelDamaged(text("weights.t7_limits", name=self.name))
        if module.kind == "nn.Sequential":
            for inner in module.modules:
                values = self.flow(values, inner, depth + 1)
            return values
        if module.kind == "nn.ConcatTable":
            return [output for inner in module.modules for output in self.flow(values, inner, depth + 1)]
        if module.kind == "nn.CAddTable":
            total = values[0]
            for other in values[1:]:
                total = self.graph.add("Add", total, other)
            return [total]
        if len(values) != 1:
            raise self.lacks(module, "input")
        return [self.module(values[0], module)]

    def module(self, x: str, module: Module) -> str:
        """The nodes of a module with one input; the name of its output."""
        kind = module.kind
        if kind in NOTHING:
            return x
        if kind in SIMPLE:
            return self.graph.add(SIMPLE[kind], x)
        if kind in CONVOLUTIONS or kind in ENLARGING:
            return self.convolution(x, module)
        if kind in BATCH or kind == "nn.InstanceNormalization":
            return self.normalized(x, module)
        if kind in PADDINGS:
            return self.padded(x, module)
        if kind == "nn.ShaveImage":
            size = int(self.number(module, "size"))
            start, end, axes = ([size] * 2, [-size] * 2, [2, 3])
            return self.graph.add("Slice", x, *(self.graph.constant(np.array(v, np.int64)) for v in (start, end, axes)))
        if kind == "nn.MulConstant":
            return self.graph.add("Mul", x, self.graph.number(self.number(module, "constant_scalar")))
        if kind == "nn.SpatialUpSamplingNearest":
            factor = self.number(module, "scale_factor")
            scales = self.graph.constant(np.array([1, 1, factor, factor], dtype=np.float32))
            return self.graph.add(
                "Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )  # fmt: skip
        raise ModelDamaged(text("weights.t7_class", name=self.name, kind=told(kind)))

    def convolution(self, x: str, module: Module) -> str:
        """A convolution of either direction."""
        enlarging = module.kind in ENLARGING
        inputs, outputs = int(self.number(module, "nInputPlane")), int(self.number(module, "nOutputPlane"))
        height, width = int(self.number(module, "kH")), int(self.number(module, "kW"))
        groups = int(self.number(module, "groups", 1))
        shape = (inputs, outputs // groups) if enlarging else (outputs, inputs // groups)
        weight = self.array(module, "weight", inputs * outputs * height * width // groups)
        names = [self.graph.constant(weight.reshape(*shape, height, width))]
        if isinstance(module.fields.get("bias"), np.ndarray) and module.fields["bias"].size:
            names.append(self.graph.constant(self.array(module, "bias", outputs)))
        pads = [int(self.number(module, f"pad{side}", 0)) for side in "HW"] * 2
        strides = [int(self.number(module, f"d{side}", 1)) for side in "HW"]
        if not enlarging:
            return self.graph.add("Conv", x, *names, pads=pads, strides=strides, group=groups)
        more = [int(self.number(module, f"adj{side}", 0)) for side in "HW"]
        return self.graph.add("ConvTranspose", x, *names, pads=pads, strides=strides, output_padding=more, group=groups)

    def normalized(self, x: str, module: Module) -> str:
        """Instance normalisation, or batch normalisation with its running statistics."""
        size = self.width(module)
        scale, shift = (self.learnt(module, "weight", size, 1.0), self.learnt(module, "bias", size, 0.0))
        eps = float(self.number(module, "eps", 1e-5))
        if module.kind == "nn.InstanceNormalization":
            names = (self.graph.constant(scale), self.graph.constant(shift))
            return self.graph.add("InstanceNormalization", x, *names, epsilon=eps)
        mean = self.array(module, "running_mean", size)
        if "running_var" in module.fields:
            variance = self.array(module, "running_var", size)
        else:  # older files keep 1 / sqrt(variance + eps)
            variance = self.array(module, "running_std", size) ** -2.0 - eps
        values = [self.graph.constant(v.astype(np.float32)) for v in (scale, shift, mean, variance)]
        return self.graph.add("BatchNormalization", x, *values, epsilon=eps)

    def padded(self, x: str, module: Module) -> str:
        """A picture that is continued."""
        left, right, top, bottom = (int(self.number(module, f"pad_{side}")) for side in "lrtb")
        pads = self.graph.constant(np.array([0, 0, top, left, 0, 0, bottom, right], dtype=np.int64))
        return self.graph.add("Pad", x, pads, mode=PADDINGS[module.kind])

    def width(self, module: Module) -> int:
        """How many channels a normalisation has."""
        for field in ("weight", "running_mean", "bias"):
            found = module.fields.get(field)
            if isinstance(found, np.ndarray) and found.size:
                return int(found.size)
        raise self.lacks(module, "weight")

    def learnt(self, module: Module, field: str, size: int, usual: float) -> F32:
        """Values of a normalisation, where it has any."""
        if field not in module.fields:
            return np.full(size, usual, dtype=np.float32)
        return self.array(module, field, size)

    def array(self, module: Module, field: str, size: int) -> F32:
        """A field's numbers, flat."""
        found = module.fields.get(field)
        if not isinstance(found, np.ndarray) or found.size != size or not size:
            raise self.lacks(module, field)
        self.bytes += found.size * 4
        limits.check_file(self.bytes, name=self.name)
        flat: F32 = found.astype(np.float32).ravel()
        return flat

    def number(self, module: Module, field: str, usual: float | None = None) -> float:
        """A field that is a number."""
        found = module.fields.get(field, usual)
        if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) <= 4096:
            raise self.lacks(module, field)
        return found

    def lacks(self, module: Module, field: str) -> ModelDamaged:
        return ModelDamaged(text("weights.t7_field", name=self.name, kind=module.kind, field=field))
