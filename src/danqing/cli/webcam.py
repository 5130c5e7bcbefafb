"""`danqing webcam`: a camera in, its paintings on a page of this machine out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from danqing import catalog
from danqing.cli import console
from danqing.cli.options import Verb, single
from danqing.cli.rooms import film_room
from danqing.cli.studio import EXTRA, free_port, show_page
from danqing.errors import ModelMissing, UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.studio.settings import Settings

SIZE = 640


def webcam(
    style: Annotated[list[str] | None, typer.Option("--style", "-s", metavar="STYLE", show_default=False)] = None,
    camera: Annotated[str, typer.Option("--camera", metavar="N|FILM", show_default=False)] = "0",
    size: Annotated[int, typer.Option("--size", metavar="N", min=64, max=4096, show_default=False)] = SIZE,
    strength: Annotated[float, typer.Option("--strength", metavar="N", min=0, max=1, show_default=False)] = 1.0,
    steady: Annotated[float | None, typer.Option("--steady", metavar="N", min=0, max=1, show_default=False)] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", show_default=False)] = Path(),
    runtime: Annotated[str | None, typer.Option("--runtime", metavar="NAME", show_default=False)] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="N", min=0, max=65535, show_default=False)] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", show_default=False)] = True,
) -> None:
    """Paint a camera; what the options mean stands in the catalogues."""
    cameras, lives, films = (film_room(name) for name in ("camera", "live", "film"))
    if any(find_spec(package) is None for package in EXTRA):
        raise ModelMissing(text("engines.needs_extra", name="webcam", extra="studio"))
    from danqing.studio import app
    from danqing.studio import webcam as page

    if not output.is_dir():
        raise UsageError(text("cli.webcam_folder", path=shown(output)))
    source = cameras.opened(camera)
    try:
        live = lives.Live(
            source,
            style or [entry.name for entry in catalog.styles() if entry.network is not None],
            folder=output,
            steady=films.STEADY if steady is None else steady,
            size=size,
            strength=strength,
            engine="fast",
            runtime=films.settled(runtime),
        )
    except BaseException:
        source.close()
        raise
    settings = Settings(port=free_port("127.0.0.1", port))

    def ready(found: int) -> None:
        show_page(f"http://127.0.0.1:{found}/", browser=browser)
        console.say(text("cli.webcam_open"))

    server = app.serving(page.application(live, settings), settings, on_ready=ready)
    try:
        server.run()
    except KeyboardInterrupt:  # uvicorn has ended in good order
        console.say(text("cli.webcam_closed"))
    finally:
        live.close()


app = single(webcam, cls=Verb)
