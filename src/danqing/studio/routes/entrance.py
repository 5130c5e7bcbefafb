"""Entrance: the studio, for the routes of those who may come in, and the shapes of what stands in addresses."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from danqing.studio.orders import ID
from danqing.studio.service import Studio


def admitted(request: Request) -> Studio:
    """The studio, for those who may come in."""
    studio: Studio = request.app.state.studio
    studio.doors.check(request)
    return studio


In = Annotated[Studio, Depends(admitted)]
Key = Annotated[str, Path(pattern=f"^{ID}$")]
Name = Annotated[str, Path(pattern=r"^[\w-][\w.-]{0,99}$")]
