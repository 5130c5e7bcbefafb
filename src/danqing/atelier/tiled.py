"""Features of a picture that is looked at tile by tile: the same as at once, without what lies between them.

A picture and an encoder go in, the layers asked for come out, as wide as the picture. For the gradient each tile is
looked at again; so memory holds what one tile needs, and the layers themselves. This module knows no losses: what is
made of the features, over the whole picture, is the same as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

SIDE = 768
"""px of a tile's sides without its surroundings; a multiple of what the deepest layer sums up."""

See = Callable[[Tensor, Sequence[str]], dict[str, Tensor]]
"""An encoder: a picture and layers -> {layer: features}."""


def features(see: See, x: Tensor, layers: Sequence[str], *, reach: int, side: int = SIDE) -> dict[str, Tensor]:
    """Features of a picture (1, 3, H, W) in tiles.

    Args:
        see: the encoder for one tile.
        x: the picture.
        layers: such as `relu3_1`; the digit is the block, which stands for 2^(block - 1) px.
        reach: px around a position that the deepest layer sees.
        side: of the tiles, px; a multiple of 2^(deepest block - 1).
    """
    found: tuple[Tensor, ...] = _Tiled.apply(x, see, tuple(layers), reach, side)  # type: ignore[no-untyped-call]
    return dict(zip(layers, found, strict=True))


class _Tiled(torch.autograd.Function):
    """Looks at a picture in tiles, and again for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, see: See, layers: tuple[str, ...], reach: int, side: int) -> tuple[Tensor, ...]:
        """(1, 3, H, W) -> a layer each, (1, C, h, w)."""
        ctx.save_for_backward(x)
        ctx.look = see, layers, reach, side
        whole: dict[str, Tensor] = {}
        for core, around in _places(x, layers, reach, side):
            for layer, found in see(x[:, :, *around], layers).items():
                scale = _scale(layer)
                if layer not in whole:
                    size = [length // scale for length in x.shape[2:]]
                    whole[layer] = found.new_empty(1, found.shape[1], *size)
                there, here = _cut(core, around, scale, x)
                whole[layer][:, :, *there] = found[:, :, *here]
        return tuple(whole[layer] for layer in layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The picture's gradient."""
        (x,), (see, layers, reach, side) = ctx.saved_tensors, ctx.look
        result = torch.zeros_like(x)
        for core, around in _places(x, layers, reach, side):
            with torch.enable_grad():
                piece = x[:, :, *around].detach().requires_grad_()
                found = see(piece, layers)
            pulls = []
            for layer, gradient in zip(layers, gradients, strict=True):
                there, here = _cut(core, around, _scale(layer), x)
                pull = torch.zeros_like(found[layer])
                pull[:, :, *here] = gradient[:, :, *there]
                pulls.append(pull)
            (part,) = torch.autograd.grad([found[layer] for layer in layers], piece, pulls)
            result[:, :, *around] += part
        return result, None, None, None, None


Place = tuple[slice, slice]


def _places(x: Tensor, layers: Sequence[str], reach: int, side: int) -> Iterator[tuple[Place, Place]]:
    """Rows and columns of each tile, alone and with its surroundings."""
    step = max(_scale(layer) for layer in layers)
    reach = -(-reach // step) * step
    height, width = x.shape[2:]

    def parts(length: int) -> list[tuple[slice, slice]]:
        ends = [*range(side, max(side, length - reach), side), length]
        starts = [0, *ends[:-1]]
        return [
            (slice(a, b), slice(max(0, a - reach), min(length, b + reach))) for a, b in zip(starts, ends, strict=True)
        ]

    for rows, around_rows in parts(height):
        for columns, around_columns in parts(width):
            yield (rows, columns), (around_rows, around_columns)


def _cut(core: Place, around: Place, scale: int, x: Tensor) -> tuple[Place, Place]:
    """Where a tile's own part lies in the whole layer, and in what was seen of it."""
    there, here = [], []
    for part, seen, length in zip(core, around, x.shape[2:], strict=True):
        stop = length // scale if part.stop == length else part.stop // scale
        there.append(slice(part.start // scale, stop))
        here.append(slice(part.start // scale - seen.start // scale, stop - seen.start // scale))
    return (there[0], there[1]), (here[0], here[1])


def _scale(layer: str) -> int:
    return 1 << int(layer[4]) - 1
