"""Losses of style transfer: pure functions of features.

A loss here takes feature maps (N = 1, C, h, w) or a picture (1, 3, H, W) and gives a scalar; statistics are always
computed in float32, whatever the features' precision. Targets are computed once by whoever builds the objective. This
module knows no encoder and no optimiser.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = 1 << 15
"""Positions that are brought to float32 at a time."""

# ── statistics ──────────────────────────────────────────────────────────────────────────────────────────────────────


def shares(guide: Tensor | None, like: Tensor) -> Tensor:
    """What each position counts, float32 (1, 1, h, w), summing to 1.

    Args:
        guide: where to look, (1, 1, H, W) in 0..1 at any size; None = everywhere alike.
        like: (1, C, h, w).
    """
    height, width = like.shape[2:]
    if guide is None:
        return like.new_full((1, 1, height, width), 1 / (height * width), dtype=torch.float32)
    pooled = F.adaptive_avg_pool2d(guide, (height, width)).float()
    return pooled / pooled.sum().clamp(min=1e-12)


def gram(mean: Tensor, covariance: Tensor) -> Tensor:
    """Gram matrix over the number of positions, from the mean (C,) and the covariance (C, C): float32 (C, C).

    G = F·Fᵀ / (h·w), Gatys, Ecker & Bethge 2015, equation 3; with a guide each position counts by it (Gatys et al.
    2017, equation 4). Departure: divided by the positions, so that pictures of different sizes compare.
    """
    return covariance + torch.outer(mean, mean)


def deviation(covariance: Tensor) -> Tensor:
    """The standard deviations (C,) of features of this covariance (C, C)."""
    return (covariance.diagonal() + 1e-8).sqrt()  # a channel that never fires has a deviation, but needs a gradient


def mean_and_covariance(features: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) of the features over positions, float32; with a guide each counts by it.

    The Gram matrix of rectified features is dominated by their means, that is by colour; with the mean taken out, what
    remains is texture.
    """
    found: tuple[Tensor, Tensor] = _MeanAndCovariance.apply(features, shares(guide, features))  # type: ignore[no-untyped-call]
    return found


class _MeanAndCovariance(torch.autograd.Function):
    """Mean and covariance without float32 copies of all features, which are read in pieces, for the gradient too."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """(1, C, h, w) of any precision and (1, 1, h, w) -> float32 (C,), (C, C)."""
        sums = Sums(features.shape[1], features.device)
        sums.add(features, share)
        mean, covariance = sums.found()
        ctx.save_for_backward(features, share, mean)
        return mean, covariance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """(C,), (C, C) -> the features' gradient, in their precision."""
        features, share, mean = ctx.saved_tensors
        return pull(features, share, mean, *gradients), None


class Sums:
    """Mean and covariance of features that come part after part, each merged exactly into what was there.

    With shares w and W, means m and M, the merged squares about the merged mean are those of both and
    (m − M)(m − M)ᵀ w W / (w + W) (Chan, Golub & LeVeque 1979).
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self.share = 0.0
        self.mean = torch.zeros(channels, device=device)
        self.squares = torch.zeros(channels, channels, device=device)

    def add(self, features: Tensor, share: Tensor) -> None:
        """Features (1, C, h, w) of any precision, and what each position of them counts, (1, 1, h, w)."""
        pieces = zip(torch.split(_flat(features), PIECE), torch.split(share.reshape(-1, 1), PIECE), strict=True)
        for piece, counts in pieces:
            if not (more := float(counts.sum())):
                continue
            mean = (piece.float().T @ counts)[:, 0] / more
            centred = piece.float() - mean
            apart, whole = mean - self.mean, self.share + more
            self.squares += centred.T @ (centred * counts) + torch.outer(apart, apart) * (self.share * more / whole)
            self.mean += apart * (more / whole)
            self.share = whole

    def found(self) -> tuple[Tensor, Tensor]:
        """Mean (C,) and covariance (C, C), float32; zeros where nothing counted."""
        return self.mean, self.squares / max(self.share, 1e-12)


def pull(features: Tensor, share: Tensor, mean: Tensor, of_mean: Tensor, of_covariance: Tensor) -> Tensor:
    """The gradient of features from those of the mean and the covariance to which they belong.

    With positions f of share w: dμ/df = w, and dΣ/df applied to G is w (G + Gᵀ)(f − μ), for Σ w (f − μ) = 0.

    Args:
        features: (1, C, h, w) of any precision: all of them, or a part.
        share: what each position counts among all, (1, 1, h, w).
        mean: of all, (C,).
        of_mean, of_covariance: the gradients, (C,) and (C, C).

    Returns:
        (1, C, h, w), in the precision of the features.
    """
    both, flat, counts = of_covariance + of_covariance.T, _flat(features), share.reshape(-1, 1)
    found = torch.empty_like(flat)
    for first in range(0, len(flat), PIECE):
        piece = slice(first, first + PIECE)
        found[piece] = (((flat[piece].float() - mean) @ both + of_mean) * counts[piece]).to(flat.dtype)
    result = torch.empty_like(features)
    result[0] = found.reshape(*features.shape[2:], -1).permute(2, 0, 1)
    return result


def _flat(features: Tensor) -> Tensor:
    """(1, C, h, w) -> (h·w, C), not copied where the channels lie last."""
    return features[0].permute(1, 2, 0).reshape(-1, features.shape[1])


def quantiles(features: Tensor, guide: Tensor | None = None, *, count: int = 256) -> Tensor:
    """The histogram of every channel as its inverse, (1, C, h, w) -> float32 (C, count), ascending.

    Args:
        features, guide: as in `mean_and_covariance`; positions with less than half of the guide's highest value do
            not count.
        count: quantiles at (i + 1/2) / count.
    """
    return _at_quantiles(sorted_channels(features, guide), count)


def sorted_channels(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """The values of every channel in ascending order, (1, C, h, w) -> float32 (C, n): those where the guide looks."""
    flat = _flat(features).float()
    if guide is not None:
        share = shares(guide, features).flatten()
        flat = flat[share >= 0.5 * share.max()]
    return flat.T.sort(dim=1).values


def _at_quantiles(ascending: Tensor, count: int) -> Tensor:
    """Ascending rows (C, n) linearly resampled to (C, count)."""
    resampled: Tensor = F.interpolate(ascending[None], size=count, mode="linear", align_corners=False)[0]
    return resampled


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


def squared_gram(ours: Tensor, target: Tensor) -> Tensor:
    """Σ ((G − A) / C)² of two Gram matrices over positions, (C, C) -> scalar.

    Gatys et al. 2015, equation 4, is a quarter of it: their G is a sum over positions, here divided by h·w, and their
    1 / (4 C² (h·w)²) stands before the squares.
    """
    return ((ours - target) / ours.shape[0]).square().sum()


def moments(mean: Tensor, deviation: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
    """Mean over channels of (μ − μ')² + (σ − σ')² (Li, Wang et al. 2017, "Demystifying", equation 12)."""
    return ((mean - target[0]).square() + (deviation - target[1]).square()).mean()


def wasserstein(mean: Tensor, covariance: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
    """Squared Wasserstein-2 distance of two Gaussians, divided by the channels, from (C,) and (C, C) each.

    (‖μ − μ'‖² + tr(Σ + Σ' − 2 (Σ'^½ Σ Σ'^½)^½)) / C (Olkin & Pukelsheim 1982; for styles Mroueh 2019).
    """
    root = _square_root(target[1])
    shared: Tensor = _TraceOfRoot.apply(root @ covariance @ root)  # type: ignore[no-untyped-call]
    spread: Tensor = covariance.diagonal().sum() + target[1].diagonal().sum() - 2 * shared
    return ((mean - target[0]).square().sum() + spread) / mean.shape[0]


def _eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, at least a millionth of their mean, and vectors of a positive semidefinite matrix, in float64.

    In float32 the decomposition does not always converge: channels that never fire repeat the eigenvalue 0.
    """
    exact = matrix.double()
    floor = 1e-6 * exact.diagonal().mean() + 1e-12
    values, vectors = torch.linalg.eigh(exact + floor * torch.eye(len(exact), dtype=exact.dtype, device=exact.device))
    return values.clamp(min=floor), vectors


