"""Ahead: one step of a chain runs in threads of its own while the next one works on what it gave before.

An iterator goes in and comes out. Decoding, flow, painting and encoding wait for each other no more than they must,
and never run more than a few items ahead, so that memory stays as it is.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

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


def abreast(source: Generator[T], work: Callable[[T], U], count: int) -> Generator[U]:
    """What becomes of the items of a generator, in their order, `count` of them being worked on side by side.

    What `work` raises is raised here, behind the items before. When this one is closed, the items that are worked on
    are waited for, and the other is closed.
    """
    if count == 1:
        with closing(source):
            yield from map(work, source)
        return
    under_way: deque[Future[U]] = deque()
    with closing(source), ThreadPoolExecutor(count) as pool:
        for item in source:
            under_way.append(pool.submit(work, item))
            if len(under_way) > count:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _taken(ready: queue.Queue[tuple[T | None, BaseException | None]]) -> Iterator[T]:
    while True:
        item, error = ready.get()
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        yield item  # type: ignore[misc] # where there is no error there is an item
