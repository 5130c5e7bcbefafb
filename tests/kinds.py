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


def phantom(number: int, *, side: int = 96) -> tuple[F32, F32]:
    """A body of tissues in two contrasts, as two scanners would show it: each (side, side) in 0..1.

    The second shows the same bodies with other brightnesses, none of which follows from the first by one straight line.
    """
    rng = np.random.default_rng((271, number))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    tissue = np.zeros((side, side), np.float32)

    def body(centre: tuple[float, float], radii: tuple[float, float], value: float) -> None:
        angle = rng.uniform(0, np.pi)
        u = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        v = -(x - centre[0]) * np.sin(angle) + (y - centre[1]) * np.cos(angle)
        inside = 1 / (1 + np.exp(np.clip((np.hypot(u / radii[0], v / radii[1]) - 1) * side * 0.4, -30, 30)))
        np.copyto(tissue, tissue + (value - tissue) * inside.astype(np.float32))

    wide = rng.uniform(0.36, 0.44, 2)
    body((0, 0), (wide[0], wide[1]), 1.0)
    body((0, 0), (wide[0] - 0.04, wide[1] - 0.04), 0.4)
    for _ in range(rng.integers(4, 8)):
        place, size = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.03, 0.12, 2)
        body((place[0], place[1]), (size[0], size[1]), float(rng.choice([0.15, 0.25, 0.55, 0.7])))
    grain = rng.normal(0, 0.01, (2, side, side)).astype(np.float32)
    levels = np.array([0, 0.15, 0.25, 0.4, 0.55, 0.7, 1.0])
    other = np.interp(tissue, levels, [0, 0.9, 0.7, 0.45, 0.3, 0.6, 0.1]).astype(np.float32)
    return np.clip(tissue * 0.9 + grain[0], 0, 1), np.clip(other * 0.9 + grain[1], 0, 1)


def phantoms(path: Path, numbers: range, *, contrast: int, side: int = 96) -> Path:
    """Phantoms in one of the contrasts, as grey PNGs of 16 bits."""
    path.mkdir(parents=True)
    for number in numbers:
        values = (phantom(number, side=side)[contrast] * 65535).round().astype(np.uint16)
        Image.fromarray(values).save(path / f"体{number:04}.png")
    return path
