"""Recall: what the paintings of a film are held to by an engine that searches.

Motions from earlier frames to this one go in; a Prior comes out: the last painting where it belongs now, to begin with,
and how far each pixel is to stay as it is. Where the last frame cannot be trusted, because something was hidden in it,
an older one is asked that may have seen it: the long-term references of Ruder et al. (2016), section 5.3. Their sum of
a loss for each reference is one loss here, towards the mean of the references by trust, which has the same gradient.
This module knows no engine and no film.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing.picture import Picture
from danqing.stylizer import Prior
from danqing.video.flow import Motion
from danqing.video.pixels import from_numbers, to_numbers
from danqing.video.steady import carried, trusted

F32 = NDArray[np.float32]


class Recall:
    """Remembers the paintings of a film.

    Args:
        strength: 0 (not at all) .. 1.
        cover: where styles are painted, (H, W) in 0..1; elsewhere nothing is held. None = everywhere.
    """

    ages = (1, 2, 4, 8, 16)
    """How many frames ago the motions begin that it asks for."""

    def __init__(self, strength: float, *, cover: F32 | None = None) -> None:
        self.strength, self.cover = strength, cover
        self.last: F32 | None = None
        self.paintings: list[NDArray[Any]] = []  # of 8 bits, the last one first

    def prior(self, motions: Mapping[int, Motion]) -> Prior | None:
        """What the painting of a frame begins with and is held to; None = it stands for itself.

        Args:
            motions: since so many frames ago.
        """
        known = {age: motion for age, motion in motions.items() if age <= len(self.paintings) and not motion.cut}
        if not known or not self.strength:
            return None
        height, width = self.paintings[0].shape[:2]
        held: F32 | None = None
        trust = np.zeros((height, width), dtype=np.float32)
        for age, motion in sorted(known.items()):
            moved = carried(to_numbers(self.paintings[age - 1]), motion)
            more = np.maximum(trusted(motion, (width, height), self.cover) - trust, 0)
            # Its share of the mean of all references; where none was trusted yet, the newest is begun with.
            share = more / np.maximum(trust + more, np.float32(1e-6))
            held = moved if held is None else held + share[..., None] * (moved - held)
            trust += more
        return Prior(picture=Picture(pixels=np.asarray(held)), trust=trust * np.float32(self.strength))

    def __call__(self, fresh: F32, motion: Motion | None) -> F32:
        """Remember a painting (H, W, 3) in 0..1, which is shown as it is."""
        del motion
        self.last = fresh
        self.paintings = [from_numbers(fresh, deep=False), *self.paintings][: max(self.ages)]
        return fresh

    def state(self) -> dict[str, NDArray[Any]]:
        """What is needed for the next frame."""
        return {} if self.last is None else {"last": self.last, "paintings": np.stack(self.paintings)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on with what was remembered."""
        self.last, self.paintings = state.get("last"), list(state.get("paintings", ()))
