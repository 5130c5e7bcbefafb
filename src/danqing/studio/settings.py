"""Settings: where the studio listens, whom it lets in, and every limit that it keeps.

The command line fills them in; everything else in this room reads them. They are numbers, nothing here acts.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from danqing import catalog, machine

PORT = 8765

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the studio is run with.

    Attributes:
        host, port: where it listens; port 0 is any that is free.
        hosts: names by which it may be called, besides those of this machine.
        insecure: let strangers in without a token.
        folder: where pictures, jobs and the token lie.
        workers: processes that paint; one more looks at pictures and paints previews.
        body: bytes of a request at most.
        files, fields, field: files and fields of a form at most, and bytes of a field.
        film: bytes of a request that brings a film.
        uploads: bytes that all requests may be sending at one time.
        pixels, edge: of any picture that comes in or goes out, px.
        frames, film_seconds: of a film that is painted, at most.
        at_once: pixels of a painting up to which the answer is the painting and not a job.
        queue: paintings that may wait.
        header_seconds, body_seconds: to send the head of a request, and all of it.
        stall_seconds: without progress, after which a worker is ended.
        job_seconds, wait_seconds: for a job, and for a painting that is waited for.
        recycle: paintings after which a worker is replaced by a fresh one.
        memory: bytes of address space of a worker.
        resident: bytes of memory after which a worker is replaced by a fresh one when it is done.
        file: bytes of a file that a worker may write.
        quota, age: bytes of all pictures that are kept, and the seconds that each is.
        per_minute, each: requests of one stranger that cause work, in a minute; jobs of one stranger not yet done.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    hosts: tuple[str, ...] = ()
    insecure: bool = False
    folder: Path = dataclasses.field(default_factory=lambda: catalog.home() / "studio")

    workers: int = dataclasses.field(default_factory=lambda: max(1, machine.cores() // 4))

    body: int = 25_000_000
    files: int = 8
    fields: int = 64
    field: int = 16_384
    film: int = 200_000_000
    uploads: int = 500_000_000
    pixels: int = 24_000_000
    edge: int = 8192
    frames: int = 600
    film_seconds: float = 60
    at_once: int = 4_200_000
    queue: int = 64

    header_seconds: float = 10
    body_seconds: float = 60
    stall_seconds: float = 60
    job_seconds: float = 3600
    wait_seconds: float = 120
    recycle: int = 200
    memory: int = dataclasses.field(default_factory=lambda: max(4_000_000_000, int(machine.memory_total() * 0.75)))
    resident: int = 800_000_000
    file: int = 500_000_000
    quota: int = 2_000_000_000
    age: float = 3600

    per_minute: int = 60
    each: int = 2

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def guarded(self) -> bool:
        """Whether a token is asked for."""
        return not self.local and not self.insecure
