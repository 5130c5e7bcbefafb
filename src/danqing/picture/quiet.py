"""Pillow's settings of the whole process, put aside while danqing decodes: its pixel limit and its warnings.

Danqing's own limits act instead (`limits.py`), and what Pillow warns of is said in one line or as a note.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

from PIL import Image

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
            _exit.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            Image.MAX_IMAGE_PIXELS = None
            _exit.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _exit.close()
