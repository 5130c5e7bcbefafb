"""`danqing redo`: paints a picture again by the recipe inside it, and says whether it came out the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from danqing import api
from danqing.cli import console, progress
from danqing.cli.interrupt import listening
from danqing.cli.options import From, Json, Output, Overwrite, single
from danqing.cli.paint import summary
from danqing.cli.targets import chosen_target
from danqing.files import shown
from danqing.messages import text
from danqing.picture.load import read_bytes
from danqing.stylizer import Step


def redo(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", show_default=False)],
    folders: From = None,
    output: Output = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Paint a picture again; what the options mean stands in the catalogues."""
    again = output or picture.with_name(f"{picture.stem}.redo{picture.suffix}")
    recipe = api.recipe_inside(read_bytes(picture, shown(picture)), name=shown(picture))
    target = chosen_target(again, format=None, depth=recipe.depth, overwrite=overwrite)
    with listening() as interrupt:
        with progress.shown() as show:

            def on_step(step: Step) -> bool:
                interrupt.begun = True
                show(step)
                return interrupt.code is None

            redone = api.redo(picture, folders=folders or (), on_step=on_step)
        target.write(redone.pastiche, with_recipe=True)
    psnr = redone.psnr if redone.psnr is not None and math.isfinite(redone.psnr) else None
    if redone.identical:
        console.say(text("cli.redo_identical"))
    elif psnr is not None:
        console.say(text("cli.redo_near", psnr=f"{psnr:.1f}"))
    else:
        console.say(text("cli.redo_size"))
    if json:
        verdict = {"identical": redone.identical, "psnr": psnr}
        console.put_json(summary(redone.pastiche, target) | verdict)
    elif target.path is not None:
        console.out(target.name)
    if interrupt.code is not None:
        raise typer.Exit(interrupt.code)


app = single(redo)
