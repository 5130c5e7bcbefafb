"""Where a reader's bytes come from, and what a file is that is not what it should be.

A path or bytes go in, a stream with a known length comes out; every failure to read is one line. This module knows
how formats begin, not what is in them.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from danqing.errors import ModelDamaged, ModelMissing
from danqing.files import shown
from danqing.messages import text

MOST = 8
"""So many problems are told; the rest is counted."""

_HEAD = 512


@dataclass(frozen=True, kw_only=True)
class Source:
    """An open weight file.

    Attributes:
        stream: at its beginning, seekable.
        size: bytes.
        name: what messages call it.
    """

    stream: BinaryIO
    size: int
    name: str

    def take(self, at: int, count: int) -> bytes:
        """Exactly so many bytes from a place.

        Raises:
            ModelDamaged: the file ends before.
        """
        if at < 0 or count < 0 or at + count > self.size:
            raise ModelDamaged(text("weights.cut", name=self.name, size=self.size, needed=max(at, 0) + max(count, 0)))
        self.stream.seek(at)
        data = self.stream.read(count)
        if len(data) != count:
            raise ModelDamaged(text("weights.cut", name=self.name, size=at + len(data), needed=at + count))
        return data


@contextlib.contextmanager
def opened(source: Path | str | bytes, name: str | None = None) -> Iterator[Source]:
    """A weight file, open for reading.

    Raises:
        ModelMissing: no such file, or it cannot be read.
        ModelDamaged: it is empty.
    """
    if isinstance(source, bytes):
        called = name or text("weights.memory")
        stream: BinaryIO = io.BytesIO(source)
        size = len(source)
    else:
        path = Path(source)
        called = shown(name or path.name)
        try:
            stream = path.open("rb")
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
        except FileNotFoundError as error:
            raise ModelMissing(text("weights.missing", name=shown(path))) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ModelMissing(text("weights.unreadable", name=shown(path), reason=reason)) from error
    with stream:
        if size == 0:
            raise ModelDamaged(text("weights.empty", name=called))
        try:
            yield Source(stream=stream, size=size, name=called)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ModelMissing(text("weights.unreadable", name=called, reason=reason)) from error


def kind(head: bytes) -> str:
    """What a file is by its first bytes, in the user's language."""
    start = head[:_HEAD].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return text("weights.kind_html")
    if head.startswith(b"version https://git-lfs"):
        return text("weights.kind_lfs")
    if head.startswith(b"PK\x03\x04"):
        return text("weights.kind_zip")
    if head[257:262] == b"ustar":
        return text("weights.kind_tar")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40:
        return text("weights.kind_safetensors")
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return text("weights.kind_pickle")
    if head.startswith((b"\x89HDF", b"MATLAB", b"\x1f\x8b", b"\xff\xd8", b"\x89PNG", b"GGUF")):
        return text("weights.kind_foreign")
    if head and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head[:_HEAD]):
        return text("weights.kind_text")
    return text("weights.kind_unknown")


def not_this(source: Source, wanted: str) -> ModelDamaged:
    """The one line for a file of another kind than `wanted`, such as `safetensors`."""
    source.stream.seek(0)
    return ModelDamaged(text("weights.not_this", name=source.name, wanted=wanted, kind=kind(source.stream.read(_HEAD))))


def told(name: object) -> str:
    """A name out of a file as it may stand in a message: one printable line of at most 80 characters."""
    line = shown(str(name)[:200])
    return line if len(line) <= 80 else line[:77] + "..."


def listed(problems: Iterable[str]) -> str:
    """Problems in one line; beyond the first few only how many."""
    found = list(problems)
    rest = len(found) - MOST
    return "; ".join(found if rest <= 0 else [*found[:MOST], text("weights.and_more", count=rest)])
