"""For serve.py: a network of U2-Net's shape (Qin et al. 2020) with drawn weights, where the true ones are not at hand.

u2net.py FILE     writes it as ONNX: 1x3x320x320 in, seven masks of that size out, 44 M parameters
"""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ENCODER = (
    (7, 3, 32, 64),
    (6, 64, 32, 128),
    (5, 128, 64, 256),
    (4, 256, 128, 512),
    (0, 512, 256, 512),
    (0, 512, 256, 512),
)
DECODER = ((0, 1024, 256, 512), (4, 1024, 128, 256), (5, 512, 64, 128), (6, 256, 32, 64), (7, 128, 16, 64))


def halved(x: Tensor) -> Tensor:
    """At half the resolution."""
    return F.max_pool2d(x, 2, 2, ceil_mode=True)


def like(x: Tensor, other: Tensor) -> Tensor:
    """At the resolution of another."""
    return F.interpolate(x, size=other.shape[2:], mode="bilinear")


class Unit(nn.Sequential):
    """Convolution, normalisation, rectifier."""

    def __init__(self, given: int, out: int, dilation: int = 1) -> None:
        conv = nn.Conv2d(given, out, 3, padding=dilation, dilation=dilation)
        super().__init__(conv, nn.BatchNorm2d(out), nn.ReLU())


class Block(nn.Module):
    """RSU: a U-Net of so many levels as one block; with none, dilations stand for the levels (RSU-4F)."""

    def __init__(self, levels: int, given: int, inner: int, out: int) -> None:
        super().__init__()
        self.flat = levels == 0
        depth = levels or 4
        spread = [2**n if self.flat else 1 for n in range(depth)]
        spread[-1] = 8 if self.flat else 2
        self.first = Unit(given, out)
        self.down = nn.ModuleList(Unit(inner if n else out, inner, spread[n]) for n in range(depth))
        self.up = nn.ModuleList(Unit(2 * inner, inner if n else out, spread[n]) for n in range(depth - 1))

    def forward(self, x: Tensor) -> Tensor:
        """As the paper draws it."""
        first = x = self.first(x)
        seen: list[Tensor] = []
        for number, unit in enumerate(self.down):
            inside = 0 < number < len(self.down) - 1
            x = unit(halved(x) if inside and not self.flat else x)
            seen.append(x)
        for unit, side in zip(reversed(self.up), reversed(seen[:-1]), strict=True):
            x = unit(torch.cat([like(x, side), side], 1))
        return x + first


class Net(nn.Module):
    """U2-Net: blocks down, blocks up, a mask at each level and one of them all."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(Block(*shape) for shape in ENCODER)
        self.decoder = nn.ModuleList(Block(*shape) for shape in DECODER)
        self.sides = nn.ModuleList(nn.Conv2d(n, 1, 3, padding=1) for n in (64, 64, 128, 256, 512, 512))
        self.all = nn.Conv2d(6, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """As the paper draws it."""
        photo, seen = x, []
        for number, block in enumerate(self.encoder):
            x = block(halved(x) if number else x)
            seen.append(x)
        masks = [x]
        for block, side in zip(self.decoder, reversed(seen[:-1]), strict=True):
            x = block(torch.cat([like(x, side), side], 1))
            masks.insert(0, x)
        drawn = [like(side(mask), photo) for side, mask in zip(self.sides, masks, strict=True)]
        return tuple(torch.sigmoid(mask) for mask in (self.all(torch.cat(drawn, 1)), *drawn))


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.onnx.export(Net().eval(), (torch.rand(1, 3, 320, 320),), sys.argv[1], dynamo=False, input_names=["input"])
