"""`danqing models`: which models there are, what they are, whether they are here and whole; fetches them.

Networks of other tools come in with `import`, and what paints here goes out as one ONNX file with `export`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from danqing import catalog, exporting, foreign
from danqing.card import Card
from danqing.cli import console, progress
from danqing.cli.options import SETTINGS, Json, Overwrite, Verb, group
from danqing.errors import ModelDamaged, ModelError, ModelMissing, UsageError
from danqing.files import shown
from danqing.messages import text

Name = Annotated[str, typer.Argument(metavar="MODEL", show_default=False)]


def models() -> None:
    """The group; its help stands in the catalogue."""


def models_list(json: Json = False) -> None:
    """Print the models."""
    found = [(card, _state(card)) for card in catalog.cards()]
    if json:
        console.put_json([values(card) | {"state": state} for card, state in found])
        return
    rows = [(card.name, card.kind, text(f"cli.state_{state}"), card.license, card.origin) for card, state in found]
    console.table(rows)


def models_pull(name: Name) -> None:
    """Fetch a model."""
    with progress.downloading() as on_progress:
        path = catalog.pull(name, on_progress=on_progress, offline=console.manner.offline)
    console.out(shown(path))


def models_show(name: Name, json: Json = False) -> None:
    """Print a model's card."""
    card = catalog.card(name)
    if json:
        console.put_json(values(card) | {"state": _state(card)})
        return
    rows = [(key, _told(value)) for key, value in values(card).items()]
    console.table([*rows, ("state", text(f"cli.state_{_state(card)}"))])


def models_verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL...]", show_default=False)] = None,
) -> None:
    """Check models against the hashes of their cards; those that were never fetched are only said to be absent."""
    failures: list[ModelError] = []
    for card in [catalog.card(name) for name in names] if names else catalog.cards():
        try:
            for path in map(catalog.location(card).with_name, card.files()):
                if card.urls and not path.exists() and not names:
                    console.out(f"{card.name}  {text('cli.state_absent')}")
                else:
                    digest = catalog.verify(card, path)
                    console.out(f"{card.name}  {text('cli.state_whole')}  {digest}  {shown(path)}")
        except ModelError as error:
            failures.append(error)
    for failure in failures[:-1]:
        console.tell(str(failure))
    if failures:
        raise failures[-1]


def models_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", show_default=False)] = None,
    license: Annotated[str, typer.Option("--license", metavar="TEXT", show_default=False)] = "unknown",
    value_range: Annotated[str | None, typer.Option("--value-range", metavar="LOW..HIGH", show_default=False)] = None,
    output_range: Annotated[str | None, typer.Option("--output-range", metavar="LOW..HIGH", show_default=False)] = None,
    channels: Annotated[str | None, typer.Option("--channels", metavar="RGB|BGR", show_default=False)] = None,
    layout: Annotated[str | None, typer.Option("--layout", metavar="NCHW|NHWC", show_default=False)] = None,
    mean: Annotated[str | None, typer.Option("--mean", metavar="A,B,C", show_default=False)] = None,
    std: Annotated[str | None, typer.Option("--std", metavar="A,B,C", show_default=False)] = None,
    output_mean: Annotated[str | None, typer.Option("--output-mean", metavar="A,B,C", show_default=False)] = None,
    multiple_of: Annotated[int | None, typer.Option("--multiple-of", metavar="N", min=1, show_default=False)] = None,
    min_size: Annotated[int | None, typer.Option("--min-size", metavar="N", min=1, show_default=False)] = None,
    json: Json = False,
) -> None:
    """Take a network of another tool into the catalog."""
    told = {
        "value_range": _numbers("value-range", value_range, 2),
        "output_range": _numbers("output-range", output_range, 2),
        "channels": channels and channels.upper(),
        "layout": layout and layout.upper(),
        "mean": _numbers("mean", mean, 3),
        "std": _numbers("std", std, 3),
        "output_mean": _numbers("output-mean", output_mean, 3),
        "multiple_of": multiple_of,
        "min_size": min_size,
    }
    given = {field: value for field, value in told.items() if value is not None}
    called = catalog.clean(file.stem) if name is None else name
    catalog.check_model_name(called)
    network = foreign.read(file, given=given)
    for note in network.notes:
        console.say(note)
    card = catalog.add_network(network, called, license=license)
    if json:
        console.put_json(values(card) | {"notes": list(network.notes)})
        return
    console.say(text("cli.model_imported", name=called, license=card.license))
    console.out(called)


def models_remove(name: Name) -> None:
    """Delete a model of the user's own, or fetched weights."""
    catalog.remove_model(name)
    console.say(text("cli.model_removed", name=name))


def models_export(
    name: Annotated[str, typer.Argument(metavar="STYLE|MODEL", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.onnx", show_default=False)],
    fp16: Annotated[bool, typer.Option("--fp16", show_default=False)] = False,
    fixed: Annotated[str | None, typer.Option("--fixed", metavar="WxH", show_default=False)] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write a style or a model as one ONNX file."""
    done = exporting.export(name, output, half=fp16, fixed=_size(fixed), overwrite=overwrite)
    if json:
        console.put_json({"path": str(output), "bytes": done.bytes, "difference": done.difference, "size": done.size})
        return
    key = "cli.exported_any" if done.size is None else "cli.exported_fixed"
    size = " x ".join(str(side) for side in done.size or ())
    fields = {"megabytes": f"{done.bytes / 1e6:.1f}", "difference": f"{255 * done.difference:.2g}", "size": size}
    console.say(text(key, path=shown(output), least=done.least, **fields))
    console.out(shown(output))


def _numbers(option: str, written: str | None, count: int) -> tuple[float, ...] | None:
    """`0..255` or `103.939,116.779,123.68` as numbers.

    Raises:
        UsageError: it is not of this form.
    """
    if written is None:
        return None
    parts = written.split(".." if count == 2 else ",")
    try:
        found = tuple(float(part) for part in parts)
    except ValueError:
        found = ()
    if len(found) != count or not all(abs(number) <= 1e6 for number in found):
        example = "0..255" if count == 2 else "0.485,0.456,0.406"
        raise UsageError(text("cli.numbers", option=option, value=shown(written), example=example))
    return found


def _size(written: str | None) -> tuple[int, int] | None:
    """`640x480` as (width, height) in px."""
    if written is None:
        return None
    match = re.fullmatch(r"([0-9]{1,5})[xX×]([0-9]{1,5})", written)
    if match is None:
        raise UsageError(text("cli.fixed", value=shown(written)))
    return int(match[1]), int(match[2])


def _state(card: Card) -> str:
    """`bundled`, `here`, `absent` or `damaged`."""
    try:
        catalog.find(card.name)
    except ModelMissing:
        return "absent"
    except ModelDamaged:
        return "damaged"
    return "bundled" if catalog.bundled(card) else "here"


def values(card: Card) -> dict[str, object]:
    """A card as it is shown, with the place of its weights."""
    return card.model_dump(mode="json", exclude_none=True) | {"path": str(catalog.location(card))}


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(entry) for entry in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return str(value)


app = group(models)
app.command("list", cls=Verb, context_settings=SETTINGS)(models_list)
app.command("pull", cls=Verb, context_settings=SETTINGS)(models_pull)
app.command("show", cls=Verb, context_settings=SETTINGS)(models_show)
app.command("verify", cls=Verb, context_settings=SETTINGS)(models_verify)
app.command("import", cls=Verb, context_settings=SETTINGS)(models_import)
app.command("export", cls=Verb, context_settings=SETTINGS)(models_export)
app.command("remove", cls=Verb, context_settings=SETTINGS)(models_remove)
