"""Discriminators: a picture goes in, a map comes out that says of every patch how much it looks like the real ones.

`PatchDiscriminator` is that of Isola et al. 2017 and Zhu et al. 2017, whose places see 70x70 px. `StyledDiscriminator`
judges at several scales whether a patch is by the painter of a painting: it looks through the layers of an encoder that
stays as it is, so that a few paintings and some hundred steps teach it something (Sauer et al. 2021), and compares what
it sees with the statistics of that painting by projection (Miyato & Koyama 2018), under spectral normalisation (Miyato
et al. 2018). Neither knows a loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from danqing.atelier.nets.resnet import drawn, normed

LEAK = 0.2

EPSILON = 1e-4
"""Added to the mean square of a place's features."""


class PatchDiscriminator(nn.Module):
    """Convolutions of 4x4, `layers` of them halving: with 3 every place sees 70x70 px, with 2 34x34.

    Args:
        channels: of what is judged; 6 where a picture is judged beside the one that it was made from.
        width: channels after the first convolution; they double until they are 8 times as many.
        layers: how many convolutions halve.
    """

    def __init__(self, channels: int = 3, *, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        widths = [channels, *(width * min(2**n, 8) for n in range(layers + 1))]
        strides = [2] * layers + [1]
        self.layers = nn.ModuleList(
            nn.Conv2d(one, other, 4, stride=stride, padding=1)
            for (one, other), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.last = nn.Conv2d(widths[-1], 1, 4, padding=1)
        drawn(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) in -1..1 -> (N, 1, h, w), float32."""
        for place, layer in enumerate(self.layers):
            x = layer(x)
            x = F.leaky_relu(x if place == 0 else normed(x), LEAK)
        judged: Tensor = self.last(x).float()
        return judged


class StyledDiscriminator(nn.Module):
    """Judges patches at several scales beside the statistics of a style.

    Args:
        statistics: how many numbers tell of a style.
        channels: {layer of the encoder: its channels}; such as `relu3_1`, whose digit is the block.
        width: channels after the first convolution on each layer.
        layers: how often the picture is halved until it is judged, the encoder's own halvings included.
    """

    def __init__(self, statistics: int, *, channels: Mapping[str, int], width: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.scales = nn.ModuleDict({
            layer: Scale(statistics, channels=count, width=width, halvings=max(0, layers - int(layer[4]) + 1))
            for layer, count in channels.items()
        })  # fmt: skip

    @property
    def layers(self) -> tuple[str, ...]:
        """What it looks through."""
        return tuple(self.scales)

    def forward(self, features: Mapping[str, Tensor], stats: Tensor) -> list[Tensor]:
        """Features (N, C, h, w) and usual statistics (N, S) -> for every layer (N, 1, h', w'), float32."""
        return [scale(features[layer], stats) for layer, scale in self.scales.items()]


class Scale(nn.Module):
    """What judges at one scale: real or not by itself, and by how well it goes with the style."""

    def __init__(self, statistics: int, *, channels: int, width: int, halvings: int) -> None:
        super().__init__()
        widths: Sequence[int] = [2 * width * min(2**n, 4) for n in range(halvings + 1)]
        self.first = spectral_norm(nn.Conv2d(channels, widths[0], 3, padding=1))
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(one, other, 4, stride=2, padding=1)) for one, other in pairwise(widths)
        )
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.style = spectral_norm(nn.Linear(statistics, widths[-1], bias=False))

    def forward(self, x: Tensor, stats: Tensor) -> Tensor:
        """Features (N, C, h, w) and statistics (N, S) -> (N, 1, h', w')."""
        x = x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + EPSILON).to(x.dtype)  # every layer has its scale
        for layer in (self.first, *self.layers):
            x = F.leaky_relu(layer(x), LEAK)
        match = (x.float() * self.style(stats).float()[:, :, None, None]).sum(1, keepdim=True)
        judged: Tensor = self.last(x).float() + match / x.shape[1] ** 0.5
        return judged
