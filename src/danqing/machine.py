"""What this machine is: cores, memory, processor features, graphics cards.

Nothing goes in; numbers and names come out, asked of the operating system anew each time, so that choices are made by
what is there and not by what is usual. It knows no library that computes: torch is never imported here, so a card that
is listed may still be one that torch was not built for.

What differs by system has one function each, Linux first, its fallbacks beside it. Containers count: a limit on cores
or memory that a control group sets is what there is. Where a system does not say, the careful answer is given: no
bfloat16, no cards, `UNKNOWN_MEMORY`.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")

CORES = "DANQING_CORES"
"""The variable of the environment that says how many cores may be used."""

UNKNOWN_MEMORY = 2_000_000_000
"""Bytes that are taken for granted where the system does not say."""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
_SHOWN_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "neon", "asimd", "bf16", "sve")
_SECONDS = 5.0  # for a system's own tools to answer


def cores() -> int:
    """The cores that this process may use, at least 1: affinity and control group taken into account.

    `DANQING_CORES` in the environment makes them fewer, such as for one of several processes that share a machine.
    """
    try:
        usable = len(os.sched_getaffinity(0))  # type: ignore[attr-defined, unused-ignore]
    except AttributeError:  # macOS, Windows
        usable = os.cpu_count() or 1
    for folder in _groups():
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                usable = min(usable, math.ceil(int(quota) / int(period)))
    with contextlib.suppress(ValueError):
        usable = min(usable, int(os.environ.get(CORES, usable)))
    return max(1, usable)


def usual_priority() -> None:
    """Bring all threads of this process back to the system's usual scheduling, where it has such a thing.

    SVT-AV1 makes itself and whoever calls it a real-time process of the highest priority when it is run by root; such a
    process, and all that it starts, can stop a machine.
    """
    with contextlib.suppress(OSError, AttributeError):  # no Linux
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 - names, not paths
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


def memory_total() -> int:
    """Bytes of memory that this process could ever have: the machine's, or its control group's if that is less."""
    limits = [limit for limit, _ in _group_memory()]
    return min([_system_memory()[0], *limits])


def memory_available() -> int:
    """Bytes that can be taken now without swapping, within the control group."""
    free = [max(0, limit - used) for limit, used in _group_memory()]
    return min([_system_memory()[1], *free])


def has_bf16() -> bool:
    """Whether the processor computes in bfloat16 itself (AVX512-BF16 or AMX), so that it gains by it.

    Read from /proc/cpuinfo. Windows and macOS do not say it in a file; there the answer is no, which costs time and
    never a picture.
    """
    return bool(_BF16_FLAGS & _flags())


def features() -> tuple[str, ...]:
    """The processor's features that matter to us, as Linux names them; empty elsewhere."""
    found = _flags()
    return tuple(flag for flag in _SHOWN_FLAGS if flag in found)


def gpus() -> tuple[str, ...]:
    """The graphics cards that torch may be able to use, by name: NVIDIA's, AMD's under ROCm, Apple's own."""
    if sys.platform == "darwin":
        return ("Apple GPU",) if platform.machine() == "arm64" else ()
    return _nvidia() or _amd()


