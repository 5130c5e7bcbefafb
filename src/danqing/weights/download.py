"""Downloads: one weight file from its publisher, whole and unaltered, or nothing.

Addresses and what is known of the file go in; it stands under its name when size and hash are right, and durably.
Whatever goes wrong, nothing is left behind and the next attempt starts anew. Only https is spoken, also after
redirects. This module knows no catalog; it is not called for a file that is there.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.parse import urlsplit

from danqing import files
from danqing.errors import ModelDamaged, ModelError, ModelMissing
from danqing.messages import text
from danqing.weights.source import kind, told

OnProgress = Callable[[int, int], None]
"""Called with the bytes that have come and the bytes that there are; falls back to 0 when an attempt starts anew."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as dead."""

ROUNDS = 2
"""So often all addresses are tried when a connection fails."""

TOLERANCE = 0.1
"""How far a file's size may be from the announced one before it is refused unread; the hash decides in the end."""

_CHUNK = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a download must turn out to be.

    Attributes:
        name: what messages call it.
        size: bytes.
        sha256: its first 8 to 64 hexadecimal digits.
    """

    name: str
    size: int
    sha256: str


class _OnlySchemes(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the allowed schemes and no others."""

    def __init__(self, schemes: tuple[str, ...]) -> None:
        self.schemes = schemes

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme.lower() not in self.schemes:
            raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    urls: tuple[str, ...],
    target: Path,
    wanted: Wanted,
    *,
    on_progress: OnProgress | None = None,
    timeout: float = TIMEOUT,
    schemes: tuple[str, ...] = ("https",),
) -> None:
    """Fetch a file from the first address that delivers it.

    Args:
        urls: tried in order; those that could not be reached are tried once more.
        target: where it is to stand; replaced if it exists.
        wanted: size and hash.
        on_progress: called while bytes come in.
        timeout: seconds without a byte.
        schemes: what may be spoken; anything but https is for tests.

    Raises:
        ModelMissing: no address could be reached, or none delivered the whole file.
        ModelDamaged: what came is not the file.
        RunFailed: the disk is full or read-only.
    """
    failure: ModelError | None = None
    for _ in range(ROUNDS):
        for url in urls:
            try:
                _fetch(url, target, wanted, on_progress=on_progress, timeout=timeout, schemes=schemes)
            except ModelError as error:
                failure = error
            else:
                return
        if isinstance(failure, ModelDamaged):
            break
    if failure is not None:
        raise failure


def _fetch(
    url: str,
    target: Path,
    wanted: Wanted,
    *,
    on_progress: OnProgress | None,
    timeout: float,
    schemes: tuple[str, ...],
) -> None:
    if urlsplit(url).scheme not in schemes:
        raise ModelMissing(text("weights.net_redirect", name=wanted.name, host=told(urlsplit(url).netloc)))
    answer = _Answer(url, wanted, timeout=timeout, schemes=schemes)
    with answer, files.atomic_write(target, overwrite=True) as out:
        _copy(answer, out, wanted, on_progress)


class _Answer:
    """What a server sends, with every failure of the network as one line."""

    def __init__(self, url: str, wanted: Wanted, *, timeout: float, schemes: tuple[str, ...]) -> None:
        self.wanted = wanted
        self.host = told(urlsplit(url).netloc)
        # The machine's default certificates; of urllib's handlers only these, so no file: and no ftp:.
        request = urllib.request.Request(url, headers={"User-Agent": "danqing", "Accept-Encoding": "identity"})  # noqa: S310
        try:
            answer = _opener(schemes).open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refusal(error.code) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self.failure(error) from error
        self.stream: http.client.HTTPResponse = answer

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    @property
    def length(self) -> int | None:
        """The size that the server announces, bytes."""
        announced = self.stream.headers.get("Content-Length", "")
        return int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 16 else None

    def read(self) -> bytes:
        """The next bytes; empty at the end."""
        try:
            return self.stream.read1(_CHUNK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self.failure(error) from error

    def _refusal(self, code: int) -> ModelMissing:
        """An answer that is no file, by its status."""
        if 300 <= code < 400:
            return ModelMissing(text("weights.net_redirect", name=self.wanted.name, host=self.host))
        return ModelMissing(text("weights.net_refused", name=self.wanted.name, host=self.host, code=code))

    def failure(self, error: Exception) -> ModelMissing:
        """A broken connection as one line."""
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            return ModelMissing(text("weights.net_stalled", name=self.wanted.name, host=self.host))
        said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return ModelMissing(text("weights.net_unreachable", name=self.wanted.name, host=self.host, reason=told(said)))


def _opener(schemes: tuple[str, ...]) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    handlers = [
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _OnlySchemes(schemes),
    ]
    if "http" in schemes:
        handlers.append(urllib.request.HTTPHandler())
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _copy(answer: _Answer, out: BinaryIO, wanted: Wanted, on_progress: OnProgress | None) -> None:
    """Pass the bytes on, and refuse them as soon as they cannot be the file any more."""
    total = answer.length if answer.length is not None else wanted.size
    if abs(total - wanted.size) > TOLERANCE * wanted.size:
        raise _wrong(answer.read(), total, answer)
    digest, done = hashlib.sha256(), 0
    while data := answer.read():
        if done == 0 and kind(data) == text("weights.kind_html"):
            raise _wrong(data, total, answer)
        digest.update(data)
        out.write(data)
        done += len(data)
        if done > wanted.size * (1 + TOLERANCE):
            raise _wrong(b"", done, answer)
        if on_progress is not None:
            on_progress(done, total)
    if done < total and (answer.length is not None or done < wanted.size * (1 - TOLERANCE)):
        raise ModelMissing(text("weights.net_interrupted", name=wanted.name, host=answer.host, done=done, total=total))
    if not digest.hexdigest().startswith(wanted.sha256):
        raise ModelDamaged(
            text(
                "weights.net_wrong_hash",
                name=wanted.name,
                host=answer.host,
                found=digest.hexdigest()[:8],
                wanted=wanted.sha256[:8],
            )
        )


def _wrong(head: bytes, size: int, answer: _Answer) -> ModelDamaged:
    told_kind = kind(head) if head else text("weights.kind_unknown")
    fields = {"name": answer.wanted.name, "host": answer.host, "size": size, "wanted": answer.wanted.size}
    return ModelDamaged(text("weights.net_not_the_file", kind=told_kind, **fields))
