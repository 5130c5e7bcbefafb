"""Stopping a painting from outside: Ctrl-C, SIGTERM, SIGHUP.

The first signal only sets a flag, which is looked at after every step, so that what is there is kept and saved; the
second Ctrl-C ends the process at once. Before the first step there is nothing to keep, and one signal is enough. This
module knows no painting.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

from danqing.cli import console
from danqing.messages import text

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, "SIGBREAK": 130}
"""The exit code that goes with a signal."""

_GRACE = 0.5
"""s that Python has to end by itself after the second Ctrl-C, before it is ended."""


class Interrupt:
    """What has been asked for from outside.

    Attributes:
        code: the exit code of the signal that came, or None.
        begun: whether there is something to keep; set by the first step.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self.begun = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Python's part of the signal handler."""
        del frame
        code = CODES[signal.Signals(number).name]
        if self.code is not None and code == self.code == 130:
            raise KeyboardInterrupt
        self.code = code
        if not self.begun:
            if code == 130:
                raise KeyboardInterrupt
            raise SystemExit(code)
        console.say(text("cli.stopping"))


@contextlib.contextmanager
def listening() -> Iterator[Interrupt]:
    """Within the block signals set the flag of the Interrupt; signals that were ignored before stay ignored."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # Python lets only the main thread listen
        return
    before = {}
    for name in CODES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, interrupt)
    try:
        with _second_ends_at_once():
            yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _second_ends_at_once() -> Iterator[None]:
    """End the process on the second Ctrl-C even when Python is busy in a long computation and runs no handler.

    The system's own handler writes each signal's number to a socket at once; a thread counts them.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    over = threading.Event()

    def watch() -> None:
        seen = 0
        while data := reading.recv(16):
            seen += data.count(bytes([signal.SIGINT]))
            if seen >= 2 and not over.wait(_GRACE):
                os._exit(130)

    thread = threading.Thread(target=watch, daemon=True)
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        writing.close()
        thread.join(timeout=1)
        reading.close()
