"""Networks as ONNX graphs, for the runtimes that need no torch.

The graphs are written out by hand (`graph.py`): they have few kinds of node and take any height and width. That of the
pastiche network has a module of its own (`pastiche.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from danqing.atelier.encoders import VGG
from danqing.atelier.export.graph import Graph, value
from danqing.atelier.nets.johnson import BLOCKS, CAFFE_MEAN, SHAVED, ConvLayer, Johnson, Shaving
from danqing.atelier.nets.predictor import REACH, USUAL, Predictor
from danqing.atelier.nets.resnet import Block, ResnetGenerator


def encoder_to_onnx(encoder: VGG, layers: Sequence[str]) -> bytes:
    """An encoder with max pooling as a serialised ONNX model.

    In: `picture` float32 (1, 3, H, W), sRGB in 0..1; out: one float32 (1, C, h, w) for each layer asked for.

    Raises:
        ValueError: another pooling, which this export does not write.
    """
    graph = Graph()
    encoder_nodes(graph, encoder, "picture", layers)
    picture = value("picture", [1, 3, "height", "width"])
    return graph.model([picture], [value(layer, [1, None, None, None]) for layer in layers], name="encoder")


def johnson_to_onnx(net: Johnson) -> bytes:
    """A network of Johnson's kind as a serialised ONNX model.

    In: `picture` float32 (N, 3, H, W), sRGB in 0..1, sides multiples of 4 and longer than 40 px. Out: `painting`, the
    same.
    """
    return _Johnson(net).model()


def generator_to_onnx(net: ResnetGenerator, *, whole: bool = False) -> bytes:
    """A generator of CycleGAN as a serialised ONNX model.

    In: `picture` float32 (N, 3, H, W) in -1..1, sides multiples of 4 and 8 px at least; one for grey pictures takes
    the mean of the colours. Out: `painting`, the same; a grey one has it three times.

    Args:
        net: on the processor.
        whole: store weights in float32 instead of float16, for pictures of 16 bits.
    """
    return _Generator(net, whole=whole).model()


def predictor_to_onnx(predictor: Predictor) -> bytes:
    """The style predictor as a serialised ONNX model.

    In: `statistics` float32 (N, S), see `predictor.statistics`. Out: `learnt` float32 (N, K), the tail of the vector.
    """
    graph = Graph()
    mean, deviation = (graph.constant(getattr(predictor, name).numpy(), name) for name in ("mean", "deviation"))
    usual = graph.add("Div", graph.add("Sub", "statistics", mean), deviation)
    h = graph.add("Clip", usual, graph.number(-USUAL), graph.number(USUAL))
    for place, layer in enumerate(predictor.inner):
        if isinstance(layer, nn.Linear):
            weight, bias = (value.detach().float().numpy() for value in (layer.weight.T, layer.bias))
            h = graph.add("MatMul", h, graph.half(weight, f"inner.{place}.weight"))
            h = graph.add("Add", h, graph.half(bias, f"inner.{place}.bias"))
        else:
            h = graph.add("Mul", h, graph.add("Sigmoid", h))
    reach = graph.number(REACH)
    told = graph.add("Mul", graph.add("Tanh", graph.add("Div", h, reach)), reach)
    graph.add("Add", graph.constant(predictor.neutral.numpy()[None], "neutral"), told, name="learnt")
    inputs = [value("statistics", ["pictures", len(predictor.mean)])]
    return graph.model(inputs, [value("learnt", ["pictures", len(predictor.neutral)])], name="predictor")


def encoder_nodes(graph: Graph, encoder: VGG, picture: str, layers: Sequence[str]) -> None:
    """The nodes of an encoder as far as the deepest of `layers`, whose values are called as the layers."""
    if encoder.pooling != "max":
        raise ValueError(f"only max pooling is exported, not {encoder.pooling}")
    matrix = graph.constant(encoder.matrix.numpy()[:, :, None, None], "matrix")
    bias = graph.constant(encoder.bias.numpy(), "bias")
    encoder_layers(graph, encoder, graph.add("Conv", picture, matrix, bias, name="seen"), encoder.names, layers)


def encoder_layers(graph: Graph, encoder: VGG, flow: str, names: Sequence[str], layers: Sequence[str]) -> None:
    """The nodes of an encoder's convolutions called `names`, as far as the deepest of `layers`."""
    reflect = encoder.padding == "reflect"
    margins = graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64), "margins") if reflect else ""
    missing = set(layers)
    for name in names:
        if name.endswith("_1") and name != "conv1_1":
            flow = graph.add("MaxPool", flow, kernel_shape=[2, 2], strides=[2, 2])
        if reflect:
            flow = graph.add("Pad", flow, margins, mode="reflect")
        convolution = encoder.convolution(name)
        flow = graph.convolution(flow, convolution, name, pads=0 if reflect else 1, output=name)
        flow = graph.add("Relu", flow, name=f"relu{name[4:]}")
        missing.discard(flow)
        if not missing:
            return


