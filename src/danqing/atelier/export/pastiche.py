"""The pastiche network as an ONNX graph: what `PasticheNet.paint` does, in other steps.

What has the size of the picture is to be gone over as seldom as can be. So whatever is linear between two features is
one convolution, whose kernels are computed for the picture at hand: normalising, moving to the style's statistics, the
1x1 convolutions around that, and enlarging. And what has full resolution is folded (`folded.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from danqing.atelier.export import folded
from danqing.atelier.export.graph import Graph, value
from danqing.atelier.nets.pastiche import (
    BANDS,
    LEAST,
    MARGIN,
    NEARLY_FLAT,
    SEEN_DEVIATION,
    SEEN_MEAN,
    SOFT,
    SPARSE,
    STEM,
    Conditional,
    PasticheNet,
    scales,
)
from danqing.engines.openvino import HALF, PLACE

Statistics = dict[str, tuple[str, str]]
"""By layer, the names of a style's mean (C, 1) and root (C, C)."""

PHOTO = LINKED = 13
"""Channels of the folded photo: its colours, and ones; as many are joined with what is drawn at full resolution."""

PARTS = {3: 8, 32: 2}
"""By its channels, in how many parts a value is multiplied with itself; the places of one are a multiple of them."""


def pastiche_to_onnx(net: PasticheNet) -> bytes:
    """The pastiche network as a serialised ONNX model.

    In: `picture` float32 (1, 3, H, W), sRGB in 0..1, sides multiples of 8 and longer than the margin; `vectors` float32
    (S, P) of styles and `weights` float32 (1, S), which add up to 1. Out: `painting` float32 (1, 3, H, W) in 0..1.
    """
    return _Pastiche(net).model()


@dataclass(frozen=True, kw_only=True)
class Known:
    """Features and their mean, names of values.

    Attributes:
        features: (1, C, h, w), less what they are at one place.
        some: those of them that statistics are taken of, (1, C, h', w').
        mean: (1, C, 1, 1), of these.
        scale: what brings them to deviation 1, (1, C, 1, 1); empty where they stay as they are.
    """

    features: str
    some: str
    mean: str
    scale: str = ""


