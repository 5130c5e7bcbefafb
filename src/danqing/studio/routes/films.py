"""Films: a film in, a job that paints it out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from danqing.studio.forms import received
from danqing.studio.orders import film_schema
from danqing.studio.routes.entrance import In
from danqing.studio.shapes import Job, form_of, headed, job_answer

router = APIRouter()


@router.post(
    "/films",
    status_code=202,
    response_model=Job,
    openapi_extra=headed(form_of(film_schema())),
)
async def paint_film(request: Request, studio: In) -> JSONResponse:
    """Paint a film, which is a job; stopped early, it is the film of what was painted."""
    visitor = studio.doors.visitor(request)
    studio.doors.count(request)
    studio.check_video()
    await studio.admit(visitor)
    async with received(request, studio) as form:
        order = await form.film()
        await studio.check_film(order)
        await studio.admit(visitor)
        job = await studio.submit(order, visitor)
    return job_answer(job)
