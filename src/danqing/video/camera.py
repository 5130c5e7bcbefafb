"""Camera: frames as they come, from a camera of this machine or from a film that plays as one.

A number or a path goes in; `read` waits for the next frame. This module knows no painter.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from danqing.errors import BadInput
from danqing.messages import text
from danqing.video import clip
from danqing.video.clip import Cut, Frame
from danqing.video.pixels import Pixels


class Camera(Protocol):
    """Gives frames."""

    def read(self) -> Pixels | None:
        """The next frame, (H, W, 3) uint8; None = there are no more."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def opened(written: str) -> Camera:
    """The camera of a number, or a film that plays as one.

    Raises:
        BadInput: there is none, or it gives no pictures.
        DoesNotFit: the film's frames are larger than the limits allow.
    """
    return Attached(int(written)) if written.isdecimal() and not Path(written).exists() else Playing(Path(written))


class Attached:
    """A camera of this machine, as OpenCV reads it.

    Args:
        number: 0 is the first.
    """

    def __init__(self, number: int) -> None:
        told = cv2.utils.logging
        before = told.setLogLevel(told.LOG_LEVEL_SILENT)  # what is wrong is said below
        self._capture = cv2.VideoCapture(number)
        told.setLogLevel(before)
        if not self._capture.isOpened() or not self._capture.grab():
            self._capture.release()
            raise BadInput(text("video.no_camera", number=number))
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not an old one

    def read(self) -> Pixels | None:
        """The next frame."""
        there, frame = self._capture.read()
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)) if there else None

    def close(self) -> None:
        """Let go of it."""
        self._capture.release()


class Playing:
    """A film that plays in its own time, again and again.

    Args:
        path: of the film.
        again: whether it begins anew at its end.
    """

    def __init__(self, path: Path, *, again: bool = True) -> None:
        self._clip, self._again = clip.load(path), again
        self._frames: Generator[Frame] | None = None
        self._began = 0.0

    def read(self) -> Pixels | None:
        """The next frame, when its time has come."""
        frame = next(self._frames, None) if self._frames is not None else None
        if frame is None and (self._again or self._frames is None):
            self._frames, self._began = self._clip.read(Cut()), time.monotonic()
            frame = next(self._frames)
        if frame is None:
            return None
        time.sleep(max(0.0, self._began + float(frame.at) - time.monotonic()))
        return frame.pixels if frame.pixels.dtype == np.uint8 else (frame.pixels >> 8).astype(np.uint8)

    def close(self) -> None:
        """Let go of it."""
        if self._frames is not None:
            self._frames.close()
