"""Jobs: where they stand, how they look, what came of them, and how they are stopped."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from danqing.studio.names import disposition, file_name
from danqing.studio.orders import Order
from danqing.studio.refusal import Refused
from danqing.studio.routes.entrance import In, Key
from danqing.studio.shapes import JPEG, MADE, Job, headed, media_type

PING = 15
"""Seconds between signs of life on a line that has nothing to tell."""

router = APIRouter()


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


@router.get("/jobs/{key}/result", response_class=Response, responses={200: {"content": MADE}})
async def result(key: Key, studio: In) -> Response:
    """The finished painting or film."""
    path, item = await studio.jobs.result(key)
    kind, order = item.task["format"], item.task["work"].get("order")
    name = file_name(Order.model_validate(order)) if order else f"{key[:8]}.{kind}"
    return FileResponse(path, media_type=media_type(kind), headers={"Content-Disposition": disposition(name)})
