"""The Picture itself: an immutable value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from danqing.picture.load import PictureSource
    from danqing.picture.save import PictureTarget


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """Pixels and what belongs to them.

    Attributes:
        pixels: float32 (H, W, 3), sRGB in 0..1.
        alpha: float32 (H, W) in 0..1, or None where everything is opaque.
        icc: the colour profile that the pixels were converted from, or None for sRGB.
        exif: the EXIF block without orientation, GPS and thumbnail, or None.
        notes: what had to be decided while reading, a line each, in the user's language.
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        height, width = self.pixels.shape[:2]
        return width, height

    def __repr__(self) -> str:
        width, height = self.size
        extras = [name for name in ("alpha", "icc", "exif") if getattr(self, name) is not None]
        return f"<Picture {' '.join([f'{width}x{height}', *extras])}>"

    @classmethod
    def load(
        cls, source: PictureSource, *, name: str | None = None, keep_gps: bool = False, max_pixels: int | None = None
    ) -> Picture:
        """Read a picture; see `danqing.picture.load.load`."""
        from danqing.picture.load import load

        return load(source, name=name, keep_gps=keep_gps, max_pixels=max_pixels)

    def save(
        self,
        target: PictureTarget,
        *,
        format: str | None = None,
        quality: int = 80,
        depth: int = 8,
        recipe: str | None = None,
        overwrite: bool = False,
    ) -> Path | None:
        """Write the picture; see `danqing.picture.save.save`."""
        from danqing.picture.save import save

        return save(self, target, format=format, quality=quality, depth=depth, recipe=recipe, overwrite=overwrite)
