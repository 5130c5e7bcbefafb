"""The studio under load: latencies, memory, refusals, and whether anything that was accepted is lost.

    python benchmarks/load.py                          the whole shape: 1, 4, 16, 64, 256 at a time, soak, burst, slow
    python benchmarks/load.py --clients 2 --seconds 20 a look
    python benchmarks/load.py --compare OLD.json       fail where a p95 grew by more than a fifth

Opens a studio of its own on 127.0.0.1 with a home of its own, and sends it what RELIABILITY 3.3 describes: 70 % of the
paintings at 1024 px, 20 % at 512, 5 % from 12 Mpx, 5 % malformed. Traffic never leaves this machine. Writes JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import io
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from danqing import catalog, machine

STEPS = (1, 4, 16, 64, 256)
BURST = 500
SLOW = 200
HEADERS = {"X-Danqing": "load"}


@dataclass
class Told:
    """What came of a number of requests."""

    latencies: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    lost: int = 0

    def add(self, kind: str, status: int, seconds: float) -> None:
        """One answer."""
        self.statuses[f"{kind} {status}"] += 1
        self.latencies["refused" if status == 429 else kind].append(seconds)

    def report(self) -> dict[str, Any]:
        """As it is written down."""
        found = {kind: percentiles(values) for kind, values in sorted(self.latencies.items())}
        failures = sum(n for status, n in self.statuses.items() if status.split()[-1].startswith("5"))
        return {"seconds": found, "statuses": dict(self.statuses), "lost": self.lost, "5xx": failures}


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95, p99 and how many."""
    ordered = sorted(values)
    at = {f"p{p}": round(ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))], 4) for p in (50, 95, 99)}
    return at | {"count": len(values)}


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
    """Requests against one studio."""

    def __init__(self, client: httpx.AsyncClient, style: str, *, seed: int = 0) -> None:
        self.client, self.style = client, style
        self.sent = bodies()
        self.random = random.Random(seed)  # noqa: S311 - a mixture, not a secret

    async def one(self, told: Told, kind: str | None = None) -> None:
        """One painting, from its first byte to its last; a job is fetched too."""
        kind = kind or self.random.choices(list(SHARES), list(SHARES.values()))[0]
        content = self.random.choice(self.sent[kind])
        began = time.monotonic()
        try:
            answer = await self.client.post(
                "/api/v1/paint",
                files={"photo": content},
                data={"style": self.style, "size": SIZES[kind], "format": "jpeg"},
            )
            if answer.status_code == 202:
                await self.fetched(answer.json()["id"], told)
        except httpx.HTTPError as error:
            told.statuses[f"{kind} {type(error).__name__}"] += 1
            return
        told.add(kind, answer.status_code, time.monotonic() - began)
        if answer.status_code == 429:
            await asyncio.sleep(min(5, int(answer.headers["retry-after"])))

    async def fetched(self, job: str, told: Told) -> None:
        """The result of a job, which counts as lost where it does not come."""
        for _ in range(600):
            now = (await self.client.get(f"/api/v1/jobs/{job}")).json()
            if now["state"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.5)
        found = await self.client.get(f"/api/v1/jobs/{job}/result")
        told.lost += found.status_code != 200

    async def crowd(self, clients: int, seconds: float) -> Told:
        """So many clients, each asking again as soon as it is answered."""
        told, until = Told(), time.monotonic() + seconds

        async def client() -> None:
            while time.monotonic() < until:
                await self.one(told)

        async with pulse(self.client, told):
            await asyncio.gather(*(client() for _ in range(clients)))
        return told

    async def burst(self, count: int) -> Told:
        """So many requests within a second."""
        told = Told()

        async def later() -> None:
            await asyncio.sleep(self.random.random())
            await self.one(told, "512")

        await asyncio.gather(*(later() for _ in range(count)))
        return told


@contextlib.asynccontextmanager
async def pulse(client: httpx.AsyncClient, told: Told) -> AsyncIterator[None]:
    """Inside the block, a sign of life is asked for ten times a second."""

    async def beat() -> None:
        while True:
            began = time.monotonic()
            answer = await client.get("/healthz")
            told.add("healthz", answer.status_code, time.monotonic() - began)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


async def slowly(port: int, count: int, seconds: float) -> dict[str, Any]:
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

    return percentiles(list(await asyncio.gather(*(one() for _ in range(count)))))


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


