"""The style predictor: what a style looks like goes in, the style vector that paints like it comes out.

The statistics of the compact encoder's features of a picture, mean and deviation of every channel of its five style
layers, pass through a small network (Ghiasi et al. 2017, with statistics instead of a network of its own), which tells
the learnt part of the vector; the rest is statistics too. Where a style is used they are computed without torch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from danqing.atelier.encoders import COMPACT_WIDTHS
from danqing.atelier.nets.pastiche import STYLED

REACH = 2.0
"""How far a predicted scale or shift may be from the neutral one."""

USUAL = 4.0
"""Statistics that are further from the common ones than so many deviations count as if they were not."""

FLAT = 1e-3
"""Variance that is added to every channel, as a share of the mean one, so that a covariance has a factor."""

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def statistics(features: Mapping[str, Tensor]) -> Tensor:
    """Means and logarithms of deviations, {layer: (N, C, h, w)} -> float32 (N, 2 · channels of all layers)."""
    parts = []
    for layer in LAYERS:
        variance, mean = torch.var_mean(features[layer].float(), dim=(2, 3), correction=0)
        parts += [mean, 0.5 * (variance + 1e-4).log()]
    return torch.cat(parts, 1)


def given(features: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The head of a style vector, as `PasticheNet.statistics` takes it apart: what the style itself is like.

    Args:
        features: of the compact encoder, {layer: (N, C, h, w)}.
        x: the pictures (N, 3, H, W) themselves.

    Returns:
        float32 (N, G): for each of `STYLED` the mean, then the lower triangle by rows of the covariance's Cholesky
        factor.
    """
    parts = []
    with torch.autocast(x.device.type, enabled=False):
        for layer in STYLED:
            flat = (x if layer == "rgb" else features[layer]).float().flatten(2)
            mean = flat.mean(2)
            flat = flat - mean[:, :, None]
            width = flat.shape[1]
            covariance = flat @ flat.mT / flat.shape[2]
            usual = covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
            eye = torch.eye(width, dtype=flat.dtype, device=flat.device)
            rows, columns = torch.tril_indices(width, width)
            parts += [mean, torch.linalg.cholesky(covariance + (FLAT * usual + 1e-6) * eye)[:, rows, columns]]
    return torch.cat(parts, 1)


class Predictor(nn.Module):
    """Statistics -> the learnt part of a style vector.

    Args:
        neutral: what is predicted before anything is learnt (K,).
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
            nn.Linear(hidden, len(neutral)),
        )
        self.register_buffer("neutral", neutral.clone())
        with torch.no_grad():
            self.inner[-1].get_parameter("weight").mul_(0.1)

    def accustom(self, stats: Tensor) -> None:
        """Learn what statistics are common, from those of many styles (N, S)."""
        deviation, mean = torch.std_mean(stats, dim=0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation + 0.05 * deviation.mean())

    def forward(self, stats: Tensor) -> Tensor:
        """Statistics (N, S) -> float32 (N, K)."""
        usual = ((stats - self.mean) / self.deviation).clamp(-USUAL, USUAL)
        learnt: Tensor = self.neutral + REACH * (self.inner(usual).float() / REACH).tanh()
        return learnt
