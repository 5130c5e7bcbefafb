"""Routes: the service under `/api/v1`, in HTTP's shapes.

Each takes a request apart, asks the `Studio`, and answers. Everything here is behind `Doors`; what may be sent at all
was decided by `Guard` before.
"""

from __future__ import annotations

from fastapi import APIRouter

from danqing.studio.routes import about, films, gallery, jobs, painting
from danqing.studio.shapes import REFUSALS

router = APIRouter(prefix="/api/v1", responses=REFUSALS)
for part in (painting, films, jobs, gallery, about):
    router.include_router(part.router)
