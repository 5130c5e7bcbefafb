"""About: what the page needs to know of this studio, and its sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path

from danqing import engines
from danqing.messages import catalogue, text
from danqing.recipe import Recipe
from danqing.studio.orders import FILM_FORMATS, FORMATS, KNOBS, MAX_STYLES
from danqing.studio.refusal import Refused
from danqing.studio.routes.entrance import In

router = APIRouter()


@router.get("/about")
async def about(studio: In) -> dict[str, Any]:
    """What can be done here: knobs with their ranges, engines, formats, limits."""
    limits = studio.settings
    properties = Recipe.model_json_schema()["properties"]
    return {
        "knobs": {name: properties[name] | {"help": text(f"recipe.{name}")} for name in KNOBS},
        "engines": list(engines.names()),
        "formats": list(FORMATS),
        "film_formats": list(FILM_FORMATS),
        "needs": missing(studio.check_torch),
        "film_needs": missing(studio.check_video),
        "limits": {
            "body": limits.body, "pixels": limits.pixels, "edge": limits.edge, "at_once": limits.at_once,
            "styles": MAX_STYLES, "age": limits.age, "film": limits.film, "frames": limits.frames,
            "film_seconds": limits.film_seconds,
        },
    }  # fmt: skip


def missing(check: Callable[[], None]) -> str:
    """What there is to install, as a sentence; nothing where a check passes."""
    try:
        check()
    except Refused as refused:
        return refused.message
    return ""


@router.get("/messages/{language}")
async def messages(language: Annotated[str, Path(pattern="^(en|zh)$")]) -> dict[str, str]:
    """The sentences of the page in a language."""
    return {key: said[language] for key, said in catalogue("page").items()}
