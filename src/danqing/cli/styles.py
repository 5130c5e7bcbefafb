"""`danqing styles`: what styles come along, as a table or painted on a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw

from danqing import catalog, inputs
from danqing.cli import console, progress
from danqing.cli.options import SETTINGS, Json, Output, Overwrite, Verb, group
from danqing.commission import prepare
from danqing.errors import UsageError
from danqing.files import check_target, shown
from danqing.image import mask
from danqing.image.fit import fit
from danqing.messages import language, text
from danqing.picture import Picture

CELL, GAP, LINE, COLUMNS = 256, 8, 18, 5
"""px: long side of a painting on a sheet, space between, height of a name; and cells in a row."""


def styles() -> None:
    """The group; its help stands in the catalogue."""


def styles_list(
    json: Json = False,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="PHOTO", show_default=False)] = None,
    output: Output = None,
    overwrite: Overwrite = False,
) -> None:
    """Print the styles, or paint a photo in all that are painted at once."""
    entries = list(catalog.styles())
    if sheet is not None:
        target = output or sheet.with_name(f"{sheet.stem}.styles.jpg")
        check_target(target, overwrite=overwrite)
        painted_sheet(sheet, [entry.name for entry in entries if entry.network]).save(target, overwrite=overwrite)
        console.out(shown(target))
        return
    if output is not None:
        raise UsageError(text("cli.sheet_first"))
    if json:
        keys = ("name", "title", "title_zh", "artist", "date", "source", "url", "classic", "network")
        path = {entry.name: str(entry.path) if entry.path else None for entry in entries}
        console.put_json([{key: getattr(e, key) for key in keys} | {"path": path[e.name]} for e in entries])
        return
    chinese = language() == "zh"
    console.table([(e.name, e.title_zh if chinese else e.title, e.artist, str(e.date)) for e in entries])


def painted_sheet(photo: Path, names: list[str]) -> Picture:
    """A photo in every style, with their names below."""
    if not names:
        raise UsageError(text("cli.sheet_empty"))
    source = fit(Picture(pixels=mask.flatten(inputs.read(photo).picture)), size=CELL)
    width, height = source.size
    rows = -(-len(names) // COLUMNS)
    size = (COLUMNS * (width + GAP) + GAP, rows * (height + LINE + GAP) + GAP)
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    with progress.counting() as count:
        for place, name in enumerate(names):
            pixels = prepare(source, name).paint().picture.pixels
            left, top = GAP + place % COLUMNS * (width + GAP), GAP + place // COLUMNS * (height + LINE + GAP)
            page.paste(Image.fromarray((pixels * 255).round().astype(np.uint8)), (left, top))
            draw.text((left, top + height + 2), name.encode("ascii", "replace").decode(), fill="#333333")
            count(place + 1, len(names))
    return Picture.load(page)


app = group(styles)
app.command("list", cls=Verb, context_settings=SETTINGS)(styles_list)
