"""How far a painting is, on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet.

Steps go in; this module knows no painting beyond them.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from danqing.cli import console
from danqing.messages import text
from danqing.stylizer import Step

Show = Callable[[Step], None]

EVERY, EVERY_VERBOSE = 30.0, 3.0
"""s between two lines where there is no terminal."""


@contextlib.contextmanager
def shown() -> Iterator[Show]:
    """Something to call after every step."""
    if console.manner.quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines()


def losses(step: Step) -> str:
    """The terms of a step in a few characters, such as `content 0.31  style 0.12`."""
    return "  ".join(f"{name} {value:.3g}" for name, value in step.losses.items())


def duration(seconds: float) -> str:
    """Seconds as people read them: `41 s`, `2:05 min`, `1:02:05 h`."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{whole} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def _lines() -> Show:
    last = time.monotonic()
    every = EVERY_VERBOSE if console.manner.verbose else EVERY

    def show(step: Step) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < every:
            return
        last = now
        line = text("cli.step", number=step.number, total=step.total, remaining=duration(step.remaining))
        console.tell(f"{line}  {losses(step)}".rstrip())

    return show


@contextlib.contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[size]}"),
        TextColumn("{task.fields[losses]}"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, size="", losses="", left="")

        def show(step: Step) -> None:
            progress.update(
                task,
                completed=step.number,
                total=step.total,
                size=f"{step.size[0]}x{step.size[1]}",
                losses=losses(step),
                left=text("cli.left", remaining=duration(step.remaining)),
            )

        yield show


@contextlib.contextmanager
def downloading() -> Iterator[Callable[[int, int], None]]:
    """Something to call with the bytes so far and in all while a model is fetched."""
    if console.manner.quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = (BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


@contextlib.contextmanager
def counting() -> Iterator[Callable[[int, int], None]]:
    """Something to call with the pictures so far and in all."""
    if console.manner.quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


OnPictures = Callable[[int, float], None]


@contextlib.contextmanager
def painting_many(total: int) -> Iterator[OnPictures]:
    """Something to call with the pictures so far and how many come a second."""
    if console.manner.quiet:
        yield lambda *_: None
    elif sys.stderr.isatty():
        with _picture_bar(total) as show:
            yield show
    else:
        yield _picture_lines(total)


def _to_go(total: int, done: int, rate: float) -> str:
    return duration((total - done) / rate) if rate else "?"


def _picture_lines(total: int) -> OnPictures:
    last = time.monotonic()
    every = EVERY_VERBOSE if console.manner.verbose else EVERY

    def show(done: int, rate: float) -> None:
        nonlocal last
        if time.monotonic() - last < every:
            return
        last = time.monotonic()
        fields = {"rate": f"{rate:.2f}", "remaining": _to_go(total, done, rate)}
        console.tell(text("batch.progress", done=done, total=total, **fields))

    return show


@contextlib.contextmanager
def _picture_bar(total: int) -> Iterator[OnPictures]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total, said="")

        def show(done: int, rate: float) -> None:
            left = text("cli.left", remaining=_to_go(total, done, rate))
            progress.update(task, completed=done, said=f"{text('batch.rate', rate=f'{rate:.2f}')}  {left}")

        yield show
