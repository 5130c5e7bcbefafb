"""Routes: the service under `/api/v1`, in HTTP's shapes.

Each takes a request apart, asks the `Studio`, and answers. Everything here is behind `Doors`; what may be sent at all
was decided by `Guard` before.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from danqing import engines
from danqing.messages import catalogue, text
from danqing.picture import formats
from danqing.recipe import Recipe
from danqing.studio.doors import HEADER
from danqing.studio.forms import received
from danqing.studio.names import disposition, file_name
from danqing.studio.orders import FORMATS, ID, KNOBS, MAX_STYLES, Order, schema
from danqing.studio.refusal import Refused
from danqing.studio.service import Studio, gallery
from danqing.studio.shapes import FILE, IMAGE, JPEG, PAPERS, REFUSALS, Job, PictureOut, StyleOut, form_of, headed

T = TypeVar("T")

THUMBNAIL = 160
MOST_THUMBNAILS = 200
POLISH_SECONDS = (5.0, 600.0)

PING = 15
"""Seconds between signs of life on a line that has nothing to tell."""


def studio_of(request: Request) -> Studio:
    """The studio that a request is for."""
    found: Studio = request.app.state.studio
    return found


def admitted(request: Request) -> Studio:
    """The studio, for those who may come in."""
    studio = studio_of(request)
    studio.doors.check(request)
    return studio


In = Annotated[Studio, Depends(admitted)]
Key = Annotated[str, Path(pattern=f"^{ID}$")]
Name = Annotated[str, Path(pattern=r"^[\w-][\w.-]{0,99}$")]


router = APIRouter(prefix="/api/v1", responses=REFUSALS)


# ── painting ────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/paint",
    response_class=Response,
    responses={200: {"content": IMAGE}, 202: {"model": Job}},
    openapi_extra=headed(form_of(schema())),
)
async def paint(request: Request, studio: In) -> Response:
    """Paint a photo: small fast work is answered with the painting, the rest with 202 and a job."""
    visitor = studio.doors.visitor(request)
    studio.doors.count(request)
    await studio.admit(visitor)
    async with received(request, studio) as form:
        order = await form.order()
        wants_job = form.text("job").lower() in ("1", "true", "yes", "on")
        if await studio.is_short(order) and not wants_job:
            await studio.admit(visitor)
            about, data = await while_there(request, studio.paint(order))
            return Response(data, media_type=f"image/{order.format}", headers=painted_headers(order, about))
        await studio.admit(visitor)
        job = await studio.submit(order, visitor)
    return JSONResponse(job, 202, headers={"Location": f"/api/v1/jobs/{job['id']}"})


@router.post(
    "/preview",
    response_class=Response,
    responses=JPEG,
    openapi_extra=headed(form_of(schema())),
)
async def preview(request: Request, studio: In) -> Response:
    """Paint small and at once; of one visitor (by the value of X-Danqing) a later preview replaces an earlier one."""
    async with received(request, studio, durable=False) as form:
        order = await form.order()
        visit = f"{studio.doors.visitor(request)} {request.headers.get(HEADER, '')[:64]}"
        about, data = await while_there(request, studio.preview(order, visit))
    headers = {"X-Danqing-Seconds": str(about["seconds"]), "X-Danqing-Size": f"{about['width']}x{about['height']}"}
    return Response(data, media_type="image/jpeg", headers=headers)


def painted_headers(order: Order, about: dict[str, Any]) -> dict[str, str]:
    """What is said about a painting besides itself; the recipe is inside it."""
    told = {key: about[key] for key in ("width", "height", "seconds", "engine", "model", "notes")}
    return {
        "Content-Disposition": disposition(file_name(order)),
        "X-Danqing-About": quote(json.dumps(told, ensure_ascii=False), safe=' {}[]":,./()'),
    }


async def while_there(request: Request, work: Awaitable[T]) -> T:
    """The result of some work, which is stopped when the client has gone."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refused("superseded")
        return task.result()
    finally:
        for one in (task, gone):
            if not one.done():
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await one


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/pictures",
    status_code=201,
    response_model=PictureOut,
    openapi_extra=headed(form_of({"type": "object", "required": ["picture"], "properties": {"picture": FILE}})),
)
async def put_picture(request: Request, studio: In) -> dict[str, Any]:
    """Keep a picture for an hour, to paint it several times without sending it again."""
    studio.doors.count(request)
    async with received(request, studio, keep=True) as form:
        part = form.data.get("picture")
        if part is None or isinstance(part, str):
            raise Refused("usage", text("studio.no_picture"))
        file = await form.picture(part, "picture")
        (about,) = await studio.look([file])
    return file.model_dump() | about


