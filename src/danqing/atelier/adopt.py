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

from danqing.atelier.encoders import VGG
from danqing.card import Card
from danqing.errors import ModelDamaged
from danqing.messages import text
from danqing.weights import layouts
from danqing.weights.source import listed

Arrays = Mapping[str, NDArray[Any]]


def encoder(card: Card, arrays: Arrays) -> VGG:
    """An encoder from its card and its arrays.

    Args:
        card: whose preprocessing and padding it gets; the layers that it promises must be there.
        arrays: weights (out, in, 3, 3) and biases (out,) by name, of any float type; they are copied.

    Returns:
        float32, in eval mode, no gradients to its weights.

    Raises:
        ModelDamaged: names or shapes do not fit; every problem is listed.
    """
    layout = layouts.recognise(arrays.keys(), like=_like(card))
    problems = layouts.problems(arrays, layout, promised=card.layers)
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
    )
    net.load_state_dict(
        {ours: torch.from_numpy(arrays[theirs].astype(np.float32)) for ours, theirs in layout.names.items()}
    )
    return net.eval().requires_grad_(False)


def _like(card: Card) -> str:
    """Which VGG the card's layers are of, where the file itself ends before the two differ."""
    return "vgg19" if any(layer.endswith("_4") for layer in card.layers) or card.name != "vgg16" else "vgg16"
