"""What may be forgotten: bytes under a key, in a folder that never grows beyond a limit.

Nothing depends on what is kept here: a disk that is full or a folder that cannot be written costs time, not a painting.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from danqing.errors import DanqingError
from danqing.files import atomic_write

log = logging.getLogger(__name__)

_DIGEST = 32


class Shelf:
    """A folder of bytes by key.

    Args:
        folder: made when something is put there.
        limit: bytes; what was not used for longest goes first.
    """

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder, self.limit = folder, limit

    def get(self, key: str) -> bytes | None:
        """What was put there under a key of letters and digits; None if nothing was, or if it is damaged."""
        path = self.folder / key
        try:
            data = path.read_bytes()
            path.touch()
        except OSError:
            return None
        whole = hashlib.sha256(data[_DIGEST:]).digest() == data[:_DIGEST]
        return data[_DIGEST:] if whole else None

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes, and forget the oldest where there are too many."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / key, overwrite=True) as stream:
                stream.write(hashlib.sha256(data).digest() + data)
            there = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.iterdir())
            surplus = sum(size for _, size, _ in there) - self.limit
            for _, size, path in there:
                if surplus <= 0:
                    break
                path.unlink(missing_ok=True)
                surplus -= size
        except (DanqingError, OSError) as error:
            log.debug("%s is not kept: %s", key, error)