class _Johnson:
    """The graph of a network of Johnson's kind, node by node as in `nets/johnson.py`."""

    def __init__(self, net: Johnson) -> None:
        self.net, self.graph = net, Graph()

    def model(self) -> bytes:
        """The serialised model."""
        graph = self.graph
        x = graph.add("Mul", "picture", graph.number(255))
        if self.net.family == "pytorch-examples":
            painted = self.through(x)
        else:
            mean = graph.constant(np.array(CAFFE_MEAN, dtype=np.float32)[None, :, None, None])
            order = graph.constant(np.array([2, 1, 0], dtype=np.int64))
            seen = graph.add("Sub", graph.add("Gather", x, order, axis=1), mean)
            painted = self.through(self.reflected(seen, SHAVED))
            painted = graph.add("Mul", graph.add("Tanh", painted), graph.number(150))
            painted = graph.add("Gather", graph.add("Add", painted, mean), order, axis=1)
        painted = graph.add("Div", painted, graph.number(255))
        graph.add("Clip", painted, graph.number(0), graph.number(1), name="painting")
        picture, painting = (value(name, ["pictures", 3, "height", "width"]) for name in ("picture", "painting"))
        return graph.model([picture], [painting], name="johnson")

    def through(self, x: str) -> str:
        """From the first convolution to the last."""
        for place in (1, 2, 3):
            x = self.graph.add("Relu", self.normed(self.layer(x, f"conv{place}"), f"in{place}"))
        for place in range(1, BLOCKS + 1):
            x = self.block(x, f"res{place}")
        for place in (1, 2):
            x = self.graph.add("Relu", self.normed(self.layer(x, f"deconv{place}"), f"in{place + 3}"))
        return self.layer(x, "deconv3")

    def block(self, x: str, name: str) -> str:
        """A residual block, padded or shaving."""
        inner = self.graph.add("Relu", self.normed(self.layer(x, f"{name}.conv1"), f"{name}.in1"))
        inner = self.normed(self.layer(inner, f"{name}.conv2"), f"{name}.in2")
        if isinstance(self.net.get_submodule(name), Shaving):
            places = (np.array(v, dtype=np.int64) for v in ([2, 2], [-2, -2], [2, 3]))
            x = self.graph.add("Slice", x, *(self.graph.constant(place) for place in places))
        return self.graph.add("Add", x, inner)

    def layer(self, x: str, name: str) -> str:
        """A convolution of either family, enlarging ones included."""
        graph, layer = self.graph, self.net.get_submodule(name)
        if isinstance(layer, ConvLayer):
            if layer.larger > 1:
                x = graph.repeated(x, layer.larger)
            return graph.convolution(self.reflected(x, layer.margin), layer.conv2d, name, pads=0)
        if isinstance(layer, nn.ConvTranspose2d):
            weight = graph.half(layer.weight.detach().float().numpy(), f"{name}.weight")
            bias = graph.half(np.asarray(layer.bias.detach().float()), f"{name}.bias")  # type: ignore[union-attr]
            return graph.add("ConvTranspose", x, weight, bias, strides=[2, 2], pads=[1] * 4, output_padding=[1, 1])
        if not isinstance(layer, nn.Conv2d):
            raise TypeError(f"{name} is a {type(layer).__name__}")
        return graph.convolution(x, layer, name, pads=int(layer.padding[0]))

    def normed(self, x: str, name: str) -> str:
        """Instance normalisation with scale and shift."""
        layer = self.net.get_submodule(name)
        if not isinstance(layer, nn.InstanceNorm2d):
            raise TypeError(f"{name} is a {type(layer).__name__}")
        scale, shift = (self.graph.constant(part.detach().float().numpy()) for part in (layer.weight, layer.bias))
        return self.graph.add("InstanceNormalization", x, scale, shift, epsilon=layer.eps)

    def reflected(self, x: str, margin: int) -> str:
        """A picture continued by reflection."""
        pads = self.graph.constant(np.array([0, 0, margin, margin, 0, 0, margin, margin], dtype=np.int64))
        return self.graph.add("Pad", x, pads, mode="reflect")


