"""`danqing styles`: what styles come along."""

from __future__ import annotations

from danqing import catalog
from danqing.cli import console
from danqing.cli.options import SETTINGS, Json, Verb, group
from danqing.messages import language


def styles() -> None:
    """The group; its help stands in the catalogue."""


def styles_list(json: Json = False) -> None:
    """Print the styles."""
    entries = list(catalog.styles())
    if json:
        keys = ("name", "title", "title_zh", "artist", "date", "source", "url", "classic", "network")
        path = {entry.name: str(entry.path) if entry.path else None for entry in entries}
        console.put_json([{key: getattr(e, key) for key in keys} | {"path": path[e.name]} for e in entries])
        return
    chinese = language() == "zh"
    console.table([(e.name, e.title_zh if chinese else e.title, e.artist, str(e.date)) for e in entries])


app = group(styles)
app.command("list", cls=Verb, context_settings=SETTINGS)(styles_list)
