"""Shapes: the bodies of requests and answers as OpenAPI describes them.

Nothing is done here. What a painting's form holds is made from Recipe in `orders`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from danqing.studio.orders import FORMATS


class Problem(BaseModel):
    """Why something was not done."""

    code: str
    message: str


class Refusal(BaseModel):
    """The body of every answer that is a refusal."""

    error: Problem


class Job(BaseModel, extra="allow"):
    """A job: `state` is queued, running, done, failed or cancelled."""

    id: str
    kind: str
    state: str
    created: float


class StyleOut(BaseModel):
    """A style of the gallery; `ready` means that it is painted at once, `own` that it can be removed."""

    name: str
    title: str
    title_zh: str
    artist: str
    date: str
    source: str
    url: str
    ready: bool
    own: bool
    picture: bool


class PictureOut(BaseModel):
    """A picture that is kept for an hour, to be named by its id; `recipe` is the one inside it."""

    id: str
    name: str
    sha256: str
    format: str
    width: int
    height: int
    recipe: dict[str, Any] | None


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal} for status in (400, 401, 403, 404, 408, 409, 410, 413, 415, 421, 422, 429)
}
IMAGE: dict[str, Any] = {f"image/{name}": {"schema": {"type": "string", "format": "binary"}} for name in FORMATS}


def form_of(content: dict[str, Any]) -> dict[str, Any]:
    """A multipart form, for OpenAPI."""
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": content}}}}


def headed(extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """The header that every change carries, for OpenAPI."""
    header = {"name": "X-Danqing", "in": "header", "required": True, "schema": {"type": "string"}}
    return {"parameters": [header]} | (extra or {})


FILE = {"type": "string", "format": "binary"}
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {"schema": FILE}}}}
PAPERS = ("name", "title", "title_zh", "artist", "date", "source", "url")
"""What is said about a style."""
