"""The other side of `heif.py`: run as a script, it decodes one HEIF file from stdin to stdout and ends.

It imports pillow-heif and nothing of danqing. Its answer: a header's length (uint32, little-endian), the header as
JSON, the profile, the EXIF block, and rows of pixels without gaps. Whatever goes wrong, it says nothing and exits
with 1: the parent knows what to tell the user.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import sys
from typing import Any


def main() -> int:
    """Decode stdin as the JSON of the first argument says: max_pixels, max_edge, seconds, memory."""
    order = json.loads(sys.argv[1])
    restrict(seconds=int(order["seconds"]) + 1, memory=int(order["memory"]))
    import pillow_heif  # only now, under the restrictions

    try:
        picture = pillow_heif.open_heif(io.BytesIO(sys.stdin.buffer.read()), convert_hdr_to_8bit=False)
        width, height = picture.size
        if width * height > order["max_pixels"] or max(width, height) > order["max_edge"]:
            answer({"size": [width, height], "too_large": True})
            return 0
        send(picture)
    except Exception:  # the parent makes one line of any failure
        return 1
    return 0


def send(picture: Any) -> None:
    """Write the pixels of an opened picture."""
    width, height = picture.size
    channels = len(picture.mode.split(";")[0])
    bits = 16 if ";" in picture.mode else 8
    row, stride, data = width * channels * bits // 8, picture.stride, memoryview(picture.data)
    icc, exif = picture.info.get("icc_profile") or b"", picture.info.get("exif") or b""
    answer({"size": [width, height], "channels": channels, "bits": bits, "icc": len(icc), "exif": len(exif)})
    out = sys.stdout.buffer
    out.write(icc)
    out.write(exif)
    for y in range(height):
        out.write(data[y * stride : y * stride + row])
    out.flush()


def answer(header: dict[str, Any]) -> None:
    """Write the header."""
    encoded = json.dumps(header).encode()
    sys.stdout.buffer.write(struct.pack("<I", len(encoded)) + encoded)


def restrict(*, seconds: int, memory: int) -> None:
    """Caps on time, memory and core files, where the system has them; the parent's timeout holds everywhere."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for what, limit in ((resource.RLIMIT_CPU, seconds * 8), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already, or the system has none
            resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
