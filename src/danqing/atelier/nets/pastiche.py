"""The pastiche network: a photo and a style vector go in, a painting comes out, in one pass.

Everything in it that depends on the style is the style vector, float32 (P,). First come statistics of the style itself:
mean and covariance of its colours and of what the compact encoder sees of it at three layers. What the network draws is
moved to these statistics wherever it has the encoder's meaning (whitening and colouring, Li et al. 2017, by the map
that moves least), so that a style need not be learnt to be painted. Then come entries that are learnt: how much of the
photo's own detail stays, and the scale and shift of every channel of every convolution (conditional normalisation,
Dumoulin et al. 2017; FiLM, Perez et al. 2018). Vectors may be mixed. The network knows neither styles nor how the
learnt part of their vectors is found (`predictor.py`).

    photo -> margin -> stem -> relu3_1 -> to 1/8, a residual block -> styled as relu4_1
          -> a residual block -> up, joined with relu3_1 (1/4) of the photo -> styled as relu3_1
          -> up, joined with relu2_1 (1/2) of the photo -> styled as relu2_1
          -> up, joined with the photo in the style's colours
          -> added to as much of that photo's detail as the style leaves -> styled as colours

Where a layer is styled it makes a promise: that the encoder, looking at the painting, sees there what it has. Training
holds the network to it (`train/pastiche.py`). What else was tried is told in docs/experiments.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danqing.atelier.encoders import COMPACT_WIDTHS

LEARNING_MARGIN, MARGIN = 16, 24
"""px that a picture is continued by on every side, and that are cut away again: while the network learns, and when it
paints; with 16, plain pictures would show a frame."""

STYLED = ("rgb", "relu2_1", "relu3_1", "relu4_1")
"""Where the style's statistics are taken over: the picture itself, and three layers of the encoder."""

WIDTH = 128
"""Channels at 1/8 of the picture's resolution; at the others they are the encoder's."""

BLOCKS = 1
"""Residual blocks there, behind the styling."""

STEM = 32
"""Channels of the stem's first convolution, at half the picture's resolution."""

BANDS = ((5, 5), (3,))
"""px: windows over which the photo in the style's colours is smoothed, one after the other. What is finer than each of
these two stays by one of the first of the learnt entries."""

SEEN_MEAN, SEEN_DEVIATION = 0.45, 0.225
"""Of the colours of photographs; what the stem sees is about the one, in units of the other."""

SOFT, LEAST, NEARLY_FLAT = 1e-2, 2e-3, 1e-3
"""Variance that is added before whitening, as a share of the mean one of what is styled and of the style; and the least
eigenvalue whose root is taken, as a share of the mean one."""

SPARSE = 2
"""At a half and a quarter of the resolution statistics are taken of so few rows and columns: of every second one."""

STABLE = 1.6977
"""The greatest factor by which a step of Newton and Schulz's iteration may be scaled."""


