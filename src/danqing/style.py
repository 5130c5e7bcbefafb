"""Style: what a painting is to be painted like, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danqing.picture import Picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Style:
    """One style of a painting.

    Attributes:
        source: the picture to learn from, or the name of a style in the gallery.
        name: what to call it in file names and recipes.
        weight: its share beside the other styles, > 0; shares are relative.
        mask: float32 (H, W) in 0..1 of the content's size, where this style is painted; None = everywhere.
    """

    source: Picture | str
    name: str
    weight: float = 1.0
    mask: NDArray[np.float32] | None = None
