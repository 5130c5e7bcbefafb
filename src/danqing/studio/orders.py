"""Orders: what a client wants painted, from the fields of a form.

A form goes in; an `Order`, which holds names of files that we gave and knobs that were checked, comes out. Its fields
are those of Recipe, read off the model, so that the schema of the service is the schema of the command line. A client
names styles of the gallery and pictures that it sent, never a path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from danqing.engines import NETWORK
from danqing.errors import UsageError
from danqing.image.fit import fitted_size
from danqing.messages import text
from danqing.picture import formats
from danqing.recipe import Recipe
from danqing.studio.refusal import Refused

ID = r"[0-9a-f]{32}"

KNOBS = tuple(
    name
    for name in Recipe.model_fields
    if name not in {"version", "content", "styles", "protect", "start_picture", "encoder_weights"}
)
"""The fields of a recipe that a form may turn: all but references to files."""

FORMATS = ("png", "jpeg", "webp", "avif", "tiff")
"""What a painting is sent as: the formats that hold a recipe."""

FilmFormat = Literal["mp4", "webm", "gif"]
FILM_FORMATS: tuple[str, ...] = get_args(FilmFormat)

FILM_KNOBS = tuple(name for name in KNOBS if name not in {"square", "quality", "depth", "start"})
"""The knobs that make sense for films; `start` is a time there."""

MAX_STYLES = 8
MAX_STEPS = 2000

_WEIGHTED = re.compile(r"(?s)(?P<name>.+):(?P<weight>\d{1,7}\.?\d{0,9}|\.\d{1,9})")

Id = Annotated[str, Field(pattern=f"^{ID}$")]


class Strict(BaseModel):
    """What goes to workers and lies on the disk, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class File(Strict):
    """A picture that a client sent.

    Attributes:
        id: under which it is kept.
        name: what the client calls it, without folders.
        sha256: of its bytes.
    """

    id: Id
    name: str
    sha256: str


class Layer(Strict):
    """One style of an order: a name of the gallery or a picture, its weight, and where it is painted."""

    style: str | None = None
    file: File | None = None
    weight: float = Field(default=1.0, gt=0, le=1e6)
    mask: File | None = None


class Filming(Strict):
    """What is asked of a film besides the knobs of its pictures.

    Attributes:
        start, end: s from its beginning; None = to its end.
        steady: how far it is held still; None = as usual.
        format: of the film that comes out.
    """

    start: float = Field(default=0, ge=0, le=86_400)
    end: float | None = Field(default=None, gt=0, le=86_400)
    steady: float | None = Field(default=None, ge=0, le=1)
    format: FilmFormat = "mp4"


class Order(Strict):
    """A painting that a client wants.

    Attributes:
        photo: what is painted; of a film, the film.
        layers: in which styles, and where.
        protect: what of it is left alone.
        knobs: fields of a recipe by name, checked.
        format: of the file that comes out.
        language: of the sentences that are said about it.
        filming: None where a photo is painted.
    """

    photo: File
    layers: tuple[Layer, ...] = Field(min_length=1, max_length=MAX_STYLES)
    protect: File | None = None
    knobs: dict[str, Any] = {}
    format: str = "png"
    language: str | None = None
    filming: Filming | None = None

    def recipe(self) -> Recipe:
        """The knobs as a recipe.

        Raises:
            UsageError: they cannot be meant.
        """
        return Recipe().turned(self.knobs)

    def files(self) -> tuple[File, ...]:
        """Every picture that it refers to."""
        several = (self.photo, self.protect, *(f for layer in self.layers for f in (layer.file, layer.mask)))
        return tuple(file for file in several if file is not None)


def read_knobs(fields: Mapping[str, str]) -> dict[str, Any]:
    """The knobs that a form turns, checked.

    Args:
        fields: the text of every field of the form that is a knob, and perhaps a whole `recipe` as TOML, which the
            single fields then change.

    Raises:
        UsageError, BadRecipe: unknown knobs, or values out of range, all of them listed.
    """
    base = Recipe.from_toml(fields["recipe"]) if fields.get("recipe") else Recipe()
    kept = {name: getattr(base, name) for name in base.model_fields_set if name in KNOBS}
    given = {name: _value(name, value) for name, value in fields.items() if name != "recipe" and value != ""}
    for one, other in (("size", "width"), ("width", "size")):
        if one in given and other not in given:
            kept.pop(other, None)
    turned = Recipe().turned(kept | given)
    if turned.steps > MAX_STEPS:
        raise UsageError(text("studio.steps", limit=MAX_STEPS))
    return {name: getattr(turned, name) for name in kept | given}


def _value(name: str, written: str) -> Any:
    """A field's text as what the knob takes: tables are JSON, everything else is read by the model itself."""
    if not written.lstrip().startswith("{"):
        return written
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        raise UsageError(text("studio.not_json", name=name)) from None


