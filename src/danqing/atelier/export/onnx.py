"""Networks as ONNX graphs, for the runtimes that need no torch.

The graphs are written out by hand (`graph.py`): they have few kinds of node and take any height and width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import nn

from danqing.atelier.encoders import VGG
from danqing.atelier.export.graph import Graph, value
from danqing.atelier.nets.johnson import BLOCKS, CAFFE_MEAN, SHAVED, ConvLayer, Johnson, Shaving
from danqing.atelier.nets.pastiche import (
    BANDS,
    LEAST,
    MARGIN,
    NEARLY_FLAT,
    NEWTON_STEPS,
    SOFT,
    Conditional,
    PasticheNet,
)
from danqing.atelier.nets.predictor import REACH, USUAL, Predictor
from danqing.atelier.nets.resnet import Block, ResnetGenerator


def encoder_to_onnx(encoder: VGG, layers: Sequence[str]) -> bytes:
    """An encoder with max pooling as a serialised ONNX model.

    In: `picture` float32 (1, 3, H, W), sRGB in 0..1; out: one float32 (1, C, h, w) for each layer asked for.

    Raises:
        ValueError: another pooling, which this export does not write.
    """
    graph = Graph()
    _encoder(graph, encoder, "picture", layers)
    picture = value("picture", [1, 3, "height", "width"])
    return graph.model([picture], [value(layer, [1, None, None, None]) for layer in layers], name="encoder")


def pastiche_to_onnx(net: PasticheNet) -> bytes:
    """The pastiche network as a serialised ONNX model.

    In: `picture` float32 (N, 3, H, W), sRGB in 0..1, sides multiples of 8 and longer than the margin; `vectors` float32
    (S, P) of styles and `weights` float32 (1, S), which add up to 1. Out: `painting` float32 (N, 3, H, W) in 0..1.
    """
    return _Pastiche(net).model()


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


def _encoder(graph: Graph, encoder: VGG, picture: str, layers: Sequence[str]) -> None:
    """The nodes of an encoder as far as the deepest of `layers`, whose values are called as the layers."""
    if encoder.pooling != "max":
        raise ValueError(f"only max pooling is exported, not {encoder.pooling}")
    matrix = graph.constant(encoder.matrix.numpy()[:, :, None, None], "matrix")
    bias = graph.constant(encoder.bias.numpy(), "bias")
    reflect = encoder.padding == "reflect"
    margins = graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64), "margins") if reflect else ""
    flow = graph.add("Conv", picture, matrix, bias, name="seen")
    missing = set(layers)
    for name in encoder.names:
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


class _Pastiche:
    """The pastiche network's graph, node by node as in `PasticheNet.paint`.

    Values that stand for the whole picture, and those that they are taken over, have names (`engines.tiles`).
    """

    def __init__(self, net: PasticheNet) -> None:
        self.net, self.graph = net, Graph()

    def model(self) -> bytes:
        """The serialised model."""
        graph, net = self.graph, self.net
        pads = graph.constant(np.array([0, 0, MARGIN, MARGIN, 0, 0, MARGIN, MARGIN], dtype=np.int64))
        x = graph.add("Pad", "picture", pads, mode="reflect", name="padded")
        _encoder(graph, net.encoder, x, ["relu2_1", "relu3_1"])
        vector = graph.add("MatMul", "weights", "vectors")
        given, *parts = graph.split(vector, [net.given, *[1] * len(BANDS), *net.sizes], axis=1)
        kept, parts = parts[: len(BANDS)], parts[len(BANDS) :]
        shapes = {size: graph.constant(np.array([1, size, 1, 1], dtype=np.int64)) for size in set(net.sizes)}
        style = iter([graph.add("Reshape", p, shapes[size]) for p, size in zip(parts, net.sizes, strict=True)])
        statistics = self.statistics(given)
        tinted = self.moved(x, "rgb", statistics)
        quarter, half = self.normalized("relu3_1"), self.normalized("relu2_1")
        h = graph.add("Relu", self.conditional(quarter, "down", style))
        h = graph.convolution(self.block(h, "block_8", style), net.near_8, "near_8", output="drawn.relu4_1")
        h = graph.convolution(self.styled(h, "relu4_1", statistics), net.narrow_8, "narrow_8")
        for place, _ in enumerate(net.blocks_8):
            h = self.block(h, f"blocks_8.{place}", style)
        h = self.joined(h, "4", quarter)
        h = graph.add("Relu", self.conditional(h, "join_4", style))
        h = graph.convolution(h, net.near_4, "near_4", output="drawn.relu3_1")
        h = self.joined(self.styled(h, "relu3_1", statistics), "2", half)
        h = graph.add("Relu", self.conditional(h, "join_2", style))
        h = graph.convolution(h, net.near_2, "near_2", output="drawn.relu2_1")
        h = self.joined(self.styled(h, "relu2_1", statistics), "1", self.usual(tinted, "rgb"))
        h = graph.convolution(graph.add("Relu", self.conditional(h, "join_1", style)), net.out, "out")
        h = self.moved(self.based(tinted, kept, h), "rgb", statistics)
        start, end, axes = (graph.constant(np.array(v, dtype=np.int64)) for v in ([MARGIN] * 2, [-MARGIN] * 2, [2, 3]))
        h = graph.add("Slice", h, start, end, axes)
        graph.add("Clip", h, graph.number(0), graph.number(1), name="painting")
        picture, painting = (value(name, ["pictures", 3, "height", "width"]) for name in ("picture", "painting"))
        vectors, weights = value("vectors", ["styles", net.vector_size]), value("weights", [1, "styles"])
        return graph.model([picture, vectors, weights], [painting], name="pastiche")

    def statistics(self, given: str) -> dict[str, tuple[str, str]]:
        """As `PasticheNet.statistics`: the mean (C, 1) and the root (C, C) by layer."""
        graph, found = self.graph, {}
        widths = self.net.styled
        sizes = [size for width in widths.values() for size in (width, width * (width + 1) // 2)]
        pieces = iter(graph.split(given, sizes, axis=1))
        for layer, width in widths.items():
            mean, entries = next(pieces), next(pieces)
            rows, columns = np.tril_indices(width)
            places = np.full((width, width), len(rows), dtype=np.int64)  # of a zero behind the entries
            places[columns, rows] = np.arange(len(rows))
            zero = graph.constant(np.zeros((1, 1), dtype=np.float32))
            root = graph.add("Gather", graph.add("Concat", entries, zero, axis=1), graph.constant(places), axis=1)
            shape = graph.constant(np.array([width, 1], dtype=np.int64))
            square = graph.constant(np.array([width, width], dtype=np.int64))
            found[layer] = graph.add("Reshape", mean, shape), graph.add("Reshape", root, square)
        return found

    def styled(self, h: str, layer: str, statistics: dict[str, tuple[str, str]]) -> str:
        """With the style's statistics, then as usual, by one and the same linear map."""
        return self.moved(h, layer, statistics, usual=True)

    def usual(self, h: str, layer: str) -> str:
        """As `pastiche.Usual`."""
        mean, deviation = self.common(layer)
        return self.graph.add("Div", self.graph.add("Sub", h, mean), deviation)

    def common(self, layer: str) -> list[str]:
        """Mean and deviation that are usual, (1, C, 1, 1) each."""
        kept = self.net.usually(layer).state_dict()
        return [
            self.graph.constant(kept[name].numpy()[None, :, None, None], f"usual.{layer}.{name}")
            for name in ("mean", "deviation")
        ]

    def based(self, tinted: str, kept: list[str], h: str) -> str:
        """What is drawn, on the photo in the style's colours with as much of its detail as is kept.

        As in `PasticheNet.paint`, but written as a sum, so that little is left to do for every pixel; and areas are
        enlarged plane by plane, by convolutions that give each pixel's parts, which are then put in their places, for
        runtimes are slow to interpolate three channels.
        """
        graph = self.graph
        coarse, fine = kept
        large, middle = BANDS
        with graph.exact():
            planes, colours, share = (
                graph.constant(np.array(s, dtype=np.int64)) for s in ([-1, 1, 0, 0], [-1, 3, 0, 0], [1, 1, 1, 1])
            )
            coarse, fine = (graph.add("Reshape", kept, share) for kept in (coarse, fine))
            near = self.areas(graph.add("Reshape", tinted, planes), middle)
            far = graph.add("Mul", self.areas(near, large // middle), graph.add("Sub", graph.number(1), coarse))
            far = graph.add("DepthToSpace", self.parts(far, large), blocksize=large // middle)
            near = graph.add("Mul", near, graph.add("Sub", coarse, fine))
            near = graph.add("Add", self.parts(near, middle), far)
            areas = graph.add("Reshape", graph.add("DepthToSpace", near, blocksize=middle), colours)
            base = graph.add("Add", graph.add("Mul", tinted, fine), areas)
        return graph.add("Add", base, h, name="drawn.rgb")

    def areas(self, x: str, size: int) -> str:
        """Means of squares of `size` px."""
        return self.graph.add("AveragePool", x, kernel_shape=[size] * 2, strides=[size] * 2)

    def parts(self, x: str, times: int) -> str:
        """A plane enlarged bilinearly, (N, 1, h, w) -> (N, times², h, w): the pixels that each becomes.

        They are sorted so that `DepthToSpace` may bring them to their places in two steps, the last by 2.
        """
        offsets = (np.arange(times) + 0.5) / times - 0.5
        share = np.stack([np.maximum(-offsets, 0), 1 - np.abs(offsets), np.maximum(offsets, 0)], 1)
        kernels = np.einsum("ay,bx->abyx", share, share)
        steps = times // BANDS[-1], BANDS[-1]
        kernels = kernels.reshape(*steps, *steps, 3, 3).transpose(0, 2, 1, 3, 4, 5).reshape(-1, 1, 3, 3)
        margins = self.graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64))
        weight = self.graph.constant(kernels.astype(np.float32), f"parts.{times}")
        return self.graph.add("Conv", self.graph.add("Pad", x, margins, mode="edge"), weight)

    def joined(self, h: str, place: str, other: str) -> str:
        """Twice as large, and what lies at that resolution added."""
        narrow, link = (self.net.get_submodule(f"{name}_{place}") for name in ("narrow", "link"))
        if not isinstance(narrow, nn.Conv2d) or not isinstance(link, nn.Conv2d):
            raise TypeError(f"what joins at 1/{place} are no convolutions")
        h = self.larger(self.graph.convolution(h, narrow, f"narrow_{place}"), 2)
        return self.graph.add("Add", h, self.graph.convolution(other, link, f"link_{place}"))

    def block(self, h: str, name: str, style: Iterator[str]) -> str:
        """A residual block."""
        first = self.graph.add("Relu", self.conditional(h, f"{name}.first", style))
        return self.graph.add("Add", h, self.conditional(first, f"{name}.second", style))

    def conditional(self, h: str, name: str, style: Iterator[str]) -> str:
        """A conditional convolution."""
        module = self.net.get_submodule(name)
        if not isinstance(module, Conditional):
            raise TypeError(f"{name} is a {type(module).__name__}")
        scale, shift = next(style), next(style)
        kernels = self.graph.half(module.kernels().detach().float().numpy(), f"{name}.weight")
        if module.mirrored:
            pads = self.graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64))
            h = self.graph.add("Pad", h, pads, mode="reflect")
        h = self.graph.add("Conv", h, kernels, pads=[int(not module.mirrored)] * 4, strides=[module.stride] * 2)
        return self.graph.add("Add", self.graph.add("Mul", h, scale), shift)

    def larger(self, h: str, times: int) -> str:
        """Bilinear."""
        scales = self.graph.constant(np.array([1, 1, times, times], dtype=np.float32))
        return self.graph.add("Resize", h, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")

    def normalized(self, layer: str) -> str:
        """As `pastiche.normalized`."""
        graph = self.graph
        mean = graph.add("ReduceMean", layer, axes=[2, 3], keepdims=1, name=f"{layer}.mean")
        centred = graph.add("Sub", layer, mean)
        squares = graph.add("Mul", centred, centred)
        variance = graph.add("ReduceMean", squares, axes=[2, 3], keepdims=1, name=f"{layer}.variance")
        overall = graph.add("ReduceMean", variance, axes=[1], keepdims=1)
        floor = graph.add("Add", graph.add("Mul", overall, graph.number(0.01)), graph.number(1e-6))
        deviation = graph.add("Sqrt", graph.add("Add", variance, floor))
        return graph.add("Div", centred, deviation)

    def moved(self, x: str, layer: str, statistics: dict[str, tuple[str, str]], *, usual: bool = False) -> str:
        """As `pastiche.moved`, for one style, and then as `pastiche.Usual`. Half precision would not find the root."""
        with self.graph.exact():
            return self._moved(x, *statistics[layer], layer=layer, usual=usual)

    def _moved(self, x: str, mean: str, root: str, *, layer: str, usual: bool) -> str:
        graph, width = self.graph, self.net.styled[layer]
        eye = graph.constant(np.eye(width, dtype=np.float32), f"eye.{width}")
        axes = graph.constant(np.array([1, 2], dtype=np.int64))
        flat = graph.add("Reshape", x, graph.constant(np.array([0, width, -1], dtype=np.int64)))
        flat = graph.add("Sub", flat, graph.add("ReduceMean", flat, axes=[2], keepdims=1, name=f"{x}.mean"))
        squares = graph.add("MatMul", flat, graph.add("Transpose", flat, perm=[0, 2, 1]))
        count = graph.add("Cast", graph.add("Gather", graph.add("Shape", flat), graph.constant(np.array(2))), to=1)
        covariance = graph.add("Div", squares, count, name=f"{x}.covariance")
        ours = graph.add("ReduceSum", graph.add("Mul", covariance, eye), axes, keepdims=1)
        theirs = graph.add("Unsqueeze", graph.add("Mul", root, root), graph.constant(np.array([0])))
        theirs = graph.add("ReduceSum", theirs, axes, keepdims=1)
        least = graph.add("Mul", ours, graph.number(SOFT / width))
        least = graph.add("Add", least, graph.add("Mul", theirs, graph.number(LEAST / width)))
        least = graph.add("Add", least, graph.number(1e-6))
        covariance = graph.add("Add", covariance, graph.add("Mul", least, eye))
        across = graph.add("Transpose", root, perm=[1, 0])
        both = graph.add("MatMul", graph.add("MatMul", root, covariance), across)
        trace = graph.add("ReduceSum", graph.add("Mul", both, eye), axes, keepdims=1)
        trace = graph.add("Add", trace, graph.number(1e-12))
        y, z = graph.add("Div", both, trace), eye
        y = graph.add("Add", y, graph.add("Mul", eye, graph.number(NEARLY_FLAT / width)))
        once_and_a_half, half = graph.add("Mul", eye, graph.number(1.5)), graph.number(0.5)
        for _ in range(NEWTON_STEPS):
            t = graph.add("Sub", once_and_a_half, graph.add("Mul", graph.add("MatMul", z, y), half))
            y, z = graph.add("MatMul", y, t), graph.add("MatMul", t, z)
        z = graph.add("Div", z, graph.add("Sqrt", trace))
        turned = graph.add("MatMul", graph.add("MatMul", across, z), root)
        if usual:
            column = graph.constant(np.array([width, 1], dtype=np.int64))
            common, deviation = (graph.add("Reshape", number, column) for number in self.common(layer))
            turned = graph.add("Div", turned, deviation)
            mean = graph.add("Div", graph.add("Sub", mean, common), deviation)
        result = graph.add("Add", graph.add("MatMul", turned, flat), mean)
        return graph.add("Reshape", result, graph.add("Shape", x), name=f"{x}.moved")


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
