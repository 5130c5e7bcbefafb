"""`danqing studio`: the web page and the HTTP service."""

from __future__ import annotations

import dataclasses
import socket
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from danqing.cli import console
from danqing.cli.options import Verb, single
from danqing.errors import ModelMissing, RunFailed, UsageError
from danqing.messages import text
from danqing.studio.keys import Keys
from danqing.studio.settings import PORT, Settings

EXTRA = ("fastapi", "uvicorn", "python_multipart", "sse_starlette")


def studio(
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", show_default=False)] = "127.0.0.1",
    port: Annotated[int | None, typer.Option("--port", metavar="N", min=0, max=65535, show_default=False)] = None,
    names: Annotated[list[str] | None, typer.Option("--name", metavar="HOST", show_default=False)] = None,
    folder: Annotated[Path | None, typer.Option("--folder", metavar="DIR", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", min=1, max=64, show_default=False)] = None,
    queue: Annotated[int | None, typer.Option("--queue", metavar="N", min=1, max=10_000, show_default=False)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", show_default=False)] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", show_default=False)] = True,
) -> None:
    """Serve; what the options mean stands in the catalogue."""
    if any(find_spec(package) is None for package in EXTRA):
        raise ModelMissing(text("engines.needs_extra", name="studio", extra="studio"))
    from danqing.studio import app

    given: dict[str, Any] = {"workers": workers, "queue": queue, "folder": folder}
    settings = Settings(host=host, hosts=tuple(names or ()), insecure=insecure)
    settings = dataclasses.replace(settings, **{name: value for name, value in given.items() if value is not None})
    if not settings.local and not names and host in ("0.0.0.0", "::"):  # noqa: S104 - said by the user, not by us
        raise UsageError(text("cli.studio_needs_name", host=host))
    if not settings.local and host not in ("0.0.0.0", "::"):  # noqa: S104
        settings = dataclasses.replace(settings, hosts=(*settings.hosts, host))
    settings = dataclasses.replace(settings, port=free_port(host, port))
    keys = Keys.kept(settings.folder) if settings.guarded else None
    server = app.server(settings, keys, on_ready=lambda found: _ready(settings, keys, found, browser=browser))
    try:
        server.run()
    except KeyboardInterrupt:  # uvicorn has ended in good order
        console.say(text("cli.studio_closed"))


def _ready(settings: Settings, keys: Keys | None, port: int, *, browser: bool) -> None:
    name = settings.hosts[0] if settings.hosts else "127.0.0.1" if settings.host == "localhost" else settings.host
    address = f"http://{name}:{port}/"
    if keys is not None:
        console.say(text("cli.studio_token", token=keys.token))
        address += f"?token={keys.code}"
    show_page(address, browser=browser and settings.local)
    console.say(text("cli.studio_open"))


def show_page(address: str, *, browser: bool) -> None:
    """Say where a page is, and open it if that is wanted."""
    console.out(address)
    if browser:
        webbrowser.open(address)


def free_port(host: str, asked: int | None) -> int:
    """The port that was asked for, or the usual one, or any where that is taken.

    Raises:
        RunFailed: the one that was asked for cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (PORT, 0) if asked is None else (asked,):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host.strip("[]"), port))
            except OSError as error:
                if asked is not None or port == 0:
                    reason = error.strerror or type(error).__name__
                    raise RunFailed(
                        text("cli.studio_unavailable", host=host, port=asked or PORT, reason=reason)
                    ) from error
                continue
            return port
    return 0


app = single(studio, cls=Verb)
