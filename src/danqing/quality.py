"""Quality: how a painting is judged by numbers.

Features of pictures, {layer: (C, h, w)}, go in, distances come out; what gives the features, and at which size, is the
caller's business, for which `WORKING_SIZES` and `judged_size` hold the rule. This module knows no picture and no
encoder.

    content distance   ½·mean squared difference of instance-normalised features, mean over relu3_3 and relu4_1 at
                       512 px: 0 = the same structure, another picture altogether has about 0.75
    style distance     ‖C(out) - C(style)‖ / (‖C(out)‖ + ‖C(style)‖), C = covariance of the features over positions,
                       mean over relu1_1 .. relu5_1 and over 512 px and 256 px: between 0 and 1
    art                content + 3·style, lower is better

    Fréchet distance   between two sets of pictures, of their features in a 4x4 grid of means, relu3_1 and relu4_1 at
                       512 px: |mean - mean'|² + tr(C + C' - 2(C C')^½) (Heusel et al. 2017); 0 = drawn alike. It falls
                       with the number of pictures, so only sets of the same sizes compare

Numbers of different encoders do not compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
"""(H, W, 3)"""

Features = Mapping[str, NDArray[np.float32]]
"""{layer: (C, h, w)}"""

CONTENT_LAYERS = ("relu3_3", "relu4_1")
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
FRECHET_LAYERS = ("relu3_1", "relu4_1")
CELLS = 4
"""A picture's features are taken over a grid of so many cells each way."""
WORKING_SIZES = (512, 256)
"""Long sides in px at which pictures are judged: content at the first, style at all of them."""
FAILED_CONTENT = 0.55
"""A picture with more content distance than this fails, whatever its style."""
_STYLE_SHARE = 3.0
_EPSILON = 1e-5


@dataclass(frozen=True, kw_only=True)
class Score:
    """How a painting is judged: content and style distance, lower is better."""

    content: float
    style: float

    @property
    def art(self) -> float:
        """Both in one number: content + 3·style."""
        return self.content + _STYLE_SHARE * self.style

    @property
    def failed(self) -> bool:
        """Whether the photo is no longer to be recognised."""
        return self.content > FAILED_CONTENT


def judged_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """(width, height) in px at which a picture of a size is judged: also a smaller one has its long
    side become `long_side`.
    """
    scale = long_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def instance_normalized(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each channel with mean 0 and deviation 1 over its positions, (C, h, w) -> (C, h, w)."""
    mean = features.mean(axis=(1, 2), keepdims=True)
    deviation = features.std(axis=(1, 2), keepdims=True)
    return np.asarray((features - mean) / (deviation + _EPSILON), dtype=np.float32)


def covariance(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Covariance of the channels over positions, (C, h, w) -> (C, C)."""
    flat = features.reshape(len(features), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat @ flat.T / flat.shape[1], dtype=np.float32)


def content_distance(out: Features, content: Features, *, layers: Sequence[str] = CONTENT_LAYERS) -> float:
    """How far a painting's structure is from its photo's, both at the same size.

    Raises:
        KeyError: a layer is missing.
        ValueError: the features are of different shapes.
    """
    distances = []
    for layer in layers:
        if out[layer].shape != content[layer].shape:
            raise ValueError(f"{layer}: {out[layer].shape} against {content[layer].shape}; judge at one size")
        difference = instance_normalized(out[layer]) - instance_normalized(content[layer])
        distances.append(0.5 * float(np.mean(np.square(difference), dtype=np.float64)))
    return float(np.mean(distances))


def style_distance(
    out: Sequence[Features], style: Sequence[Features], *, layers: Sequence[str] = STYLE_LAYERS
) -> float:
    """How far a painting's strokes and colours are from a style's: 0..1.

    Args:
        out, style: features at each of the working sizes, in the same order; positions need not agree.
        layers: which layers count.

    Raises:
        KeyError: a layer is missing.
        ValueError: not the same number of sizes, or none.
    """
    if not out:
        raise ValueError("style is judged at one size at least")
    pairs = [(o[layer], s[layer]) for o, s in zip(out, style, strict=True) for layer in layers]
    return float(np.mean([_relative(covariance(o), covariance(s)) for o, s in pairs]))


def cells(features: Features, *, layers: Sequence[str] = FRECHET_LAYERS) -> NDArray[np.float64]:
    """The mean features of every cell of a picture, side by side for all layers: (CELLS², channels of all)."""
    rows = []
    for layer in layers:
        bands = np.array_split(features[layer], CELLS, axis=1)
        rows.append([part.mean((1, 2)) for band in bands for part in np.array_split(band, CELLS, axis=2)])
    return np.concatenate([np.asarray(row, dtype=np.float64) for row in rows], axis=1)


def frechet_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How differently two sets of samples, (N, D) and (M, D), are drawn, as if each were normal.

    Raises:
        ValueError: fewer than two samples.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError("a distribution needs two samples at least")
    means = one.mean(0) - other.mean(0)
    spread = [np.atleast_2d(np.cov(samples, rowvar=False)) for samples in (one, other)]
    values, vectors = np.linalg.eigh(spread[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ spread[1] @ root), 0)).sum()
    return float(means @ means + np.trace(spread[0]) + np.trace(spread[1]) - 2 * shared)


def _relative(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    total = float(np.linalg.norm(a) + np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / total if total > 0 else 0.0


def art(content: float, style: float) -> float:
    """Content and style distance in one number, lower is better."""
    return Score(content=content, style=style).art
