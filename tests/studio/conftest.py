"""A studio in a process of its own, on a port of its own, with a small drawn network; and clients for it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra studio is not installed")
pytest.importorskip("torch", reason="torch is not installed: no network can be published")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")

from danqing import catalog
from danqing.engines import NETWORK
from tests.conftest import ROOT
from tests.pastiches import published

SECONDS = 120.0


def picture(size: tuple[int, int] = (96, 64), *, kind: str = "PNG", seed: int = 0, **options: Any) -> bytes:
    """A picture of soft noise as the bytes of a file."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(buffer, kind, **options)
    return buffer.getvalue()


@dataclass
class Served:
    """A studio that runs."""

    process: subprocess.Popen[str]
    port: int
    token: str | None
    code: str | None
    folder: Path
    log: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **headers: str) -> Any:
        return httpx.Client(base_url=self.address, headers={"X-Danqing": "test"} | headers, timeout=SECONDS)

    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(folder.name))
        return sorted(found)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(SECONDS)


@pytest.fixture(scope="session")
def studio_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of danqing with a drawn network of the styles reeds and smoke, and one that looks at pictures."""
    home = tmp_path_factory.mktemp("画室")
    published(home / "models" / "reedbed", name="reedbed")
    if not (catalog.MODELS / f"{NETWORK}.toml").exists():
        published(home / "models" / NETWORK, prefix="other-")
    return home


@contextlib.contextmanager
def serving(home: Path, folder: Path, **settings: Any) -> Iterator[Served]:
    """A studio, ended at the end."""
    log = folder.with_name(f"{folder.name}.log")
    environment = os.environ | {"DANQING_HOME": str(home), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    environment |= {"DANQING_LANG": "en", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    given = {"port": 0, "folder": str(folder)} | settings
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.studio.served", json.dumps(given)],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=ROOT,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text(encoding="utf-8")
        about = json.loads(line)
        yield Served(process, about["port"], about["token"], about["code"], folder, log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


@pytest.fixture(scope="module")
def served(studio_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio as `danqing studio` runs it."""
    with serving(studio_home, tmp_path_factory.mktemp("served") / "画室") as found:
        yield found


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Any]:
    with served.client() as found:
        yield found


Serve = Callable[..., Served]


@pytest.fixture
def serve(studio_home: Path, tmp_path: Path) -> Iterator[Serve]:
    """Studios with settings of a test's choice."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> Served:
            return stack.enter_context(serving(studio_home, tmp_path / "画室", **settings))

        yield start


def eventually(true: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """What becomes true in a while."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, "never"
        time.sleep(0.05)
    return found


def finished(client: Any, job: dict[str, Any], *, seconds: float = SECONDS) -> dict[str, Any]:
    """A job when it is over."""

    def over() -> dict[str, Any] | None:
        now: dict[str, Any] = client.get(f"/api/v1/jobs/{job['id']}").json()
        return now if now["state"] in ("done", "failed", "cancelled") else None

    return eventually(over, seconds=seconds)
