"""Losses of style transfer: pure functions of features.

A loss here takes feature maps (N = 1, C, h, w) or a picture (1, 3, H, W) and gives a scalar; statistics are always
computed in float32, whatever the features' precision. Targets are computed once by whoever builds the objective. This
module knows no encoder and no optimiser.
"""

from __future__ import annotations

import torch
from torch import Tensor

# ── statistics ──────────────────────────────────────────────────────────────────────────────────────────────────────


def positions(features: Tensor) -> Tensor:
    """Features as a matrix of positions by channels, (1, C, h, w) -> float32 (h·w, C)."""
    return features[0].permute(1, 2, 0).reshape(-1, features.shape[1]).float()


def gram(features: Tensor) -> Tensor:
    """Gram matrix over the number of positions, (1, C, h, w) -> float32 (C, C).

    G = F·Fᵀ / (h·w), Gatys, Ecker & Bethge 2015, equation 3. Departure: divided by the positions, so that pictures of
    different sizes compare.
    """
    flat = positions(features)
    return flat.T @ flat / flat.shape[0]


def mean_and_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) of the features over positions, float32.

    The Gram matrix of rectified features is dominated by their means, that is by colour; with the mean taken out, what
    remains is texture.
    """
    flat = positions(features)
    mean = flat.mean(0)
    flat = flat - mean
    return mean, flat.T @ flat / flat.shape[0]


def instance_normalized(features: Tensor) -> Tensor:
    """Every channel brought to mean 0 and deviation 1 over positions, (1, C, h, w) -> float32 (1, C, h, w).

    A hundredth of the layer's mean variance is added to each channel's own: a channel that hardly varies says nothing,
    and without that its gradient would drown the others'.
    """
    features = features.float()
    variance, mean = torch.var_mean(features, dim=(2, 3), keepdim=True, correction=0)
    return (features - mean) * torch.rsqrt(variance + 0.01 * variance.mean() + 1e-6)


# ── distances ───────────────────────────────────────────────────────────────────────────────────────────────────────


def content(features: Tensor, target: Tensor) -> Tensor:
    """½·mean (F − T)², the content loss of Gatys et al. 2015, equation 1, averaged over elements."""
    return 0.5 * (features.float() - target.float()).square().mean()


def normalized_content(features: Tensor, target: Tensor) -> Tensor:
    """½·mean of the squared difference of instance-normalised features; `target` is normalised already.

    Blind to colour and contrast, which belong to the style: 0 is the same structure, about 0.75 another picture.
    """
    return 0.5 * (instance_normalized(features) - target).square().mean()


def ratio(ours: Tensor, target: Tensor) -> Tensor:
    """‖A − B‖ / (‖A‖ + ‖B‖), between 0 and 1.

    Free of scale, so that one weight fits a pale style and a loud one; and not squared, so that its pull does not fade
    near the target and every layer is matched to the end, not only the one that is furthest away.
    """

    def norm(matrix: Tensor) -> Tensor:
        return (matrix.square().sum() + 1e-12).sqrt()  # a flat picture has no covariance, but a gradient

    return norm(ours - target) / (norm(ours) + norm(target))


def total_variation(picture: Tensor) -> Tensor:
    """Mean squared difference of neighbours, (1, 3, H, W) -> scalar (Mahendran & Vedaldi 2015, beta = 2)."""
    down = (picture[:, :, 1:] - picture[:, :, :-1]).square().mean()
    right = (picture[:, :, :, 1:] - picture[:, :, :, :-1]).square().mean()
    return down + right