def read_style(written: str) -> tuple[str, float]:
    """A style's name and weight from `NAME` or `NAME:WEIGHT`."""
    match = _WEIGHTED.fullmatch(written)
    return (match["name"], float(match["weight"])) if match else (written, 1.0)


def read_format(written: str) -> str:
    """The name of a format in which paintings are sent.

    Raises:
        UsageError: there is no such.
    """
    found = formats.by_name(written)
    name = found.name.lower() if found else ""
    if name not in FORMATS:
        raise UsageError(text("picture.format", format=written[:20] or "-", formats=", ".join(FORMATS)))
    return name


def read_filming(fields: Mapping[str, str]) -> Filming:
    """What is asked of a film, from the text of the fields.

    Raises:
        UsageError: values that cannot be meant, all of them named.
    """
    try:
        filming = Filming.model_validate({name: value for name, value in fields.items() if value != ""})
    except ValidationError as error:
        names = ", ".join(sorted({str(problem["loc"][0]) for problem in error.errors()}))
        raise UsageError(text("studio.bad_fields", names=names)) from None
    if filming.end is not None and filming.end <= filming.start:
        raise UsageError(text("studio.bad_fields", names="start, end"))
    return filming


def painted_size(order: Order, photo: tuple[int, int], *, unasked: int, pixels: int, edge: int) -> tuple[int, int]:
    """(width, height) in px that a painting will have.

    Args:
        order: with its knobs.
        photo: (width, height) of the photo.
        unasked: long side where no size is asked for.
        pixels, edge: the most that is painted.

    Raises:
        Refused: more than that.
    """
    recipe = order.recipe()
    if recipe.square:
        photo = (min(photo), min(photo))
    size = unasked if recipe.size is None and recipe.width is None else recipe.size
    wanted = fitted_size(photo, size=size, width=recipe.width, enlarge=recipe.enlarge)
    if wanted[0] * wanted[1] > pixels or max(wanted) > edge:
        line = text("studio.size", width=wanted[0], height=wanted[1], megapixels=f"{pixels / 1e6:g}", edge=edge)
        raise Refused("too_large", line)
    return wanted


def at_once(order: Order, learnt: Sequence[str], networks: Sequence[str]) -> bool:
    """Whether it is painted in one pass, as `commission` decides it.

    Args:
        order: with its knobs.
        learnt: the styles that a network here has learnt.
        networks: the networks here.
    """
    recipe = order.recipe()
    known = NETWORK in networks or all(layer.style in learnt for layer in order.layers)
    return recipe.engine == "fast" or (recipe.engine == "auto" and not recipe.of_optimization() and known)


def schema() -> dict[str, Any]:
    """The form of a painting as OpenAPI describes it: the fields of Recipe with their ranges and help."""
    photo = {"photo": {"anyOf": [_PICTURE, _KEPT], "description": text("studio.field_photo")}}
    own = {
        "format": {"type": "string", "enum": list(FORMATS), "description": text("studio.field_format")},
        "job": {"type": "boolean", "description": text("studio.field_job")},
    }
    return {"type": "object", "required": ["photo", "style"], "properties": photo | _common() | own | _knobs(KNOBS)}


def film_schema() -> dict[str, Any]:
    """The form of a painted film as OpenAPI describes it."""
    own = Filming.model_json_schema()["properties"]
    said = {name: _tidy(field) | {"description": text(f"studio.film_{name}")} for name, field in own.items()}
    film = {"film": _PICTURE | {"description": text("studio.field_film")}}
    return {"type": "object", "required": ["film", "style"], "properties": film | _common() | said | _knobs(FILM_KNOBS)}


_PICTURE: dict[str, Any] = {"type": "string", "format": "binary"}
_KEPT: dict[str, Any] = {"type": "string", "pattern": f"^{ID}$"}


def _common() -> dict[str, Any]:
    """What photos and films are painted with: styles, where they go, and a recipe to begin with."""
    style = {"anyOf": [_PICTURE, {"type": "string", "maxLength": 120}]}
    return {
        "style": {"type": "array", "items": style, "maxItems": MAX_STYLES, "description": text("studio.field_style")},
        "weight": {"type": "array", "items": {"type": "number"}, "description": text("studio.field_weight")},
        "mask": {"type": "array", "items": {"anyOf": [_PICTURE, _KEPT]}, "description": text("studio.field_mask")},
        "protect": {"anyOf": [_PICTURE, _KEPT], "description": text("studio.field_protect")},
        "recipe": {"type": "string", "description": text("studio.field_recipe")},
    }


def _knobs(names: Sequence[str]) -> dict[str, Any]:
    properties = Recipe.model_json_schema()["properties"]
    return {name: _tidy(properties[name]) | {"description": text(f"recipe.{name}")} for name in names}


def _tidy(field: dict[str, Any]) -> dict[str, Any]:
    """A field without what OpenAPI does not know, and without a default that says nothing."""
    return {
        key: value
        for key, value in field.items()
        if key not in ("engine", "unit") and (key != "default" or value is not None)
    }
