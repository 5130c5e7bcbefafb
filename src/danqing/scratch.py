"""Scratch: arrays that lie on the disk instead of in memory, as long as they are needed.

A shape goes in, an array comes out. The room is taken when the array is made, so that a full disk is one line then and
not a crash later; the files have no names, so that nothing is left behind however the process ends (on Windows they
are deleted when they are closed). This module knows no pictures.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from danqing.errors import RunFailed
from danqing.files import shown, write_failure
from danqing.messages import text

_ROOMY = "/var/tmp"  # noqa: S108 - where POSIX systems have room for large files; files there get no names
_CHUNK = 16 << 20

LARGE = 512 << 20
"""Bytes from which on an array of pixels lies on the disk."""


def pixels(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Room for pixels, not filled: in memory, or on the disk if it is large.

    Raises:
        RunFailed: as `array`.
    """
    if 4 * int(np.prod(shape, dtype=np.int64)) < LARGE:
        return np.empty(shape, dtype=np.float32)
    return array(shape, np.float32)


def folder() -> Path:
    """Where scratch files lie: `TMPDIR` if it is set, else where the system has room for large files."""
    if "TMPDIR" not in os.environ and os.access(_ROOMY, os.W_OK):
        return Path(_ROOMY)
    return Path(tempfile.gettempdir())


def array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of zeros on the disk; its room is given back when it is no longer held.

    Raises:
        RunFailed: there is no room for it, or the folder cannot be written to.
    """
    kind = np.dtype(dtype)
    size = max(1, int(np.prod(shape, dtype=np.int64))) * kind.itemsize
    place = folder()
    try:
        with tempfile.TemporaryFile(dir=place, prefix=".danqing-") as stream:
            _reserve(stream.fileno(), size)
            return np.asarray(np.memmap(stream, dtype=kind, mode="r+", shape=shape))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG):
            megabytes = f"{size / 1e6:.0f}"
            raise RunFailed(text("files.scratch_full", folder=shown(place), megabytes=megabytes)) from error
        raise write_failure(place, error) from error


def free() -> int:
    """Bytes that are free where scratch files lie."""
    return shutil.disk_usage(folder()).free


def _reserve(descriptor: int, size: int) -> None:
    """Take the room, so that writing through the map cannot fail. Where the system has no call for it: by writing."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that cannot
                raise
        else:
            return
    for start in range(0, size, _CHUNK):
        os.write(descriptor, bytes(min(_CHUNK, size - start)))
