"""Worker processes on this machine: a work list goes in and is worked off, whatever happens to a worker.

Each worker is a process of its own (`worker`). One that dies is replaced, one from which nothing is heard for too long
is killed; its task is begun once more, and then given up. How the tasks come out is told to the list first and then to
`on_end`. This module knows no terminal and no signal: it is stopped by `stopping`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, cast

from danqing import machine
from danqing.errors import DanqingError, RunFailed
from danqing.messages import text
from danqing.work import Item, WorkList

QUIET_SECONDS = 30.0
"""s without a sign of life from a worker that reads a picture, after which it is killed."""

_SLACK = 10  # times what a painting was estimated to take, on top of that
_START_SECONDS = 120.0  # for a worker's imports, on a busy machine
_STARTS = 3  # workers that may die in a row before they were ready
_TICK = 0.1  # s between two looks at clocks and at `stopping`
_ELSEWHERE = 0.5  # s between two looks at what other processes are at

_COMMAND = [sys.executable, "-P", "-m", "danqing.batch.worker"]  # -P: the folder one stands in brings no modules
_THREADS = (machine.CORES, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

OnEnd = Callable[[Item], None]
"""Called with every item that is done or has failed, by whomever."""


@dataclass(eq=False)
class _Hand:
    """A worker from outside."""

    process: subprocess.Popen[str]
    ready: bool = False
    item: Item | None = None
    patience: float = _START_SECONDS
    heard: float = field(default_factory=time.monotonic)
    hung: bool = False

    def say(self, line: Mapping[str, Any]) -> None:
        """Send a line; one who has died is not spoken to but noticed elsewhere."""
        with contextlib.suppress(OSError, ValueError):
            stdin = cast(IO[str], self.process.stdin)
            stdin.write(json.dumps(line) + "\n")
            stdin.flush()


class Crew:
    """Workers for a list.

    Args:
        work: the list.
        workers: how many processes.
        threads: how many cores each of them may use.
        quiet: seconds without a sign of life after which a worker counts as hung.
        debug: whether workers' own words are shown.
    """

    def __init__(
        self, work: WorkList, *, workers: int, threads: int, quiet: float = QUIET_SECONDS, debug: bool = False
    ) -> None:
        self.work, self.workers, self.quiet = work, workers, quiet
        self._environment = os.environ | dict.fromkeys(_THREADS, str(threads))
        self._debug = debug
        self._hands: list[_Hand] = []
        self._heard: queue.Queue[tuple[_Hand, dict[str, Any] | None]] = queue.Queue()
        self._waiting: deque[str] = deque()
        self._elsewhere: dict[str, None] = {}
        self._looked = 0.0
        self._lost_starts = 0

    def run(self, keys: Iterable[str], on_end: OnEnd, *, stopping: Callable[[], bool] = lambda: False) -> None:
        """Work off what is queued under keys, until each of them is done or has failed, here or in another process.

        Args:
            keys: in the order in which they are begun.
            on_end: called with each that has ended, also with those that had before.
            stopping: asked all the time; when it says so nothing new is begun, paintings in steps are given up, and
                what was taken and not finished is queued again.

        Raises:
            RunFailed: the disk is full, workers cannot be started, or the list cannot be written.
        """
        self._elsewhere = dict.fromkeys(keys)
        self._look(on_end)
        try:
            while not stopping() and (self._waiting or self._elsewhere or self._busy()):
                self._employ(on_end)
                self._listen(on_end)
            self._end_early(on_end)
        except DanqingError:
            for key in self._dismiss():
                self.work.release(key)
            raise
        finally:
            self._dismiss()

    def _busy(self) -> list[_Hand]:
        return [hand for hand in self._hands if hand.item is not None]

    def _employ(self, on_end: OnEnd) -> None:
        """Give work to whoever has none, and start workers where more could be used."""
        for hand in self._hands:
            if hand.ready and hand.item is None and (item := self._next()) is not None:
                hand.item, hand.heard, hand.patience = item, time.monotonic(), self.quiet
                hand.say({"task": item.task, "tries": item.tries})
        starting = sum(not hand.ready for hand in self._hands)
        if len(self._hands) < self.workers and starting < len(self._waiting):
            self._hire()
        if self._elsewhere and time.monotonic() - self._looked > _ELSEWHERE:
            self.work.recover()
            self._look(on_end)

    def _next(self) -> Item | None:
        """The next task that is to be had."""
        while self._waiting:
            key = self._waiting.popleft()
            if (item := self.work.take(key)) is not None:
                return item
            self._elsewhere[key] = None
        return None

    def _look(self, on_end: OnEnd) -> None:
        """What has become of the tasks that this process was not at."""
        self._looked = time.monotonic()
        for key in list(self._elsewhere):
            item = self.work.get(key)
            if item is not None and item.state == "running":
                continue
            del self._elsewhere[key]
            if item is not None and item.state == "queued":
                self._waiting.append(key)
            elif item is not None:
                on_end(item)

    # ── what is heard ───────────────────────────────────────────────────────────────────────────────────────────────

    def _listen(self, on_end: OnEnd) -> None:
        """Hear what comes within a moment, and end whoever has been silent for too long."""
        with contextlib.suppress(queue.Empty):
            hand, line = self._heard.get(timeout=_TICK)
            self._hear(hand, line, on_end)
            while True:
                self._hear(*self._heard.get_nowait(), on_end)
        now = time.monotonic()
        for hand in self._hands:
            if (hand.item is not None or not hand.ready) and now - hand.heard > hand.patience:
                hand.hung = True
                hand.process.kill()  # its end is heard as everybody's is

    def _hear(self, hand: _Hand, line: dict[str, Any] | None, on_end: OnEnd) -> None:
        hand.heard = time.monotonic()
        if line is None:
            self._bury(hand, on_end)
        elif "ready" in line:
            hand.ready, self._lost_starts = True, 0
        elif "begun" in line:
            hand.patience = self.quiet + _SLACK * line["begun"]
        elif "step" not in line and hand.item is not None:
            key, hand.item = hand.item.key, None
            if "done" in line:
                self.work.finish(key, line["done"])
            elif "failed" in line:
                self.work.fail(key, line["failed"])
            else:
                self.work.release(key)
                if "full" in line:
                    raise RunFailed(line["full"])
                return
            self._tell(key, on_end)

    def _bury(self, hand: _Hand, on_end: OnEnd) -> None:
        """A worker has died: another may take its place, and its task is begun once more."""
        self._hands.remove(hand)
        hand.process.kill()  # one that only fell silent
        hand.process.wait()
        if not hand.ready:
            self._lost_starts += 1
            if self._lost_starts >= _STARTS:
                raise RunFailed(text("batch.no_worker", code=hand.process.returncode))
        if hand.item is not None:
            key = hand.item.key
            problem = text("batch.hung") if hand.hung else text("batch.died", code=hand.process.returncode)
            if self.work.fail(key, problem, again=True):
                self._tell(key, on_end)
            else:
                self._waiting.append(key)

    def _tell(self, key: str, on_end: OnEnd) -> None:
        if (item := self.work.get(key)) is not None:
            on_end(item)

    # ── coming and going ────────────────────────────────────────────────────────────────────────────────────────────

    def _hire(self) -> None:
        """Start a worker, in a process group of its own: Ctrl-C at the terminal is not for it."""
        apart: dict[str, Any] = {"process_group": 0}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            process = subprocess.Popen(  # noqa: S603
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if self._debug else subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env=self._environment,
                **apart,
            )
        except OSError as error:
            raise RunFailed(text("batch.no_worker", code=error.strerror)) from error
        hand = _Hand(process=process)
        self._hands.append(hand)
        threading.Thread(target=self._overhear, args=(hand,), daemon=True).start()

    def _overhear(self, hand: _Hand) -> None:
        """Pass on what a worker says, None at its end; in a thread of its own."""
        with contextlib.suppress(OSError, ValueError):
            for line in cast(IO[str], hand.process.stdout):
                self._heard.put((hand, json.loads(line)))
        self._heard.put((hand, None))

    def _end_early(self, on_end: OnEnd) -> None:
        """Begin nothing new, and wait for what can still be finished."""
        self._waiting.clear()
        for hand in self._busy():
            hand.say({"stop": True})
        while self._busy():
            self._listen(on_end)

    def _dismiss(self) -> list[str]:
        """End all workers; what they were at."""
        for hand in self._hands:
            hand.process.kill()
        for hand in self._hands:
            hand.process.wait()
            for pipe in (hand.process.stdin, hand.process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        left = [hand.item.key for hand in self._busy() if hand.item is not None]
        self._hands.clear()
        return left
