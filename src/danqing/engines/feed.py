"""How a network is fed, and what it gives back, as its card says.

Pixels (H, W, 3) in 0..1 go in and become the array that the graph takes; its output becomes such pixels again: range,
mean, order of colours and of axes. Sizes are brought to what the network takes, and back. This module runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from danqing.card import Card
from danqing.image.fit import resize

F32 = NDArray[np.float32]

PLAIN = (0.0, 1.0)


def run(card: Card, pixels: F32, network: Callable[[F32], F32]) -> F32:
    """Pixels (H, W, 3) in 0..1 painted by a network, at the same size.

    Args:
        card: how the network is fed.
        pixels: of any size.
        network: from the array that the graph takes to the one that it gives.
    """
    height, width = pixels.shape[:2]
    if card.fixed_size is not None:
        seen = sized(pixels, card.fixed_size)
    else:
        least = -(-card.min_size // card.multiple_of) * card.multiple_of
        more = [(0, max(least, -(-side // card.multiple_of) * card.multiple_of) - side) for side in (height, width)]
        seen = np.pad(pixels, (*more, (0, 0)), mode="edge") if any(after for _, after in more) else pixels
    painting = sized(painted(card, network(fed(card, seen))), (seen.shape[1], seen.shape[0]))
    if card.fixed_size is not None:
        return sized(painting, (width, height))
    return np.ascontiguousarray(painting[:height, :width])


def fed(card: Card, pixels: F32) -> F32:
    """Pixels (H, W, 3) in 0..1 as the graph takes them: (1, 3, H, W), or (1, H, W, 3)."""
    low, high = card.value_range
    values = pixels if card.channels == "RGB" else pixels[..., ::-1]
    if card.value_range != PLAIN or any(card.mean) or card.std != (1, 1, 1):
        scale = np.array([(high - low) / spread for spread in card.std], dtype=np.float32)
        shift = np.array([(low - m) / spread for m, spread in zip(card.mean, card.std, strict=True)], dtype=np.float32)
        values = np.asarray(values * scale + shift, dtype=np.float32)
    return values[None] if card.layout == "NHWC" else values.transpose(2, 0, 1)[None]


def painted(card: Card, values: F32) -> F32:
    """What the graph gives, (1, 3, h, w) or (1, h, w, 3), as pixels (h, w, 3) in 0..1."""
    found = unclipped(card, values)
    pixels = np.empty(found.shape, dtype=np.float32)
    for colour in range(found.shape[-1]):  # where colours lie apart, this is twice as quick as all at once
        np.clip(found[..., colour], 0, 1, out=pixels[..., colour])
    return pixels


def unclipped(card: Card, values: F32) -> F32:
    """As `painted`, with what lies outside 0..1."""
    low, high = card.output_range
    pixels = np.asarray(values[0] if card.layout == "NHWC" else values[0].transpose(1, 2, 0), dtype=np.float32)
    if card.output_range != PLAIN or any(card.output_mean):
        shift = np.array([mean - low for mean in card.output_mean], dtype=np.float32)
        pixels = np.asarray((pixels + shift) / np.float32(high - low), dtype=np.float32)
    return pixels if card.channels == "RGB" else pixels[..., ::-1]


def sized(pixels: F32, size: tuple[int, int]) -> F32:
    """Pixels at (width, height); the same where they have that size."""
    return pixels if (pixels.shape[1], pixels.shape[0]) == size else np.clip(resize(pixels, size), 0, 1)
