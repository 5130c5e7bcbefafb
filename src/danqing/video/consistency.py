"""Consistency: how still a painted film is, by numbers.

A film and its painting go in, the temporal error of Ruder et al. (2016) comes out: the mean squared difference between
each painted frame and the one before it, brought along by the flow of the film itself, where that flow is neither
occluded nor at the boundary of a motion. This module knows no painter.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from danqing.errors import BadInput
from danqing.files import shown
from danqing.messages import text
from danqing.video import clip as clips
from danqing.video.clip import Beside, Clip, Cut
from danqing.video.flow import Effort, Motion, Seer, warp
from danqing.video.pixels import Pixels, to_numbers


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """How still a painted film is, lower is better.

    Attributes:
        error: mean squared difference of colours in 0..1, of trusted pixels.
        own: the same of the film that was painted: what no painting can be expected to stay below.
        frames: that the painted film has.
        rate: its frames/s.
        cuts: so many pairs of frames were not compared.
        each: the error from frame to frame.
    """

    error: float
    own: float
    frames: int
    rate: float
    cuts: int
    each: tuple[float, ...] = field(default=(), repr=False)


def consistency(film: Path, painting: Path, on_progress: Callable[[int, int], None] | None = None) -> Consistency:
    """Judge a painted film beside the one that it was painted from, both from the same beginning.

    Args:
        film, painting: films, or folders of numbered pictures; the painting may have fewer frames and another size.
        on_progress: called with the frames so far and in all.

    Raises:
        BadInput: one cannot be read, or there are no two frames to compare.
    """
    painted = clips.load(painting)
    seer = Seer(effort=Effort.CAREFUL)
    errors, own, cuts = [], [], 0
    before: tuple[Pixels, Pixels] | None = None
    number = 0
    for number, pair in enumerate(_pairs(clips.load(film), painted), 1):
        if before is not None:
            motion = seer(before[0], pair[0])
            if motion.cut or not motion.sure.any():
                cuts += 1
            else:
                own.append(difference(before[0], pair[0], motion))
                errors.append(difference(before[1], pair[1], motion))
        before = pair
        if on_progress is not None:
            on_progress(number, painted.frames or 0)
    if not errors:
        raise BadInput(text("video.no_pairs", name=shown(painting)))
    return Consistency(
        error=statistics.fmean(errors),
        own=statistics.fmean(own),
        frames=number,
        rate=float(painted.rate),
        cuts=cuts,
        each=tuple(errors),
    )


def difference(before: Pixels, now: Pixels, motion: Motion) -> float:
    """The mean squared difference of two frames, the earlier brought along, where the motion is sure."""
    off = np.square(to_numbers(now) - warp(to_numbers(before), motion.flow)).mean(-1)
    return float((off * motion.sure).sum(dtype=np.float64) / motion.sure.sum(dtype=np.float64))


def _pairs(film: Clip, painted: Clip) -> Iterator[tuple[Pixels, Pixels]]:
    """Each painted frame with the frame of the film that is shown at the same time."""
    with closing(Beside(film, painted.size)) as beside, closing(painted.read(Cut())) as paintings:
        for painting in paintings:
            yield beside.at(painting.at).pixels, painting.pixels
