"""Doors: who may come in, what a change must carry, and how often strangers may knock.

These are dependencies of the routes: they see headers, cookies and the peer's address, never the address of a request.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque

from fastapi import Request

from danqing.studio.keys import COOKIE, Keys
from danqing.studio.refusal import Refused
from danqing.studio.settings import Settings

HEADER = "x-danqing"
"""Carried by every request that changes something, so that no form or picture of another site can send it."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_MINUTE = 60.0
_REMEMBERED = 4096


class Doors:
    """Lets requests in or refuses them.

    Args:
        settings: whether strangers are expected, and how much they may do.
        keys: that open; None where no token is asked for.
    """

    def __init__(self, settings: Settings, keys: Keys | None) -> None:
        self.settings, self.keys = settings, keys
        self._knocks: OrderedDict[str, deque[float]] = OrderedDict()

    def known(self, request: Request) -> bool:
        """Whether whoever sends this may come in."""
        return self.keys is None or self.keys.known(bearer=_bearer(request), cookie=request.cookies.get(COOKIE))

    def check(self, request: Request) -> None:
        """Refuse who is not known, and a change that may come from another site.

        Raises:
            Refused: either.
        """
        if not self.known(request):
            self.count(request, guess=True)
            raise Refused("token")
        by_token = self.keys is not None and self.keys.known(bearer=_bearer(request))
        if request.method not in _SAFE and not by_token and HEADER not in request.headers:
            raise Refused("header")

    def count(self, request: Request, *, guess: bool = False) -> None:
        """Count a request that causes work, or one whose token is wrong, apart from the others.

        Args:
            request: whose.
            guess: whether it may be an attempt to guess a token; counted also where none is asked for.

        Raises:
            Refused: too many within a minute.
        """
        if not (guess or self.settings.guarded):
            return
        now, key = time.monotonic(), f"{self.visitor(request)} {guess}"
        recent = self._knocks.setdefault(key, deque())
        self._knocks.move_to_end(key)
        while len(self._knocks) > _REMEMBERED:
            self._knocks.popitem(last=False)
        while recent and now - recent[0] > _MINUTE:
            recent.popleft()
        if len(recent) >= self.settings.per_minute:
            raise Refused("rate", retry=_MINUTE - (now - recent[0]))
        recent.append(now)

    @staticmethod
    def visitor(request: Request) -> str:
        """By what a visitor's requests are counted."""
        return request.client.host if request.client else ""


def _bearer(request: Request) -> str | None:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None
