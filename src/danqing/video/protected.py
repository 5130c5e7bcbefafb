"""Protected: what of a film is left as it was filmed, frame by frame, as another film draws it in white.

Photos and paintings of frames go in, paintings with the photo in them come out. This module knows no painter.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danqing.image import mask
from danqing.picture import Picture, formats
from danqing.picture.load import PictureSource
from danqing.video import clip
from danqing.video.clip import Beside, Clip
from danqing.video.pixels import to_numbers

F32 = NDArray[np.float32]


def mask_film(protect: PictureSource | None, *, fps: Fraction) -> Clip | None:
    """The film, or the folder of pictures at so many frames/s, that is meant by what to protect, if it is no picture.

    Raises:
        BadInput: it cannot be read.
    """
    if not isinstance(protect, str | Path) or not Path(protect).exists() or formats.by_suffix(str(protect)):
        return None
    return clip.load(Path(protect), fps=fps)


class Protected:
    """Leaves the film alone where its masks are white.

    Args:
        masks: from the film's beginning; after their end the last one stands. None = there are none.
    """

    def __init__(self, masks: Clip | None) -> None:
        self._masks = None if masks is None else Beside(masks)

    def __call__(self, photo: F32, painting: F32, at: Fraction) -> F32:
        """A painting (H, W, 3) at so many s, with the photo where that is left alone; times only go on."""
        if self._masks is None:
            return painting
        height, width = photo.shape[:2]
        drawn = mask.drawn(Picture(pixels=to_numbers(self._masks.at(at).pixels)), (width, height))
        return mask.composite(photo, painting, 1 - drawn)

    def close(self) -> None:
        """Let go of the masks."""
        if self._masks is not None:
            self._masks.close()
