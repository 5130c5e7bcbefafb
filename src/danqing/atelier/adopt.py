"""Adopt: named arrays become a network, or a list of everything that keeps them from it.

A card and the arrays of its file go in, a frozen encoder in eval mode comes out. Names are torchvision's
(`features.10.weight`) or the literature's (`conv3_1.weight`); widths are the arrays' own; the card's preprocessing
becomes the colour transform in front. Where a file ends early, so does the encoder. This module opens no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from danqing.atelier.encoders import VGG, Pooling
from danqing.card import Card
from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights import layouts
from danqing.weights.source import listed, told

Arrays = Mapping[str, NDArray[Any]]


def encoder(card: Card, arrays: Arrays, *, pooling: Pooling = "max") -> VGG:
    """An encoder from its card and its arrays.

    Args:
        card: whose preprocessing and padding it gets; the layers that it promises must be there.
        arrays: weights (out, in, 3, 3) and biases (out,) by name, of any float type; they are copied.
        pooling: what stands between the blocks.

    Returns:
        float32, in eval mode, no gradients to its weights.

    Raises:
        ModelDamaged: names or shapes do not fit; every problem is listed.
    """
    layout = layouts.recognise(arrays.keys(), like=_like(card))
    problems = _names(card, layout) + _shapes(arrays, layout)
    if problems:
        raise ModelDamaged(text("weights.misfit", name=card.name, problems=listed(problems)))
    matrix, bias = card.transform()
    net = VGG(
        {layer: arrays[layout.names[f"{layer}.weight"]].shape[0] for layer in layout.layers},
        depths=layout.depths,
        last=layout.layers[-1],
        matrix=matrix,
        bias=bias,
        padding=card.padding,
        pooling=pooling,
    )
    net.load_state_dict(
        {ours: torch.from_numpy(arrays[theirs].astype(np.float32)) for ours, theirs in layout.names.items()}
    )
    return net.eval().requires_grad_(False)


def _like(card: Card) -> str:
    """Which VGG the card's layers are of, where the file itself ends before the two differ."""
    return "vgg19" if any(layer.endswith("_4") for layer in card.layers) or card.name != "vgg16" else "vgg16"


def _names(card: Card, layout: layouts.Layout) -> list[str]:
    """What is missing and what is too much."""
    problems = [text("weights.extra", tensor=told(name)) for name in layout.unknown]
    if not layout.layers:
        return [*problems, text("weights.no_layers")]
    present = _present(layout)
    wanted = [f"{layer}.{part}" for layer in present for part in ("weight", "bias")]
    problems += [text("weights.lacking", tensor=name) for name in wanted if name not in layout.names]
    promised = dict.fromkeys(f"conv{name[4:]}" for name in card.layers)
    return problems + [text("weights.lacking", tensor=told(layer)) for layer in promised if layer not in present]


def _present(layout: layouts.Layout) -> list[str]:
    """The layers from the first one to the deepest that the file has, also those in between that it lacks."""
    order = layouts.order(layout.depths)
    return order[: 1 + max((order.index(layer) for layer in layout.layers), default=-1)]


def _shapes(arrays: Arrays, layout: layouts.Layout) -> list[str]:
    """Whose shape or values are not what their place asks for."""
    problems = []
    channels: int | None = 3
    for layer in _present(layout):
        weight = arrays.get(layout.names.get(f"{layer}.weight", ""))
        bias = arrays.get(layout.names.get(f"{layer}.bias", ""))
        width = weight.shape[0] if weight is not None and weight.ndim == 4 else None
        if weight is not None:
            problems += _problem(f"{layer}.weight", weight, (width, channels, 3, 3))
        if bias is not None:
            problems += _problem(f"{layer}.bias", bias, (width,))
        channels = width
    return problems


def _problem(name: str, array: NDArray[Any], wanted: tuple[int | None, ...]) -> list[str]:
    """The one problem of an array, if it has one; None in `wanted` is any number."""
    fits = array.ndim == len(wanted) and all(w in (None, s) for s, w in zip(array.shape, wanted, strict=True))
    if not fits:
        asked = " x ".join("N" if side is None else str(side) for side in wanted)
        return [text("weights.shape", tensor=name, shape=" x ".join(map(str, array.shape)) or "1", wanted=asked)]
    if array.dtype.kind != "f" or array.size == 0:
        return [text("weights.no_numbers", tensor=name, dtype=array.dtype)]
    return [] if np.isfinite(array).all() else [text("weights.nan", tensor=name)]
