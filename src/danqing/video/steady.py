"""Steady: what keeps a painted film from flickering.

A painting of a frame and the motion since the frame before go in; the painting that is shown comes out. The last one
is carried along by the flow, and where the flow is trusted the new one is pulled to it by a part, so that whatever is
carried is never older than a few frames. What carrying and mixing take away of the strokes' contrast is given back, so
that neither blur nor drift builds up. Where nothing is known, and after a cut, the new painting stands as it is. This
module knows no engine and no film.

Ruder et al. (2016) pull by a loss within the optimisation; for a network that paints in one pass this is its closed
form. `recall` has the loss, for engines that search.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from danqing.video.flow import Motion, warp

F32 = NDArray[np.float32]

HELD = 0.75
"""How far a painting is pulled to the carried one at full strength and trust."""

TONES = 1 / 32
"""Of the long side: from what breadth on it is a tone, not a stroke."""

MOST = 1.5
"""The strokes' contrast is raised by so much at most."""

FLAT = 3e-5
"""Variance of what has no strokes."""


class Steady:
    """Holds a painted film still.

    Args:
        strength: 0 (not at all) .. 1.
        cover: where styles are painted, (H, W) in 0..1; elsewhere nothing is carried. None = everywhere.
    """

    ages = (1,)
    """How many frames ago the motions begin that it asks for."""

    def __init__(self, strength: float, *, cover: F32 | None = None) -> None:
        self.strength, self.cover = strength, cover
        self.last: F32 | None = None

    def prior(self, motions: Mapping[int, Motion]) -> None:
        """What the painting of a frame begins with: nothing, it stands for itself."""
        del motions

    def __call__(self, fresh: F32, motion: Motion | None) -> F32:
        """The painting that is shown, (H, W, 3) in 0..1.

        Args:
            fresh: the painting of the frame alone, likewise.
            motion: since the frame before; None = there is none.
        """
        if self.last is None or motion is None or motion.cut or not self.strength:
            self.last = fresh
            return fresh
        trust = trusted(motion, (fresh.shape[1], fresh.shape[0]), self.cover) * np.float32(self.strength)
        self.last = pulled(fresh, carried(self.last, motion), trust)
        return self.last

    def state(self) -> dict[str, NDArray[Any]]:
        """What is carried to the next frame."""
        return {} if self.last is None else {"last": self.last}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with what was carried."""
        self.last = state.get("last")


def trusted(motion: Motion, size: tuple[int, int], cover: F32 | None) -> F32:
    """How far a motion is trusted where anything is painted, (H, W) in 0..1 at (width, height)."""
    trust = np.asarray(cv2.resize(cv2.blur(motion.trust, (5, 5)), size), dtype=np.float32)
    return trust if cover is None else trust * cover


def carried(painting: F32, motion: Motion) -> F32:
    """An earlier painting where the motion leads it, (H, W, 3) in 0..1."""
    moved = warp(painting, motion.flow, sharp=True, wraps=motion.wraps)
    return np.asarray(np.clip(moved, 0, 1, out=moved), dtype=np.float32)


def pulled(fresh: F32, carried: F32, trust: F32) -> F32:
    """A painting (H, W, 3), pulled to the carried one by as much as that is trusted (H, W)."""
    height, width = fresh.shape[:2]
    size = max(3.0, max(height, width) * TONES)
    mixed = np.subtract(carried, fresh)
    mixed *= thrice(np.float32(HELD) * trust)
    mixed += fresh
    # Where paintings are mixed whose strokes do not agree, contrast is lost: it is brought back to the fresh one's.
    (_, want), (tone, have) = (strokes(painting, size) for painting in (fresh, mixed))
    gain = np.clip(np.sqrt((want + FLAT) / (have + FLAT)), 1, MOST)
    tone -= thrice(gain) * tone
    mixed *= thrice(cv2.resize(gain, (width, height)))
    mixed += cv2.resize(tone, (width, height))
    return np.asarray(np.clip(mixed, 0, 1, out=mixed), dtype=np.float32)


def thrice(values: NDArray[Any]) -> F32:
    """Values (H, W) for each of three channels, (H, W, 3): much quicker to multiply by than (H, W, 1)."""
    return np.asarray(cv2.merge((values, values, values)), dtype=np.float32)


def strokes(painting: F32, size: float) -> tuple[F32, F32]:
    """Of every second pixel of a painting (H, W, 3): what is broader than `size` px, and the variance of the rest."""
    half = painting[::2, ::2]
    tone = broad(painting, size, (half.shape[1], half.shape[0]))
    fine = half - tone
    squares = np.asarray(np.einsum("hwc,hwc->hw", fine, fine))
    return tone, broad(squares, size / 2, (half.shape[1], half.shape[0]))


def broad(values: F32, size: float, onto: tuple[int, int]) -> F32:
    """Values (H, W) or (H, W, C) without what is finer than `size` px, at (width, height)."""
    height, width = values.shape[:2]
    least = max(1, round(width / (size / 2))), max(1, round(height / (size / 2)))
    small = cv2.blur(cv2.resize(values, least, interpolation=cv2.INTER_AREA), (3, 3))
    return np.asarray(cv2.resize(small, onto, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