def _square_root(matrix: Tensor) -> Tensor:
    """The square root of a positive semidefinite matrix (C, C)."""
    values, vectors = _eigen(matrix)
    return ((vectors * values.sqrt()) @ vectors.T).to(matrix.dtype)


class _TraceOfRoot(torch.autograd.Function):
    """tr(M^½) of a positive semidefinite M, with its exact gradient ½ M^(−½).

    Differentiating the eigenvectors instead divides by the differences of eigenvalues, which are zero in practice.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        """(C, C) -> scalar."""
        values, vectors = _eigen(matrix)
        ctx.save_for_backward(values.rsqrt(), vectors)
        total: Tensor = values.sqrt().sum().to(matrix.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Scalar -> (C, C)."""
        inverse, vectors = ctx.saved_tensors
        root: Tensor = ((vectors * inverse) @ vectors.T).to(gradients[0].dtype)
        return 0.5 * gradients[0] * root


def histogram(ascending: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of every channel to itself with the target's histogram.

    ½·mean (F − R(F))², where R gives each value the target's of the same rank (Risser, Wilmot & Barnes 2017, section
    4.2; exact ranks instead of bins).

    Args:
        ascending: from `sorted_channels`, (C, n).
        target: from `quantiles`, (C, count).
    """
    return 0.5 * (ascending - _at_quantiles(target, ascending.shape[1])).square().mean()


def total_variation(picture: Tensor) -> Tensor:
    """Mean squared difference of neighbours, (1, 3, H, W) -> scalar (Mahendran & Vedaldi 2015, beta = 2)."""
    down = (picture[:, :, 1:] - picture[:, :, :-1]).square().mean()
    right = (picture[:, :, :, 1:] - picture[:, :, :, :-1]).square().mean()
    return down + right


def temporal(picture: Tensor, earlier: Tensor, trust: Tensor) -> Tensor:
    """Mean of c·(x − w)² (Ruder, Dosovitskiy & Brox 2016, equation 6).

    Args:
        picture: x, (1, 3, H, W).
        earlier: w, paintings of earlier frames where they belong now, likewise.
        trust: c, (1, 1, H, W) in 0..1.
    """
    return ((picture - earlier).square() * trust).mean()


def absolute_variation(picture: Tensor) -> Tensor:
    """Sum of the absolute differences of neighbours in 0..255, (1, 3, H, W) in 0..1 -> scalar (Rudin et al. 1992)."""
    down = (picture[:, :, 1:] - picture[:, :, :-1]).abs().sum()
    right = (picture[:, :, :, 1:] - picture[:, :, :, :-1]).abs().sum()
    return 255 * (down + right)


def squared_sum(features: Tensor, target: Tensor) -> Tensor:
    """½·Σ (F − T)², the content loss of Gatys et al. 2015, equation 1, as it is written."""
    return 0.5 * (features.float() - target.float()).square().sum()
