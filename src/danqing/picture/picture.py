"""The Picture itself: an immutable value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """Pixels and what belongs to them.

    Attributes:
        pixels: float32 (H, W, 3), sRGB in 0..1.
        alpha: float32 (H, W) in 0..1, or None where everything is opaque.
        icc: the colour profile that the pixels were converted from, or None for sRGB.
        exif: the EXIF block without orientation, GPS and thumbnail, or None.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        height, width = self.pixels.shape[:2]
        return width, height
