"""A peer for fast.py: OpenCV's dnn module runs a network as its sample `fast_neural_style` does.

opencv_dnn.py MODEL REPEATS WxH... ; prints {size: median seconds} as JSON. Runs in an environment of its own.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import cv2
import numpy as np

MEAN = (103.939, 116.779, 123.68)


def main() -> None:
    """See the top."""
    model, repeats, sizes = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    net = cv2.dnn.readNet(model)
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    found = {}
    for size in sizes:
        width, height = map(int, size.split("x"))
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        seconds = []
        for _ in range(repeats + 1):
            began = time.monotonic()
            net.setInput(cv2.dnn.blobFromImage(picture, 1.0, (width, height), MEAN, swapRB=False, crop=False))
            out = net.forward()[0] + np.array(MEAN)[:, None, None]
            np.clip(out, 0, 255).transpose(1, 2, 0).astype(np.uint8)
            seconds.append(time.monotonic() - began)
        found[size] = statistics.median(seconds[1:])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
