"""`danqing polish`: a painting in, a style of the user's own gallery out, a minute later."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from danqing.cli import console
from danqing.cli.interrupt import listening
from danqing.cli.options import Json, Output, Overwrite, Verb, single
from danqing.cli.progress import EVERY, EVERY_VERBOSE, duration
from danqing.files import check_target, shown
from danqing.messages import text
from danqing.picture.save import target_format
from danqing.polishing import prepare


def polish(
    paintings: Annotated[list[Path] | None, typer.Argument(metavar="PAINTING", show_default=False)] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", show_default=False)] = None,
    photos: Annotated[Path | None, typer.Option("--photos", metavar="DIR", show_default=False)] = None,
    seconds: Annotated[float, typer.Option("--seconds", metavar="N", show_default=False)] = 60,
    device: Annotated[str, typer.Option("--device", metavar="NAME", show_default=False)] = "auto",
    output: Output = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Polish; what the options mean stands in the catalogue."""
    order = prepare(paintings or (), name=name, photos=photos, seconds=seconds, device=device)
    called = order.style.name
    target = output or Path(f"{called}.polished.jpg")
    target_format(target)
    check_target(target, overwrite=overwrite)
    for note in order.notes:
        console.say(note)
    console.say(text("train.polish_begins", name=called, seconds=duration(order.seconds)))
    began = last = time.monotonic()
    every = EVERY_VERBOSE if console.manner.verbose else 1.0 if sys.stderr.isatty() else EVERY
    with listening() as interrupt:

        def on_progress(told: Any) -> bool:
            nonlocal last
            interrupt.begun = True
            if not console.manner.quiet and time.monotonic() - last >= every:
                last = time.monotonic()
                values = {"before": f"{told.before:.3f}", "now": f"{told.best:.3f}"}
                steps = {"step": told.step, "steps": told.steps, "remaining": duration(told.remaining)}
                console.tell(text("train.polish_step", **steps, **values))
            return interrupt.code is None

        found = order.run(on_progress)
    found.sheet.save(target, overwrite=overwrite)
    console.say(text("train.polish_done", name=called, seconds=duration(time.monotonic() - began)))
    if json:
        told = {"name": called, "file": str(found.file), "sheet": str(target), "before": found.before}
        console.put_json(told | {"after": found.after, "complete": interrupt.code is None})
    else:
        console.out(shown(target))
    if interrupt.code is not None:
        raise typer.Exit(interrupt.code)


app = single(polish, cls=Verb)
