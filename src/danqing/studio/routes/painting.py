"""Painting: photos in, paintings and previews out; and pictures that are kept to be painted several times."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from typing import Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from danqing.messages import text
from danqing.studio.doors import HEADER
from danqing.studio.forms import received
from danqing.studio.names import disposition, file_name
from danqing.studio.orders import Order, schema
from danqing.studio.refusal import Refused
from danqing.studio.routes.entrance import In, Key
from danqing.studio.shapes import FILE, IMAGE, JPEG, Job, PictureOut, form_of, headed, job_answer, media_type

T = TypeVar("T")

router = APIRouter()


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
            return Response(data, media_type=media_type(order.format), headers=painted_headers(order, about))
        await studio.admit(visitor)
        job = await studio.submit(order, visitor)
    return job_answer(job)


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
