"""A peer for parity.py: OpenCV 4 paints with a Torch7 file as its sample `fast_neural_style` did.

opencv_t7.py MODEL.t7 PICTURE.npy OUT.npy ; pictures are float32 (H, W, 3), RGB in 0..1. Runs in an environment of its
own, with opencv-python-headless < 5 and numpy.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

MEAN = np.array((103.939, 116.779, 123.68), np.float32)


def main() -> None:
    """See the top."""
    model, picture, out = sys.argv[1:]
    pixels = np.load(picture)[..., ::-1] * 255 - MEAN
    net = cv2.dnn.readNetFromTorch(model)
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
    painting = net.forward()[0].transpose(1, 2, 0) + MEAN
    np.save(out, (painting[..., ::-1] / 255).clip(0, 1))


if __name__ == "__main__":
    main()