@router.delete("/pictures/{key}", status_code=204, openapi_extra=headed())
async def drop_picture(key: Key, studio: In) -> None:
    """Forget a picture."""
    studio.store.find(key)
    studio.store.drop(key)


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


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/jobs/{key}", response_model=Job)
async def job(key: Key, studio: In) -> dict[str, Any]:
    """Where a job stands."""
    return await studio.jobs.told(key)


@router.post("/jobs/{key}/cancel", response_model=Job, openapi_extra=headed())
async def cancel(key: Key, studio: In) -> dict[str, Any]:
    """Stop a job; one that runs ends after the step at hand, and what is there is kept as its result."""
    return await studio.jobs.cancel(key)


@router.get(
    "/jobs/{key}/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(key: Key, studio: In) -> EventSourceResponse:
    """A job whenever something about it has changed, as server-sent events named `job`, until it is over."""
    await studio.jobs.told(key)

    async def lines() -> AsyncIterator[ServerSentEvent]:
        async for now in studio.jobs.watch(key):
            yield ServerSentEvent(json.dumps(now, ensure_ascii=False), event="job")

    return EventSourceResponse(lines(), ping=PING)


@router.get("/jobs/{key}/preview", response_class=Response, responses=JPEG)
async def job_preview(key: Key, studio: In) -> Response:
    """The painting as it stands."""
    await studio.jobs.told(key)
    live = studio.jobs.live.get(key)
    if live is None or not live.picture:
        raise Refused("unfinished")
    return Response(live.picture, media_type="image/jpeg")


@router.get("/jobs/{key}/result", response_class=Response, responses={200: {"content": IMAGE}})
async def result(key: Key, studio: In) -> Response:
    """The finished painting."""
    path, item = await studio.jobs.result(key)
    kind = item.task["format"]
    name = f"{key[:8]}.{kind}"
    if item.task["kind"] == "paint":
        name = file_name(Order.model_validate(item.task["work"]["order"]))
    return FileResponse(path, media_type=f"image/{kind}", headers={"Content-Disposition": disposition(name)})


# ── styles ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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
                    "file": {"oneOf": [FILE, {"type": "string", "pattern": f"^{ID}$"}]},
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
    return JSONResponse(job, 202, headers={"Location": f"/api/v1/jobs/{job['id']}"})


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


# ── what the page needs to know ─────────────────────────────────────────────────────────────────────────────────────


@router.get("/about")
async def about(studio: In) -> dict[str, Any]:
    """What can be done here: knobs with their ranges, engines, formats, limits."""
    limits = studio.settings
    properties = Recipe.model_json_schema()["properties"]
    try:
        studio.check_torch()
        needs = ""
    except Refused as refused:
        needs = refused.message
    return {
        "knobs": {name: properties[name] | {"help": text(f"recipe.{name}")} for name in KNOBS},
        "engines": list(engines.names()),
        "formats": list(FORMATS),
        "needs": needs,
        "limits": {
            "body": limits.body, "pixels": limits.pixels, "edge": limits.edge, "at_once": limits.at_once,
            "styles": MAX_STYLES, "age": limits.age,
        },
    }  # fmt: skip


@router.get("/messages/{language}")
async def messages(language: Annotated[str, Path(pattern="^(en|zh)$")]) -> dict[str, str]:
    """The sentences of the page in a language."""
    return {key: said[language] for key, said in catalogue("page").items()}
