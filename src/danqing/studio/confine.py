"""Confine: the limits that a worker puts upon itself before it looks at anything.

Where a system has none of them (Windows), nothing happens here: then the server's own patience is what holds.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

YIELDING = 10
"""How much nicer than others a process is that gives way to them."""


def restrict(limits: dict[str, Any]) -> None:
    """Caps on address space, files and new privileges, where the system has them; and its place behind others."""
    if limits.get("yielding") and hasattr(os, "nice"):
        os.nice(YIELDING)
    try:
        import resource
    except ImportError:  # Windows
        return
    caps = ((resource.RLIMIT_AS, limits["memory"]), (resource.RLIMIT_FSIZE, limits["file"]), (resource.RLIMIT_CORE, 0))
    for what, limit in caps:
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already
            resource.setrlimit(what, (limit, limit))
    if sys.platform == "linux":
        import ctypes

        no_new_privileges = 38  # prctl(2): PR_SET_NO_NEW_PRIVS
        ctypes.CDLL(None).prctl(no_new_privileges, 1, 0, 0, 0)


def peak() -> int:
    """Bytes of memory that this process has held at most; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


def allow(seconds: int) -> None:
    """So many seconds of processor from now on, after which the system ends the process."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))
