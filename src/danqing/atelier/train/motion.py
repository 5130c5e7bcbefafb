"""Motion: still photographs that move as a film would, by flow that is known, so that no film is needed to learn from.

Photographs and affine maps go in; the next frames come out, with where they show what was there before. This module
knows no network.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SHIFT, TURN, GROW = 0.04, 0.02, 0.02
"""How far a frame is from the one before: at most so much of its side, and deviations of its angle and of the logarithm
of its size."""

GRAIN = 2 / 255
"""Deviation of the noise that each frame has of its own."""


def drawn(rng: np.random.Generator) -> NDArray[np.float32]:
    """An affine map (2, 3) from the places of a frame to those of the one before, in -1..1."""
    angle, scale = rng.normal(0, TURN), np.exp(rng.normal(0, GROW))
    shift = rng.uniform(-2 * SHIFT, 2 * SHIFT, 2)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]], dtype=np.float32)


def carried(frames: Tensor, motions: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (N, 3, H, W) where motions (N, 2, 3) lead them, and 1 where they were seen before, (N, 1, H, W)."""
    grid = F.affine_grid(motions, list(frames.shape), align_corners=False)
    moved = F.grid_sample(frames.float(), grid, padding_mode="reflection", align_corners=False)
    return moved, (grid.abs() < 1).all(-1)[:, None].float()


def following(photos: Tensor, motions: Tensor) -> Tensor:
    """The frames after photographs (N, 3, H, W) in 0..1, with a grain of their own."""
    moved, _ = carried(photos, motions)
    return (moved + GRAIN * torch.randn_like(moved)).clamp(0, 1)


def flicker(before: Tensor, now: Tensor, motions: Tensor) -> Tensor:
    """The mean squared difference of paintings (N, 3, H, W), the earlier ones carried along, where both are known."""
    moved, seen = carried(before, motions)
    off: Tensor = ((now - moved).square() * seen).sum() / (3 * seen.sum() + 1e-6)
    return off
