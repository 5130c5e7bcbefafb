"""The generator of CycleGAN: a picture of one kind goes in, the same picture of another kind comes out.

As Zhu et al. 2017 take it over from Johnson et al. 2016: a 7x7 convolution, two that halve, residual blocks, two
transposed ones that double, a 7x7 convolution, tanh; every border reflected, every layer instance-normalised without
scale and shift. (N, C, H, W) in -1..1 on both sides, 1 or 3 channels. Departures, if asked for: pixels are doubled by
repeating them before a convolution, which cannot leave the grid of transposed ones (Odena, Dumoulin & Olah 2016); and
what was seen at full and at half size joins what is enlarged to it, as in a U-Net (Ronneberger, Fischer & Brox 2015),
the full size as bright and as contrasty as it was, for how faded a picture is cannot be told from what is normalised.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEVIATION = 0.02
"""Of the weights before anything is learnt, around 0; biases are 0."""

EPSILON = 1e-5
"""Added to variances."""

LARGE = 256
"""px: from this side of the pictures on there are 9 residual blocks, below 6."""


def blocks_for(side: int) -> int:
    """The residual blocks for pictures of a side in px."""
    return 9 if side >= LARGE else 6


def drawn(net: nn.Module) -> None:
    """Draw the weights of every convolution as the paper does."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Block(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3), nn.Conv2d(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> the same."""
        h = F.relu(normed(self.first(reflected(x, 1))))
        return x + normed(self.second(reflected(h, 1)))


class ResnetGenerator(nn.Module):
    """The generator.

    Args:
        channels: of the pictures, 1 or 3.
        width: channels at the picture's resolution; twice and four times as many at 1/2 and 1/4.
        blocks: residual blocks at 1/4.
        upsampling: `transposed`, or `nearest` for repeated pixels.
        skips: whether what was seen joins what is enlarged.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 64,
        blocks: int = 9,
        upsampling: Literal["transposed", "nearest"] = "transposed",
        skips: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.width = channels, width
        self.first = nn.Conv2d(channels, width, 7)
        self.down = nn.ModuleList(nn.Conv2d(width * n, width * n * 2, 3, stride=2, padding=1) for n in (1, 2))
        self.blocks = nn.ModuleList(Block(4 * width) for _ in range(blocks))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(width * n, width * n // 2, 3, stride=2, padding=1, output_padding=1)
            if upsampling == "transposed"
            else nn.Conv2d(width * n, width * n // 2, 3)
            for n in (4, 2)
        )
        self.joins = nn.ModuleList(nn.Conv2d(2 * n, n, 3) for n in (2 * width, width)) if skips else None
        self.last = nn.Conv2d(width, channels, 7)
        drawn(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) in -1..1 -> the same, float32; sides are multiples of 4."""
        h, seen = self.first(reflected(x, 3)), []
        h = F.relu(h if self.joins else normed(h))
        for layer in self.down:
            seen.append(h)
            h = F.relu(normed(layer(h)))
        for block in self.blocks:
            h = block(h)
        for place, layer in enumerate(self.up):
            if isinstance(layer, nn.Conv2d):
                h = reflected(F.interpolate(h, scale_factor=2, mode="nearest"), 1)
            h = F.relu(normed(layer(h)))
            if self.joins:
                h = self.joins[place](reflected(torch.cat([h, seen[-1 - place]], 1), 1))
                h = F.relu(normed(h) if place == 0 else h)
        with torch.autocast(x.device.type, enabled=False):  # half precision would round 16-bit pictures to 8
            painted: Tensor = self.last(reflected(h.float(), 3)).tanh()
        return painted


def normed(x: Tensor) -> Tensor:
    """Every channel with mean 0 and deviation 1, (N, C, h, w) -> the same.

    Written out, because torch 2.13's own instance normalisation gives wrong gradients on the processor for a single
    picture with channels last.
    """
    variance, mean = torch.var_mean(x.float(), dim=(2, 3), keepdim=True, correction=0)
    return ((x - mean) * torch.rsqrt(variance + EPSILON)).to(x.dtype)


def reflected(x: Tensor, margin: int) -> Tensor:
    """A picture continued by reflection."""
    return F.pad(x, (margin,) * 4, mode="reflect")
