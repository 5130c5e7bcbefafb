"""What time does to photographs: prints fade, yellow, lose their sharpness, grow grain, scratches and spots.

A picture, float32 (H, W, 3) in 0..1, and a source of randomness go in; the same picture decades later comes out. It is
made to learn the way back on. The order is that of a print's life: the lens and the paper first, then the light, then
hands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

F32 = NDArray[np.float32]

SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], dtype=np.float32)
"""The colours of an aged print: rows are red, green and blue of what is seen, columns of what was."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def aged(pixels: F32, rng: np.random.Generator) -> F32:
    """A photograph after decades, (H, W, C) in 0..1 with C = 1 or 3."""
    old = blurred(pixels, float(rng.uniform(0.3, 1.0)))
    old = faded(old, rng)
    grain: F32 = rng.normal(0, rng.uniform(0.01, 0.04), (*old.shape[:2], 1)).astype(np.float32)
    return np.clip(scratched(old + grain, rng), 0, 1).astype(np.float32)


def sepia(pixels: F32, *, share: float = 1.0, contrast: float = 1.0) -> F32:
    """A picture (H, W, 3) in the colours of an aged print, by so much, its contrast around the middle changed."""
    toned = pixels + np.float32(share) * (np.minimum(pixels @ SEPIA.T, 1) - pixels)
    changed: F32 = np.clip(0.5 + contrast * (toned - 0.5), 0, 1).astype(np.float32)
    return changed


def blurred(pixels: F32, radius: float) -> F32:
    """Out of focus by a Gaussian of `radius` px."""
    return np.stack([_soft(one, radius) for one in np.moveaxis(pixels, 2, 0)], 2)


def _soft(grey: F32, radius: float) -> F32:
    reach = max(1, round(3 * radius))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    padded = np.pad(grey, reach, mode="edge")
    across = np.zeros((padded.shape[0], grey.shape[1]), np.float32)
    soft = np.zeros_like(grey)
    for place, weight in enumerate(weights):
        across += weight * padded[:, place : place + grey.shape[1]]
    for place, weight in enumerate(weights):
        soft += weight * across[place : place + grey.shape[0]]
    return soft


def faded(pixels: F32, rng: np.random.Generator) -> F32:
    """Less colour and contrast, dark parts lifted, yellowed."""
    if pixels.shape[2] == 3:
        grey = (pixels @ LUMINANCE)[..., None]
        pixels = pixels + np.float32(rng.uniform(0.2, 0.6)) * (grey - pixels)
        pixels = sepia(pixels, share=float(rng.uniform(0.1, 0.5)))
    low, high = rng.uniform(0.05, 0.2), rng.uniform(0.75, 0.95)
    return (low + (high - low) * pixels).astype(np.float32)


def scratched(pixels: F32, rng: np.random.Generator) -> F32:
    """Scratches and spots, bright or dark."""
    height, width = pixels.shape[:2]
    long = max(height, width)
    marks = Image.new("L", (2 * width, 2 * height))
    draw = ImageDraw.Draw(marks)
    for _ in range(int(rng.integers(1, 5))):
        place, angle = rng.uniform(0, 2, 2) * (width, height), rng.uniform(0, 2 * np.pi)
        points = [tuple(place)]
        for _ in range(12):
            angle += rng.normal(0, 0.12)
            place = place + 2 * long * rng.uniform(0.02, 0.06) * np.array([np.cos(angle), np.sin(angle)])
            points.append(tuple(place))
        draw.line(points, fill=int(rng.integers(120, 256)), width=int(rng.integers(1, 4)))
    for _ in range(int(rng.integers(2, 10))):
        x, y, size = *(rng.uniform(0, 2, 2) * (width, height)), rng.uniform(0.5, 3)
        draw.ellipse((x - size, y - size, x + size, y + size), fill=int(rng.integers(120, 256)))
    soft = marks.resize((width, height), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.4))
    share = np.asarray(soft, dtype=np.float32)[..., None] / np.float32(255)
    return pixels + share * (np.float32(0.95 if rng.random() < 0.8 else 0.05) - pixels)
