"""An older pastiche network: what it has learnt goes over to one of today's form, as far as that has a place for it.

Files as `publish` writes them go in. A layer that both have is taken as it is; of style vectors, and of what the
predictor says, those entries are taken that belong to a layer which is still there. An older network may have more
residual blocks, and anything in place of the stem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from danqing.atelier import adopt
from danqing.atelier.nets.pastiche import BANDS, Conditional, PasticheNet
from danqing.atelier.nets.predictor import Predictor

Weights = Mapping[str, NDArray[Any]]


def inherit(net: PasticheNet, predictor: Predictor, folder: Path, *, name: str = "pastiche") -> dict[str, torch.Tensor]:
    """Give a network and its predictor what an older one has learnt.

    Args:
        net, predictor: whose weights change.
        folder: with the older one's `<name>.onnx`, `<name>-predictor.onnx` and `<name>.safetensors`.
        name: its name.

    Returns:
        The learnt entries of its style vectors that still mean something, (3, K) for each style.
    """
    stored = adopt.arrays_of((folder / f"{name}.onnx").read_bytes(), name)
    told = adopt.arrays_of((folder / f"{name}-predictor.onnx").read_bytes(), name)
    entries = kept(net, stored)
    own = net.state_dict()
    for key, value in own.items():
        if key in stored and stored[key].size == value.numel():
            own[key] = _tensor(stored[key].reshape(value.shape))
    net.load_state_dict(own)
    his = predictor.state_dict()
    for key, value in his.items():
        found = told[key].T if told[key].ndim == 2 and key != "neutral" else told[key]
        found = found.reshape(-1) if value.ndim == 1 else found
        his[key] = _tensor(found if len(found) == len(value) else found[entries])
    predictor.load_state_dict(his)
    vectors = load_file(folder / f"{name}.safetensors")
    return {style: _tensor(rows[:, net.given :][:, entries]) for style, rows in vectors.items()}


def sees(folder: Path, *, name: str = "pastiche") -> bool:
    """Whether an older network has a stem of today's form, that ours can take over with the rest."""
    return "stem.first.weight" in adopt.arrays_of((folder / f"{name}.onnx").read_bytes(), name)


def kept(net: PasticheNet, stored: Weights) -> NDArray[np.intp]:
    """Where in the learnt entries of an older network, whose weights are `stored`, those of ours stand."""
    blocks = 1 + max(int(found[1]) for key in stored if (found := re.match(r"blocks_8\.(\d+)\.", key)))
    older = PasticheNet(blocks=blocks)
    ours = {name for name, module in net.named_modules() if isinstance(module, Conditional)}
    places, at = list(range(len(BANDS))), len(BANDS)
    for name, module in older.named_modules():
        if isinstance(module, Conditional):
            size = 2 * len(module.weight)
            places += range(at, at + size) if name in ours else ()
            at += size
    return np.array(places)


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))
