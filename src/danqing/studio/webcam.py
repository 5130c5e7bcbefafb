"""Webcam: the page on which a camera is seen painted, and its keys.

A `Live` goes in, an ASGI application comes out, behind the same guard as the studio. It is for this machine alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

from danqing.studio.app import STATIC, failures, page
from danqing.studio.doors import Doors
from danqing.studio.guard import Guard
from danqing.studio.refusal import Refused
from danqing.studio.routes.about import messages
from danqing.studio.settings import Settings
from danqing.video.live import ACTIONS, Live

BOUNDARY = "painting"


def application(live: Live, settings: Settings) -> ASGIApp:
    """The page of a camera as an ASGI application."""
    app = FastAPI(title="danqing webcam", docs_url=None, redoc_url=None, openapi_url=None)
    doors = Doors(settings, None)

    @app.get("/")
    async def front() -> Response:
        return HTMLResponse(page("webcam"))

    @app.get("/live")
    async def paintings() -> Response:
        return StreamingResponse(_pictures(live), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    @app.get("/state")
    async def state() -> dict[str, Any]:
        return live.told()

    @app.post("/do/{action}")
    async def do(request: Request, action: str) -> dict[str, Any]:
        doors.check(request)
        if action not in ACTIONS:
            raise Refused("missing")
        written = await asyncio.to_thread(live.do, action)
        return live.told() | {"written": written}

    app.get("/api/v1/messages/{language}")(messages)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    failures(app)
    return Guard(app, settings)


async def _pictures(live: Live) -> AsyncIterator[bytes]:
    """Paintings as they come, one JPEG after the other."""
    number = 0
    while True:
        now, jpeg = await asyncio.to_thread(live.picture, number)
        if now > number:
            number = now
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg + b"\r\n"
        elif live.ended:
            return
