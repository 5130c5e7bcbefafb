"""The studio under load: latencies, memory, refusals, and whether anything that was accepted is lost.

    python benchmarks/serve.py                     1, 4, 16, 64, 256 at a time, 16 for a while, a burst, slow clients
    python benchmarks/serve.py --full              the same with 2 minutes a step and 10 minutes of 16 at a time
    python benchmarks/serve.py --rembg PYTHON      beside rembg's server, in an environment with rembg[cpu,cli]
    python benchmarks/serve.py --compare OLD.json  fail where a p95 grew by more than a fifth

Opens a studio of its own on 127.0.0.1 and sends it what `load` describes; traffic never leaves this machine. rembg does
its own job, removing backgrounds, so that its speed says nothing here, but its memory and its errors do; it is asked
for U2-Net, long its default. Its weights are fetched from the network: where they are not in `~/.u2net`,
`peers/u2net.py` draws a network of that shape with other numbers in it. Prints the table of docs/benchmarks.md and
writes JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from load import Load, Server, Told, slowly

from danqing import catalog, machine

PEERS = Path(__file__).parent / "peers"
STEPS = (1, 4, 16, 64, 256)
BURST = 500
SLOW, SLOW_SECONDS = 200, 15
HEADERS = {"X-Danqing": "load"}


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def studio(folder: str) -> Iterator[Server]:
    """A studio of our own, painting in the first style of the gallery that is learnt."""
    port = free_port()
    style = next(entry.name for entry in catalog.styles() if entry.network)
    command = [sys.executable, "-m", "danqing", "studio", "--no-browser", "--port", str(port), "--folder", folder]

    def form(content: bytes, size: int) -> dict[str, Any]:
        return {"files": {"photo": content}, "data": {"style": style, "size": size, "format": "jpeg"}}

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        process.stdout.readline()
        yield Server(port=port, process=process.pid, path="/api/v1/paint", form=form, alive="/healthz")
        process.terminate()


@contextlib.contextmanager
def rembg(python: str, folder: str) -> Iterator[Server]:
    """rembg's server with U2-Net, drawn where it is not here."""
    port, environment = free_port(), dict(os.environ)
    if not (Path.home() / ".u2net" / "u2net.onnx").exists():
        subprocess.run([sys.executable, str(PEERS / "u2net.py"), f"{folder}/u2net.onnx"], check=True)
        environment |= {"U2NET_HOME": folder, "MODEL_CHECKSUM_DISABLED": "1"}
    environment.pop("PYTHONPATH", None)
    command = [str(Path(python).with_name("rembg")), "s", "--host", "127.0.0.1", "--port", str(port)]

    def form(content: bytes, size: int) -> dict[str, Any]:
        del size
        return {"files": {"file": content}, "data": {"model": "u2net"}}

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, **quiet) as process:
        try:
            for _ in range(1000):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api"):
                    break
                time.sleep(0.2)
            else:
                raise SystemExit("rembg's server has not begun to listen within 200 s")
            yield Server(port=port, process=process.pid, path="/api/remove", form=form)
        finally:
            process.kill()


