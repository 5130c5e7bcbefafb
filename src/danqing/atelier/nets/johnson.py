"""The classic feed-forward network: one style, one network (Johnson, Alahi & Fei-Fei 2016).

A photo goes in, a painting comes out, both (N, 3, H, W) in 0..255. With instance normalisation (Ulyanov et al. 2016)
and nearest-neighbour upsampling it is that of pytorch/examples; with `upsampling="transposed"`, and tanh · 150 in
VGG's colours at the end, that of jcjohnson/fast-neural-style. Here for models of those tools and as the peer in
benchmarks.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["nearest", "transposed"]

WIDTHS = (32, 64, 128)


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


class Johnson(nn.Module):
    """The network; its parameters are called as in pytorch/examples.

    Args:
        widths: channels at 1/1, 1/2 and 1/4 of the picture's resolution.
        upsampling: repetition and a convolution, or a transposed convolution.
        tanh: end in tanh · 150 around VGG's mean colour, in its order, instead of leaving the values free.
    """

    def __init__(
        self,
        widths: tuple[int, int, int] = WIDTHS,
        *,
        upsampling: Upsampling = "nearest",
        tanh: bool = False,
    ) -> None:
        super().__init__()
        full, half, quarter = widths
        self.tanh = tanh
        self.conv1, self.in1 = ConvLayer(3, full, 9), nn.InstanceNorm2d(full, affine=True)
        self.conv2, self.in2 = ConvLayer(full, half, 3, stride=2), nn.InstanceNorm2d(half, affine=True)
        self.conv3, self.in3 = ConvLayer(half, quarter, 3, stride=2), nn.InstanceNorm2d(quarter, affine=True)
        for place in range(1, 6):
            self.add_module(f"res{place}", Residual(quarter))
        self.deconv1, self.in4 = _enlarging(quarter, half, upsampling), nn.InstanceNorm2d(half, affine=True)
        self.deconv2, self.in5 = _enlarging(half, full, upsampling), nn.InstanceNorm2d(full, affine=True)
        self.deconv3 = ConvLayer(full, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in 0..255 -> the same; with sides that are multiples of 4 the very same size."""
        y = F.relu(self.in1(self.conv1(x)))
        y = F.relu(self.in2(self.conv2(y)))
        y = F.relu(self.in3(self.conv3(y)))
        for place in range(1, 6):
            y = self.get_submodule(f"res{place}")(y)
        y = F.relu(self.in4(self.deconv1(y)))
        y = F.relu(self.in5(self.deconv2(y)))
        painted: Tensor = self.deconv3(y)
        if self.tanh:
            mean = torch.tensor([103.939, 116.779, 123.68], dtype=y.dtype, device=y.device)[:, None, None]
            painted = (150 * painted.tanh() + mean).flip(1)
        return painted


def _enlarging(inputs: int, outputs: int, how: Upsampling) -> nn.Module:
    if how == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return ConvLayer(inputs, outputs, 3, larger=2)