class Conditional(nn.Module):
    """A 3x3 convolution whose every channel is scaled and shifted by the style.

    The kernels of a channel are brought to length 1 (Salimans & Kingma 2016), so that only the style decides how loud
    it is, and nothing grows while it is learnt.

    Args:
        inputs, outputs: channels.
        stride: of the convolution.
        usual: the scale before anything is learnt.
        mirrored: beyond the border are the values before it, mirrored; else zeros.
        framed: what comes has the px beyond the border already.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        usual: float = 2**0.5,
        mirrored: bool = False,
        framed: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.usual, self.mirrored, self.framed = stride, usual, mirrored, framed
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5)

    def kernels(self) -> Tensor:
        """What is convolved with, (outputs, inputs, 3, 3), each channel's of length 1."""
        kernels: Tensor = self.weight * self.weight.square().sum((1, 2, 3), keepdim=True).add(1e-8).rsqrt()
        return kernels

    def forward(self, x: Tensor, style: Iterator[Tensor]) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / stride, w / stride); takes its scale and shift from `style`."""
        scale, shift = next(style), next(style)
        if self.mirrored:
            x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        padding = int(not self.mirrored and not self.framed)
        found = F.conv2d(x, self.kernels().to(x.dtype), stride=self.stride, padding=padding)
        return torch.addcmul(shift, found, scale)


class Block(nn.Module):
    """A residual block: what two conditional convolutions find is added to what there is."""

    def __init__(self, width: int, *, mirrored: bool = False) -> None:
        super().__init__()
        self.first = Conditional(width, width, mirrored=mirrored)
        self.second = Conditional(width, width, usual=0.3, mirrored=mirrored)

    def forward(self, x: Tensor, style: Iterator[Tensor]) -> Tensor:
        """(N, width, h, w) -> the same."""
        found: Tensor = self.second(F.relu(self.first(x, style)), style)
        return x + found


class Stem(nn.Module):
    """Sees of a photo nearly what the compact encoder sees: learns to (`train/pastiche.py`), at a third of its cost.

    The encoder's first convolutions go over every pixel. These go over squares of 2x2 px, that lie in one place.

    Args:
        half, quarter: channels of relu2_1 and of relu3_1, at these parts of the resolution.
    """

    def __init__(self, half: int, quarter: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(12, STEM, 3, padding=1)
        self.relu2_1 = nn.Conv2d(STEM, half, 3, padding=1)
        self.relu3_1 = nn.Conv2d(half, quarter, 3, padding=1, stride=2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Photos (N, 3, H, W), sRGB in 0..1 -> the two layers by name, (N, C, H/2, W/2) and (N, C, H/4, W/4)."""
        x = F.pixel_unshuffle((x - SEEN_MEAN) / SEEN_DEVIATION, 2)
        half = F.relu(self.relu2_1(F.relu(self.first(x))))
        return {"relu2_1": half, "relu3_1": F.relu(self.relu3_1(half))}


class Usual(nn.Module):
    """Brings every channel of something to the mean and deviation 0 and 1 that it has over many styles."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def accustom(self, mean: Tensor, root: Tensor) -> None:
        """Learn what is usual from the statistics of many styles, (N, C) and (N, C, C)."""
        variance = root.square().sum(1).mean(0)
        self.mean.copy_(mean.mean(0))
        self.deviation.copy_((variance + 0.05 * variance.mean()).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same, float32."""
        usual: Tensor = (x.float() - self.mean[:, None, None]) / self.deviation[:, None, None]
        return usual


