"""Pixels: between a film's frames, as codecs have them, and RGB.

Frames of FFmpeg go in and come out, each by its own matrix and range, which are kept. This module knows no file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""(H, W, 3), RGB as displayed, uint8 or uint16 in their whole range."""


@dataclass(frozen=True, kw_only=True)
class Colour:
    """How a film's numbers mean colours, in the code points of H.273; 2 = not said. Range: 1 = limited, 2 = full."""

    matrix: int = 2
    range: int = 0
    primaries: int = 2
    transfer: int = 2

    def encoded(self, size: tuple[int, int]) -> Colour:
        """How a film of this size is written: as it was, and as players guess where it was not said."""
        if self.matrix in (0, 2):  # RGB, or not said
            matrix = 1 if size[1] >= 720 else 6
            return replace(self, matrix=matrix, range=self.range if self.matrix else 1)
        return self


def to_rgb(frame: VideoFrame, size: tuple[int, int], *, deep: bool) -> Pixels:
    """A decoded frame as RGB at (width, height), by its own matrix and range."""
    own = Colour(matrix=frame.colorspace, range=frame.color_range)
    rgb = frame.format.name.startswith(("rgb", "bgr", "gbr", "pal", "argb", "abgr"))
    converted = frame.reformat(
        *size,
        format="rgb48le" if deep else "rgb24",
        src_colorspace=None if rgb else own.encoded((frame.width, frame.height)).matrix,
        src_color_range=2 if rgb or own.range == 2 else 1,
        dst_color_range=2,
        interpolation="BILINEAR" if size == (frame.width, frame.height) else "LANCZOS",
    )
    pixels: Pixels = converted.to_ndarray()
    return pixels


def from_rgb(pixels: Pixels, format: str, colour: Colour) -> VideoFrame:
    """RGB as a frame of a pixel format, by a matrix and range, which it carries."""
    height, width = pixels.shape[:2]
    frame = VideoFrame.from_ndarray(pixels, "rgb48le" if pixels.dtype == np.uint16 else "rgb24")
    if format.startswith(("yuv", "nv")):
        written = colour.encoded((width, height))
        full = 2 if written.range == 2 else 1
        frame = frame.reformat(format=format, src_color_range=2, dst_colorspace=written.matrix, dst_color_range=full)
        frame.colorspace, frame.color_range = written.matrix, full
        frame.color_primaries, frame.color_trc = written.primaries, written.transfer
    elif format != frame.format.name:
        frame = frame.reformat(format=format)
    return frame


def to_numbers(pixels: Pixels) -> NDArray[np.float32]:
    """RGB as float32 in 0..1."""
    return pixels.astype(np.float32) * np.float32(1 / np.iinfo(pixels.dtype).max)


def from_numbers(numbers: NDArray[np.float32], *, deep: bool) -> Pixels:
    """Float32 in 0..1 as RGB of 8 bits, or 16."""
    if not deep:
        return np.asarray(cv2.addWeighted(numbers, 255, numbers, 0, 0, dtype=cv2.CV_8U))  # rounds and clips, in one go
    scaled = numbers * np.float32(65535)
    return np.clip(np.rint(scaled, out=scaled), 0, 65535, out=scaled).astype(np.uint16)
