"""Encoders: a picture goes in, the features of named VGG layers come out.

One class, `VGG`, serves every VGG-shaped network here: the true VGG-16 and VGG-19, the compressed VGG-19 that taught
ours, and `compact`, our own. They differ in widths, in the colour transform in front, in padding and in depth, and in
nothing else. This module does not know files: `adopt.py` puts named arrays into an encoder, `card.py` says which
preprocessing belongs to which weights.

Layers are named as in the literature: `conv3_1` is the output of that convolution before its ReLU, `relu3_1` after it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from danqing.atelier import tiled

Pooling = Literal["max", "average"]
Padding = Literal["zeros", "reflect"]

VGG19_DEPTHS = (2, 2, 4, 4, 4)
VGG16_DEPTHS = (2, 2, 3, 3, 3)
VGG_WIDTHS = (64, 128, 256, 512, 512)
COMPACT_WIDTHS = (16, 32, 80, 144, 144)

# Rows: what the first convolution sees, columns: R, G, B in 0..1.
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
CAFFE_MATRIX = ((0.0, 0.0, 255.0), (0.0, 255.0, 0.0), (255.0, 0.0, 0.0))
CAFFE_BIAS = (-103.939, -116.779, -123.68)


def layer_names(depths: Sequence[int] = VGG19_DEPTHS) -> tuple[str, ...]:
    """The convolutions of a VGG with so many of them in each block: `conv1_1`, `conv1_2`, `conv2_1`, ..."""
    return tuple(f"conv{block}_{n}" for block, depth in enumerate(depths, 1) for n in range(1, depth + 1))


class VGG(nn.Module):
    """A VGG-shaped encoder (Simonyan & Zisserman 2014), fully convolutional, cut after its deepest layer.

    Args:
        widths: channels of each block, or of each convolution by name.
        depths: convolutions in each block.
        last: the deepest convolution present, such as `conv5_1`; the rest is never built.
        matrix, bias: the colour transform in front: what the first convolution sees is `matrix @ rgb + bias`.
        padding: how each 3x3 convolution is padded by one pixel.
        pooling: what stands between the blocks; average pooling is Gatys et al.'s advice for smoother gradients.
    """

    def __init__(
        self,
        widths: Sequence[int] | Mapping[str, int] = VGG_WIDTHS,
        *,
        depths: Sequence[int] = VGG19_DEPTHS,
        last: str = "conv5_1",
        matrix: Sequence[Sequence[float]] = IDENTITY,
        bias: Sequence[float] = (0.0, 0.0, 0.0),
        padding: Padding = "zeros",
        pooling: Pooling = "max",
    ) -> None:
        super().__init__()
        names = layer_names(depths)
        self.names = names[: names.index(last) + 1]
        self.padding: Padding = padding
        self.pooling: Pooling = pooling
        self.checkpointed = False  # whether activations are computed again for the gradient instead of kept
        self.tiled = False  # whether large pictures are looked at in tiles
        # No buffers: colours stay exact when the module is brought to half precision.
        self.matrix = torch.tensor(matrix, dtype=torch.float32)
        self.bias = torch.tensor(bias, dtype=torch.float32)
        channels = 3
        for name in self.names:
            width = widths[name] if isinstance(widths, Mapping) else widths[int(name[4]) - 1]
            self.add_module(name, nn.Conv2d(channels, width, 3, padding=1 if padding == "zeros" else 0))
            channels = width

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that can be asked for: `conv1_1`, `relu1_1`, `conv1_2`, ..."""
        return tuple(f"{kind}{name[4:]}" for name in self.names for kind in ("conv", "relu"))

    def forward(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Features of the layers asked for.

        Args:
            x: pictures (N, 3, H, W), sRGB in 0..1.
            layers: names from `self.layers`; the network runs no deeper than the deepest of them.

        Returns:
            {layer: (N, C, h, w)} with h = H >> (block - 1), rounded down.

        Raises:
            KeyError: a layer that this encoder does not have.
        """
        wanted = set(layers)
        if unknown := wanted - set(self.layers):
            raise KeyError(f"no layers {sorted(unknown)}: this encoder has {', '.join(self.layers)}")
        x = self.see(x).to(self.convolution(self.names[0]).weight.dtype)  # colours are exact, features may not be
        features: dict[str, Tensor] = {}
        for block in range(1, int(self.names[-1][4]) + 1):
            if len(features) == len(wanted):
                break
            if self.checkpointed and torch.is_grad_enabled():
                x, found = checkpoint(self._block, x, block, wanted, use_reentrant=False)
            else:
                x, found = self._block(x, block, wanted)
            features |= found
        return features

    def look(self, x: Tensor, wish: tiled.Wish) -> tiled.Found:
        """Whole layers, and means and covariances of others, of a picture (1, 3, H, W); in tiles if these are on."""
        if self.tiled and wish.layers and max(x.shape[2:]) > tiled.SIDE:
            return tiled.seen_in_tiles(self, x, wish, reach=self.reach(wish.layers), side=tiled.SIDE)
        return tiled.seen(self, x, wish)

    def _block(self, x: Tensor, block: int, wanted: Collection[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """One block, the pooling before it included, no further than the last wanted layer if that is in it."""
        features: dict[str, Tensor] = {}
        deepest = max(int(layer[4]) for layer in wanted)
        here = {layer for layer in wanted if int(layer[4]) == block}
        if block > 1:
            x = F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)
        for name in (name for name in self.names if int(name[4]) == block):
            if self.padding == "reflect":
                x = F.pad(x, (1, 1, 1, 1), mode="reflect")
            x = self.convolution(name)(x)
            if name in wanted:
                features[name] = x
            # A convolution does not need its own output for its gradient, so the ReLU may overwrite it.
            x = F.relu(x, inplace=name not in wanted)
            relu = f"relu{name[4:]}"
            if relu in wanted:
                features[relu] = x
            if block == deepest and len(features) == len(here):
                break
        return x, features

    def reach(self, layers: Collection[str]) -> int:
        """px around a position that the deepest of these layers sees, at most."""
        deepest = max(self.names.index(f"conv{layer[4:]}") for layer in layers)
        blocks = [int(name[4]) for name in self.names[: deepest + 1]]
        return sum(1 << block - 1 for block in [*blocks, *range(1, blocks[-1])])  # convolutions, and poolings

    def work(self, layers: Collection[str]) -> tuple[float, float]:
        """What the features of these layers cost for every pixel of the picture: (values computed, multiplications)."""
        deepest = max((self.names.index(f"conv{layer[4:]}") for layer in layers), default=-1)
        values = products = 0.0
        for name in self.names[: deepest + 1]:
            kernels = self.convolution(name).weight
            share = 0.25 ** (int(name[4]) - 1)
            values += kernels.shape[0] * share
            products += kernels.numel() * share
        return values, products

    def share(self, layer: str) -> float:
        """Values of a layer for every pixel of the picture."""
        return len(self.convolution(layer).weight) * 0.25 ** (int(layer[4]) - 1)

    def convolution(self, layer: str) -> nn.Conv2d:
        """The convolution of a layer: `conv3_1` and `relu3_1` have the same."""
        module = self.get_submodule(f"conv{layer[4:]}")
        if not isinstance(module, nn.Conv2d):
            raise TypeError(f"{layer} is a {type(module).__name__}")
        return module

    def see(self, x: Tensor) -> Tensor:
        """The colour transform in front of the first convolution, (N, 3, H, W) -> (N, 3, H, W)."""
        return F.conv2d(x, self.matrix.to(x)[:, :, None, None], self.bias.to(x))


def compact() -> VGG:
    """Our own encoder, untrained: VGG-19's layers to conv5_1, a third and less of its widths, 1.06 M parameters."""
    # (x - 0.45) / 0.225: the mean and spread of photographs, the same for every colour.
    scale = 1 / 0.225
    matrix = tuple(tuple(scale * v for v in row) for row in IDENTITY)
    return VGG(COMPACT_WIDTHS, matrix=matrix, bias=(-2.0, -2.0, -2.0), padding="reflect")
