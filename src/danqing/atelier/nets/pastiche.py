"""The pastiche network: a photo and a style vector go in, a painting comes out, in one pass.

Everything in it that depends on the style is the style vector, float32 (P,): the colours that the photo takes on, how
much of its detail stays, and the scale and shift of every channel of every convolution (conditional normalisation,
Dumoulin et al. 2017; FiLM, Perez et al. 2018). Vectors may be mixed. The network knows neither styles nor how their
vectors are found (`predictor.py`).

    photo -> margin -> compact encoder, frozen -> relu2_1 (1/2), relu3_1 (1/4), normalised
          -> residual blocks at 1/8 -> up, joined with relu3_1 -> up, joined with relu2_1 -> up, joined with the photo
          -> added to the photo in the style's colours, with as much of its detail as the style leaves

Departures from Johnson et al. 2016 and Dumoulin et al. 2017, measured in docs/experiments.md:
- features are normalised once, where they leave the encoder, and nowhere after: that halves the time of a picture, and
  a huge picture can be painted in tiles with the statistics of the whole;
- the first layers are those of an encoder that has learnt to see, and the colours need not be learnt at all;
- the padding is done once, around the picture, and cut away at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danqing.atelier.encoders import COMPACT_WIDTHS, VGG

MARGIN = 16
"""px that the picture is continued by on every side, and that are cut away again."""

WIDTHS = (16, 32, 64, 128)
"""Channels at 1/1, 1/2, 1/4 and 1/8 of the picture's resolution."""

BLOCKS = (0, 1, 1, 4)
"""Residual blocks there."""

COLOUR = 12
"""The first entries of a style vector: the mean of the style's colours, and the root of their covariance, by rows."""

BANDS = (8, 2)
"""px: of the photo in the style's colours, what is finer than these stays by the next entries of the vector."""

NEWTON_STEPS = 14
"""Of the iteration that finds an inverse root."""

LEAST, NEARLY_FLAT = 0.02, 2e-3
"""Deviation that is added to every colour, and to the smallest of the eigenvalues whose roots are taken."""


class Conditional(nn.Module):
    """A 3x3 convolution whose every channel is scaled and shifted by the style; zeros beyond the border.

    The kernels of a channel are brought to length 1 (Salimans & Kingma 2016), so that only the style decides how loud
    it is, and nothing grows while it is learnt.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, usual: float = 2**0.5) -> None:
        super().__init__()
        self.stride, self.usual = stride, usual
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5)

    def kernels(self) -> Tensor:
        """What is convolved with, (outputs, inputs, 3, 3), each channel's of length 1."""
        kernels: Tensor = self.weight * self.weight.square().sum((1, 2, 3), keepdim=True).add(1e-8).rsqrt()
        return kernels

    def forward(self, x: Tensor, style: Iterator[Tensor]) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / stride, w / stride); takes its scale and shift from `style`."""
        scale, shift = next(style), next(style)
        return torch.addcmul(shift, F.conv2d(x, self.kernels().to(x.dtype), stride=self.stride, padding=1), scale)


class Block(nn.Module):
    """A residual block: what two conditional convolutions find is added to what there is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = Conditional(width, width), Conditional(width, width, usual=0.3)

    def forward(self, x: Tensor, style: Iterator[Tensor]) -> Tensor:
        """(N, width, h, w) -> the same."""
        found: Tensor = self.second(F.relu(self.first(x, style)), style)
        return x + found


