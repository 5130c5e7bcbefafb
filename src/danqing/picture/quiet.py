"""Pillow's settings of the whole process, put aside while danqing decodes.

Its pixel limit, its warnings and log, and what libtiff writes to the error stream past Python. Danqing's own limits
act instead (`limits.py`), and what there is to say about a picture is one line or a note.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import threading
import warnings
from collections.abc import Iterator

from PIL import Image

DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's decoders have been seen to raise on damaged files; each becomes one line."""

_lock = threading.Lock()
_depth = 0
_exit = contextlib.ExitStack()


@contextlib.contextmanager
def pillow_kept_quiet() -> Iterator[None]:
    """Inside the block Pillow neither warns nor refuses sizes.

    The settings are changed by the first thread that comes and put back by the last that leaves.
    """
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _change()
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _exit.close()


def _change() -> None:
    _exit.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    Image.MAX_IMAGE_PIXELS = None
    _exit.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    logger, silence = logging.getLogger("PIL"), logging.NullHandler()
    logger.addHandler(silence)
    _exit.callback(logger.removeHandler, silence)


_tiff_lock = threading.Lock()


@contextlib.contextmanager
def libtiff_kept_quiet(kind: str) -> Iterator[None]:
    """Inside the block, for a TIFF, nothing reaches the error stream, where libtiff would print.

    One TIFF at a time; what other threads say on the error stream meanwhile is lost.
    """
    if kind != "TIFF":
        yield
        return
    with _tiff_lock:
        try:
            before = os.dup(2)
        except OSError:  # there is no error stream to be kept clean
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
