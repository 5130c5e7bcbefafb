"""Keys: who is let in where a token is asked for.

A token lies in a file that only its owner reads. Programs send it as `Authorization: Bearer`; a browser brings a code
that works once, or the token, and gets a cookie for it. Comparisons take the same time whatever is compared.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

from danqing.files import atomic_write

COOKIE = "danqing"
FILE = "token"

PATIENCE = 600.0
"""Seconds for which a code of the address line works."""


class Keys:
    """A token, the cookie that stands for it, and a code that is good for one visit.

    Args:
        token: what programs send.
    """

    def __init__(self, token: str) -> None:
        self.token = token
        self.cookie = hmac.new(token.encode(), b"danqing studio, cookie", hashlib.sha256).hexdigest()
        self.code = secrets.token_urlsafe(24)
        self._until = time.monotonic() + PATIENCE

    @classmethod
    def kept(cls, folder: Path) -> Keys:
        """The keys of a folder, made when they are first asked for.

        Raises:
            RunFailed: the file cannot be written.
        """
        file = folder / FILE
        try:
            found = file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            found = ""
        if len(found) < 32:
            found = secrets.token_urlsafe(32)
            folder.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)  # a file that is replaced keeps its permissions
            before = os.umask(0o077)
            try:
                with atomic_write(file) as stream:
                    stream.write(found.encode())
            finally:
                os.umask(before)
        return cls(found)

    def known(self, *, bearer: str | None = None, cookie: str | None = None) -> bool:
        """Whether what a request brings is right."""
        by_token = bearer is not None and hmac.compare_digest(bearer.encode(), self.token.encode())
        return by_token or (cookie is not None and hmac.compare_digest(cookie.encode(), self.cookie.encode()))

    def enter(self, code: str) -> bool:
        """Whether a code opens the door: the token always, the code of the address line once and not for long."""
        if hmac.compare_digest(code.encode(), self.token.encode()):
            return True
        once = hmac.compare_digest(code.encode(), self.code.encode()) and time.monotonic() < self._until
        if once:
            self.code = secrets.token_urlsafe(24)
        return once
