"""Guard: what every request passes before the studio looks at it, and what every answer carries.

A page of another site must not use this service through its visitor's browser, and nobody may send more, or more
slowly, than the settings allow. Host, Origin and fetch metadata are checked, bytes and seconds of the body counted, and
the headers of RELIABILITY S16 put on every answer. Who is let in is not decided here but by a dependency of the routes
(`doors`), which never looks at the address of a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from danqing.messages import LANGUAGES, speaking
from danqing.studio.refusal import Refused
from danqing.studio.settings import LOCAL_NAMES, Settings

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "X-Frame-Options": "DENY",
}

FILMS = "/api/v1/films"
"""Where a body may be as long as a film."""

URLENCODED = 65_536
"""Bytes of a form that is not multipart."""

LINGER = 2.0
"""Seconds for which what a client still sends is read and thrown away, so that it can read why."""


class Guard:
    """The outermost layer of the service.

    Args:
        app: what it guards.
        settings: names and limits.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.hosts = {name.lower() for name in (*LOCAL_NAMES, *settings.hosts)}
        self.arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(self, receive, headers, film=scope["path"] == FILMS)
        answering = _answering(send, body)
        with speaking(spoken(headers.get("accept-language", ""))):
            try:
                check_host(headers, self.hosts)
                check_origin(scope, headers)
                body.check_announced()
            except Refused as refused:
                await _refuse(refused, answering)
                return
            try:
                await self.app(scope, body, answering)
            finally:
                body.done()


def check_host(headers: Headers, allowed: set[str]) -> None:
    """Refuse a name that is not ours: a stranger's name may be made to lead here (DNS rebinding)."""
    given = headers.getlist("host")
    if len(given) != 1 or _hostname(given[0]) not in allowed:
        raise Refused("host")


def check_origin(scope: Scope, headers: Headers) -> None:
    """Refuse what a page of another site sends; a person who follows a link to the front page is let in."""
    visit = scope["method"] == "GET" and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not visit:
        raise Refused("origin")
    for origin in headers.getlist("origin"):
        if origin not in (f"http://{headers['host']}", f"https://{headers['host']}"):
            raise Refused("origin")


def spoken(accepted: str) -> str | None:
    """The first language of an Accept-Language header that is spoken here."""
    for part in accepted[:200].split(","):
        name = part.split(";")[0].strip().lower().partition("-")[0]
        if name in LANGUAGES:
            return name
    return None


def _hostname(host: str) -> str:
    try:
        found = urlsplit(f"//{host}")
        name = found.hostname or ""
        port = found.port
    except ValueError:
        return ""
    name = f"[{name}]" if ":" in name else name
    return name if host.lower() in (name, f"{name}:{port}") else ""


class _Body:
    """The body of a request as it arrives, counted; callable as `receive`."""

    def __init__(self, guard: Guard, receive: Receive, headers: Headers, *, film: bool) -> None:
        self.guard, self.receive, self.headers = guard, receive, headers
        plain = headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")
        self.limit = URLENCODED if plain else guard.settings.film if film else guard.settings.body
        self.deadline = time.monotonic() + guard.settings.body_seconds
        self.bytes = 0
        self.whole = "content-length" not in headers and "transfer-encoding" not in headers

    def check_announced(self) -> None:
        """Refuse by what the client says it will send, before reading any of it."""
        announced = self.headers.get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or len(announced) > 15 or int(announced) > self.limit:
            raise Refused("body", limit=self.limit // 1_000_000)

    async def __call__(self) -> Message:
        if self.whole:
            return await self.receive()
        try:
            async with asyncio.timeout(self.deadline - time.monotonic()):
                message = await self.receive()
        except TimeoutError as error:
            raise Refused("slow") from error
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.bytes += size
            self.guard.arriving += size
            self.whole = not message.get("more_body", False)
            if self.bytes > self.limit:
                raise Refused("body", limit=self.limit // 1_000_000)
            if self.guard.arriving > self.guard.settings.uploads:
                raise Refused("busy", retry=5)
        return message

    async def rest(self) -> None:
        """Read what still comes and throw it away, for a while, so that the client can hear the answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while not self.whole:
                    message = await self.receive()
                    self.whole = not message.get("more_body", False)

    def done(self) -> None:
        """The request was answered."""
        self.guard.arriving -= self.bytes


def _answering(send: Send, body: _Body) -> Send:
    """`send`, with our headers on every answer, whose end waits until the client has finished its sentence."""

    async def answering(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        elif not message.get("more_body", False) and not body.whole:
            await send({**message, "more_body": True})
            await body.rest()
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    return answering


async def _refuse(refused: Refused, send: Send) -> None:
    content = json.dumps(refused.body(), ensure_ascii=False).encode()
    headers = {"content-type": "application/json", "content-length": str(len(content)), "connection": "close"}
    listed = [(k.encode(), v.encode()) for k, v in (headers | refused.headers).items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": listed})
    await send({"type": "http.response.body", "body": content})


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP with a limit on the time that the head of a request may take."""

    header_seconds: float = 10
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected: the head of its request is due."""
        super().connection_made(transport)
        self._due()

    def data_received(self, data: bytes) -> None:
        """Bytes have come: either the head is whole now, or it stays due."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._met()
        elif self._head is None:
            self._due()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._met()
        super().connection_lost(exc)

    def _due(self) -> None:
        self._head = self.loop.call_later(self.header_seconds, self._late)

    def _met(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _late(self) -> None:
        self._head = None
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and not self.transport.is_closing():
            self.transport.close()
