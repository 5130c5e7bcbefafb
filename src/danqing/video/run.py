"""Run: the chain of steps that a film goes through, from its first missing frame to the last.

Frames are read, it is seen what moved, they are painted, held still, and encoded: each step in a thread of its own, a
few frames ahead of the next, and painting in several where frames do not wait for each other. This module knows no
container and no terminal.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from danqing import engines
from danqing.stylizer import Pastiche, Prior, Step
from danqing.video.ahead import abreast, ahead
from danqing.video.clip import Frame
from danqing.video.flow import Motion, Seer
from danqing.video.pixels import Pixels, from_numbers, to_numbers
from danqing.video.protected import Protected
from danqing.video.recall import Recall
from danqing.video.segments import Segments, State
from danqing.video.steady import Steady
from danqing.video.stretches import Item, painted, stretches

if TYPE_CHECKING:
    from danqing.video.film import Film

F32 = NDArray[np.float32]

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
        painting: the frame that was painted last, (H, W, 3).
    """

    frames: int
    total: int | None
    per_second: float
    remaining: float | None
    painting: Pixels | None = None


OnFrame = Callable[[Progress], bool | None]
"""Called after every frame; returning False stops the film, which keeps what it has."""

OnWork = Callable[[], object]
"""A sign of life in the midst of a frame, from any thread: a step of its painting is done, or it is encoded again."""


class Run:
    """One run over a film: the chain of its steps.

    Args:
        film: that is painted.
        segments: where its frames go; those that are there are not painted again.
        state: what was carried behind the last of them.
        on_work: called after every step of a painting.
    """

    def __init__(self, film: Film, segments: Segments, state: State | None, on_work: OnWork | None = None) -> None:
        self.film, self.segments, self.on_work = film, segments, on_work
        self.there = len(segments.times)
        holds = Steady if film.order.recipe.engine in engines.BY_NAME else Recall
        self.held: Steady | Recall = holds(film.steady, cover=film.order.cover)
        self.held.restore(state or {})
        self.painted = 0
        self.wanted = True

    def go(self, on_frame: OnFrame | None) -> bool:
        """Paint what is missing; whether all of it was."""
        state: State = {}
        began = time.monotonic()
        alone = isinstance(self.held, Steady)  # others begin with what was shown before
        paintings = self._paintings(ahead(self._motions(ahead(self._frames()))), self.film.abreast if alone else 1)
        with closing(ahead(self._shown(ahead(paintings) if alone else paintings))) as chain:
            for frame, pixels, carried in chain:
                state = carried
                if self.segments.add(pixels, frame.time, frame.span):
                    self.segments.close(state)
                self.painted += 1
                if on_frame is not None and on_frame(self._progress(time.monotonic() - began, pixels)) is False:
                    self.wanted = False
                    self.segments.close()
                    return False
        self.segments.close(state)
        return True

    def _progress(self, seconds: float, painting: Pixels) -> Progress:
        done, total = self.there + self.painted, self.film.total
        rate = self.painted / max(seconds, 1e-6)
        remaining = None if total is None else max(0, total - done) / rate
        return Progress(frames=done, total=total, per_second=rate, remaining=remaining, painting=painting)

    def _frames(self) -> Generator[tuple[Frame, Sequence[Frame]]]:
        """Each frame that is missing, with those before it, the last one first."""
        earlier: deque[Frame] = deque(maxlen=max(self.held.ages))
        with closing(self.film.clip.read(self.film.cut)) as frames:
            for number, frame in enumerate(frames):
                if number >= self.there:
                    yield frame, tuple(earlier)
                if not frame.again:
                    earlier.appendleft(frame)

    def _motions(
        self, frames: Generator[tuple[Frame, Sequence[Frame]]]
    ) -> Generator[tuple[Frame, Mapping[int, Motion]]]:
        """Each frame with the motions since earlier ones."""
        seer = Seer(long=FLOW_LONG, wraps=self.film.order.recipe.wrap)
        with closing(frames):
            for frame, earlier in frames:
                wanted = self.held.ages if self.film.steady and not frame.again else ()
                ages = [age for age in wanted if age <= len(earlier)]
                yield frame, {age: seer(earlier[age - 1].pixels, frame.pixels) for age in ages}

    def _paintings(
        self, frames: Generator[tuple[Frame, Mapping[int, Motion]]], count: int
    ) -> Generator[tuple[Frame, Mapping[int, Motion], F32 | None]]:
        """Each frame with its motions and its painting by itself; None where it is the frame before again."""

        def items() -> Generator[Item]:
            begun = self.held.last is not None
            with closing(frames):
                for number, (frame, motions) in enumerate(frames, self.there):
                    yield Item(number, frame, motions, new=not (frame.again and begun))
                    begun = True

        def paint(item: Item, known: Mapping[str, F32] | None = None) -> Pastiche | None:
            if not self.wanted:
                return None
            order = self.film.at(item.frame)
            prior = self.held.prior(item.motions) if known is None else Prior(picture=order.content, measured=known)
            return order.paint(self._goes_on, prior=prior)

        if self.film.measures:
            chain = painted(stretches(items()), paint, count)
        else:
            chain = abreast(items(), lambda item: (item, paint(item) if item.new else None), count)
        with closing(chain) as paintings:
            for item, pastiche in paintings:
                if not self.wanted:
                    return
                yield item.frame, item.motions, None if pastiche is None else pastiche.picture.pixels

    def _goes_on(self, step: Step) -> bool:
        """A step of a painting is done; whether another is wanted."""
        del step
        if self.on_work is not None:
            self.on_work()
        return self.wanted

    def _shown(
        self, paintings: Generator[tuple[Frame, Mapping[int, Motion], F32 | None]]
    ) -> Generator[tuple[Frame, Pixels, State]]:
        """Each frame as it is shown, and what is carried behind it."""
        deep = self.film.writing.depth > 8
        with closing(paintings), closing(Protected(self.film.protect)) as protected:
            for frame, motions, fresh in paintings:
                shown = self.held.last if fresh is None else self.held(fresh, motions.get(1))
                if shown is None:
                    raise RuntimeError("a frame comes again that was not painted before")
                if self.film.protect is not None:
                    shown = protected(to_numbers(frame.pixels), shown, frame.at)
                yield frame, from_numbers(shown, deep=deep), self.held.state()
