"""A step that runs ahead in its own thread: same items, errors handed on, nobody left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from danqing.video.ahead import abreast, ahead


def counting(count: int, *, fail: bool = False, made: list[int] | None = None) -> Generator[int]:
    for number in range(count):
        if made is not None:
            made.append(number)
        yield number
    if fail:
        raise ValueError("at the end")


def test_the_items_come_in_order() -> None:
    assert list(ahead(counting(50))) == list(range(50))


def test_it_is_only_a_few_items_ahead() -> None:
    made: list[int] = []
    items = ahead(counting(100, made=made), depth=2)
    next(items)
    time.sleep(0.3)
    assert len(made) <= 5
    items.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    items = ahead(counting(3, fail=True))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="at the end"):
        next(items)


def test_closing_ends_the_whole_chain() -> None:
    ended = []

    def source() -> Generator[int]:
        try:
            yield from range(10_000_000)
        finally:
            ended.append(threading.current_thread().name)

    before = threading.active_count()
    items = ahead(ahead(ahead(source())))
    assert next(items) == 0 and threading.active_count() > before
    items.close()
    assert ended and ended != [threading.current_thread().name] and threading.active_count() == before


def test_the_next_item_is_made_while_the_last_one_is_in_hand() -> None:
    coming = threading.Event()

    def source() -> Generator[int]:
        yield 0
        coming.set()
        yield 1

    items = ahead(source())
    assert next(items) == 0
    assert coming.wait(60)
    assert list(items) == [1]


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_made_side_by_side_comes_in_order(count: int) -> None:
    def work(number: int) -> int:
        time.sleep(0.01 * (number % 3 == 0))
        return -number

    assert list(abreast(counting(20), work, count)) == [-number for number in range(20)]


def test_several_are_worked_on_at_once() -> None:
    together = threading.Barrier(2, timeout=60)
    assert list(abreast(counting(4), lambda _: together.wait() >= 0, 2)) == [True] * 4


def test_one_at_a_time_waits_for_what_is_done_with_the_one_before() -> None:
    made: list[int] = []
    items = abreast(counting(5, made=made), lambda number: number, 1)
    assert [next(items), next(items)] == [0, 1] and made == [0, 1]


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_in_the_work_comes_after_the_items_before_it(count: int) -> None:
    def work(number: int) -> int:
        return 1 // (3 - number)

    items = abreast(counting(9), work, count)
    assert [next(items) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(items)


def test_closing_waits_for_what_is_worked_on_and_closes_the_source() -> None:
    ended, done = [], []

    def source() -> Generator[int]:
        try:
            yield from range(10_000_000)
        finally:
            ended.append(True)

    def work(number: int) -> int:
        time.sleep(0.05)
        done.append(number)
        return number

    before = threading.active_count()
    items = abreast(source(), work, 2)
    assert next(items) == 0
    items.close()
    assert ended and len(done) == 3 and threading.active_count() == before
