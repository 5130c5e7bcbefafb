"""Gallery: its styles, their pictures, a photo painted small in all of them; styles are added and removed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from danqing.messages import text
from danqing.picture import formats
from danqing.studio.forms import received
from danqing.studio.orders import ID
from danqing.studio.refusal import Refused
from danqing.studio.routes.entrance import In, Name
from danqing.studio.service import Studio, gallery
from danqing.studio.shapes import FILE, JPEG, PAPERS, Job, StyleOut, form_of, headed, job_answer

THUMBNAIL = 160
MOST_THUMBNAILS = 200
POLISH_SECONDS = (5.0, 600.0)

router = APIRouter()


@router.post(
    "/thumbnails",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
    openapi_extra=headed(
        form_of(
            {
                "type": "object",
                "required": ["photo"],
                "properties": {
                    "photo": {"type": "string", "pattern": f"^{ID}$"},
                    "style": {"type": "array", "items": {"type": "string"}},
                },
            }
        )
    ),
)
async def thumbnails(request: Request, studio: In) -> StreamingResponse:
    """A picture painted small in every style: a line of JSON each, with the style's name and a data address."""
    studio.doors.count(request)
    async with received(request, studio) as form:
        photo = studio.store.find(form.text("photo"))
        asked = [str(name) for name in form.data.getlist("style")][:MOST_THUMBNAILS]
    ready = [entry.name for entry in await asyncio.to_thread(gallery) if entry.network]
    names = [name for name in asked if name in ready] if asked else ready

    async def lines() -> AsyncIterator[bytes]:
        async for name, data in studio.thumbnails(photo, names, THUMBNAIL):
            address = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
            yield json.dumps({"style": name, "image": address}, ensure_ascii=False).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.get("/styles", response_model=list[StyleOut])
async def styles(studio: In) -> list[dict[str, Any]]:
    """The gallery."""
    del studio
    found = []
    for entry in await asyncio.to_thread(gallery):
        about = {key: str(getattr(entry, key)) for key in PAPERS}
        own = entry.file is not None
        found.append(about | {"ready": bool(entry.network), "own": own, "picture": own or entry.path is not None})
    return found


@router.post(
    "/styles",
    status_code=201,
    responses={201: {"content": {"application/json": {"schema": {"type": "object"}}}}, 202: {"model": Job}},
    response_class=JSONResponse,
    openapi_extra=headed(
        form_of(
            {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"anyOf": [FILE, {"type": "string", "pattern": f"^{ID}$"}]},
                    "name": {"type": "string", "maxLength": 100},
                    "seconds": {"type": "number", "minimum": POLISH_SECONDS[0], "maximum": POLISH_SECONDS[1]},
                },
            }
        )
    ),
)
async def add_style(request: Request, studio: In) -> JSONResponse:
    """Add a style: a style file at once, a painting by polishing it, which is a job and needs torch."""
    visitor = studio.doors.visitor(request)
    studio.doors.count(request)
    await studio.admit(visitor)
    async with received(request, studio) as form:
        part = form.data.get("file")
        if part is None:
            raise Refused("usage", text("studio.no_style_file"))
        file = await form.picture(part, "file", sniffed=False)
        head = await asyncio.to_thread(_head, studio, file.id)
        name = form.text("name")
        if formats.sniff(head) is None:
            return JSONResponse({"name": await studio.adopt(file, name or None)}, 201)
        await studio.look([file])
        seconds = polish_seconds(form.text("seconds", "60"))
        job = await studio.polish(file, name or "", seconds=seconds, visitor=visitor)
    return job_answer(job)


def polish_seconds(written: str) -> float:
    """How long a style is to be polished.

    Raises:
        Refused: no such time.
    """
    least, most = POLISH_SECONDS
    try:
        seconds = float(written)
    except ValueError:
        seconds = 0.0
    if not least <= seconds <= most:
        raise Refused("usage", text("train.polish_seconds", least=f"{least:g}", most=f"{most:g}"))
    return seconds


def _head(studio: Studio, key: str) -> bytes:
    with studio.store.path(key).open("rb") as stream:
        return stream.read(512)


@router.get("/styles/{name}/picture", response_class=Response, responses=JPEG)
async def style_picture(name: Name, studio: In, size: Annotated[int, Query(ge=16, le=512)] = 256) -> Response:
    """The picture that a style is learnt from, where there is one."""
    data = await studio.picture(name, size)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.delete("/styles/{name}", status_code=204, openapi_extra=headed())
async def remove_style(name: Name, studio: In) -> None:
    """Remove a style of the user's own."""
    await studio.remove(name)
