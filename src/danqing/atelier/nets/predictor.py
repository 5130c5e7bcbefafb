"""The style predictor: what a style looks like goes in, the style vector that paints like it comes out.

The statistics of the compact encoder's features of a picture, mean and deviation of every channel of its five style
layers, pass through a small network (Ghiasi et al. 2017, with statistics instead of a network of its own); the colours
are copied. The same statistics are computed without torch where a style is used.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from danqing.atelier.encoders import COMPACT_WIDTHS
from danqing.atelier.nets.pastiche import COLOUR

REACH = 2.0
"""How far a predicted scale or shift may be from the neutral one."""

USUAL = 4.0
"""Statistics that are further from the common ones than so many deviations count as if they were not."""

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def statistics(features: Mapping[str, Tensor]) -> Tensor:
    """Means and logarithms of deviations, {layer: (N, C, h, w)} -> float32 (N, 2 · channels of all layers)."""
    parts = []
    for layer in LAYERS:
        variance, mean = torch.var_mean(features[layer].float(), dim=(2, 3), correction=0)
        parts += [mean, 0.5 * (variance + 1e-4).log()]
    return torch.cat(parts, 1)


def colours(x: Tensor) -> Tensor:
    """The mean colour and the root of the covariance of colours, (N, 3, H, W) -> float32 (N, 12)."""
    flat = x.float().flatten(2)
    mean = flat.mean(2)
    flat = flat - mean[:, :, None]
    values, axes = torch.linalg.eigh(flat @ flat.mT / flat.shape[2])
    root = axes * values.clamp(min=0).sqrt()[:, None] @ axes.mT
    return torch.cat([mean, root.flatten(1)], 1)


class Predictor(nn.Module):
    """Statistics -> style vector.

    Args:
        neutral: the vector (P,) that is predicted before anything is learnt.
        widths: channels of the five layers.
        hidden: width of the code between.
    """

    def __init__(self, neutral: Tensor, widths: tuple[int, ...] = COMPACT_WIDTHS, *, hidden: int = 256) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.neutral: Tensor
        self.register_buffer("mean", torch.zeros(2 * sum(widths)))
        self.register_buffer("deviation", torch.ones(2 * sum(widths)))
        self.inner = nn.Sequential(
            nn.Linear(2 * sum(widths), hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, len(neutral) - COLOUR),
        )
        self.register_buffer("neutral", neutral[COLOUR:].clone())
        with torch.no_grad():
            self.inner[-1].get_parameter("weight").mul_(0.1)

    def accustom(self, stats: Tensor) -> None:
        """Learn what statistics are common, from those of many styles (N, S)."""
        deviation, mean = torch.std_mean(stats, dim=0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation + 0.05 * deviation.mean())

    def forward(self, stats: Tensor, colour: Tensor) -> Tensor:
        """Statistics (N, S) and colours (N, 12) -> vectors float32 (N, P)."""
        usual = ((stats - self.mean) / self.deviation).clamp(-USUAL, USUAL)
        told = REACH * (self.inner(usual).float() / REACH).tanh()
        return torch.cat([colour, self.neutral + told], 1)
