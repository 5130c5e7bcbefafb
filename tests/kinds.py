"""Folders of pictures of two kinds with a known change between them: what unpaired data never has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.fake_engine import picture

F32 = NDArray[np.float32]


def folder_of(path: Path, count: int, *, seed: int = 0, size: tuple[int, int] = (100, 90)) -> Path:
    """So many coloured pictures of 8 bits."""
    path.mkdir(parents=True)
    for number in range(count):
        picture(path / f"图{number}.png", size, seed=seed + number)
    return path


TISSUES = {
    "bone": (0.95, 0.1),
    "fluid": (0.15, 0.9),
    "cortex": (0.45, 0.6),
    "marrow": (0.7, 0.35),
    "nucleus": (0.5, 0.5),
    "lesion": (0.55, 0.75),
}
"""Brightness in the first contrast, and in the second; no straight line leads from one to the other."""


def phantom(number: int, *, side: int = 96) -> tuple[F32, F32]:
    """A head in two contrasts, as two scanners would show it: each (side, side) in 0..1.

    Every tissue has its own place and shape, as in anatomy: otherwise no unpaired method could know which is which.
    """
    rng = np.random.default_rng((271, number))
    turn = rng.uniform(-0.3, 0.3)
    grid = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    y, x = np.cos(turn) * grid[0] + np.sin(turn) * grid[1], np.cos(turn) * grid[1] - np.sin(turn) * grid[0]
    both = np.zeros((2, side, side), np.float32)

    def body(tissue: str, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> None:
        u = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        v = -(x - centre[0]) * np.sin(angle) + (y - centre[1]) * np.cos(angle)
        outside = np.clip((np.hypot(u / radii[0], v / radii[1]) - 1) * side * min(radii), -15, 15)
        inside = (1 / (1 + np.exp(3 * outside))).astype(np.float32)
        for one, value in zip(both, TISSUES[tissue], strict=True):
            one += (value - one) * inside

    wide, high = rng.uniform(0.33, 0.38), rng.uniform(0.4, 0.45)
    body("bone", (0, 0), (wide, high))
    body("fluid", (0, 0), (wide - 0.035, high - 0.035))
    body("cortex", (0, 0), (wide - 0.055, high - 0.055))
    deep = rng.uniform(0.11, 0.14)
    body("marrow", (0, 0), (wide - deep, high - deep))
    apart, length, lean = rng.uniform(0.045, 0.07), rng.uniform(0.09, 0.14), rng.uniform(0.1, 0.35)
    for way in (-1, 1):
        body("nucleus", (way * (apart + 0.07), rng.uniform(-0.02, 0.03)), (0.035, rng.uniform(0.05, 0.07)))
        body("fluid", (way * apart, -0.02), (rng.uniform(0.018, 0.03), length), way * lean)
    for _ in range(rng.integers(0, 3)):
        place = rng.uniform(0, 2 * np.pi)
        body("lesion", (0.17 * np.cos(place), 0.22 * np.sin(place)), (rng.uniform(0.02, 0.04), rng.uniform(0.02, 0.04)))
    grain = rng.normal(0, 0.01, both.shape).astype(np.float32)
    one, other = np.clip(both + grain, 0, 1)
    return one, other


def phantoms(path: Path, numbers: range, *, contrast: int, side: int = 96) -> Path:
    """Phantoms in one of the contrasts, as grey PNGs of 16 bits."""
    path.mkdir(parents=True)
    for number in numbers:
        values = (phantom(number, side=side)[contrast] * 65535).round().astype(np.uint16)
        Image.fromarray(values).save(path / f"体{number:04}.png")
    return path
