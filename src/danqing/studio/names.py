"""Names of files: what a painting is called where it is downloaded.

A client's own names go in; out come names that are nothing but names, whatever they were.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from danqing.files import harmless, shown
from danqing.picture import formats
from danqing.studio.orders import Order


def file_name(order: Order) -> str:
    """`<stem>.<styles>.<ext>`, as the command line calls it."""
    names = (layer.style or stem(layer.file.name if layer.file else "") for layer in order.layers)
    known = formats.by_name(order.format)
    suffix = known.suffixes[0] if known else f".{order.format}"
    return f"{(stem(order.photo.name) or 'painting')[:80]}.{'+'.join(names)[:60]}{suffix}"


def stem(name: str) -> str:
    """A file's name without its ending."""
    return re.sub(r"\.[^.]{0,5}$", "", name).rstrip(". ")


def disposition(name: str) -> str:
    """A Content-Disposition that names a file and cannot be anything else (RFC 6266)."""
    safe = harmless(shown(name)).strip(". ") or "painting"
    plain = unicodedata.normalize("NFKD", safe).encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"
