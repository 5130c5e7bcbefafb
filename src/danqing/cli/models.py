"""`danqing models`: which models there are, what they are, whether they are here and whole; and fetches them."""

from __future__ import annotations

from typing import Annotated

import typer

from danqing import catalog
from danqing.card import Card
from danqing.cli import console, progress
from danqing.cli.options import SETTINGS, Json, Verb, group
from danqing.errors import ModelDamaged, ModelError, ModelMissing
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
        paths = [catalog.location(card)]
        if card.onnx is not None:
            paths.append(paths[0].with_name(card.onnx))
        try:
            for path in paths:
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


def _state(card: Card) -> str:
    """`bundled`, `here`, `absent` or `damaged`."""
    try:
        catalog.find(card.name)
    except ModelMissing:
        return "absent"
    except ModelDamaged:
        return "damaged"
    return "here" if card.urls else "bundled"


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
