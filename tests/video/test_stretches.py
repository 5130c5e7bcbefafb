"""Which frames of a film are measured, and how those between are painted."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence

import numpy as np
import pytest

from danqing.card import Card
from danqing.picture import Picture
from danqing.recipe import Recipe
from danqing.stylizer import Pastiche
from danqing.video import stretches as module
from danqing.video.clip import Frame
from danqing.video.stretches import LONGEST, Item, Stretch, painted, stretches

CARD = Card(name="n", kind="network", file="n.onnx", sha256="0" * 64, license="-", origin="-")


def items(tones: Sequence[float], *, again: Sequence[int] = (), start: int = 0, depth: int = 8) -> Generator[Item]:
    """Frames of so bright a grey each."""
    kind, most = (np.uint8, 255) if depth == 8 else (np.uint16, 65535)
    for number, tone in enumerate(tones):
        if number >= start:
            pixels = np.full((36, 64, 3), round(most * tone), kind)
            yield Item(number, Frame(time=number, span=1, pixels=pixels), {}, new=number not in again)


def numbers(found: Generator[Stretch]) -> list[list[int]]:
    return [[item.number for item in stretch.items] for stretch in found]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_film_that_stands_still_is_measured_every_so_many_frames(depth: int) -> None:
    found = numbers(stretches(items([0.5] * 24, depth=depth)))
    assert found == [[0], list(range(1, 11)), list(range(11, 21)), [21, 22, 23]]


def test_a_cut_ends_what_was_before_and_begins_anew() -> None:
    tones = [0.2] * 5 + [0.9] * 3 + [0.1] + [0.5] * 2
    assert numbers(stretches(items(tones))) == [[0], [1, 2, 3, 4], [5], [6, 7], [8], [9], [10]]


def test_what_changes_by_and_by_is_measured_more_often() -> None:
    assert numbers(stretches(items([0.03 * n for n in range(9)]))) == [[0], [1, 2, 3], [4, 5, 6], [7, 8]]


def test_frames_that_come_again_are_not_measured() -> None:
    found = list(stretches(items([0.5] * 13, again=(0, 4, 10, 12))))
    assert numbers(iter(found)) == [[0, 1], [*range(2, 12)], [12]]  # type: ignore[arg-type]
    assert [stretch.measured for stretch in found] == [1, 9, None]


@pytest.mark.parametrize("start", [10, 20, 100])
@pytest.mark.parametrize("again", [(), (10, 20, 100), (9, 11, 19, 99, 101)])
def test_it_does_not_matter_where_painting_begins(start: int, again: Sequence[int]) -> None:
    rng = np.random.default_rng(1)
    tones = np.clip(0.5 + np.cumsum(rng.normal(0, 0.02, 130)) + (np.arange(130) // 37 % 2) * 0.3, 0, 1)
    ends = {}
    for begin in (0, start):
        found = list(stretches(items(tones, again=again, start=begin)))
        ends[begin] = {one.items[one.measured].number for one in found if one.measured is not None}
    assert {number for number in ends[0] if number >= start} == ends[start]
    assert min(ends[start]) <= start + 2 and start % LONGEST == 0


# ── painting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def made(item: Item, known: Mapping[str, np.ndarray] | None, *, tells: bool = True) -> Pastiche:
    """A painting that says with what measure it was painted."""
    own = {"mean": np.full((1, 1, 1, 1), item.number, np.float32)}
    tone = np.float32(item.number if known is None else known["mean"].item())
    picture = Picture(pixels=np.full((2, 2, 3), tone / 1000, np.float32))
    return Pastiche(picture=picture, recipe=Recipe(), card=CARD, seconds=0, measured=own if tells else None)


def tones(found: Generator[tuple[Item, Pastiche | None]]) -> list[float | None]:
    return [None if one is None else round(float(one.picture.pixels[0, 0, 0]) * 1000, 3) for _, one in found]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_between_two_measures_lies_their_mixture(count: int) -> None:
    film = [0.2] * 15 + [0.9] * 12
    assert tones(painted(stretches(items(film)), made, count)) == [float(number) for number in range(27)]
    uneven = tones(painted(stretches(items([0.5] * 12, again=(3, 4, 11))), made, count))
    assert uneven == [0, 1, 2, None, None, 5, 6, 7, 8, 9, 10, None]


def test_whoever_tells_nothing_paints_each_frame_for_itself() -> None:
    asked = []

    def paint(item: Item, known: Mapping[str, np.ndarray] | None) -> Pastiche:
        asked.append(known)
        return made(item, known, tells=False)

    assert tones(painted(stretches(items([0.5] * 23)), paint, 2)) == [float(number) for number in range(23)]
    assert asked == [None] * 23


def test_nobody_waits_for_the_next_measure() -> None:
    """Two paint all the time: while a stretch is painted, the end of the next one is."""
    together = threading.Barrier(2, timeout=60)

    def paint(item: Item, known: Mapping[str, np.ndarray] | None) -> Pastiche:
        together.wait()
        return made(item, known)

    film = [0.5] * (1 + 4 * LONGEST) + [0.9]  # an even number of frames
    assert len(tones(painted(stretches(items(film)), paint, 2))) == 4 * LONGEST + 2


def test_no_more_frames_are_taken_than_are_needed() -> None:
    taken = []

    def counted() -> Generator[Item]:
        for item in items([0.5] * 200):
            taken.append(item.number)
            yield item

    found = painted(stretches(counted()), made, 2)
    for _ in range(30):
        next(found)
    assert max(taken) <= 30 + 3 * LONGEST
    found.close()


@pytest.mark.parametrize("bad", [0, 4, 10, 13])
def test_what_goes_wrong_comes_behind_what_was_painted_before(bad: int) -> None:
    def paint(item: Item, known: Mapping[str, np.ndarray] | None) -> Pastiche:
        if item.number == bad:
            raise ValueError("a bad frame")
        return made(item, known)

    found = painted(stretches(items([0.5] * 24)), paint, 2)
    came = []
    with pytest.raises(ValueError, match="a bad frame"):
        for item, _ in found:
            came.append(item.number)
    last = bad if bad != 10 else 1  # with what is measured there, all of its stretch is painted
    assert came == list(range(last))


def test_closing_leaves_nobody_at_work() -> None:
    before, painting = threading.active_count(), threading.Event()

    def paint(item: Item, known: Mapping[str, np.ndarray] | None) -> Pastiche:
        painting.set()
        time.sleep(0.01)
        return made(item, known)

    source = stretches(items([0.5] * 200))
    found = painted(source, paint, 2)
    next(found)
    found.close()
    assert painting.is_set() and threading.active_count() == before
    assert next(source, None) is None


def test_whoever_wants_no_more_gets_nothing() -> None:
    found = painted(stretches(items([0.5] * 12)), lambda item, known: None, 2)
    assert tones(found) == [None] * 12


def test_segments_are_whole_stretches() -> None:
    from danqing.video import segments

    assert segments.FRAMES % module.LONGEST == 0
