"""A step that runs ahead in its own thread: same items, errors handed on, nobody left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from danqing.video.ahead import ahead


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
