"""Stretches: which frames of a film the network measures, and what it takes for those between.

Frames come in, stretches of them go out: each ends with a frame that is measured for itself. Frames before it are
painted with what lies between its measures and those of the last one before, as long as nothing in the film speaks
against it. That is quicker than to measure each frame, and colours do not waver. Where a stretch ends is decided by the
film alone, and at the latest every so many frames, counted from its beginning: so it does not matter where painting
begins. This module does not know what is measured, nor who paints.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from danqing.engines.measured import between
from danqing.stylizer import Pastiche
from danqing.video.clip import Frame
from danqing.video.flow import Motion
from danqing.video.pixels import Pixels

F32 = NDArray[np.float32]

LONGEST = 10
"""Frames of a stretch at the most; those of a segment are a multiple of it."""

APART = 0.08
"""Mean difference of two frames, of 1, from which on nothing is taken of one for the other."""

SEEN = (32, 18)
"""px: what is looked at of a frame for that."""


class Item(NamedTuple):
    """A frame on its way.

    Attributes:
        number: in the painted film, from 0.
        frame: as it was filmed.
        motions: since earlier ones.
        new: whether it is to be painted.
    """

    number: int
    frame: Frame
    motions: Mapping[int, Motion]
    new: bool


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Frames of which the last new one is measured."""

    items: Sequence[Item]

    @property
    def measured(self) -> int | None:
        """The place of the frame that is; None where no frame is new."""
        return max((place for place, item in enumerate(self.items) if item.new), default=None)


Paint = Callable[[Item, Mapping[str, F32] | None], Pastiche | None]
"""Paints a frame with what is known of it; None where no painting is wanted any more."""

Job = Future[Pastiche | None]
"""What becomes a painting."""


def stretches(items: Generator[Item]) -> Generator[Stretch]:
    """Frames, taken together."""
    waiting: list[Item] = []
    last = 0
    before: F32 | None = None
    measured: F32 | None = None
    with closing(items):
        for item in items:
            if not item.new:
                waiting.append(item)
                continue
            now = seen(item.frame.pixels)
            begins = apart(before, now)
            if begins and any(one.new for one in waiting):  # the film was cut: what was before ends there
                yield Stretch(items=waiting)
                waiting = []
            waiting.append(item)
            if begins or apart(measured, now) or item.number // LONGEST > last // LONGEST:
                yield Stretch(items=waiting)
                waiting, measured = [], now
            before, last = now, item.number
    if waiting:
        yield Stretch(items=waiting)


def seen(pixels: Pixels) -> F32:
    """What is looked at of a frame, in 0..1."""
    small = cv2.resize(pixels, SEEN, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def apart(before: F32 | None, now: F32) -> bool:
    """Whether a frame, as it is `seen`, is too far from one before; None = there is none."""
    return before is None or float(np.abs(now - before).mean()) > APART


def painted(source: Generator[Stretch], paint: Paint, count: int) -> Generator[tuple[Item, Pastiche | None]]:
    """Each frame with its painting, None where it is not new; `count` of them are painted side by side.

    While a stretch is painted, the frame is measured with which the next one ends: nobody waits for it.
    """
    pool = ThreadPoolExecutor(count)
    under_way: deque[tuple[Item, Job | None]] = deque()
    try:
        with closing(source):
            for item, job in _jobs(source, pool, paint):
                under_way.append((item, job))
                if len(under_way) > count + 1:  # one of them may be done long ago
                    yield _done(*under_way.popleft())
        while under_way:
            yield _done(*under_way.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _jobs(source: Iterable[Stretch], pool: ThreadPoolExecutor, paint: Paint) -> Iterator[tuple[Item, Job | None]]:
    """Each frame with what becomes its painting; before a stretch is begun, the end of the next one is."""
    first: Job | None = None
    last: Job | None = None
    waiting = Stretch(items=())
    for stretch in itertools.chain(source, (Stretch(items=()),)):
        place = stretch.measured
        coming = None if place is None else pool.submit(paint, stretch.items[place], None)
        for at, item in enumerate(waiting.items):
            job = None
            if at == waiting.measured:
                job = last
            elif item.new and waiting.measured is not None:
                share = (at + 1) / (waiting.measured + 1)
                job = pool.submit(_between, paint, item, (first, last), share)
            yield item, job
        first, last, waiting = last or first, coming, stretch


def _done(item: Item, job: Job | None) -> tuple[Item, Pastiche | None]:
    return item, None if job is None else job.result()


def _between(paint: Paint, item: Item, ends: tuple[Job | None, Job | None], share: float) -> Pastiche | None:
    before, after = (None if end is None else end.result() for end in ends)
    if before is None or after is None:
        return None
    known = None
    if before.measured is not None and after.measured is not None:
        known = between(before.measured, after.measured, share)
    return paint(item, known)
