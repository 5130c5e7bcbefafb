"""The classic feed-forward network: one style, one network (Johnson, Alahi & Fei-Fei 2016).

A photo goes in, a painting comes out, both (N, 3, H, W), RGB in 0..255. Two families, each as its tool has it:
`pytorch-examples` reflects the border before every convolution and enlarges by repetition; `jcjohnson` reflects 40 px
once, before the first, shaves them off in unpadded residual blocks, enlarges by transposed convolutions, and ends in
150 · tanh around VGG's mean colour. Both with instance normalisation (Ulyanov et al. 2016). Here for models of those
tools and as the peer in benchmarks.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Family = Literal["pytorch-examples", "jcjohnson"]

WIDTHS = (32, 64, 128)

CAFFE_MEAN = (103.939, 116.779, 123.68)
"""VGG's mean colour: blue, green, red in 0..255."""

BLOCKS = 5
"""Residual blocks."""

SHAVED = 40
"""px that the unpadded residual blocks of `jcjohnson` take away on every side."""


class ConvLayer(nn.Module):
    """A convolution with its border reflected, after enlarging by repetition if asked for."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, larger: int = 1) -> None:
        super().__init__()
        self.larger, self.margin = larger, kernel // 2
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h · larger / stride, w · larger / stride)."""
        if self.larger > 1:
            x = F.interpolate(x, scale_factor=self.larger, mode="nearest")
        found: Tensor = self.conv2d(F.pad(x, (self.margin,) * 4, mode="reflect"))
        return found


class Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = ConvLayer(width, width, 3), ConvLayer(width, width, 3)
        self.in1, self.in2 = nn.InstanceNorm2d(width, affine=True), nn.InstanceNorm2d(width, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> the same."""
        found: Tensor = self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))
        return x + found


class Shaving(nn.Module):
    """The residual block without padding: what is added to is cut to the size of what is left."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3), nn.Conv2d(width, width, 3)
        self.in1, self.in2 = nn.InstanceNorm2d(width, affine=True), nn.InstanceNorm2d(width, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> (N, width, h - 4, w - 4)."""
        found: Tensor = self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))
        return x[:, :, 2:-2, 2:-2] + found


class Johnson(nn.Module):
    """The network; the parameters of `pytorch-examples` are called as there.

    Args:
        widths: channels at 1/1, 1/2 and 1/4 of the picture's resolution.
        family: whose network.
    """

    def __init__(self, widths: tuple[int, int, int] = WIDTHS, *, family: Family = "pytorch-examples") -> None:
        super().__init__()
        self.widths, self.family = widths, family
        full, half, quarter = widths
        if family == "pytorch-examples":
            self.conv1: nn.Module = ConvLayer(3, full, 9)
            self.conv2: nn.Module = ConvLayer(full, half, 3, stride=2)
            self.conv3: nn.Module = ConvLayer(half, quarter, 3, stride=2)
            self.deconv1: nn.Module = ConvLayer(quarter, half, 3, larger=2)
            self.deconv2: nn.Module = ConvLayer(half, full, 3, larger=2)
            self.deconv3: nn.Module = ConvLayer(full, 3, 9)
        else:
            self.conv1 = nn.Conv2d(3, full, 9, padding=4)
            self.conv2 = nn.Conv2d(full, half, 3, stride=2, padding=1)
            self.conv3 = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
            self.deconv1 = nn.ConvTranspose2d(quarter, half, 3, stride=2, padding=1, output_padding=1)
            self.deconv2 = nn.ConvTranspose2d(half, full, 3, stride=2, padding=1, output_padding=1)
            self.deconv3 = nn.Conv2d(full, 3, 9, padding=4)
        block = Residual if family == "pytorch-examples" else Shaving
        for place in range(1, BLOCKS + 1):
            self.add_module(f"res{place}", block(quarter))
        for place, width in enumerate((full, half, quarter, half, full), 1):
            self.add_module(f"in{place}", nn.InstanceNorm2d(width, affine=True))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in 0..255 -> the same; of the very same size where sides are multiples of 4."""
        if self.family == "pytorch-examples":
            return self._through(x)
        mean = torch.tensor(CAFFE_MEAN, dtype=x.dtype, device=x.device)[:, None, None]
        seen = F.pad(x.flip(1) - mean, (SHAVED,) * 4, mode="reflect")
        return (150 * self._through(seen).tanh() + mean).flip(1)

    def _through(self, x: Tensor) -> Tensor:
        for place in (1, 2, 3):
            x = F.relu(self._norm(place)(self.get_submodule(f"conv{place}")(x)))
        for place in range(1, BLOCKS + 1):
            x = self.get_submodule(f"res{place}")(x)
        for place in (1, 2):
            x = F.relu(self._norm(place + 3)(self.get_submodule(f"deconv{place}")(x)))
        painted: Tensor = self.deconv3(x)
        return painted

    def _norm(self, place: int) -> nn.Module:
        return self.get_submodule(f"in{place}")
