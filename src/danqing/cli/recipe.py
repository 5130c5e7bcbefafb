"""`danqing recipe`: shows the recipe inside a picture or in a file, and saves it as a file that can be edited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from danqing import catalog, files, inputs
from danqing.api import recipe_inside
from danqing.cli import console
from danqing.cli.options import SETTINGS, From, Json, Overwrite, Verb, group
from danqing.errors import BadInput, UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.picture.load import read_bytes
from danqing.preset import find as find_preset
from danqing.recipe import Recipe, Source

PictureOrToml = Annotated[Path | None, typer.Argument(metavar="PICTURE|TOML", show_default=False)]
PresetName = Annotated[str | None, typer.Option("--preset", metavar="NAME", show_default=False)]


def recipe() -> None:
    """The group; its help stands in the catalogue."""


def recipe_show(
    source: PictureOrToml = None,
    preset: PresetName = None,
    everything: Annotated[bool, typer.Option("--all", show_default=False)] = False,
    json: Json = False,
) -> None:
    """Print a recipe."""
    found = _recipe_of(source, preset)
    if json:
        values = found.model_dump(mode="json", exclude_defaults=not everything, exclude_none=True)
        console.put_json(values | {"fingerprint": found.fingerprint()})
    else:
        console.out(found.to_toml(complete=everything).rstrip())


def recipe_save(
    *,
    source: PictureOrToml = None,
    preset: PresetName = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", show_default=False)],
    overwrite: Overwrite = False,
    folders: From = None,
) -> None:
    """Write a recipe as a TOML file, with the paths of those inputs that lie below its folder."""
    files.check_target(output, overwrite=overwrite)
    found = _recipe_of(source, preset)
    if source is not None:
        found = with_paths(found, beside=source.parent, below=folders or [], home=output.parent)
    with files.atomic_write(output, overwrite=overwrite) as stream:
        stream.write(found.to_toml(complete=True).encode())
    console.out(shown(output))


def _recipe_of(source: Path | None, preset: str | None) -> Recipe:
    if (source is None) == (preset is None):
        raise UsageError(text("cli.recipe_source"))
    if source is None:
        return find_preset(str(preset)).recipe
    if source.suffix.lower() == ".toml":
        return Recipe.load(source)
    return recipe_inside(read_bytes(source, shown(source)), name=shown(source))


def with_paths(recipe: Recipe, *, beside: Path, below: list[Path], home: Path) -> Recipe:
    """The recipe with paths relative to `home` for the inputs that are found below it; the others keep their hash."""
    gallery = {entry.name for entry in catalog.styles()}

    def placed(source: Source) -> Source:
        if source.sha256 is None and source.path is None and source.name in gallery:
            return source
        bare = source.model_copy(update={"path": None}) if source.sha256 else source
        try:
            path = inputs.find([bare], beside=beside, below=below)[bare].resolve()
        except BadInput:
            console.say(text("cli.recipe_without", name=source.name))
            return bare
        if not path.is_relative_to(home.resolve()):
            return bare
        return source.model_copy(update={"path": path.relative_to(home.resolve()).as_posix()})

    knobs = {
        name: placed(value)
        for name in ("content", "start_picture", "encoder_weights", "protect")
        if (value := getattr(recipe, name)) is not None
    }
    styles = tuple(
        placed(style).model_copy(update={"mask": placed(style.mask) if style.mask else None}) for style in recipe.styles
    )
    return recipe.model_copy(update={**knobs, "styles": styles})


app = group(recipe)
app.command("show", cls=Verb, context_settings=SETTINGS)(recipe_show)
app.command("save", cls=Verb, context_settings=SETTINGS)(recipe_save)