class PasticheNet(nn.Module):
    """The pastiche network.

    Args:
        encoder_widths: channels of the encoder's blocks.
        width, blocks: channels at 1/8, and residual blocks there, behind the styling.
    """

    def __init__(
        self,
        encoder_widths: tuple[int, ...] = COMPACT_WIDTHS,
        *,
        width: int = WIDTH,
        blocks: int = BLOCKS,
    ) -> None:
        super().__init__()
        full, half, quarter, eighth = encoder_widths[:4]
        self.stem = Stem(half, quarter)
        self.styled = dict(zip(STYLED, (3, half, quarter, eighth), strict=True))
        self.usual = nn.ModuleDict({layer: Usual(size) for layer, size in self.styled.items()})
        self.down = Conditional(quarter, width, mirrored=True, stride=2)
        self.block_8 = Block(width, mirrored=True)
        self.near_8, self.narrow_8 = nn.Conv2d(width, eighth, 1), nn.Conv2d(eighth, width, 1)
        self.blocks_8 = nn.ModuleList(Block(width, mirrored=True) for _ in range(blocks))
        self.narrow_4, self.link_4 = nn.Conv2d(width, quarter, 1), nn.Conv2d(quarter, quarter, 1)
        self.join_4, self.near_4 = Conditional(quarter, quarter), nn.Conv2d(quarter, quarter, 1)
        self.narrow_2, self.link_2 = nn.Conv2d(quarter, half, 1), nn.Conv2d(half, half, 1)
        self.join_2, self.near_2 = Conditional(half, half), nn.Conv2d(half, half, 1)
        self.narrow_1, self.link_1 = nn.Conv2d(half, full, 1), nn.Conv2d(3, full, 1)
        self.join_1 = Conditional(full, full, framed=True)
        self.out = nn.Conv2d(full, 3, 3, padding=1)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
        self.sizes = [size for module in self._conditionals() for size in (len(module.weight),) * 2]

    @property
    def given(self) -> int:
        """How many entries of a style vector are statistics of the style itself; they come first."""
        return sum(width + width * (width + 1) // 2 for width in self.styled.values())

    @property
    def vector_size(self) -> int:
        """P, the length of a style vector."""
        return self.given + len(BANDS) + sum(self.sizes)

    def neutral(self) -> Tensor:
        """The learnt entries (P - given,) before anything is learnt: some detail, usual scales, no shifts."""
        parts = [torch.tensor([0.5, 0.25])]
        for module in self._conditionals():
            parts += [torch.full((len(module.weight),), module.usual), torch.zeros(len(module.weight))]
        return torch.cat(parts)

    def accustom(self, given: Tensor) -> None:
        """Learn what is usual from the statistics (N, given) of many styles."""
        for layer, (mean, root) in self.statistics(given).items():
            self.usually(layer).accustom(mean, root)

    def usually(self, layer: str) -> Usual:
        """What is usual for a layer."""
        usual = self.usual[layer]
        if not isinstance(usual, Usual):
            raise TypeError(f"{layer}: {type(usual).__name__}")
        return usual

    def statistics(self, vectors: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """At the head of vectors (N, P or less), by layer: the mean (N, C), and R (N, C, C) for the covariance RᵀR."""
        found, at = {}, 0
        for layer, width in self.styled.items():
            mean, entries = vectors[:, at : at + width], width * (width + 1) // 2
            rows, columns = torch.tril_indices(width, width)
            root = vectors.new_zeros(len(vectors), width, width)
            root[:, columns, rows] = vectors[:, at + width : at + width + entries]
            found[layer] = mean, root
            at += width + entries
        return found

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
        painted, _ = self.paint(x, vectors, margin=MARGIN)
        return painted[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]

    def paint(self, x: Tensor, vectors: Tensor, *, margin: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The paintings with their margins, and what is promised of them, as `usual`; `rgb` are the photos' colours."""
        x = F.pad(x, (margin,) * 4, mode="reflect" if min(x.shape[2:]) > margin else "replicate")
        seen = self.stem(x)
        kind = seen["relu3_1"].dtype
        statistics = self.statistics(vectors.float())
        learnt = vectors[:, self.given :, None, None]
        coarse, fine = learnt[:, 0:1].float(), learnt[:, 1:2].float()
        style = iter(torch.split(learnt[:, len(BANDS) :].to(kind), self.sizes, dim=1))
        promised: dict[str, Tensor] = {}

        def styled(layer: str, h: Tensor) -> Tensor:
            every = 1 if layer == "relu4_1" else SPARSE
            promised[layer] = self.usual[layer](moved(h, *statistics[layer], every=every))
            return promised[layer].to(kind)

        mean, root = statistics["rgb"]
        tinted = moved(x, mean, root)
        promised["rgb"] = self.usual["rgb"](tinted)
        quarter, half = (normalized(seen[layer], every=SPARSE).to(kind) for layer in ("relu3_1", "relu2_1"))
        h = F.relu(self.down(quarter, style))
        h = self.narrow_8(styled("relu4_1", self.near_8(self.block_8(h, style))))
        for block in self.blocks_8:
            h = block(h, style)
        h = double(self.narrow_4(h)) + self.link_4(quarter)
        h = styled("relu3_1", self.near_4(F.relu(self.join_4(h, style))))
        h = double(self.narrow_2(h)) + self.link_2(half)
        h = styled("relu2_1", self.near_2(F.relu(self.join_2(h, style))))
        h = framed(self.narrow_1(h)) + F.pad(self.link_1(promised["rgb"].to(kind)), (1, 1, 1, 1))
        h = F.relu(self.join_1(h, style))
        tinted = tinted - mean[:, :, None, None]
        large, middle = (smoothed(tinted, windows) for windows in BANDS)
        base = large + coarse * (middle - large) + fine * (tinted - middle)
        return moved(base + self.out(h).float(), mean, root), promised


def double(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 2h, 2w), bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def framed(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 2h + 2, 2w + 2), bilinear, with one px more on every side; beyond the border are zeros."""
    return double(F.pad(x, (1, 1, 1, 1)))[:, :, 1:-1, 1:-1]


def smoothed(x: Tensor, windows: Sequence[int]) -> Tensor:
    """A picture (N, C, H, W) about 0 without what is finer than windows of so many px, with zeros beyond its border."""
    x = F.pad(x, (sum(side // 2 for side in windows),) * 4)
    for side in windows:
        x = F.avg_pool2d(x, side, stride=1)
    return x


def normalized(features: Tensor, *, every: int = 1) -> Tensor:
    """Every channel with mean 0 and deviation 1, (N, C, h, w) -> float32; one that hardly varies stays small.

    These are taken of every so many rows and columns.
    """
    features = features.float()
    variance, mean = torch.var_mean(features[..., ::every, ::every], dim=(2, 3), keepdim=True, correction=0)
    return (features - mean) * torch.rsqrt(variance + 0.01 * variance.mean(1, keepdim=True) + 1e-6)


def moved(x: Tensor, mean: Tensor, root: Tensor, *, every: int = 1) -> Tensor:
    """Something (N, C, h, w) with the mean (N, C) and the covariance RᵀR of a style, R = `root` (N, C, C); float32.

    Its own are taken of every so many rows and columns.

    Of all linear maps it is the one that moves least (Pitie & Kokaram 2007): Rᵀ (R C Rᵀ)^(-1/2) R for the covariance C
    of what is moved. The inverse root is found by Newton and Schulz's iteration, which is made of products only (Higham
    2008, equation 6.35), scaled (`scales`).
    """
    with torch.autocast(x.device.type, enabled=False):
        flat, some = x.float().flatten(2), x[..., ::every, ::every].float().flatten(2)
        ours = some.mean(2, keepdim=True)
        flat, some = flat - ours, some - ours
        width = flat.shape[1]
        eye = torch.eye(width, dtype=flat.dtype, device=flat.device)
        covariance = some @ some.mT / some.shape[2]
        usual = covariance.diagonal(dim1=1, dim2=2).mean(1), root.square().sum((1, 2)) / width
        covariance = covariance + (SOFT * usual[0] + LEAST * usual[1] + 1e-6)[:, None, None] * eye
        both = root @ covariance @ root.mT  # has an inverse root whatever the vector holds
        trace = both.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] + 1e-12
        y = both / trace + NEARLY_FLAT / width * eye
        z = eye.expand_as(y)
        for scale in scales(width):
            t = 1.5 * scale * eye - 0.5 * scale**3 * (z @ y)
            y, z = y @ t, t @ z
        centred = root.mT @ (z / trace.sqrt()) @ root @ flat
        result: Tensor = (centred + mean[:, :, None]).reshape(x.shape)
        return result


def scales(width: int) -> list[float]:
    """By how much each step of the iteration is scaled that finds the inverse root of (width, width).

    It is known how small eigenvalues can be, `NEARLY_FLAT` / width where their sum is 1, and how near to 1 the roots of
    all of them are after each step. Scaled by what brings the least of them as far as can be, up to `STABLE`, half as
    many steps are needed (Chen & Chow 2014).
    """
    least = (NEARLY_FLAT / width) ** 0.5
    found: list[float] = []
    while least < 1 - 1e-7:
        scale = min((3 / (1 + least + least**2)) ** 0.5, STABLE)
        found.append(scale)
        least = min(scale * root * (3 - (scale * root) ** 2) / 2 for root in (least, 1))
    return found
