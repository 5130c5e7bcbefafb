"""Load: crowds of clients against a server that takes pictures, and what they were told.

A `Server` and pictures go in; latencies by kind, statuses, and what was lost or never answered come out. Of the
pictures 70 % are to be painted at 1024 px, 20 % at 512, 5 % have 12 Mpx, and 5 % are malformed. A witness, a process of
its own, sends something malformed and asks for a sign of life twice a second: what the crowd's clients measure of these
is for the most part how long they kept each other waiting. This module knows no server by name.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import io
import itertools
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

GRACE = 120.0
"""Seconds after the end of a crowd in which those who still wait are answered."""

Form = Callable[[bytes, int], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server as its clients see it.

    Attributes:
        port: on 127.0.0.1.
        process: its id.
        path: where pictures are sent.
        form: what is sent for a picture and a long side in px, as httpx takes it.
        alive: where it is asked for a sign of life; None = it has none.
    """

    port: int
    process: int
    path: str
    form: Form
    alive: str | None = None


@dataclass
class Told:
    """What came of a number of requests."""

    latencies: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    lost: int = 0
    unanswered: int = 0
    memory: int = 0

    def add(self, kind: str, status: int, seconds: float) -> None:
        """One answer."""
        self.statuses[f"{kind} {status}"] += 1
        self.latencies["refused" if status == 429 else kind].append(seconds)

    def at(self, kind: str, percent: int) -> float:
        """The seconds within which so many percent of a kind were answered; NaN where none was."""
        values = sorted(self.latencies.get(kind, []))
        return values[min(len(values) - 1, len(values) * percent // 100)] if values else float("nan")

    @property
    def failures(self) -> int:
        """How often the server said that it had failed."""
        return sum(n for status, n in self.statuses.items() if status.split()[-1].startswith("5"))

    def count(self, status: int) -> int:
        """How many answers of a status the crowd had."""
        aside = "healthz", "witness"
        return sum(n for said, n in self.statuses.items() if said.endswith(f" {status}") and not said.startswith(aside))

    def report(self) -> dict[str, Any]:
        """As it is written down."""
        found = {
            kind: {f"p{p}": round(self.at(kind, p), 4) for p in (50, 95, 99)} | {"count": len(values)}
            for kind, values in sorted(self.latencies.items())
        }
        about = {"lost": self.lost, "unanswered": self.unanswered, "5xx": self.failures, "memory": self.memory}
        return {"seconds": found, "statuses": dict(self.statuses)} | about


def picture(width: int, height: int, seed: int) -> bytes:
    """A JPEG with detail, about as large as a photograph's."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8))
    grain = rng.normal(0, 14, (height, width, 1))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32) + grain
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def bodies() -> dict[str, list[bytes]]:
    """What is sent, by kind."""
    good = picture(1600, 1200, 1)
    malformed = [b"", b"no picture at all", good[: len(good) // 2], b"\x89PNG\r\n\x1a\n" + bytes(300), b"<svg></svg>"]
    return {
        "1024": [picture(1600, 1200, seed) for seed in range(3)],
        "512": [picture(900, 700, seed) for seed in range(3)],
        "12 Mpx": [picture(4000, 3000, 9)],
        "malformed": malformed,
    }


SIZES = {"1024": 1024, "512": 512, "12 Mpx": 1024, "malformed": 512}
SHARES = {"1024": 70, "512": 20, "12 Mpx": 5, "malformed": 5}


class Load:
    """Requests against one server."""

    def __init__(self, client: httpx.AsyncClient, server: Server, *, seed: int = 0) -> None:
        self.client, self.server = client, server
        self.sent = bodies()
        self.random = random.Random(seed)  # noqa: S311 - a mixture, not a secret

    async def one(self, told: Told, kind: str | None = None) -> None:
        """One picture, from its first byte to the last of its painting; a job is fetched too."""
        kind = kind or self.random.choices(list(SHARES), list(SHARES.values()))[0]
        content = self.random.choice(self.sent[kind])
        began = time.monotonic()
        try:
            answer = await self.client.post(self.server.path, **self.server.form(content, SIZES[kind]))
            if answer.status_code == 202:
                told.lost += not await self.fetched(answer.json()["id"])
        except httpx.HTTPError as error:
            told.statuses[f"{kind} {type(error).__name__}"] += 1
            return
        told.add(kind, answer.status_code, time.monotonic() - began)
        if answer.status_code == 429:
            await asyncio.sleep(min(5, int(answer.headers["retry-after"])))

    async def fetched(self, job: str) -> bool:
        """Whether the result of a job comes."""
        for _ in range(600):
            now = (await self.client.get(f"/api/v1/jobs/{job}")).json()
            if now["state"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.5)
        return (await self.client.get(f"/api/v1/jobs/{job}/result")).status_code == 200

    async def crowd(self, clients: int, seconds: float) -> Told:
        """So many clients, each asking again as soon as it is answered."""
        told, until = Told(), time.monotonic() + seconds

        async def client() -> None:
            while time.monotonic() < until:
                await self.one(told)

        await self.answered(told, [client() for _ in range(clients)], seconds)
        return told

    async def burst(self, count: int) -> Told:
        """So many requests within a second."""
        told = Told()

        async def later() -> None:
            await asyncio.sleep(self.random.random())
            await self.one(told)

        await self.answered(told, [later() for _ in range(count)], 40)
        return told

    async def answered(self, told: Told, clients: list[Any], seconds: float) -> None:
        """Let clients ask, and for a while after the end wait for those that are not answered yet."""
        async with self.watched(told):
            tasks = [asyncio.create_task(client) for client in clients]
            _, waiting = await asyncio.wait(tasks, timeout=seconds + GRACE)
            told.unanswered = len(waiting)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def watched(self, told: Told) -> AsyncIterator[None]:
        """Inside the block memory is watched, and a witness asks for signs of life."""
        order = {"address": str(self.client.base_url), "headers": dict(self.client.headers)}
        order |= {"path": self.server.path, "alive": self.server.alive}
        order |= {
            "field": next(iter(self.server.form(b"", 1)["files"])),
            "data": self.server.form(b"", 512).get("data"),
        }
        seeing = subprocess.Popen([sys.executable, __file__, json.dumps(order)], stdout=subprocess.PIPE, text=True)

        async def weigh() -> None:
            while True:
                told.memory = max(told.memory, await asyncio.to_thread(resident, self.server.process))
                await asyncio.sleep(0.5)

        task = asyncio.create_task(weigh())
        try:
            yield
        finally:
            task.cancel()
            seeing.terminate()
            for line in (await asyncio.to_thread(seeing.communicate))[0].splitlines():
                told.add(*json.loads(line))


async def slowly(port: int, count: int, seconds: float) -> list[float]:
    """So many connections that send a byte every tenth of a second; after how long each was dropped."""

    async def one() -> float:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_000:
                writer.write(bytes([byte]))
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.1)
                    break
                if time.monotonic() - began > seconds:
                    break
        writer.close()
        return time.monotonic() - began

    return list(await asyncio.gather(*(one() for _ in range(count))))


def witness(order: dict[str, Any]) -> None:
    """Tell, line by line, what was seen: a kind, a status and seconds."""
    with httpx.Client(base_url=order["address"], headers=order["headers"], timeout=600) as client:

        def told(kind: str, method: str, path: str, **what: Any) -> None:
            began = time.monotonic()
            with contextlib.suppress(httpx.HTTPError):
                status = client.request(method, path, **what).status_code
                print(json.dumps([kind, status, time.monotonic() - began]), flush=True)

        for malformed in itertools.cycle((b"no picture at all", b"\x89PNG\r\n\x1a\n" + bytes(300))):
            told("witness", "POST", order["path"], files={order["field"]: malformed}, data=order["data"])
            if order["alive"]:
                told("healthz", "GET", order["alive"])
            time.sleep(0.5)


def resident(process: int) -> int:
    """Bytes of memory of a process and its children; 0 where the system does not tell."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if process in (parent, int(folder.name)):
                found = re.search(r"VmRSS:\s+(\d+)", (folder / "status").read_text())
                total += int(found[1]) * 1024 if found else 0
    return total


if __name__ == "__main__":
    witness(json.loads(sys.argv[1]))
