"""Features of a picture that is looked at tile by tile: the same as at once, without what lies between them.

A picture and an encoder go in; whole layers come out, and means and covariances of layers that nobody needs whole. For
the gradient each tile is looked at again; so memory holds what one tile needs, and the whole layers. This module knows
no losses: what is made of features and statistics is the same as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from danqing.atelier import losses

SIDE = 768
"""px of a tile's sides without its surroundings; a multiple of what the deepest layer sums up."""

See = Callable[[Tensor, Sequence[str]], dict[str, Tensor]]
"""An encoder: a picture and layers -> {layer: features}."""

Found = tuple[dict[str, Tensor], list[dict[str, tuple[Tensor, Tensor]]]]
"""{layer: features}, and for every guide {layer: mean and covariance}."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """What is to be seen of a picture.

    Attributes:
        whole: layers such as `relu4_1`, as wide as the picture; the digit is the block, which stands for 2^(block - 1)
            px.
        summed: layers of which the mean and the covariance will do.
        guides: for these, where to look, (1, 1, H, W) each; None = everywhere alike.
    """

    whole: tuple[str, ...]
    summed: tuple[str, ...] = ()
    guides: tuple[Tensor | None, ...] = (None,)

    @property
    def layers(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.whole, *self.summed)))


def seen(see: See, x: Tensor, wish: Wish) -> Found:
    """What is wished for of a picture (1, 3, H, W), looked at in one piece."""
    features = see(x, wish.layers)
    sums = [{n: losses.mean_and_covariance(features[n], guide) for n in wish.summed} for guide in wish.guides]
    return {layer: features[layer] for layer in wish.whole}, sums


def seen_in_tiles(see: See, x: Tensor, wish: Wish, *, reach: int, side: int) -> Found:
    """The same of a picture that is looked at in tiles.

    Args:
        see: the encoder for one tile.
        x: the picture.
        wish: as for `seen`.
        reach: px around a position that the deepest layer sees.
        side: of the tiles, px; a multiple of 2^(deepest block - 1).
    """
    found: list[Tensor] = list(_Tiled.apply(x, see, wish, reach, side))  # type: ignore[no-untyped-call]
    whole = {layer: found.pop(0) for layer in wish.whole}
    return whole, [{layer: (found.pop(0), found.pop(0)) for layer in wish.summed} for _ in wish.guides]


class _Tiled(torch.autograd.Function):
    """Looks at a picture in tiles, and again for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, see: See, wish: Wish, reach: int, side: int) -> tuple[Tensor, ...]:
        """(1, 3, H, W) -> every whole layer, (1, C, h, w); for every guide each summed layer's (C,) and (C, C)."""
        whole: dict[str, Tensor] = {}
        sums: list[dict[str, losses.Sums]] = [{} for _ in wish.guides]
        shares = [{layer: losses.shares(guide, _like(x, layer)) for layer in wish.summed} for guide in wish.guides]
        for core, around in _places(x, wish.layers, reach, side):
            for layer, features in see(x[:, :, *around], wish.layers).items():
                there, here = _cut(core, around, layer, x)
                own = features[:, :, *here]
                if layer in wish.whole:
                    if layer not in whole:
                        whole[layer] = own.new_empty(1, own.shape[1], *_like(x, layer).shape[2:])
                    whole[layer][:, :, *there] = own
                if layer in wish.summed:
                    for sum_, share in zip(sums, shares, strict=True):
                        sum_.setdefault(layer, losses.Sums(own.shape[1], x.device)).add(own, share[layer][:, :, *there])
        found = [sum_[layer].found() for sum_ in sums for layer in wish.summed]
        ctx.save_for_backward(x, *(mean for mean, _ in found))
        ctx.look = see, wish, reach, side, shares
        return (*(whole[layer] for layer in wish.whole), *(value for pair in found for value in pair))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The picture's gradient."""
        (x, *means), (see, wish, reach, side, shares) = ctx.saved_tensors, ctx.look
        of_sums, result = gradients[len(wish.whole) :], torch.zeros_like(x)
        for core, around in _places(x, wish.layers, reach, side):
            with torch.enable_grad():
                piece = x[:, :, *around].detach().requires_grad_()
                features = see(piece, wish.layers)
            pulls = {layer: torch.zeros_like(found) for layer, found in features.items()}
            for layer, gradient in zip(wish.whole, gradients, strict=False):
                there, here = _cut(core, around, layer, x)
                pulls[layer][:, :, *here] += gradient[:, :, *there]
            asked = [(layer, share[layer]) for share in shares for layer in wish.summed]
            for (layer, share), mean, *of in zip(asked, means, of_sums[::2], of_sums[1::2], strict=True):
                there, here = _cut(core, around, layer, x)
                own = features[layer].detach()[:, :, *here]
                pulls[layer][:, :, *here] += losses.pull(own, share[:, :, *there], mean, *of)
            layers = list(features)
            (part,) = torch.autograd.grad([features[n] for n in layers], piece, [pulls[n] for n in layers])
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


def _cut(core: Place, around: Place, layer: str, x: Tensor) -> tuple[Place, Place]:
    """Where a tile's own part lies in the whole layer, and in what was seen of it."""
    there, here, scale = [], [], _scale(layer)
    for part, look, length in zip(core, around, x.shape[2:], strict=True):
        stop = length // scale if part.stop == length else part.stop // scale
        there.append(slice(part.start // scale, stop))
        here.append(slice(part.start // scale - look.start // scale, stop - look.start // scale))
    return (there[0], there[1]), (here[0], here[1])


def _like(x: Tensor, layer: str) -> Tensor:
    """A layer as wide as the picture's, (1, 1, h, w), which takes no memory."""
    return x.new_zeros(()).expand(1, 1, *(length // _scale(layer) for length in x.shape[2:]))


def _scale(layer: str) -> int:
    return 1 << int(layer[4]) - 1
