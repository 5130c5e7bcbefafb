"""How a file becomes durable: the only place that knows, on POSIX and on Windows.

Bytes go in and stand under their name completely or not at all: they are written to a temporary file in the same
folder, forced to the disk, and given their name in one step that cannot lose a race. This module knows paths and
bytes, not what the bytes mean.

Where systems differ there is one function each, and the POSIX one's fallback is named beside it: `_publish_new`
(hard link; without links, exclusive rename), `sync_folder` (nothing to do on Windows), `_lock`/`_unlock` (flock;
msvcrt.locking).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from danqing.errors import BadInput, DanqingError, RunFailed, UsageError
from danqing.messages import text

TEMPORARY_PREFIX = ".danqing-"
TEMPORARY_SUFFIX = ".tmp"

_LEFT_SECONDS = 600.0  # no file takes so long to be written

_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


def shown(path: str | os.PathLike[str]) -> str:
    """A path as it may stand in a message: one line, printable whatever bytes the name is made of."""
    name = os.fspath(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def harmless(name: str) -> str:
    """A name with what some system does not take in a file's name, folders included, put as `_`."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", name)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A binary file to write to; it gets its name only when the block ends well, and then durably.

    If the block raises, whatever it raises, nothing is left behind and an older file is untouched. A link is
    followed. What exists and is no regular file (a pipe, `/dev/null`) is written to directly.

    Args:
        path: the name that the file is to get.
        overwrite: whether a file of that name may be replaced; it then keeps its permissions.

    Raises:
        UsageError: the name is taken and `overwrite` is off, also when another process takes it meanwhile.
        RunFailed: the disk, the folder or the system refuses; the message names the path.
    """
    target = _followed(path)
    try:
        if _is_special(target):
            with target.open("wb", buffering=0) as stream:
                yield stream
            return
        _refuse(target, overwrite=overwrite)
        temporary, descriptor = _open_temporary(target.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            _publish(temporary, target, overwrite=overwrite)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
    except FileExistsError as error:
        raise UsageError(text("files.exists", path=shown(target))) from error
    except OSError as error:
        raise write_failure(target, error) from error


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to write files into; it gets its name only when the block ends well, and then durably with its files.

    If the block raises, whatever it raises, nothing is left behind.

    Args:
        path: the name that the folder is to get; the folder that it stands in must exist.

    Raises:
        UsageError: the name is taken.
        RunFailed: the disk, the folder or the system refuses; the message names the path.
    """
    target = Path(path)
    temporary = target.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    try:
        if target.exists():
            raise UsageError(text("files.exists", path=shown(target)))
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.iterdir():
                with file.open("rb+") as stream:
                    os.fsync(stream.fileno())
            sync_folder(temporary)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(target.parent)
    except OSError as error:
        raise write_failure(target, error) from error


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder, with those that it stands in, where it is not there yet.

    Raises:
        RunFailed: the disk or the system refuses, or it is a file; the message names the path.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(path, error) from error


def check_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Find out before long work whether `atomic_write` to this path can succeed; leaves nothing behind.

    Raises:
        UsageError: the name is taken and `overwrite` is off.
        RunFailed: the folder is missing, read-only or full.
    """
    target = _followed(path)
    try:
        if _is_special(target):
            return
        _refuse(target, overwrite=overwrite)
        temporary, descriptor = _open_temporary(target.parent)
        os.close(descriptor)
        temporary.unlink()
    except OSError as error:
        raise write_failure(target, error) from error


def write_failure(path: str | os.PathLike[str], error: OSError) -> DanqingError:
    """The one line for a file that could not be written: names the path and what to do."""
    name = shown(path)
    key = {
        errno.ENOSPC: "files.disk_full",
        errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC: "files.disk_full",
        errno.EFBIG: "files.too_large",
        errno.EROFS: "files.read_only",
        errno.EACCES: "files.read_only",
        errno.EPERM: "files.read_only",
        errno.EISDIR: "files.is_folder",
    }.get(error.errno or 0)
    if key:
        return RunFailed(text(key, path=name))
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return RunFailed(text("files.no_folder", path=name, folder=shown(Path(path).parent)))
    return RunFailed(text("files.cannot_write", path=name, reason=error.strerror or type(error).__name__))


def sweep(folder: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while writing have left in a folder, once it is old enough to be sure."""
    for left in Path(folder).glob(f"{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


def sha256(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file's bytes, 64 hexadecimal digits.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(text("files.cannot_read", path=shown(path), reason=reason)) from error


@contextlib.contextmanager
def lock(path: str | os.PathLike[str], *, timeout: float | None = None) -> Iterator[None]:
    """Hold the lock of a path against every other process (and thread) that asks for the same.

    The lock is the file `<path>.lock`, which stays: the system lets go of the lock itself when its holder ends,
    however it ends, so no lock is ever stale.

    Args:
        path: what is locked; need not exist, its folder must.
        timeout: seconds to wait; None waits as long as it takes.

    Raises:
        RunFailed: not to be had in time, or the lock file cannot be written.
    """
    file = Path(f"{os.fspath(path)}.lock")
    try:
        stream = file.open("ab")
    except OSError as error:
        raise write_failure(file, error) from error
    with stream:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not _lock(stream):
            if deadline is not None and time.monotonic() >= deadline:
                raise RunFailed(text("files.locked", path=shown(path)))
            time.sleep(0.05)
        try:
            yield
        finally:
            _unlock(stream)


def _refuse(target: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not overwrite and target.exists():
        raise UsageError(text("files.exists", path=shown(target)))


def _followed(path: str | os.PathLike[str]) -> Path:
    """Where links lead; `/dev/stdout` and its like stay as they are, for a pipe has no path that they could lead to."""
    given = Path(path)
    return given if _is_special(given) else Path(os.path.realpath(given))


def _is_special(target: Path) -> bool:
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _open_temporary(folder: Path) -> tuple[Path, int]:
    """A new file in the folder. Its name does not depend on the target's, which may be as long as names can be."""
    temporary = folder / f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    # 0o666 less the user's umask, as for any file that a program writes; mkstemp would make it private.
    return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)


def _publish(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if not overwrite:
        _publish_new(temporary, target)
        return
    with contextlib.suppress(FileNotFoundError):
        shutil.copymode(target, temporary)
    temporary.replace(target)


def _publish_new(temporary: Path, target: Path) -> None:
    """Give the file its name, unless another has it: then FileExistsError, whoever was first."""
    if sys.platform == "win32":
        temporary.rename(target)  # on Windows, a rename never replaces
        return
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _publish_without_links(temporary, target)
    else:
        temporary.unlink()


def _publish_without_links(temporary: Path, target: Path) -> None:
    """For file systems without hard links (exFAT, some network shares): claim the name, then rename over the claim."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666))
    try:
        temporary.replace(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable. Windows cannot open folders, and keeps names durable in its journal."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # a file system that cannot
            raise
    finally:
        os.close(descriptor)


def _lock(stream: IO[bytes]) -> bool:
    """Take the lock of an open file if it is free."""
    try:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


def _unlock(stream: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_UN)
