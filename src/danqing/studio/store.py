"""Store: the pictures that clients sent, each under an id of ours, for an hour.

Bytes go in, an id comes out; an id goes in, a path comes out, which is always a file of this folder. There is a limit
on all of them together. Nothing is decoded here.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import time
from pathlib import Path
from typing import BinaryIO

from danqing.files import atomic_write
from danqing.recipe import bare_name
from danqing.studio.orders import ID, File
from danqing.studio.refusal import Refused

_PART = 1 << 20


class Store:
    """Pictures by id.

    Args:
        folder: made when the first picture comes.
        quota: bytes of all of them.
        age: seconds that each is kept after it was last asked for.
    """

    def __init__(self, folder: Path, *, quota: int, age: float) -> None:
        self.folder, self.quota, self.age = folder, quota, age
        self._known: dict[str, File] = {}

    def put(self, source: BinaryIO, name: str | None, *, durable: bool = True) -> File:
        """Keep a picture, by default forced to the disk before this returns.

        Raises:
            Refused: there are too many bytes already.
            RunFailed: the disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.used() >= self.quota:
            raise Refused("quota", retry=60)
        key, digest = secrets.token_hex(16), hashlib.sha256()
        target = self.folder / key
        with atomic_write(target) if durable else target.open("xb") as stream:
            while part := source.read(_PART):
                digest.update(part)
                stream.write(part)
        file = self._known[key] = File(id=key, name=bare_name(name or ""), sha256=digest.hexdigest())
        return file

    def find(self, key: str) -> File:
        """What was kept under an id.

        Raises:
            Refused: there is no such picture, or no longer.
        """
        self.path(key)
        if key not in self._known:
            raise Refused("gone")
        return self._known[key]

    def path(self, key: str) -> Path:
        """The file of an id, kept for as long again from now.

        Raises:
            Refused: there is no such picture, or no longer.
        """
        path = self.folder / key
        if not re.fullmatch(ID, key) or path.is_symlink() or not path.is_file():
            raise Refused("gone")
        path.touch()
        return path

    def drop(self, key: str) -> None:
        """Forget a picture."""
        self._known.pop(key, None)
        if re.fullmatch(ID, key):
            (self.folder / key).unlink(missing_ok=True)

    def used(self) -> int:
        """Bytes of everything beside this folder and in it, jobs included."""
        return sum(_size(path) for path in self.folder.parent.rglob("*"))

    def sweep(self) -> None:
        """Forget what nobody has asked for in so long."""
        for path in self.folder.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > self.age:
                    self.drop(path.name)
                    path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