async def watch(process: int, curve: list[tuple[float, int]]) -> None:
    """Write down the memory every second."""
    began = time.monotonic()
    while True:
        curve.append((round(time.monotonic() - began, 1), await asyncio.to_thread(resident, process)))
        await asyncio.sleep(1)


@contextlib.contextmanager
def studio(folder: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A studio of our own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "danqing", "studio", "--no-browser", "--port", str(port), "--folder", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        process.stdout.readline()
        yield process, port
        process.terminate()


async def measured(arguments: argparse.Namespace, process: subprocess.Popen[str], port: int) -> dict[str, Any]:
    """The whole shape."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    address = f"http://127.0.0.1:{port}"
    curve: list[tuple[float, int]] = []
    watching = asyncio.create_task(watch(process.pid, curve))
    files = Path(f"/proc/{process.pid}/fd")
    async with httpx.AsyncClient(base_url=address, headers=HEADERS, timeout=600, limits=limits) as client:
        style = next(entry.name for entry in catalog.styles() if entry.network)
        load = Load(client, style)
        warm = Told()
        for _ in range(5):
            await load.one(warm, "1024")
        solo = statistics.median(warm.latencies["1024"])
        before = len(list(files.iterdir())) if files.exists() else 0
        found: dict[str, Any] = {"solo": round(solo, 4)}
        for clients in arguments.clients or STEPS:
            found[f"{clients} at a time"] = (await load.crowd(clients, arguments.seconds)).report()
            show(f"{clients} at a time", found[f"{clients} at a time"], arguments.malformed)
        if not arguments.clients:
            found["soak"] = (await load.crowd(16, arguments.soak)).report()
            show("soak", found["soak"], arguments.malformed)
            found["burst"] = (await load.burst(BURST)).report()
            show("burst", found["burst"], arguments.malformed)
            found["slow"] = await slowly(port, SLOW, 75)
        await client.aclose()
    await asyncio.sleep(20)
    found["files left open"] = (len(list(files.iterdir())) if files.exists() else 0) - before
    watching.cancel()
    found["memory"] = {"most": max(bytes_ for _, bytes_ in curve), "curve": curve[:: max(1, len(curve) // 200)]}
    return found


def show(name: str, report: dict[str, Any], malformed: float) -> None:
    """A line for the terminal."""
    parts = [f"{kind} {p['p50']:.3f}/{p['p95']:.3f}/{p['p99']:.3f} s" for kind, p in report["seconds"].items()]
    slow = report["seconds"].get("malformed", {}).get("p95", 0) > malformed
    wrong = [f"5xx {report['5xx']}"] * bool(report["5xx"]) + [f"lost {report['lost']}"] * bool(report["lost"])
    wrong += ["malformed too slow"] * slow
    print(f"{name}: {'; '.join(parts)}; {', '.join(wrong) or 'none failed, none lost'}", flush=True)


def compare(found: dict[str, Any], old: dict[str, Any]) -> list[str]:
    """Where a p95 grew by more than a fifth."""
    worse = []
    for step, report in found.items():
        for kind, now in report.get("seconds", {}).items() if isinstance(report, dict) else ():
            before = old.get(step, {}).get("seconds", {}).get(kind, {}).get("p95")
            if before and now["p95"] > 1.2 * before:
                worse.append(f"{step}, {kind}: p95 {before:.3f} -> {now['p95']:.3f} s")
    return worse


def main() -> int:
    """Measure, print, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="*", help="so many at a time, instead of the whole shape")
    parser.add_argument("--seconds", type=float, default=120, help="for each number of clients")
    parser.add_argument("--soak", type=float, default=600, help="seconds of the soak at 16")
    parser.add_argument("--malformed", type=float, default=0.2, help="seconds in which those are answered")
    parser.add_argument("--out", type=Path, default=Path("out/load.json"))
    parser.add_argument("--compare", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, studio(folder) as (process, port):
        found = asyncio.run(measured(arguments, process, port))
    found["machine"] = {"processor": machine.processor(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"memory at most {found['memory']['most'] / 1e6:.0f} MB; {found['files left open']} files left open")
    print(arguments.out)
    worse = compare(found, json.loads(arguments.compare.read_text(encoding="utf-8"))) if arguments.compare else []
    print(*worse, sep="\n")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
