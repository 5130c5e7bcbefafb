"""Run: the chain of steps that a film goes through, from its first missing frame to the last.

Frames are read, it is seen what moved, they are painted and held still, and encoded: each step in a thread of its own,
a few frames ahead of the next. This module knows no container and no terminal.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from danqing import engines
from danqing.picture import Picture
from danqing.video.ahead import ahead
from danqing.video.clip import Frame
from danqing.video.flow import Motion, Seer
from danqing.video.pixels import Pixels, from_numbers, to_numbers
from danqing.video.segments import Segments, State
from danqing.video.steady import Steady

if TYPE_CHECKING:
    from danqing.video.film import Film

FLOW_LONG = 640
"""px: long side at which flow is sought."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a film is.

    Attributes:
        frames: durable or on their way there.
        total: of so many, as well as can be told; None = not at all.
        per_second: frames painted, by this run.
        remaining: s still to go; None where the total is not known.
    """

    frames: int
    total: int | None
    per_second: float
    remaining: float | None


OnFrame = Callable[[Progress], bool | None]
"""Called after every frame; returning False stops the film, which keeps what it has."""


class Run:
    """One run over a film: the chain of its steps.

    Args:
        film: that is painted.
        segments: where its frames go; those that are there are not painted again.
        state: what was carried behind the last of them.
    """

    def __init__(self, film: Film, segments: Segments, state: State | None) -> None:
        self.film, self.segments = film, segments
        self.there = len(segments.times)
        self.steady = Steady(film.steady, cover=film.order.cover)
        self.steady.restore(state or {})
        self.painted = 0
        self.wanted = True

    def go(self, on_frame: OnFrame | None) -> bool:
        """Paint what is missing; whether all of it was."""
        state: State = {}
        began = time.monotonic()
        with closing(ahead(self._paintings(ahead(self._motions(ahead(self._frames())))))) as chain:
            for frame, pixels, carried in chain:
                state = carried
                if self.segments.add(pixels, frame.time, frame.span):
                    self.segments.close(state)
                self.painted += 1
                if on_frame is not None and on_frame(self._progress(time.monotonic() - began)) is False:
                    self.wanted = False
                    self.segments.close()
                    return False
        self.segments.close(state)
        return True

    def _progress(self, seconds: float) -> Progress:
        done, total = self.there + self.painted, self.film.total
        rate = self.painted / max(seconds, 1e-6)
        remaining = None if total is None else max(0, total - done) / rate
        return Progress(frames=done, total=total, per_second=rate, remaining=remaining)

    def _frames(self) -> Generator[tuple[Frame | None, Frame]]:
        """Each frame that is missing, with the one before it."""
        before: Frame | None = None
        with closing(self.film.clip.read(self.film.cut)) as frames:
            for number, frame in enumerate(frames):
                if number >= self.there:
                    yield before, frame
                before = frame

    def _motions(self, pairs: Generator[tuple[Frame | None, Frame]]) -> Generator[tuple[Frame, Motion | None]]:
        seer = Seer(long=FLOW_LONG)
        with closing(pairs):
            for before, frame in pairs:
                seen = self.film.steady > 0 and before is not None and not frame.again
                yield frame, seer(before.pixels, frame.pixels) if seen and before else None

    def _paintings(self, frames: Generator[tuple[Frame, Motion | None]]) -> Generator[tuple[Frame, Pixels, State]]:
        deep = self.film.writing.depth > 8
        with closing(frames):
            for frame, motion in frames:
                shown = self.steady.last
                if shown is None or not frame.again:
                    fresh = self._painted(frame, motion)
                    if not self.wanted:
                        return
                    shown = self.steady(fresh, motion)
                yield frame, from_numbers(shown, deep=deep), self.steady.state()

    def _painted(self, frame: Frame, motion: Motion | None) -> NDArray[np.float32]:
        """A frame painted for itself; an engine that searches begins with the last painting, carried along."""
        order = dataclasses.replace(self.film.order, content=Picture(pixels=to_numbers(frame.pixels)))
        if order.recipe.engine not in engines.BY_NAME and motion is not None and self.steady.follows(motion):
            order = dataclasses.replace(order, start=Picture(pixels=self.steady.carried(motion)))
        return order.paint(lambda _: self.wanted).picture.pixels