class _Pastiche:
    """The graph, on its way. Values that stand for the whole picture have names (`engines.tiles`), and so do those
    that they are taken over.
    """

    def __init__(self, net: PasticheNet) -> None:
        self.net, self.graph = net, Graph()

    def model(self) -> bytes:
        """The serialised model."""
        graph, net = self.graph, self.net
        vector = graph.add("MatMul", "weights", "vectors")
        given, *parts = graph.split(vector, [net.given, *[1] * len(BANDS), *net.sizes], axis=1)
        kept, parts = parts[: len(BANDS)], parts[len(BANDS) :]
        style = iter([graph.reshaped(p, [1, size, 1, 1]) for p, size in zip(parts, net.sizes, strict=True)])
        statistics = self.statistics(given)

        pads = graph.constant(np.array([0, 0, MARGIN, MARGIN, 0, 0, MARGIN, MARGIN], dtype=np.int64))
        x = graph.add("Pad", "picture", pads, mode="reflect", name="padded")
        with graph.exact():
            mean = self.mean(x, x)
            centred = graph.add("Sub", x, mean)
            covariance = graph.add("Div", self.products(centred, 3), self.count(x), name=f"{x}.covariance")
            matrix = self.least(covariance, statistics["rgb"][1], 3)
        photo = self.folded(centred)
        self.seen(photo, mean)
        drawn = self.drawn(self.linked(photo, matrix), style, statistics)
        drawn = graph.add("Add", drawn, self.base(photo, matrix, kept), name="drawn.rgb")
        painted = self.coloured(drawn, statistics)
        start, end, axes = (graph.constant(np.array(v, dtype=np.int64)) for v in ([MARGIN] * 2, [-MARGIN] * 2, [2, 3]))
        graph.add("Slice", painted, start, end, axes, name="painting")
        picture, painting = (value(name, [1, 3, "height", "width"]) for name in ("picture", "painting"))
        vectors, weights = value("vectors", ["styles", net.vector_size]), value("weights", [1, "styles"])
        return graph.model([picture, vectors, weights], [painting], name="pastiche")

    # ── the photo ───────────────────────────────────────────────────────────────────────────────────────────────────

    def folded(self, centred: str) -> str:
        """A photo about its mean (1, 3, H, W), folded and joined by ones: (1, 13, H/2, W/2)."""
        graph = self.graph
        kernels, bias = np.zeros((PHOTO, 3, 2, 2), dtype=np.float32), np.zeros(PHOTO, dtype=np.float32)
        kernels[:12] = np.einsum("cd,pyx->cpdyx", np.eye(3), np.eye(4).reshape(4, 2, 2)).reshape(12, 3, 2, 2)
        bias[12] = 1
        return graph.add("Conv", centred, graph.constant(kernels, "fold"), graph.constant(bias, "ones"), strides=[2, 2])

    def seen(self, photo: str, mean: str) -> None:
        """What the stem sees of a folded photo about its mean."""
        graph = self.graph
        given, bias = self.weights("stem.first")
        scale = graph.number(1 / SEEN_DEVIATION)
        with graph.exact():
            kernels = graph.add("Mul", given, scale)
            shift = graph.add("Mul", graph.add("Sub", mean, graph.number(SEEN_MEAN)), scale)
            ones = graph.add("Mul", graph.reshaped(given, [STEM, 3, 4, 9]), graph.reshaped(shift, [1, 3, 1, 1]))
            ones = graph.add("ReduceSum", ones, graph.constant(np.array([1, 2], dtype=np.int64)), keepdims=0)
            kernels = graph.add("Concat", kernels, graph.reshaped(ones, [STEM, 1, 3, 3]), axis=1)
        h = graph.add("Relu", graph.add("Conv", photo, kernels, bias, pads=[1] * 4))
        for layer in ("relu2_1", "relu3_1"):
            convolution = self.convolution(f"stem.{layer}")
            h = graph.add("Relu", graph.convolution(h, convolution, f"stem.{layer}"), name=layer)

    def linked(self, photo: str, matrix: str) -> str:
        """What joins C channels that are drawn at full resolution: (1, C + 13, H/2, W/2), zeros in their places.

        These are the photo in the style's colours, about their mean and folded, and ones.
        """
        graph, width = self.graph, self.net.narrow_1.out_channels
        with graph.exact():
            each = graph.constant(np.eye(4, dtype=np.float32).reshape(1, 4, 1, 4), "each.4")
            kernels = graph.add("Mul", graph.reshaped(matrix, [3, 1, 3, 1]), each)
            kernels = graph.reshaped(kernels, [12, 12])
            around = graph.constant(np.array([width, 0, 1, 1], dtype=np.int64))
            ones = np.zeros((width + LINKED, PHOTO), dtype=np.float32)
            ones[-1, -1] = 1
            kernels = graph.add("Pad", kernels, around, graph.number(0))
            kernels = graph.add("Add", kernels, graph.constant(ones, "linked.ones"))
            kernels = graph.reshaped(kernels, [width + LINKED, PHOTO, 1, 1])
        return graph.add("Conv", photo, kernels)

    def base(self, photo: str, matrix: str, kept: list[str]) -> str:
        """The photo in the style's colours, about their mean and folded, with as much of its detail as is kept.

        As in `PasticheNet.paint`, but all of it one convolution of the folded photo: (1, 12, H/2, W/2).
        """
        graph = self.graph
        large, middle, all_of_it = (folded.smoothing(windows) for windows in (*BANDS, ()))
        parts = np.stack([large, middle - large, all_of_it - middle]).astype(np.float32)
        with graph.exact():
            shares = graph.add("Concat", graph.constant(np.ones((1, 1), dtype=np.float32), "one"), *kept, axis=1)
            kernels = graph.add("MatMul", shares, graph.constant(parts.reshape(3, -1), "smoothing"))
            kernels = graph.add(
                "Mul", graph.reshaped(kernels, [1, 4, 1, 4, 25]), graph.reshaped(matrix, [3, 1, 3, 1, 1])
            )
            kernels = graph.reshaped(kernels, [12, 12, 5, 5])
            none = graph.constant(np.zeros((12, 1, 5, 5), dtype=np.float32), "base.none")
            kernels = graph.add("Concat", kernels, none, axis=1)
        return graph.add("Conv", photo, kernels, pads=[2] * 4)

    def coloured(self, x: str, statistics: Statistics) -> str:
        """What is drawn, folded, with the colours of the style: (1, 3, H, W) in 0..1."""
        graph = self.graph
        style_mean, root = statistics["rgb"]
        with graph.exact():
            flat = graph.reshaped(x, [3, -1])
            wide = graph.add("Gather", graph.add("Shape", x), graph.constant(np.array([3], dtype=np.int64), "across"))
            rows = graph.add("Concat", graph.constant(np.array([1, 3, -1], dtype=np.int64)), wide, axis=0)
            mean = graph.reshaped(self.mean(graph.add("Reshape", flat, rows), x), [3, 1])
            of_mean = graph.add("MatMul", mean, graph.add("Transpose", mean, perm=[1, 0]))
            squares = graph.add("Div", self.products(flat, 3), self.count(x, px=4))
            matrix = self.least(graph.add("Sub", squares, of_mean, name=f"{x}.covariance"), root, 3)
            shift = graph.add("Sub", style_mean, graph.add("MatMul", matrix, mean))
            found = graph.add("Add", graph.add("MatMul", matrix, flat), shift)
            found = graph.add("Clip", found, graph.number(0), graph.number(1))
            found = graph.add("Reshape", found, graph.add("Shape", x))
            return graph.add("DepthToSpace", found, blocksize=2, mode="CRD", name=f"{x}.moved")

    # ── what is drawn ───────────────────────────────────────────────────────────────────────────────────────────────

    def drawn(self, linked: str, style: Iterator[str], statistics: Statistics) -> str:
        """What is drawn of the features seen, folded: (1, 12, H/2, W/2)."""
        graph, net = self.graph, self.net
        quarter, half = self.scaled("relu3_1"), self.scaled("relu2_1")
        h = graph.add("Relu", self.conditional(quarter.features, "down", style, seen=quarter))
        eighth = self.about(self.block(h, "block_8", style), "drawn.8", every=1)
        kernels, constant = self.through(eighth, "relu4_1", "near_8", "narrow_8", statistics)
        h = graph.add("Add", graph.add("Conv", eighth.features, kernels), constant)
        for place, _ in enumerate(net.blocks_8):
            h = self.block(h, f"blocks_8.{place}", style)
        kernels, bias = self.weights("link_4")
        kernels, shift = self.normal(kernels, quarter)
        h = graph.add("Add", graph.convolution(h, net.narrow_4, "narrow_4"), shift)
        h = self.joined(h, graph.add("Conv", quarter.features, kernels, bias))
        joined = self.risen(h, "join_4", style, output="drawn.4")
        narrow, constant = self.through(joined, "relu3_1", "near_4", "narrow_2", statistics)
        kernels, bias = self.weights("link_2")
        kernels, shift = self.normal(kernels, half)
        with graph.exact():
            constant = graph.add("Add", constant, shift)
        h = graph.add("Add", graph.add("Conv", joined.features, narrow), constant)
        h = self.joined(h, graph.add("Conv", half.features, kernels, bias))
        return self.finest(self.risen(h, "join_2", style, output="drawn.2"), linked, style, statistics)

    def finest(self, joined: Known, linked: str, style: Iterator[str], statistics: Statistics) -> str:
        """What is drawn at full resolution, folded.

        Everything between what is known at half the resolution and the convolution that joins it with the photo is
        linear, the enlargement too: it is part of that convolution's kernels.
        """
        graph, net = self.graph, self.net
        width, inputs = net.narrow_1.out_channels, net.near_2.in_channels
        narrow, constant = self.through(joined, "relu2_1", "near_2", "narrow_1", statistics)
        scale, shift = next(style), next(style)
        mean, _ = statistics["rgb"]
        with graph.exact():
            none = graph.constant(np.zeros((LINKED, inputs, 1, 1), dtype=np.float32), "narrow.none")
            narrow = graph.add("Concat", narrow, none, axis=0)
            given = graph.half(net.join_1.kernels().detach().float().numpy(), "join_1.weight")
            enlarged, repeated = (
                folded.kernels(graph, given, (width, width), how, name)
                for how, name in ((folded.OF_ENLARGED, "enlarged"), (folded.OF_REPEATED, "repeated"))
            )
            link, bias = self.weights("link_1", matrix=True)
            usual, deviation = (graph.reshaped(one, [1, 3]) for one in self.common("rgb"))
            link = graph.add("Div", link, deviation)
            about = graph.add("Sub", mean, graph.add("Transpose", usual, perm=[1, 0]))
            bias = graph.add("Add", graph.add("MatMul", link, about), graph.reshaped(bias, [width, 1]))
            linking = self.after(given, link, width, 3)
            linking = folded.kernels(graph, linking, (width, 3), folded.OF_FOLDED, "folded")
            constant = graph.reshaped(constant, [width, 1])
            ones = graph.add("Add", self.after(enlarged, constant, width, 1), self.after(repeated, bias, width, 1))
            kernels = graph.add("Concat", enlarged, linking, ones, axis=1)
            kernels = graph.add("Mul", graph.reshaped(kernels, [width, -1]), graph.reshaped(scale, [width, 1]))
            kernels = graph.reshaped(kernels, [width, 4, width + LINKED, 3, 3])
            centre = np.zeros((1, 4, width + LINKED, 3, 3), dtype=np.float32)
            centre[:, :, -1, 1, 1] = 1
            shift = graph.reshaped(shift, [width, 1, 1, 1, 1])
            kernels = graph.add("Add", kernels, graph.add("Mul", shift, graph.constant(centre, "centre")))
            kernels = graph.reshaped(kernels, [4 * width, width + LINKED, 3, 3])
        h = graph.add("Add", graph.add("Conv", joined.features, narrow), linked)
        h = graph.add("Relu", graph.add("Conv", h, kernels, pads=[1] * 4))
        given, bias = self.weights("out")
        with graph.exact():
            kernels = folded.kernels(graph, given, (3, width), folded.OF_FOLDED, "folded")
            each = graph.constant(np.ones((1, 4), dtype=np.float32), "each")
            bias = graph.reshaped(graph.add("Mul", graph.reshaped(bias, [3, 1]), each), [12])
        return graph.add("Conv", h, kernels, bias, pads=[1] * 4)

    def after(self, kernels: str, matrix: str, inputs: int, outputs: int) -> str:
        """Kernels (O, C, 3, 3) and a matrix (C, C') that comes before them as kernels (O, C', 3, 3)."""
        graph = self.graph
        rows = graph.reshaped(graph.add("Transpose", kernels, perm=[0, 2, 3, 1]), [-1, inputs])
        rows = graph.reshaped(graph.add("MatMul", rows, matrix), [-1, 3, 3, outputs])
        return graph.add("Transpose", rows, perm=[0, 3, 1, 2])

    # ── linear maps ─────────────────────────────────────────────────────────────────────────────────────────────────

    def statistics(self, given: str) -> Statistics:
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
            found[layer] = graph.reshaped(mean, [width, 1]), graph.reshaped(root, [width, width])
        return found

    def about(self, x: str, name: str = "", *, spot: str = "", every: int = SPARSE) -> Known:
        """Features less what they are in the middle: sums of their squares then lose nothing where they hardly vary.

        Args:
            x: the features, (1, C, h, w).
            name: what they and their statistics are called; their own name if there is none.
            spot: the features in the middle, (1, C, 1, 1), if they are known.
            every: of which rows and columns statistics are taken.
        """
        graph = self.graph
        kept, name = name, name or x
        spot = spot or self.middle(x)
        with graph.exact():
            spot = graph.add("Identity", spot, name=f"{name}{PLACE}")
        x = some = graph.add("Sub", x, spot, name=kept)
        if every > 1:
            start, end, axes, steps = (
                graph.constant(np.array(v, dtype=np.int64), f"ints.{v}")
                for v in ([0, 0], [2**31, 2**31], [2, 3], [every, every])
            )
            some = graph.add("Slice", x, start, end, axes, steps)
        return Known(features=x, some=some, mean=self.mean(some, name))

    def mean(self, x: str, name: str) -> str:
        """The mean of (1, C, h, w) over all places, (1, C, 1, 1), called `name`.mean; row by row, lest sums grow."""
        graph = self.graph
        rows = graph.add("ReduceMean", x, axes=[3], keepdims=1, name=f"{name}.rows{HALF}")
        with graph.exact():
            return graph.add("ReduceMean", rows, axes=[2], keepdims=1, name=f"{name}.mean")

    def middle(self, x: str) -> str:
        """What features (1, C, h, w) are at the place in the middle, (1, C, 1, 1)."""
        graph = self.graph
        two, axes = (graph.constant(np.array(v, dtype=np.int64), f"ints.{v}") for v in ([2, 2], [2, 3]))
        start = graph.add("Div", graph.add("Gather", graph.add("Shape", x), axes), two)
        end = graph.add("Add", start, graph.constant(np.array([1, 1], dtype=np.int64), "ints.[1, 1]"))
        return graph.add("Slice", x, start, end, axes)

    def through(self, x: Known, layer: str, near: str, narrow: str, statistics: Statistics) -> tuple[str, str]:
        """From features to those that follow where they are styled: `near`, the styling, what is usual, `narrow`.

        Returns:
            Kernels (O, C, 1, 1) for the features, and what is added behind them (1, O, 1, 1).
        """
        graph = self.graph
        mean, root = statistics[layer]
        inner, width, outputs = *self.convolution(near).weight.shape[:2], self.convolution(narrow).out_channels
        products = self.products(x.some, width)
        with graph.exact():
            before, _ = self.weights(near, matrix=True)  # what it adds is part of the mean that goes
            behind, bias = self.weights(narrow, matrix=True)
            ours = graph.reshaped(x.mean, [width, 1])
            squares = graph.add("Div", products, self.count(x.some))
            of_mean = graph.add("MatMul", ours, graph.add("Transpose", ours, perm=[1, 0]))
            covariance = graph.add("Sub", squares, of_mean, name=f"{x.features}.covariance")
            # OpenVINO 2026.4 takes the matrix for its own transpose where it stands behind both
            covariance = graph.add("Transpose", graph.add("MatMul", before, covariance), perm=[1, 0])
            matrix = self.least(graph.add("MatMul", before, covariance), root, inner)
            usual, deviation = (graph.reshaped(one, [inner, 1]) for one in self.common(layer))
            matrix = graph.add("MatMul", graph.add("Div", matrix, deviation), before)
            matrix = graph.add("MatMul", behind, matrix)
            shift = graph.add("MatMul", behind, graph.add("Div", graph.add("Sub", mean, usual), deviation))
            shift = graph.add("Add", shift, graph.reshaped(bias, [outputs, 1]))
            shift = graph.add("Sub", shift, graph.add("MatMul", matrix, ours))
            return graph.reshaped(matrix, [outputs, width, 1, 1]), graph.reshaped(shift, [1, outputs, 1, 1])

    def products(self, x: str, width: int) -> str:
        """Sums over all places of the products of every two channels, (C, C).

        The rows of a picture's three matrices are short of what fills a processor, and longer than what it is quick
        at: each is taken as several, of which only those products count that are of the same part.
        """
        graph, parts = self.graph, PARTS.get(width, 1)
        # OpenVINO puts channels apart sooner in bfloat16, but slowly where they are no multiple of 32
        with graph.exact() if width % 32 else nullcontext():
            flat = graph.reshaped(x, [width * parts, -1])
        products = graph.add("MatMul", flat, graph.add("Transpose", flat, perm=[1, 0]))
        if parts == 1:
            return products
        same = graph.constant(np.eye(parts, dtype=np.float32)[None, :, None, :], f"same.{parts}")
        products = graph.add("Mul", graph.reshaped(products, [width, parts, width, parts]), same)
        return graph.add("ReduceSum", products, graph.constant(np.array([1, 3], dtype=np.int64)), keepdims=0)

    def least(self, covariance: str, root: str, width: int) -> str:
        """The map that moves least, from a covariance (C, C) to that of the style with a root (C, C)."""
        graph = self.graph
        eye = graph.constant(np.eye(width, dtype=np.float32), f"eye.{width}")
        ours = graph.add("ReduceSum", graph.add("Mul", covariance, eye), keepdims=1)
        theirs = graph.add("ReduceSum", graph.add("Mul", root, root), keepdims=1)
        least = graph.add("Mul", ours, graph.number(SOFT / width))
        least = graph.add("Add", least, graph.add("Mul", theirs, graph.number(LEAST / width)))
        least = graph.add("Add", least, graph.number(1e-6))
        covariance = graph.add("Add", covariance, graph.add("Mul", least, eye))
        across = graph.add("Transpose", root, perm=[1, 0])
        both = graph.add("MatMul", graph.add("MatMul", root, covariance), across)
        trace = graph.add("ReduceSum", graph.add("Mul", both, eye), keepdims=1)
        trace = graph.add("Add", trace, graph.number(1e-12))
        y = graph.add("Div", both, trace)
        y = graph.add("Add", y, graph.add("Mul", eye, graph.number(NEARLY_FLAT / width)))
        first, *others = [(graph.number(1.5 * scale), graph.number(0.5 * scale**3)) for scale in scales(width)]
        z = self.stepped(y, eye, *first)  # it begins with z = 1
        y = graph.add("MatMul", y, z)
        for factors in others:
            t = self.stepped(graph.add("MatMul", z, y), eye, *factors)
            y, z = graph.add("MatMul", y, t), graph.add("MatMul", t, z)
        z = graph.add("Div", z, graph.add("Sqrt", trace))
        return graph.add("MatMul", graph.add("MatMul", across, z), root)

    def stepped(self, product: str, eye: str, one: str, other: str) -> str:
        """So much of the one less so much of the other."""
        graph = self.graph
        return graph.add("Sub", graph.add("Mul", eye, one), graph.add("Mul", product, other))

    def common(self, layer: str) -> tuple[str, str]:
        """The mean and the deviation that are usual, (1, C, 1, 1) each; see `pastiche.Usual`."""
        kept = self.net.usually(layer).state_dict()
        mean, deviation = (
            self.graph.constant(kept[name].numpy()[None, :, None, None], f"usual.{layer}.{name}")
            for name in ("mean", "deviation")
        )
        return mean, deviation

    def scaled(self, layer: str) -> Known:
        """What the encoder sees, and what makes it as `pastiche.normalized` has it."""
        graph, x = self.graph, self.about(layer)
        rows = graph.add("ReduceL2", x.some, axes=[3], keepdims=1, name=f"{layer}.lengths{HALF}")
        with graph.exact():
            squares = graph.add("Mul", rows, rows)
            squares = graph.add("ReduceSum", squares, graph.constant(np.array([2], dtype=np.int64)), keepdims=1)
            squares = graph.add("Div", squares, self.count(x.some))
            variance = graph.add("Sub", squares, graph.add("Mul", x.mean, x.mean), name=f"{layer}.variance")
            overall = graph.add("ReduceMean", variance, axes=[1], keepdims=1)
            floor = graph.add("Add", graph.add("Mul", overall, graph.number(0.01)), graph.number(1e-6))
            scale = graph.add("Reciprocal", graph.add("Sqrt", graph.add("Add", variance, floor)))
        return replace(x, scale=scale)

    def normal(self, kernels: str, x: Known) -> tuple[str, str]:
        """Kernels (O, C, k, k) for the normalised as those for what is seen, and what is added (1, O, 1, 1)."""
        graph = self.graph
        with graph.exact():
            kernels = graph.add("Mul", kernels, x.scale)
            axes = graph.constant(np.array([1, 2, 3], dtype=np.int64))
            sums = graph.add("ReduceSum", graph.add("Mul", kernels, x.mean), axes, keepdims=0)
            return kernels, graph.reshaped(graph.add("Neg", sums), [1, -1, 1, 1])

    def weights(self, name: str, *, matrix: bool = False) -> tuple[str, str]:
        """Kernels (O, C, k, k), or (O, C) of 1x1, and biases (O,) of one of the network's convolutions."""
        graph, layer = self.graph, self.convolution(name)
        if layer.bias is None:
            raise TypeError(f"{name} adds nothing")
        name = name.removeprefix("encoder.")
        kernels, bias = (
            graph.half(part.detach().float().numpy(), f"{name}.{which}")
            for which, part in (("weight", layer.weight), ("bias", layer.bias))
        )
        return graph.reshaped(kernels, list(layer.weight.shape[:2])) if matrix else kernels, bias

    def convolution(self, name: str) -> nn.Conv2d:
        """One of the network's convolutions."""
        found = self.net.get_submodule(name)
        if not isinstance(found, nn.Conv2d):
            raise TypeError(f"{name} is a {type(found).__name__}")
        return found

    def count(self, x: str, *, px: int = 1) -> str:
        """How many px (1, C, h, w) stands for, so many in each place; float32 (1,)."""
        graph = self.graph
        sides = graph.add("Gather", graph.add("Shape", x), graph.constant(np.array([2, 3], dtype=np.int64), "sides"))
        places = graph.add("Cast", graph.add("ReduceProd", sides, keepdims=1), to=1)
        return graph.add("Mul", places, graph.number(px)) if px > 1 else places

    # ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def joined(self, h: str, other: str) -> str:
        """Twice as large, bilinear, and what lies at that resolution added."""
        scales = self.graph.constant(np.array([1, 1, 2, 2], dtype=np.float32), "twice")
        h = self.graph.add("Resize", h, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
        return self.graph.add("Add", h, other)

    def block(self, h: str, name: str, style: Iterator[str]) -> str:
        """A residual block."""
        first = self.graph.add("Relu", self.conditional(h, f"{name}.first", style))
        return self.graph.add("Add", h, self.conditional(first, f"{name}.second", style))

    def conditional(self, h: str, name: str, style: Iterator[str], *, seen: Known | None = None) -> str:
        """A conditional convolution, perhaps of what is seen and still to be normalised."""
        h, scale, shift = self._convolved(h, name, style, seen=seen)
        return self.graph.add("Add", self.graph.add("Mul", h, scale), shift)

    def risen(self, h: str, name: str, style: Iterator[str], *, output: str) -> Known:
        """A conditional convolution without what is negative, about the place in the middle."""
        graph = self.graph
        convolved, scale, shift = self._convolved(h, name, style)

        def risen(x: str) -> str:
            return graph.add("Relu", graph.add("Add", graph.add("Mul", x, scale), shift))

        middle = self.middle(convolved)
        with graph.exact():
            spot = risen(middle)
        return self.about(risen(convolved), output, spot=spot)

    def _convolved(self, h: str, name: str, style: Iterator[str], *, seen: Known | None = None) -> tuple[str, str, str]:
        graph, module = self.graph, self.net.get_submodule(name)
        if not isinstance(module, Conditional):
            raise TypeError(f"{name} is a {type(module).__name__}")
        scale, shift = next(style), next(style)
        kernels = graph.half(module.kernels().detach().float().numpy(), f"{name}.weight")
        if seen is not None:
            kernels, more = self.normal(kernels, seen)
            with graph.exact():
                shift = graph.add("Add", graph.add("Mul", more, scale), shift)
        if module.mirrored:
            pads = graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64))
            h = graph.add("Pad", h, pads, mode="reflect")
        h = graph.add("Conv", h, kernels, pads=[int(not module.mirrored)] * 4, strides=[module.stride] * 2)
        return h, scale, shift
