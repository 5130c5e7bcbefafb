"""Jobs: paintings that take longer than anybody waits on a line, on the durable list of `danqing.work`.

An order goes in with its pictures and is on the disk before its number comes out; from then on it is painted whatever
happens: a job outlives its client, the server and the machine's power. What a job has done so far is held in memory and
told to whoever watches. This module knows orders and workers, no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from danqing.errors import DanqingError
from danqing.files import sync_folder
from danqing.messages import text
from danqing.studio.orders import File, Order
from danqing.studio.pool import Died, Pool, Stalled
from danqing.studio.refusal import Refused
from danqing.studio.settings import Settings
from danqing.work import Item, WorkList

log = logging.getLogger("danqing.studio")

FINAL = ("done", "failed", "cancelled")
POLL = 2.0
"""Seconds after which a watcher looks at the list itself: another process may work it off."""

PRIORITY = 10
"""Seconds for which a job lets those go first who wait on the line."""


@dataclass
class Live:
    """What is known of a job that is being done here."""

    step: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    picture: bytes = b""
    pictures: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self) -> None:
        """Wake whoever watches."""
        self.changed.set()
        self.changed = asyncio.Event()


class Jobs:
    """The jobs of this studio.

    Args:
        folder: for the list and everything that belongs to a job.
        pool: the workers.
        settings: limits.
    """

    def __init__(self, folder: Path, pool: Pool, settings: Settings) -> None:
        self.folder, self.pool, self.settings = folder, pool, settings
        self.live: dict[str, Live] = {}
        self._more = asyncio.Event()
        self._runners: list[asyncio.Task[None]] = []
        self._work: WorkList | None = None

    @property
    def work(self) -> WorkList:
        """The durable list."""
        assert self._work is not None, "not started"  # noqa: S101 - the application starts it
        return self._work

    async def start(self) -> None:
        """Take up what an earlier process has left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._work = await asyncio.to_thread(WorkList, self.folder / "list")
        await asyncio.to_thread(self._work.recover)
        self._runners = [asyncio.create_task(self._run()) for _ in range(self.pool.count)]

    async def close(self) -> None:
        """Stop; what is running is queued again by whoever starts next, and counts as not begun."""
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        if self._work is not None:
            await asyncio.to_thread(self._work.close)

    # ── what clients ask for ────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, task: dict[str, Any], files: Iterable[tuple[File, Path]]) -> dict[str, Any]:
        """Put a job on the list; what it is.

        Args:
            task: `kind`, `visitor` and what the worker needs.
            files: the pictures that it needs, on the disk already.
        """
        key = secrets.token_hex(16)
        await asyncio.to_thread(self._put, key, task | {"created": time.time()}, list(files))
        self._more.set()
        return await self.told(key)

    def _put(self, key: str, task: dict[str, Any], files: list[tuple[File, Path]]) -> None:
        own = self.folder / key
        own.mkdir()
        for file, path in files:
            target = own / file.id
            try:
                target.hardlink_to(path)
            except OSError:  # a file system without links
                shutil.copyfile(path, target)
        sync_folder(own)
        sync_folder(self.folder)
        self.work.put({key: task})

    async def told(self, key: str) -> dict[str, Any]:
        """A job as clients see it.

        Raises:
            Refused: there is no such job.
        """
        return self._told(await self._item(key))

    def _told(self, item: Item) -> dict[str, Any]:
        stopped = item.state == "done" and item.result is not None and not item.result.get("complete", True)
        now: dict[str, Any] = {
            "id": item.key,
            "kind": item.task["kind"],
            "state": "cancelled" if stopped else item.state,
            "created": item.task["created"],
        }
        if (live := self.live.get(item.key)) is not None and item.state == "running":
            now |= {"progress": live.step, "notes": live.notes, "pictures": live.pictures}
        if item.state == "done":
            now |= {"result": item.result}
        if item.state == "failed":
            now |= {"error": {"code": "failed", "message": item.problem or text("studio.refused_failed")}}
        return now

    async def watch(self, key: str) -> AsyncIterator[dict[str, Any]]:
        """A job, and again whenever something about it has changed, until it is over."""
        before: dict[str, Any] | None = None
        while True:
            live = self.live.get(key)
            changed = live.changed if live is not None else asyncio.Event()
            now = await self.told(key)
            if now != before:
                yield now
            before = now
            if now["state"] in FINAL:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), POLL if live is not None else 0.2)

    async def cancel(self, key: str) -> dict[str, Any]:
        """Stop a job: one that waits is never begun, one that runs ends after the step at hand and keeps it.

        Raises:
            Refused: there is no such job.
        """
        item = await self._item(key)
        live = self.live.get(key)
        if item.state == "running" and live is not None:
            live.stop.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    async for now in self.watch(key):
                        if now["state"] in FINAL:
                            break
        else:
            await asyncio.to_thread(self.work.cancel, key)
        return await self.told(key)

    async def result(self, key: str) -> tuple[Path, Item]:
        """The finished painting's file.

        Raises:
            Refused: there is no such job, or it is not done.
        """
        item = await self._item(key)
        path = self.folder / key / "result"
        if item.state != "done" or not path.is_file():
            raise Refused("unfinished")
        return path, item

    async def unfinished(self, visitor: str | None = None) -> int:
        """How many jobs wait or run, of one visitor or of all."""
        items = await asyncio.to_thread(self.work.items)
        return sum(i.state not in FINAL and visitor in (None, i.task.get("visitor")) for i in items)

    async def _item(self, key: str) -> Item:
        item = await asyncio.to_thread(self.work.get, key)
        if item is None:
            raise Refused("missing")
        return item

    # ── working it off ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            try:
                await self._next()
            except DanqingError as error:  # the list cannot be written at the moment: the disk is full
                log.error("%s", error)
                await asyncio.sleep(POLL)

    async def _next(self) -> None:
        self._more.clear()
        item = await asyncio.to_thread(self.work.take)
        if item is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), POLL * 5)
            return
        self._more.set()  # another runner may find more
        live = self.live[item.key] = Live()
        try:
            await self._do(item, live)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self.work.release, item.key))
            raise
        finally:
            live.change()
            self.live.pop(item.key, None)

    async def _do(self, item: Item, live: Live) -> None:
        own = self.folder / item.key
        order = item.task["work"] | {"folder": str(own), "out": str(own / "result")}
        seconds = self.settings.job_seconds
        try:
            done, _ = await self.pool.run(
                order, priority=PRIORITY, seconds=seconds, on_event=lambda h, p: _heard(live, h, p), stop=live.stop
            )
        except Refused as refused:
            await asyncio.to_thread(self.work.fail, item.key, refused.message)
        except (Stalled, Died) as error:
            if live.stop.is_set():
                await asyncio.to_thread(self.work.cancel, item.key)
            elif isinstance(error, Stalled):
                await asyncio.to_thread(self.work.fail, item.key, text("studio.stalled"))
            elif not await asyncio.to_thread(self.work.fail, item.key, text("studio.died"), again=True):
                self._more.set()
        else:
            await asyncio.to_thread(self.work.finish, item.key, done)

    # ── tidying ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def sweep(self) -> None:
        """Forget jobs that have been over for longer than the settings say, and what belongs to none."""
        items = {item.key: item for item in self.work.items()}
        old = [item.key for item in items.values() if item.state in FINAL and self._age(item) > self.settings.age]
        for key in old:
            shutil.rmtree(self.folder / key, ignore_errors=True)
        self.work.forget(old)
        for own in self.folder.iterdir():
            if own.is_dir() and own.name not in items and time.time() - own.stat().st_mtime > self.settings.age:
                shutil.rmtree(own, ignore_errors=True)

    def _age(self, item: Item) -> float:
        try:
            return time.time() - os.stat(self.folder / item.key).st_mtime  # noqa: PTH116
        except OSError:
            return time.time() - float(item.task["created"])


def _heard(live: Live, header: dict[str, Any], payload: bytes) -> None:
    if "step" in header:
        live.step = header["step"]
    if "begun" in header:
        live.notes = tuple(header["begun"]["notes"])
        live.step = {"step": 0, "steps": 0, "remaining": header["begun"]["seconds"]}
    if payload:
        live.picture, live.pictures = payload, live.pictures + 1
    live.change()


def paint_task(order: Order, visitor: str) -> dict[str, Any]:
    """A painting, or a painted film, as a task of the list."""
    kind = "film" if order.filming else "paint"
    work = {"do": kind, "order": order.model_dump(mode="json"), "language": order.language}
    return {"kind": kind, "visitor": visitor, "work": work, "format": order.format}


def polish_task(painting: File, name: str, *, seconds: float, language: str | None, visitor: str) -> dict[str, Any]:
    """A polishing as a task of the list."""
    work = {"do": "polish", "painting": painting.id, "name": name, "seconds": seconds, "language": language}
    return {"kind": "polish", "visitor": visitor, "work": work, "format": "png"}
