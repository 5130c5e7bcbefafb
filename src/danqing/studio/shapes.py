"""Shapes: the bodies of requests and answers as OpenAPI describes them.

Nothing is done here. What a painting's form holds is made from Recipe in `orders`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, create_model

from danqing.catalog import StyleEntry
from danqing.studio.orders import FILM_FORMATS, FORMATS


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


PAPERS = tuple(field.name for field in dataclasses.fields(StyleEntry) if field.type == "str")
"""What is said about a style: the words of its entry in the gallery."""

_STYLE: dict[str, Any] = dict.fromkeys(PAPERS, (str, ...)) | dict.fromkeys(("ready", "own", "picture"), (bool, ...))
StyleOut = create_model("StyleOut", **_STYLE)
"""A style of the gallery; `ready`: painted at once, `own`: can be removed, `picture`: there is one of it."""


class PictureOut(BaseModel):
    """A picture that is kept for an hour, to be named by its id; `recipe` is the one inside it."""

    id: str
    name: str
    sha256: str
    format: str
    width: int
    height: int
    recipe: dict[str, Any] | None


def media_type(format: str) -> str:
    """What a painting or a painted film of a format is sent as."""
    return f"video/{format}" if format in ("mp4", "webm") else f"image/{format}"


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal} for status in (400, 401, 403, 404, 408, 409, 410, 413, 415, 421, 422, 429)
}
FILE = {"type": "string", "format": "binary"}
IMAGE: dict[str, Any] = {media_type(name): {"schema": FILE} for name in FORMATS}
MADE = IMAGE | {media_type(name): {"schema": FILE} for name in FILM_FORMATS}
JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {"schema": FILE}}}}


def form_of(content: dict[str, Any]) -> dict[str, Any]:
    """A multipart form, for OpenAPI."""
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": content}}}}


def job_answer(job: dict[str, Any]) -> JSONResponse:
    """The answer to whoever has ordered what takes long."""
    return JSONResponse(job, 202, headers={"Location": f"/api/v1/jobs/{job['id']}"})


def headed(extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """The header that every change carries, for OpenAPI."""
    header = {"name": "X-Danqing", "in": "header", "required": True, "schema": {"type": "string"}}
    return {"parameters": [header]} | (extra or {})
