"""Pool: the worker processes, and who is next.

An order goes in, the worker's answer comes out; what it says on the way is handed to `on_event`. A worker that dies,
says nothing for too long or takes too long is replaced; one that has done its share is replaced too. Nothing here
blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from danqing import machine
from danqing.studio.refusal import Refused
from danqing.studio.settings import Settings

log = logging.getLogger("danqing.studio")

OnEvent = Callable[[dict[str, Any], bytes], None]
Answer = tuple[dict[str, Any], bytes]

GRACE = 10.0
"""Seconds that a worker has to stop what nobody waits for any more."""

AGAIN = 1.0
"""Seconds after which a worker that could not be started is tried again."""

_THREADS = (machine.CORES, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

CAPS = ("pixels", "edge", "frames", "film_seconds", "memory", "file")
"""Settings that workers keep to."""

_LINE = 8 << 20
"""Bytes of the longest line of a worker."""


class Died(Exception):
    """The worker ended without an answer: killed by a limit, the system or a fault."""


class Stalled(Exception):
    """The worker said nothing for too long, or took too long in all, and was ended."""


class Pool:
    """Workers that do orders, the urgent first; nobody waits for ever behind what is more urgent.

    Args:
        count: how many.
        settings: their limits.
        yielding: whether they give way to everything else on the machine, the server first.
    """

    def __init__(self, count: int, settings: Settings, *, yielding: bool = False) -> None:
        self.count, self.settings, self.yielding = count, settings, yielding
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._waiting: list[tuple[float, int, asyncio.Future[_Process]]] = []
        self._numbers = itertools.count()
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many orders wait for a worker."""
        return sum(not future.done() for _, _, future in self._waiting)

    @property
    def busy(self) -> int:
        """How many orders are being done."""
        return len(self._busy)

    async def start(self) -> None:
        """Start the workers, so that the first order need not wait for one."""
        self._idle = [await _Process.started(self.settings, yielding=self.yielding) for _ in range(self.count)]

    async def close(self) -> None:
        """End all workers."""
        for task in self._settling:
            task.cancel()
        for process in (*self._idle, *self._busy):
            await process.end()
        self._idle, self._busy = [], set()

    async def run(
        self,
        order: dict[str, Any],
        *,
        priority: float = 0,
        seconds: float,
        limit: int | None = None,
        on_event: OnEvent | None = None,
        stop: asyncio.Event | None = None,
    ) -> Answer:
        """Have an order done. Cancelling the task that waits here stops the worker too.

        Args:
            order: for the worker.
            priority: seconds by which it lets later ones go first.
            seconds: that it may take.
            limit: how many may wait.
            on_event: called with what the worker says on the way.
            stop: when it is set, the worker stops after the step at hand and answers with what is there.

        Raises:
            Refused: the worker says no, or too many wait.
            Died, Stalled: there is no answer.
        """
        process = await self._next(priority, limit)
        try:
            answer = await process.do(order, seconds=seconds, on_event=on_event, stop=stop)
        except asyncio.CancelledError:
            self._apart(self._settle(process))
            raise
        except BaseException as error:
            await asyncio.shield(self._apart(self._back(process, sound=isinstance(error, Refused))))
            raise
        await asyncio.shield(self._apart(self._back(process, sound=True)))
        return answer

    def _apart(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that goes on whoever leaves meanwhile."""
        task = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def _next(self, priority: float, limit: int | None) -> _Process:
        while self._idle:
            process = self._idle.pop()
            self._busy.add(process)
            if process.alive:
                return process
            self._apart(self._back(process, sound=False))  # the fresh one comes to whoever waits
        if limit is not None and self.waiting >= limit:
            raise Refused("busy", retry=limit / self.count / 4)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Process] = loop.create_future()
        heapq.heappush(self._waiting, (loop.time() + priority, next(self._numbers), future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._apart(self._back(future.result(), sound=True))
            raise

    async def _back(self, process: _Process, *, sound: bool) -> None:
        """A worker has done an order: it takes the next one, or a fresh one does."""
        if not sound or process.worn(self.settings):
            fresh = asyncio.create_task(self._fresh())
            await process.end()
            self._busy.discard(process)
            process = await fresh
            self._busy.add(process)
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(process)
                return
        self._busy.discard(process)
        self._idle.append(process)

    async def _fresh(self) -> _Process:
        """A new worker, as soon as the system lets there be one."""
        while True:
            try:
                return await _Process.started(self.settings, yielding=self.yielding)
            except OSError as error:  # no memory, or too many processes or files
                log.error("worker: %s", error)
                await asyncio.sleep(AGAIN)

    async def _settle(self, process: _Process) -> None:
        """Nobody waits for this worker any more: let it stop, or end it."""
        sound = False
        with contextlib.suppress(Exception):
            sound = await process.stopped()
        await self._back(process, sound=sound)


class _Process:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process, stall: float) -> None:
        self.process, self.stall = process, stall
        self.done, self.peak = 0, 0
        self.worn_out = False
        self._doing = False

    @classmethod
    async def started(cls, settings: Settings, *, yielding: bool) -> _Process:
        limits = {name: getattr(settings, name) for name in CAPS}
        seconds = int(settings.job_seconds * machine.cores() * 2)  # of processor: all threads count, and some slack
        limits |= {"seconds": seconds, "yielding": yielding}
        environment = os.environ | {"DANQING_OFFLINE": "1"}
        if settings.workers > 1:
            environment |= dict.fromkeys(_THREADS, str(max(1, machine.cores() // settings.workers)))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "danqing.studio.worker", json.dumps(limits),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=_LINE, env=environment,
            start_new_session=sys.platform != "win32",  # Ctrl-C is for the server, which ends its workers itself
        )  # fmt: skip
        return cls(process, settings.stall_seconds)

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def worn(self, settings: Settings) -> bool:
        """Whether it has done its share, holds on to much memory, met a fault, or has died."""
        spent = self.done >= settings.recycle or self.peak > settings.resident
        return spent or self.worn_out or not self.alive

    async def do(
        self, order: dict[str, Any], *, seconds: float, on_event: OnEvent | None, stop: asyncio.Event | None
    ) -> Answer:
        self._doing = True
        self.done += 1
        self._send(order)
        watch = asyncio.create_task(self._stop_when(stop)) if stop is not None else None
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            while True:
                left = deadline - asyncio.get_running_loop().time()
                header, payload = await asyncio.wait_for(self._heard(), max(0.0, min(left, self.stall)))
                self.peak = header.get("peak", self.peak)
                if "done" in header:
                    self._doing = False
                    return header["done"], payload
                if "error" in header:
                    self._doing = False
                    self.worn_out = header["worn"]
                    if header["detail"]:
                        log.error("worker: %s", header["detail"])
                    raise Refused(header["error"]["code"], header["error"]["message"])
                if on_event is not None:
                    on_event(header, payload)
        except TimeoutError as error:
            raise Stalled from error
        finally:
            if watch is not None:
                watch.cancel()

    async def stopped(self) -> bool:
        """Stop the order that nobody waits for; whether the worker is fit for another."""
        if not self._doing:
            return self.alive
        self._send({"stop": True})
        async with asyncio.timeout(GRACE):
            while True:
                header, _ = await self._heard()
                if "done" in header or "error" in header:
                    self._doing = False
                    return True

    async def end(self) -> None:
        """End the process, whatever it does."""
        self._kill()
        await self.process.wait()

    def _kill(self) -> None:
        """With whatever it has started, which may hold its pipes open."""
        with contextlib.suppress(ProcessLookupError):
            if self.alive and sys.platform != "win32":
                os.killpg(self.process.pid, signal.SIGKILL)
            elif self.alive:
                self.process.kill()

    async def _stop_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._send({"stop": True})

    def _send(self, order: dict[str, Any]) -> None:
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        with contextlib.suppress(ConnectionError, RuntimeError):  # it has died: whoever listens finds out
            self.process.stdin.write(json.dumps(order).encode() + b"\n")

    async def _heard(self) -> Answer:
        assert self.process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            line = await self.process.stdout.readline()
            if not line:
                raise Died
            header = json.loads(line)
            return header, await self.process.stdout.readexactly(header["bytes"])
        except (asyncio.IncompleteReadError, ValueError, ConnectionError) as error:
            raise Died from error
