"""Smoothing: dots and speckles that a network leaves are taken out of a painting.

Float arrays go in and come out, at full precision. This module knows no engine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

F32 = NDArray[np.float32]


def median(pixels: F32, width: int) -> F32:
    """Each value of (H, W, 3) the median of a square of `width` px around it, a channel at a time; 0 changes nothing.

    Beyond the border the picture is continued by its edge, as OpenCV's `medianBlur` does.
    """
    if not width:
        return pixels
    out = np.empty_like(pixels)
    for channel in range(pixels.shape[2]):
        image = Image.fromarray(np.ascontiguousarray(pixels[..., channel], dtype=np.float32))
        out[..., channel] = np.asarray(image.filter(ImageFilter.MedianFilter(width)))
    return out
