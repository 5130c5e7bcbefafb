"""Workers are stopped, replaced and handed on whatever their clients do: the pool with a stand-in for their process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from danqing import machine
from danqing.studio import pool
from danqing.studio.pool import Pool, Stalled
from danqing.studio.settings import Settings

WORKER = """
import json, os, sys, time

def say(header):
    print(json.dumps(header | {"bytes": 0}), flush=True)

while line := sys.stdin.readline():
    order = json.loads(line)
    for _ in range(order.get("stops", 0)):
        sys.stdin.readline()
    for _ in range(order.get("tenths", 0)):
        time.sleep(0.1)
        say({})
    say({"done": {"pid": os.getpid()}})
"""
"""Waits until it has been told so often to stop, gives signs of life for so many tenths of a second, and is done."""


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What workers were told to keep to; all of them are stand-ins."""
    start, told = asyncio.create_subprocess_exec, []

    async def started(*command: str, **options: Any) -> Any:
        told.append(json.loads(command[-1]))
        return await start(sys.executable, "-c", WORKER, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", started)
    return told


def with_one(do: Callable[[Pool], Awaitable[None]], folder: Path, **settings: Any) -> None:
    """Do something with a pool of one worker."""

    async def run() -> None:
        one = Pool(1, Settings(folder=folder, **settings))
        await one.start()
        try:
            await asyncio.wait_for(do(one), 30)
        finally:
            await one.close()

    asyncio.run(run())


async def answered(one: Pool, **order: Any) -> int:
    """The process that has done an order."""
    answer, _ = await one.run(order, seconds=30)
    return int(answer["pid"])


@pytest.mark.usefixtures("limits")
def test_a_worker_that_is_told_to_stop_is_given_the_time_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "GRACE", 0.1)

    async def do(one: Pool) -> None:
        stop, signs = asyncio.Event(), []
        stop.set()
        order = {"stops": 1, "tenths": 5}
        answer, _ = await one.run(order, seconds=30, on_event=lambda header, _: signs.append(header), stop=stop)
        assert "pid" in answer and len(signs) == 5

    with_one(do, tmp_path)


@pytest.mark.usefixtures("limits")
def test_a_worker_that_never_stops_is_ended(tmp_path: Path) -> None:
    async def do(one: Pool) -> None:
        stop = asyncio.Event()
        stop.set()
        with pytest.raises(Stalled):
            await one.run({"stops": 2}, seconds=30, stop=stop)
        assert await answered(one)

    with_one(do, tmp_path, stall_seconds=2)


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("why", ["worn", "dead"])
def test_a_worker_is_replaced_although_its_client_leaves_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    start = pool._Process.started

    async def do(one: Pool) -> None:
        (old,) = one._idle
        go = asyncio.Event()

        async def started(settings: Settings, *, yielding: bool) -> Any:
            await go.wait()
            return await start(settings, yielding=yielding)

        monkeypatch.setattr(pool._Process, "started", started)
        if why == "dead":
            await old.end()
        client = asyncio.create_task(answered(one))
        while old.alive:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        client.cancel()
        await asyncio.wait([client])
        go.set()
        assert await answered(one) != old.process.pid

    with_one(do, tmp_path, recycle=1)


@pytest.mark.usefixtures("limits")
def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "AGAIN", 0.01)
    start, refused = asyncio.create_subprocess_exec, [OSError("no memory")]

    async def started(*command: str, **options: Any) -> Any:
        if refused:
            raise refused.pop()
        return await start(*command, **options)

    async def do(one: Pool) -> None:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", started)
        assert await answered(one) != await answered(one) and not refused

    with_one(do, tmp_path, recycle=1)


def test_the_processor_time_of_a_worker_is_enough_for_all_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)

    async def do(one: Pool) -> None:
        assert await answered(one)

    with_one(do, tmp_path, job_seconds=3600)
    assert limits[0]["seconds"] >= 8 * 3600