class PasticheNet(nn.Module):
    """The pastiche network.

    Args:
        encoder_widths: channels of the encoder's blocks.
        widths, blocks: channels and residual blocks at 1/1, 1/2, 1/4 and 1/8.
    """

    def __init__(
        self,
        encoder_widths: tuple[int, ...] = COMPACT_WIDTHS,
        *,
        widths: tuple[int, int, int, int] = WIDTHS,
        blocks: tuple[int, int, int, int] = BLOCKS,
    ) -> None:
        super().__init__()
        full, half, quarter, eighth = widths
        scale = 1 / 0.225  # as `encoders.compact`
        matrix = tuple(tuple(scale * (row == column) for column in range(3)) for row in range(3))
        self.encoder = VGG(encoder_widths, last="conv3_1", matrix=matrix, bias=(-2.0, -2.0, -2.0))
        self.encoder.requires_grad_(requires_grad=False)
        self.down = Conditional(encoder_widths[2], eighth, stride=2)
        self.blocks_8 = nn.ModuleList(Block(eighth) for _ in range(blocks[3]))
        self.narrow_4 = nn.Conv2d(eighth, quarter, 1)
        self.join_4 = Conditional(quarter + encoder_widths[2], quarter)
        self.blocks_4 = nn.ModuleList(Block(quarter) for _ in range(blocks[2]))
        self.narrow_2 = nn.Conv2d(quarter, half, 1)
        self.join_2 = Conditional(half + encoder_widths[1], half)
        self.blocks_2 = nn.ModuleList(Block(half) for _ in range(blocks[1]))
        self.narrow_1 = nn.Conv2d(half, full, 1)
        self.join_1 = Conditional(full + 3, full)
        self.out = nn.Conv2d(full, 3, 3, padding=1)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
        self.sizes = [size for module in self._conditionals() for size in (len(module.weight),) * 2]

    @property
    def vector_size(self) -> int:
        """P, the length of a style vector."""
        return COLOUR + len(BANDS) + sum(self.sizes)

    def neutral(self) -> Tensor:
        """The vector (P,) of usual scales, no shifts, and grey: where learning begins."""
        parts = [torch.full((3,), 0.5), 0.2 * torch.eye(3).flatten(), torch.ones(len(BANDS))]
        for module in self._conditionals():
            parts += [torch.full((len(module.weight),), module.usual), torch.zeros(len(module.weight))]
        return torch.cat(parts)

    def _conditionals(self) -> list[Conditional]:
        return [module for module in self.modules() if isinstance(module, Conditional)]

    def forward(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Paint.

        Args:
            x: photos (N, 3, H, W), sRGB in 0..1, sides multiples of 8.
            vectors: float32 (N, P).

        Returns:
            (N, 3, H, W), about 0..1.
        """
        x = F.pad(x, (MARGIN,) * 4, mode="reflect" if min(x.shape[2:]) > MARGIN else "replicate")
        features = self.encoder(x, ["relu2_1", "relu3_1"])
        painted = self.paint(x, features, vectors)
        return painted[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]

    def paint(self, x: Tensor, features: dict[str, Tensor], vectors: Tensor) -> Tensor:
        """The painting of photos with margins (N, 3, H, W) and their features, margins included."""
        kept = vectors[:, COLOUR : COLOUR + len(BANDS), None, None].float()
        scales = torch.split(vectors[:, COLOUR + len(BANDS) :], self.sizes, dim=1)
        parts = [part[:, :, None, None] for part in scales]
        half, quarter = (normalized(features[layer]).to(features[layer].dtype) for layer in ("relu2_1", "relu3_1"))
        style = iter([part.to(half.dtype) for part in parts])
        tinted, plain = recoloured(x, vectors[:, :COLOUR])
        h = F.relu(self.down(quarter, style))
        for block in self.blocks_8:
            h = block(h, style)
        h = torch.cat([double(self.narrow_4(h)), quarter], 1)
        h = F.relu(self.join_4(h, style))
        for block in self.blocks_4:
            h = block(h, style)
        h = torch.cat([double(self.narrow_2(h)), half], 1)
        h = F.relu(self.join_2(h, style))
        for block in self.blocks_2:
            h = block(h, style)
        h = torch.cat([double(self.narrow_1(h)), plain.to(h.dtype)], 1)
        h = F.relu(self.join_1(h, style))
        large, middle = (smoothed(tinted, band) for band in BANDS)
        base = large + kept[:, :1] * (middle - large) + kept[:, 1:] * (tinted - middle)
        painted: Tensor = base + self.out(h).float().tanh()
        return painted


def double(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 2h, 2w), bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def smoothed(x: Tensor, size: int) -> Tensor:
    """A picture (N, C, H, W) without what is finer than `size` px, by which its sides can be divided."""
    return F.interpolate(F.avg_pool2d(x, size), scale_factor=size, mode="bilinear", align_corners=False)


def normalized(features: Tensor) -> Tensor:
    """Every channel with mean 0 and deviation 1, (N, C, h, w) -> float32; one that hardly varies stays small."""
    features = features.float()
    variance, mean = torch.var_mean(features, dim=(2, 3), keepdim=True, correction=0)
    return (features - mean) * torch.rsqrt(variance + 0.01 * variance.mean(1, keepdim=True) + 1e-6)


def recoloured(x: Tensor, colour: Tensor) -> tuple[Tensor, Tensor]:
    """Photos (N, 3, H, W) in the colours (N, 12) of a style, and the same with mean 0 and deviation 1; both float32.

    The map is the one that moves colours least (Pitie & Kokaram 2007), as `image.color.transfer` has it, written with
    the root S of the style's covariance alone: S (S C S)^(-1/2) S for the photo's covariance C. The inverse root is
    found by Newton and Schulz's iteration, which is made of products only (Higham 2008, equation 6.35).
    """
    with torch.autocast(x.device.type, enabled=False):
        x, colour = x.float(), colour.float()
        flat = (x - x.mean((2, 3), keepdim=True)).flatten(2)
        eye = torch.eye(3, dtype=x.dtype, device=x.device)
        covariance = flat @ flat.mT / flat.shape[2] + LEAST**2 * eye  # a picture of one colour stays one
        root = colour[:, 3:].reshape(-1, 3, 3) + LEAST * eye
        both = root @ covariance @ root.mT  # has an inverse root whatever the vector holds
        trace = both.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        y = both / trace + NEARLY_FLAT * eye
        z = eye.expand_as(y)
        for _ in range(NEWTON_STEPS):
            t = 1.5 * eye - 0.5 * (z @ y)
            y, z = y @ t, t @ z
        centred = root.mT @ (z / trace.sqrt()) @ root @ flat
        deviation = (root.square().sum((1, 2), keepdim=True) / 3).sqrt()
        tinted = centred + colour[:, :3, None]
        return tinted.reshape(x.shape), (centred / deviation).reshape(x.shape)
