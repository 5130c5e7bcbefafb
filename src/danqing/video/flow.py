"""Flow: where each pixel of a frame was in the frame before, and how far that is to be believed.

Two frames go in, a Motion comes out: dense flow by OpenCV's DIS (Kroeger et al. 2016), and trust that is lost where
forward and backward flow disagree, at the boundaries of motions (both after Sundaram et al. 2010, with the numbers of
Ruder et al. 2016) and, beyond them, where what the flow leads to looks otherwise. This module knows no painting.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from danqing.engines.wrap import continued, margin

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

CUT = 0.3
"""Of so few trusted pixels it is said that the film was cut."""

LOOKS = 0.08
"""A pixel, 0..1, that differs by so much from what the flow leads to has lost most of its trust."""


class Effort(Enum):
    """How carefully flow is sought: OpenCV's presets."""

    QUICK = cv2.DISOPTICAL_FLOW_PRESET_FAST
    CAREFUL = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """What moved between the frame before and this one.

    Attributes:
        flow: float32 (h, w, 2) px: the pixel (x, y) was at (x, y) + flow.
        sure: (h, w) in 0..1, 0 where it is occluded or at the boundary of a motion, as the paper has it.
        trust: (h, w) in 0..1: the same, lowered where it looks otherwise.
        wraps: whether what leaves the frame on one side comes in on the other.
    """

    flow: F32
    sure: F32
    trust: F32
    wraps: bool = False

    @property
    def cut(self) -> bool:
        """Whether the film was cut between the two frames."""
        return float(self.trust.mean()) < CUT


class Seer:
    """Finds motions between frames.

    Args:
        effort: how carefully.
        long: px, long side at which flow is sought; larger frames are reduced.
        wraps: whether the left edge of frames joins the right one.
    """

    def __init__(self, *, effort: Effort = Effort.QUICK, long: int | None = None, wraps: bool = False) -> None:
        self.long, self.wraps = long, wraps
        self._forward, self._backward = (cv2.DISOpticalFlow.create(effort.value) for _ in range(2))

    def __call__(self, before: NDArray[Any], now: NDArray[Any]) -> Motion:
        """The motion from one frame (H, W, 3) to the next, both uint8 or uint16."""
        older, newer = self.seen(before), self.seen(now)
        width = newer.shape[1]
        by = margin(width) if self.wraps else 0
        if by:
            older, newer = continued(older, by), continued(newer, by)
        grey = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (older, newer)]
        backward = self._backward.calc(grey[1], grey[0], None)  # type: ignore[call-overload]
        forward = self._forward.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
        sure = agreeing(forward, backward) * inside(backward)
        trust = sure * alike(older, newer, backward)
        own = (slice(None), slice(by, by + width))
        return Motion(flow=backward[own], sure=sure[own], trust=trust[own], wraps=self.wraps)

    def seen(self, frame: NDArray[Any]) -> U8:
        """A frame as flow is sought in it: 8 bits, reduced."""
        if frame.dtype == np.uint16:
            frame = (frame >> 8).astype(np.uint8)
        height, width = frame.shape[:2]
        if self.long is None or max(height, width) <= self.long:
            return frame
        factor = self.long / max(height, width)
        size = max(16, round(width * factor)), max(16, round(height * factor))
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def warp(values: NDArray[Any], flow: F32, *, sharp: bool = False, wraps: bool = False) -> NDArray[Any]:
    """Values (H, W) or (H, W, C) of the frame before, brought to where they are now by a flow of any size."""
    height, width = values.shape[:2]
    at = enlarged(flow, (width, height))
    at = np.add(at, grid(height, width), out=None if at is flow else at)
    kind = cv2.INTER_CUBIC if sharp else cv2.INTER_LINEAR
    border = cv2.BORDER_WRAP if wraps else cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(values, at, None, kind, borderMode=border))  # type: ignore[call-overload]


def enlarged(flow: F32, size: tuple[int, int]) -> F32:
    """A flow at (width, height), its lengths in px of that size."""
    height, width = flow.shape[:2]
    if (width, height) == size:
        return flow
    scale = np.array([size[0] / width, size[1] / height], dtype=np.float32)
    return np.asarray(cv2.resize(flow * scale, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


@lru_cache(8)
def grid(height: int, width: int) -> F32:
    """The place (x, y) of each pixel, (H, W, 2); not to be written to."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def agreeing(forward: F32, backward: F32) -> F32:
    """1 where the flows of both directions belong together and are smooth, 0 elsewhere; for the later frame (h, w)."""
    there = warp(forward, backward)
    back = squared(backward)
    occluded = squared(there + backward) > 0.01 * (squared(there) + back) + 0.5
    steep = sum(squared(cv2.Sobel(backward, -1, *along, ksize=1, scale=0.5)) for along in ((1, 0), (0, 1)))
    boundary = steep > 0.01 * back + 0.002
    return np.asarray(~(occluded | boundary), dtype=np.float32)


def squared(vectors: NDArray[Any]) -> F32:
    """The squared lengths of vectors (H, W, C), (H, W)."""
    return np.asarray(np.einsum("hwc,hwc->hw", vectors, vectors))


def inside(backward: F32) -> F32:
    """1 where a pixel was inside the frame before, 0 elsewhere."""
    height, width = backward.shape[:2]
    x, y = backward[..., 0] + np.arange(width, dtype=np.float32), backward[..., 1] + np.arange(height)[:, None]
    return np.asarray((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5), dtype=np.float32)


def alike(before: U8, now: U8, backward: F32) -> F32:
    """How far each pixel looks as the flow says, (h, w) in 0..1."""
    moved = warp(before, backward)
    off = cv2.absdiff(moved, now)
    most = np.maximum(np.maximum(off[..., 0], off[..., 1]), off[..., 2]).astype(np.float32)
    most = np.asarray(cv2.blur(most, (5, 5)))  # grain is no change
    return np.asarray(np.exp(-np.square(most / np.float32(255 * LOOKS))), dtype=np.float32)
