"""A process as it is measured: how long it takes, how much memory it has at most, and what it prints."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run(command: Sequence[str | Path], *, memory: str = "VmHWM") -> dict[str, Any]:
    """Run a command: {seconds of wall clock, peak memory in bytes, what it printed}.

    Args:
        command: its first word is the program.
        memory: `VmHWM`, all that lies in memory, or `RssAnon`, without what can be read from its file again.

    Raises:
        SystemExit: it failed.
    """
    began, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out)
        while process.poll() is None:  # what the kernel tells afterwards includes the parent before its child began
            with contextlib.suppress(OSError, IndexError):
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
                peak = max(peak, int(status.split(f"{memory}:")[1].split()[0]) * 1024)
            time.sleep(0.02)
        seconds = time.monotonic() - began
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}")
        out.seek(0)
        printed = out.read().decode()
    return {"seconds": seconds, "memory": peak, "printed": printed}
