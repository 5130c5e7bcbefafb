"""`danqing styles`: what styles there are, as a table or painted on a photo; those of the user's own come and go."""

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
from danqing.engines import vectors
from danqing.errors import UsageError
from danqing.files import atomic_write, check_target, shown
from danqing.image import mask
from danqing.image.fit import fit
from danqing.messages import language, text
from danqing.picture import Picture
from danqing.picture.save import target_format

Name = Annotated[str, typer.Argument(metavar="STYLE", show_default=False)]

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
        target_format(target)
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


def styles_like(
    picture: Annotated[Path, typer.Argument(metavar="PAINTING", show_default=False)],
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, show_default=False)] = 5,
    json: Json = False,
) -> None:
    """Print the styles of the gallery that are most like a picture."""
    found = vectors.nearest(inputs.read(picture).picture)[:count]
    if json:
        console.put_json([{"name": name, "distance": round(distance, 4)} for name, distance in found])
        return
    known = {entry.name: entry for entry in catalog.styles()}
    chinese = language() == "zh"
    rows = [(name, known[name], distance) for name, distance in found]
    console.table([(n, e.title_zh if chinese else e.title, e.artist, f"{distance:.2f}") for n, e, distance in rows])


def styles_export(name: Name, output: Output = None, overwrite: Overwrite = False) -> None:
    """Write a style of the user's own into a file that others can import."""
    source = catalog.own_file(name)
    target = output or Path(source.name)
    check_target(target, overwrite=overwrite)
    with atomic_write(target, overwrite=overwrite) as stream:
        stream.write(source.read_bytes())
    console.out(shown(target))


def styles_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", show_default=False)] = None,
) -> None:
    """Take a style file into the gallery, after it was checked."""
    console.out(catalog.import_style(file, name))


def styles_remove(name: Name) -> None:
    """Delete a style of the user's own."""
    catalog.remove_style(name)
    console.say(text("cli.style_removed", name=name))


app = group(styles)
app.command("list", cls=Verb, context_settings=SETTINGS)(styles_list)
app.command("like", cls=Verb, context_settings=SETTINGS)(styles_like)
app.command("export", cls=Verb, context_settings=SETTINGS)(styles_export)
app.command("import", cls=Verb, context_settings=SETTINGS)(styles_import)
app.command("remove", cls=Verb, context_settings=SETTINGS)(styles_remove)
