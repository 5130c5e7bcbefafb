"""Pictures that we draw ourselves, to learn on where no photographs are given.

A number goes in, a picture comes out: a landscape, a street or a still life of simple bodies, lit from one side, with
grain at every scale. They have skies and edges, near and far, round and flat, dark and light, as photographs have; a
network that learnt on them alone paints plainer than one that has seen the world.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COUNT = 64
"""How many there are."""

HEIGHT, WIDTH = 384, 512

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


class Rendered:
    """The pictures that we draw, as `data.Pictures`."""

    def picture(self, number: int) -> U8:
        """A picture, uint8 (HEIGHT, WIDTH, 3)."""
        return drawn(number)

    def __len__(self) -> int:
        return COUNT


@lru_cache(COUNT)
def drawn(number: int) -> U8:
    """The picture of a number."""
    rng = np.random.default_rng((1729, number))
    scene = (landscape, street, still_life)[number % 3](rng)
    grain = noise(rng, octaves=5, persistence=0.9)[..., None]
    lit = scene * (0.85 + 0.3 * grain) + rng.normal(0, 0.01, scene.shape)
    return (np.clip(lit, 0, 1) ** rng.uniform(0.8, 1.3) * 255).round().astype(np.uint8)


def noise(rng: np.random.Generator, *, octaves: int, persistence: float = 0.5, coarsest: int = 3) -> F32:
    """Clouds of several scales, (HEIGHT, WIDTH) in 0..1."""
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for octave in range(octaves):
        cells = coarsest * 2**octave
        grid = Image.fromarray(rng.random((cells * 3 // 4 + 2, cells + 2), dtype=np.float32))
        total += persistence**octave * np.asarray(grid.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    low, high = float(total.min()), float(total.max())
    return ((total - low) / (high - low)).astype(np.float32)


def colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.9) -> F32:
    """A colour (3,)."""
    return rng.uniform(low, high, 3).astype(np.float32)


def mixed(share: F32, one: F32, other: F32) -> F32:
    """From one colour (3,) to another by a share (H, W): (H, W, 3)."""
    return ((1 - share)[..., None] * one + share[..., None] * other).astype(np.float32)


def places() -> tuple[F32, F32]:
    """Coordinates of every pixel: x and y in 0..1, (HEIGHT, WIDTH) each."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return x / WIDTH, y / HEIGHT


def landscape(rng: np.random.Generator) -> F32:
    """A sky with clouds, ranges of hills that fade with the distance, sometimes water in front."""
    _, y = places()
    picture = mixed(np.clip(1.6 * y, 0, 1), colour(rng), colour(rng, 0.5, 1.0))
    clouds = np.clip(noise(rng, octaves=5) * 2 - 0.9, 0, 1)
    picture = picture + clouds[..., None] * rng.uniform(0.3, 0.8) * (1 - picture)
    haze = picture.mean((0, 1))
    ground = colour(rng, 0.05, 0.5)
    ranges = rng.integers(3, 6)
    for place in range(ranges):
        near = (place + 1) / ranges
        ridge = 0.35 + 0.4 * near + (0.22 - 0.1 * near) * (noise(rng, octaves=6, persistence=0.55)[HEIGHT // 2] - 0.5)
        below = (y > ridge[None]).astype(np.float32)[..., None]
        relief = noise(rng, octaves=6, persistence=0.75, coarsest=6)
        slope = mixed(relief, haze + (ground - haze) * near * 0.6, haze + (ground * 1.8 - haze) * near)
        picture = picture * (1 - below) + slope * below
    if rng.random() < 0.5:
        shore = rng.uniform(0.72, 0.85)
        mirror = picture[::-1] * 0.8 + 0.1 * colour(rng)
        ripples = noise(rng, octaves=6, persistence=0.8, coarsest=8)[..., None]
        water = (y > shore).astype(np.float32)[..., None]
        picture = picture * (1 - water) + (mirror * (0.8 + 0.4 * ripples)) * water
    result: F32 = picture.astype(np.float32)
    return result


def street(rng: np.random.Generator) -> F32:
    """Houses with windows before a sky, a street in front."""
    x, y = places()
    picture = mixed(np.clip(1.5 * y, 0, 1), colour(rng, 0.3, 0.8), colour(rng, 0.6, 1.0))
    left = 0.0
    ground = rng.uniform(0.75, 0.88)
    while left < 1:
        width, top = rng.uniform(0.1, 0.28), rng.uniform(0.12, 0.55)
        wall = colour(rng, 0.2, 0.9)
        house = (x >= left) & (x < left + width) & (y > top)
        shade = mixed(np.clip((x - left) / width, 0, 1), wall, wall * rng.uniform(0.5, 0.9))
        across, down = rng.integers(3, 7), rng.integers(4, 9)
        u, v = (x - left) / width * across % 1, (y - top) / (ground - top) * down % 1
        window = house & (u > 0.3) & (u < 0.75) & (v > 0.25) & (v < 0.75)
        picture = np.where(house[..., None], shade, picture)
        picture = np.where(window[..., None], colour(rng, 0.0, 0.7) * (0.7 + 0.5 * v[..., None]), picture)
        left += width
    road = mixed(noise(rng, octaves=6, persistence=0.8), colour(rng, 0.1, 0.4), colour(rng, 0.3, 0.6))
    return np.where((y > ground)[..., None], road, picture).astype(np.float32)


def still_life(rng: np.random.Generator) -> F32:
    """Balls and boxes on a table before a wall, lit from one side."""
    x, y = places()
    wall = mixed(noise(rng, octaves=4), colour(rng), colour(rng))
    table = mixed(noise(rng, octaves=7, persistence=0.8, coarsest=4), colour(rng, 0.1, 0.6), colour(rng, 0.3, 0.9))
    edge = rng.uniform(0.5, 0.65)
    picture = np.where((y > edge)[..., None], table, wall)
    angle = rng.uniform(0, 2 * np.pi)
    light = np.array([0.7 * np.cos(angle), -0.6, 0.6])
    light = light / np.linalg.norm(light)
    for _ in range(rng.integers(3, 8)):
        centre, radius = (rng.uniform(0.1, 0.9), rng.uniform(edge - 0.05, 0.85)), rng.uniform(0.06, 0.2)
        dx, dy = (x - centre[0]) / radius, (y - centre[1]) / radius * HEIGHT / WIDTH
        shadow = np.exp(-((dx + light[0]) ** 2 + (3 * (dy - 0.9)) ** 2))
        picture = picture * (1 - 0.6 * shadow[..., None])
        body = colour(rng, 0.15, 0.95)
        if rng.random() < 0.6:
            height = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))
            facing = np.clip(dx * light[0] + dy * light[1] + height * light[2], 0, 1)
            lit = body * (0.25 + 0.85 * facing[..., None]) + (facing[..., None] ** 24) * 0.6
            inside = dx**2 + dy**2 < 1
        else:
            inside = (abs(dx) < 0.8) & (abs(dy) < 0.9)
            lit = body * np.where(dx < 0.35, 1.0, 0.55)[..., None] * (0.8 + 0.3 * noise(rng, octaves=5)[..., None])
        picture = np.where(inside[..., None], lit, picture)
    return picture.astype(np.float32)
