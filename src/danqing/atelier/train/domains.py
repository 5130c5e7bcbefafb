"""Pictures of two kinds as they are trained on: squares cut out of them, at the depth that they have.

Collections go in, float32 tensors (N, C, side, side) in -1..1 come out, drawn as a pure function of (seed, place). This
module knows no network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danqing.atelier.train.data import CACHED
from danqing.collection import Collection
from danqing.errors import BadInput
from danqing.files import shown
from danqing.image import mask
from danqing.image.fit import resize
from danqing.limits import kept_pictures
from danqing.messages import text
from danqing.picture import Picture

MARGIN = 286 / 256
"""So much longer than the square that is cut out is a picture's shorter side: 286 px for 256, as in the paper."""

F32 = NDArray[np.float32]
Whole = NDArray[np.uint8] | NDArray[np.uint16]


class Domain:
    """Pictures of one kind, seen at the size at which squares of a side are cut out of them.

    Args:
        found: the files.
        channels: 1 or 3; grey pictures are repeated, coloured ones never made grey.
        side: px of the squares.
    """

    def __init__(self, found: Collection, *, channels: int, side: int) -> None:
        self.files, self.depth, self.channels, self.side = found.files, found.depth, channels, side
        taken = int((side * MARGIN) ** 2 * channels * self.depth / 8)  # of a square one
        self._read = lru_cache(kept_pictures(taken, most=CACHED))(self._read_now)

    def __len__(self) -> int:
        return len(self.files)

    def picture(self, number: int) -> F32:
        """A picture (H, W, C) in 0..1, its shorter side `MARGIN` times the square's."""
        return np.asarray(self._read(number) / np.float32(2**self.depth - 1), dtype=np.float32)

    def _read_now(self, number: int) -> Whole:
        pixels = loaded(self.files[number], self.channels)
        height, width = pixels.shape[:2]
        scale = self.side * MARGIN / min(height, width)
        pixels = resize(pixels, (max(self.side, round(width * scale)), max(self.side, round(height * scale))))
        found: Whole = (np.clip(pixels, 0, 1) * (2**self.depth - 1)).round().astype(f"uint{self.depth}")
        return found

    def square(self, number: int) -> F32:
        """The middle of a picture, (side, side, C) in 0..1."""
        return middle(self.picture(number), self.side)


def loaded(path: Path, channels: int) -> F32:
    """A picture's pixels (H, W, channels) in 0..1, transparent parts on a neutral ground."""
    return mask.flatten(Picture.load(path))[..., :channels]


def middle(pixels: F32, side: int) -> F32:
    """The middle of a picture, (side, side, C)."""
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def cut(pictures: Sequence[F32], side: int, rng: np.random.Generator) -> list[F32]:
    """The same square, at random, out of pictures of one size, mirrored half of the time.

    Raises:
        BadInput: they are of different sizes.
    """
    height, width = pictures[0].shape[:2]
    top, left = (int(rng.integers(length - side + 1)) for length in (height, width))
    mirrored = rng.random() < 0.5
    squares = [one[top : top + side, left : left + side] for one in pictures]
    return [one[:, ::-1] if mirrored else one for one in squares]


class Pairs:
    """Pictures that belong together, two by two.

    Args:
        one, other: in the same order.
    """

    def __init__(self, one: Domain, other: Domain) -> None:
        self.one, self.other, self.side, self.channels = one, other, one.side, one.channels

    def __len__(self) -> int:
        return len(self.one)

    def pair(self, number: int, rng: np.random.Generator) -> list[F32]:
        """Both pictures of a number.

        Raises:
            BadInput: they are of different shapes.
        """
        del rng
        found = [self.one.picture(number), self.other.picture(number)]
        if found[0].shape != found[1].shape:
            names = ", ".join(shown(domain.files[number].name) for domain in (self.one, self.other))
            raise BadInput(text("train.pair_sizes", names=names))
        return found


class Spoilt:
    """Pictures, and what becomes of them.

    Args:
        whole: the pictures as they should be.
        spoil: what happens to one, (H, W, C) in 0..1 -> the same.
    """

    def __init__(self, whole: Domain, spoil: Callable[[F32, np.random.Generator], F32]) -> None:
        self.whole, self.spoil, self.side, self.channels = whole, spoil, whole.side, whole.channels

    def __len__(self) -> int:
        return len(self.whole)

    def pair(self, number: int, rng: np.random.Generator) -> list[F32]:
        """A picture of a number, spoilt, and as it should be."""
        picture = self.whole.picture(number)
        return [self.spoil(picture, rng), picture]


def as_tensor(squares: Sequence[F32]) -> Tensor:
    """Squares (side, side, C) in 0..1 as (N, C, side, side) in -1..1, channels last in memory."""
    return torch.from_numpy(2 * np.stack(squares) - 1).permute(0, 3, 1, 2)
