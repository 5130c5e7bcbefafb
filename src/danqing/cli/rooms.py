"""Rooms behind an extra: imported when a verb needs them, so that the help is there without."""

from __future__ import annotations

import importlib
from typing import Any

from danqing.errors import ModelMissing
from danqing.messages import text


def film_room(name: str) -> Any:
    """A module of `danqing.video`.

    Raises:
        ModelMissing: the extra is not installed.
    """
    try:
        return importlib.import_module(f"danqing.video.{name}")
    except ModuleNotFoundError as error:
        if error.name in ("av", "cv2"):
            raise ModelMissing(text("engines.needs_extra", name="video", extra="video")) from error
        raise