class _Generator:
    """The graph of a generator, node by node as in `nets/resnet.py`."""

    def __init__(self, net: ResnetGenerator, *, whole: bool) -> None:
        self.net, self.graph = net, Graph(whole=whole)

    def model(self) -> bytes:
        """The serialised model."""
        graph, net = self.graph, self.net
        x = "picture"
        if net.channels == 1:
            x = graph.add("ReduceMean", x, axes=[1], keepdims=1)
        x, seen = self.layer(x, net.first, "first", margin=3), []
        x = graph.add("Relu", x) if net.joins else self.risen(x, net.width)
        for place, layer in enumerate(net.down):
            seen.append(x)
            x = self.risen(self.layer(x, layer, f"down.{place}"), net.width * 2 ** (place + 1))
        for place, block in enumerate(net.blocks):
            x = self.block(x, block, f"blocks.{place}")
        for place, layer in enumerate(net.up):
            width = net.width * 2 ** (1 - place)
            x = self.risen(self.doubled(x, layer, f"up.{place}"), width)
            if net.joins:
                x = graph.add("Concat", x, seen[-1 - place], axis=1)
                x = self.layer(x, net.joins[place], f"joins.{place}", margin=1)
                x = self.risen(x, width) if place == 0 else graph.add("Relu", x)
        painted = graph.add("Tanh", self.layer(x, net.last, "last", margin=3))
        graph.add("Concat", *[painted] * (3 // net.channels), axis=1, name="painting")
        picture, painting = (value(name, ["pictures", 3, "height", "width"]) for name in ("picture", "painting"))
        return graph.model([picture], [painting], name="generator")

    def block(self, x: str, block: nn.Module, name: str) -> str:
        """A residual block."""
        if not isinstance(block, Block):
            raise TypeError(f"{name} is a {type(block).__name__}")
        width = 4 * self.net.width
        inner = self.risen(self.layer(x, block.first, f"{name}.first", margin=1), width)
        found = self.normed(self.layer(inner, block.second, f"{name}.second", margin=1), width)
        return self.graph.add("Add", x, found)

    def layer(self, x: str, layer: nn.Module, name: str, *, margin: int = 0) -> str:
        """A convolution, after reflecting the border by `margin` px."""
        if not isinstance(layer, nn.Conv2d):
            raise TypeError(f"{name} is a {type(layer).__name__}")
        if margin:
            pads = np.array([0, 0, margin, margin, 0, 0, margin, margin], dtype=np.int64)
            x = self.graph.add("Pad", x, self.graph.constant(pads, f"margin.{margin}"), mode="reflect")
        return self.graph.convolution(x, layer, name, pads=0 if margin else None)

    def doubled(self, x: str, layer: nn.Module, name: str) -> str:
        """A transposed convolution, or one of repeated pixels."""
        graph = self.graph
        if isinstance(layer, nn.Conv2d):
            return self.layer(graph.repeated(x, 2), layer, name, margin=1)
        if not isinstance(layer, nn.ConvTranspose2d) or layer.bias is None:
            raise TypeError(f"{name} is a {type(layer).__name__}")
        weight, bias = (
            graph.half(part.detach().float().numpy(), f"{name}.{which}")
            for which, part in (("weight", layer.weight), ("bias", layer.bias))
        )
        return graph.add("ConvTranspose", x, weight, bias, strides=[2, 2], pads=[1] * 4, output_padding=[1, 1])

    def risen(self, x: str, width: int) -> str:
        """Normalised, and nothing below 0."""
        return self.graph.add("Relu", self.normed(x, width))

    def normed(self, x: str, width: int) -> str:
        """Instance normalisation without scale and shift."""
        scale, shift = (
            self.graph.constant(np.full(width, v, dtype=np.float32), f"{name}.{width}")
            for name, v in (("ones", 1), ("zeros", 0))
        )
        return self.graph.add("InstanceNormalization", x, scale, shift, epsilon=1e-5)