async def measured(server: Server, arguments: argparse.Namespace, *, whole: bool) -> dict[str, Told]:
    """The shape, or no more of it than its steps."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    address = f"http://127.0.0.1:{server.port}"
    found: dict[str, Told] = {}

    def told(name: str, of: Told) -> None:
        found[name] = of
        print(row(name, of), flush=True)

    print(*HEAD, sep="\n", flush=True)
    async with httpx.AsyncClient(base_url=address, headers=HEADERS, timeout=600, limits=limits) as client:
        load = Load(client, server)
        alone = Told()
        async with load.watched(alone):
            for _ in range(5):
                await load.one(alone, "1024")
        told("alone", alone)
        for clients in arguments.clients or STEPS:
            told(f"{clients} at a time", await load.crowd(clients, arguments.seconds))
        if whole:
            told(f"16 for {arguments.soak:.0f} s", await load.crowd(16, arguments.soak))
            told(f"{BURST} within 1 s", await load.burst(BURST))
            slow = found[f"{SLOW} slow clients"] = Told()
            slow.latencies["dropped"] = await slowly(server.port, SLOW, SLOW_SECONDS)
    return found


HEAD = (
    "| | done | p50 / p95 / p99 s | malformed: status, p95 ms | 429 | 5xx | lost | unanswered | memory MB |",
    "|---|---|---|---|---|---|---|---|---|",
)


def row(name: str, told: Told) -> str:
    """A line of the table, as Markdown."""
    done = told.count(200) + told.count(202)
    usual = " / ".join(f"{told.at('1024', p):.2f}" for p in (50, 95, 99))
    bad = sorted({status.split()[-1] for status in told.statuses if status.startswith(("malformed", "witness"))})
    malformed = f"{', '.join(bad)}: {1000 * told.at('witness', 95):.0f}" if bad else "-"
    counts = f"{told.count(429)} | {told.failures} | {told.lost} | {told.unanswered}"
    return f"| {name} | {done} | {usual} | {malformed} | {counts} | {told.memory / 1e6:.0f} |"


def opened(server: Server) -> int:
    """How many files a server has open; 0 where the system does not tell."""
    files = Path(f"/proc/{server.process}/fd")
    return len(list(files.iterdir())) if files.exists() else 0


def compare(found: dict[str, Any], old: dict[str, Any]) -> list[str]:
    """Where a p95 grew by more than a fifth."""
    worse = []
    for step, report in found.items():
        for kind, now in report["seconds"].items():
            before = old.get(step, {}).get("seconds", {}).get(kind, {}).get("p95")
            if before and now["p95"] > 1.2 * before:
                worse.append(f"{step}, {kind}: p95 {before:.3f} -> {now['p95']:.3f} s")
    return worse


def main() -> int:
    """Measure, print, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="*", help="so many at a time, and nothing else")
    parser.add_argument("--seconds", type=float, default=5, help="for each number of clients")
    parser.add_argument("--soak", type=float, default=30, help="seconds of 16 at a time")
    parser.add_argument("--full", action="store_true", help="2 minutes for each, 10 minutes of 16 at a time")
    parser.add_argument("--rembg", metavar="PYTHON", help="of an environment with rembg[cpu,cli]")
    parser.add_argument("--out", type=Path, default=Path("out/serve.json"))
    parser.add_argument("--compare", type=Path)
    arguments = parser.parse_args()
    if arguments.full:
        arguments.seconds, arguments.soak = 120.0, 600.0
    with tempfile.TemporaryDirectory() as folder, studio(folder) as server:
        before = opened(server)
        found = asyncio.run(measured(server, arguments, whole=not arguments.clients))
        time.sleep(5)
        left = opened(server) - before
    for name, told in found.items():
        if dropped := told.latencies.get("dropped"):
            print(f"{name}: dropped after {statistics.median(dropped):.1f} s, {max(dropped):.1f} s at most")
    pulse = [seconds for told in found.values() for seconds in told.latencies.get("healthz", [])]
    print(f"/healthz p99 {1000 * sorted(pulse)[len(pulse) * 99 // 100]:.0f} ms; {left} files left open")
    reports = {name: told.report() for name, told in found.items()}
    if arguments.rembg:
        print("rembg")
        with tempfile.TemporaryDirectory() as folder, rembg(arguments.rembg, folder) as server:
            peer = asyncio.run(measured(server, arguments, whole=False))
        reports |= {f"rembg, {name}": told.report() for name, told in peer.items()}
    about = {"processor": machine.processor(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"machine": about, "steps": reports}, indent=1), encoding="utf-8")
    print(arguments.out)
    old = json.loads(arguments.compare.read_text(encoding="utf-8"))["steps"] if arguments.compare else {}
    worse = compare(reports, old)
    print(*worse, sep="\n")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
