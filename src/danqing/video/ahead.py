"""Ahead: one step of a chain runs in a thread of its own while the next one works on what it gave before.

An iterator goes in and comes out. Decoding, flow, painting and encoding wait for each other no more than they must,
and never run more than a few items ahead, so that memory stays as it is.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")

_WAIT = 0.1  # s between two looks at whether anybody still wants the next item


def ahead(source: Generator[T], *, depth: int = 2) -> Generator[T]:
    """The items of a generator, made up to `depth` before they are asked for.

    What the generator raises is raised here. When this one is closed, so is the other, in the thread in which it ran.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(item: T | None, error: BaseException | None = None) -> bool:
        while not unwanted.is_set():
            try:
                ready.put((item, error), timeout=_WAIT)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            with closing(source):
                for item in source:
                    if not put(item):
                        return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield from _taken(ready)
    finally:
        unwanted.set()
        thread.join()


def _taken(ready: queue.Queue[tuple[T | None, BaseException | None]]) -> Iterator[T]:
    while True:
        item, error = ready.get()
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        yield item  # type: ignore[misc] # where there is no error there is an item
