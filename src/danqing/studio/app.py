"""The application: the routes with everything that stands around them.

Settings and keys go in, an ASGI application comes out: guard outermost, then the routes, the page and its files.
`server` runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from danqing.errors import DanqingError
from danqing.messages import text
from danqing.studio.guard import Guard, TimedProtocol
from danqing.studio.keys import COOKIE, Keys
from danqing.studio.refusal import Refused, refusal
from danqing.studio.routes import router
from danqing.studio.service import Studio
from danqing.studio.settings import Settings

STATIC = Path(__file__).with_name("static")
PAGES = Path(__file__).with_name("pages")

MONTH = 30 * 24 * 3600

_CODES = {400: "form", 404: "missing", 405: "method"}


def application(settings: Settings, keys: Keys | None = None) -> ASGIApp:
    """The studio as an ASGI application.

    Args:
        settings: limits and places.
        keys: that let strangers in; needed where `settings.guarded`.
    """
    if settings.guarded and keys is None:
        raise ValueError("a studio that others can reach needs keys")
    studio = Studio(settings, keys if settings.guarded else None)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        async with studio.open():
            yield

    app = FastAPI(title="danqing", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.studio = studio
    app.include_router(router)
    _pages(app, studio)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    failures(app)
    return Guard(app, settings)


def _pages(app: FastAPI, studio: Studio) -> None:
    """The page itself, the way in, and the sign of life."""

    @app.get("/", include_in_schema=False)
    async def front(request: Request, token: str = "") -> Response:
        if token and studio.doors.keys is not None:
            return entered(request, token)
        known = studio.doors.known(request)
        return HTMLResponse(page("index" if known else "enter"), 200 if known else 401)

    @app.post("/enter", include_in_schema=False)
    async def enter(request: Request, token: Annotated[str, Form(max_length=200)]) -> Response:
        return entered(request, token)

    def entered(request: Request, code: str) -> Response:
        studio.doors.count(request, guess=True)
        answer = RedirectResponse("/", 303)
        keys = studio.doors.keys
        if keys is not None and keys.enter(code):
            secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
            answer.set_cookie(COOKIE, keys.cookie, max_age=MONTH, httponly=True, samesite="strict", secure=secure)
        return answer

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page("docs"))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """A sign of life."""
        return {"status": "ok"}


@functools.cache
def page(name: str) -> str:
    """A page, with the head that all of them have."""
    written, head = ((PAGES / f"{part}.html").read_text(encoding="utf-8") for part in (name, "head"))
    return written.replace("    <!-- head -->\n", head)


def failures(app: FastAPI) -> None:
    """Every failure as `{"error": {"code", "message"}}`, without what a client has no business to know."""

    def answer(refused: Refused) -> JSONResponse:
        return JSONResponse(refused.body(), refused.status, headers=refused.headers)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        del request
        return answer(error)

    @app.exception_handler(DanqingError)
    async def failed(request: Request, error: DanqingError) -> JSONResponse:
        del request
        logging.getLogger("danqing.studio").error("%s", error)
        return answer(refusal(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        del request
        names = ", ".join(sorted({str(problem["loc"][-1])[:40] for problem in error.errors()}))
        return answer(Refused("usage", text("studio.bad_fields", names=names)))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        del request
        found = Refused(_CODES.get(error.status_code, "form"))
        found.headers |= dict(error.headers or {})
        return answer(found)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        del request, error  # uvicorn writes it into the log
        return answer(Refused("failed"))


def server(
    settings: Settings, keys: Keys | None = None, *, on_ready: Callable[[int], None] | None = None
) -> uvicorn.Server:
    """The server of a studio, ready to run; see `serving`."""
    return serving(application(settings, keys), settings, on_ready=on_ready)


def serving(app: ASGIApp, settings: Settings, *, on_ready: Callable[[int], None] | None = None) -> uvicorn.Server:
    """The server of an application, ready to run.

    Args:
        app: that it serves.
        settings: with the address.
        on_ready: called with the port once requests are answered.
    """
    protocol = type("Protocol", (TimedProtocol,), {"header_seconds": settings.header_seconds})
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws="none",
        log_level="warning",
        access_log=False,  # addresses of requests may hold what is nobody's business
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=15,
    )
    return _Server(config, on_ready)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[int], None] | None) -> None:
        super().__init__(config)
        self.on_ready = on_ready

    async def startup(self, *args: Any, **options: Any) -> None:
        await super().startup(*args, **options)
        if self.on_ready is not None and self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            asyncio.get_running_loop().call_soon(functools.partial(self.on_ready, port))
