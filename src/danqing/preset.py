"""Preset: the knobs of an older tool under one name, as far as its text states them.

A name goes in, a Recipe without inputs comes out. Each preset is a file in `presets/` that opens with its source and
with every assumption it makes where the source is silent. This module knows no engine.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from importlib.resources import files

from danqing.errors import UsageError
from danqing.files import shown
from danqing.messages import text
from danqing.recipe import Recipe

NAMES = ("default", "gatys", "lbfgs-tv", "tutorial", "crowsonkb")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Knobs with a name.

    Attributes:
        name: one of `NAMES`.
        recipe: the knobs; no inputs.
        save_every: after how many steps the tool wrote its picture; None = only at the end.
    """

    name: str
    recipe: Recipe
    save_every: int | None = None


def find(name: str) -> Preset:
    """A preset by its name.

    Raises:
        UsageError: there is none of that name; the nearest is told.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        known = near[0] if near else ", ".join(NAMES)
        raise UsageError(text("presets.unknown", name=shown(name), known=known))
    values = tomllib.loads((files("danqing") / "presets" / f"{name}.toml").read_text(encoding="utf-8"))
    return Preset(name=name, recipe=Recipe.model_validate(values["recipe"]), save_every=values.get("save_every"))