def processor() -> str:
    """The processor's name."""
    if match := re.search(r"^(?:model name|Model)\s*:\s*(.+)$", _read(PROC / "cpuinfo"), re.MULTILINE):
        return match[1].strip()
    if sys.platform == "darwin":
        return _answer("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def describe() -> dict[str, str | int | bool | list[str]]:
    """Everything above by name, for `danqing doctor`; what each name is called stands in `messages/machine.toml`."""
    return {
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "python": platform.python_version(),
        "processor": processor(),
        "cores": cores(),
        "features": list(features()),
        "bf16": has_bf16(),
        "memory_total": memory_total(),
        "memory_available": memory_available(),
        "gpus": list(gpus()),
    }


# ── processor ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _flags() -> set[str]:
    """The flags that every core has: on mixed machines a thread may run on any of them."""
    lines: list[str] = re.findall(r"^(?:flags|Features)\s*:(.*)$", _read(PROC / "cpuinfo"), re.MULTILINE)
    return set.intersection(*(set(line.split()) for line in lines)) if lines else set()


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _system_memory() -> tuple[int, int]:
    """(total, available) bytes of the machine."""
    if found := _linux_memory():
        return found
    if sys.platform == "win32":
        return _windows_memory()
    return _posix_memory()


def _linux_memory() -> tuple[int, int] | None:
    lines = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _read(PROC / "meminfo"), re.MULTILINE))
    try:
        return int(lines["MemTotal"]) * 1024, int(lines["MemAvailable"]) * 1024
    except KeyError:
        return None


def _posix_memory() -> tuple[int, int]:
    """MacOS and other systems without /proc: what `sysconf` and `vm_stat` say, else half of it all."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY, UNKNOWN_MEMORY
    pages = dict(re.findall(r"^Pages (\w+):\s+(\d+)\.$", _answer("vm_stat"), re.MULTILINE))
    free = sum(int(pages.get(kind, 0)) for kind in ("free", "inactive", "speculative")) * page
    return total, free or total // 2


def _windows_memory() -> tuple[int, int]:
    """What GlobalMemoryStatusEx says."""
    if sys.platform != "win32":
        return UNKNOWN_MEMORY, UNKNOWN_MEMORY
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "available", "f3", "f4", "f5", "f6", "f7")),
        )

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return UNKNOWN_MEMORY, UNKNOWN_MEMORY
    return int(status.total), int(status.available)


# ── control groups: the limits of containers and services ───────────────────────────────────────────────────────────


def _groups() -> Iterator[Path]:
    """The folders of this process's control group and of those above it (version 2 of the interface)."""
    match = re.search(r"^0::(/.*)$", _read(PROC / "self" / "cgroup"), re.MULTILINE)
    if match is None:
        return
    own = Path(match[1].lstrip("/"))
    if ".." not in own.parts:
        for part in (own, *own.parents):
            yield CGROUP / part


def _group_memory() -> list[tuple[int, int]]:
    """(limit, used) bytes of every control group that has a limit; cached files do not count as used."""
    found = [_group(folder, "memory.max", "memory.current", "inactive_file") for folder in _groups()]
    first = CGROUP / "memory"  # version 1 of the interface
    found.append(_group(first, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))
    return [pair for pair in found if pair is not None]


def _group(folder: Path, limit: str, used: str, cached: str) -> tuple[int, int] | None:
    try:
        most, now = int(_read(folder / limit)), int(_read(folder / used))
    except ValueError:  # absent, or `max`
        return None
    files = re.search(rf"^{cached} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
    return most, max(0, now - (int(files[1]) if files else 0))


# ── graphics cards ──────────────────────────────────────────────────────────────────────────────────────────────────


def _nvidia() -> tuple[str, ...]:
    """Asked of the driver's own tool; where that is missing, of the driver's folder in /proc."""
    if answer := _answer("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"):
        return tuple(line.strip() for line in answer.splitlines() if line.strip())
    found = sorted((PROC / "driver" / "nvidia" / "gpus").glob("*/information"))
    names = (re.search(r"^Model:\s*(.+)$", _read(file), re.MULTILINE) for file in found)
    return tuple(match[1].strip() for match in names if match)


def _amd() -> tuple[str, ...]:
    answer = _answer("rocm-smi", "--showproductname")
    return tuple(re.findall(r"Card [Ss]eries:\s*(.+?)\s*$", answer, re.MULTILINE))


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(path: Path) -> str:
    """A small file of the system; empty when there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _answer(program: str, *arguments: str) -> str:
    """What a tool of the system prints; empty when it is missing, fails or hangs."""
    found = shutil.which(program)
    if found is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603
            [found, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
