"""Refusals: what a client is told, and with which status, when it does not get what it asked for.

An error goes in, a status and a body `{"error": {"code", "message"}}` come out. What danqing says of a user's picture,
knobs or sizes is handed on; what could hold a path, a version or a traceback is not.
"""

from __future__ import annotations

from typing import Any

from danqing.errors import BadInput, BadPicture, DanqingError, DoesNotFit, ModelError, UsageError
from danqing.messages import text

STATUS: dict[str, int] = {
    "host": 421,
    "origin": 403,
    "header": 403,
    "token": 401,
    "body": 413,
    "parts": 413,
    "slow": 408,
    "form": 400,
    "missing": 404,
    "gone": 410,
    "method": 405,
    "superseded": 409,
    "unfinished": 409,
    "needs": 409,
    "needs_video": 409,
    "busy": 429,
    "rate": 429,
    "quota": 429,
    "killed": 422,
    "failed": 500,
}
"""Status by the code of a refusal; its sentence is `studio.refused_<code>`."""

CODES: dict[str, tuple[type[DanqingError], int]] = {
    "bad_picture": (BadPicture, 415),
    "bad_input": (BadInput, 422),
    "usage": (UsageError, 422),
    "too_large": (DoesNotFit, 413),
    "model": (ModelError, 409),
}
"""Errors of danqing by the code under which a client gets them."""


class Refused(Exception):
    """A request that is not done.

    Args:
        code: a key of `STATUS` or `CODES`.
        message: in the user's language; by default that of the code.
        retry: seconds after which it is worth trying again.
        fields: of the sentence.
    """

    def __init__(self, code: str, message: str | None = None, *, retry: float | None = None, **fields: object) -> None:
        self.code, self.message = code, message or text(f"studio.refused_{code}", **fields)
        self.status = STATUS[code] if code in STATUS else CODES[code][1]
        self.headers = {} if retry is None else {"retry-after": str(max(1, round(retry)))}
        if code == "token":
            self.headers["www-authenticate"] = "Bearer"
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """What the client gets."""
        return {"error": {"code": self.code, "message": self.message}}


def told(error: BaseException) -> tuple[str, str]:
    """The code and the sentence by which an error may leave this machine."""
    if isinstance(error, MemoryError):
        return "too_large", text("studio.memory")
    for code, (kind, _) in CODES.items():
        if isinstance(error, kind):
            return code, text("studio.refused_model") if code == "model" else str(error)
    return "failed", text("studio.refused_failed")


def refusal(error: DanqingError) -> Refused:
    """The refusal that an error of danqing becomes."""
    code, message = told(error)
    return Refused(code, message)
