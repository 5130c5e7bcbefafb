"""Layouts: how files name the convolutions of a VGG, and which VGG a file holds.

Names and shapes go in, our names (`conv3_1.weight`) come out. Two spellings are known: torchvision's, which counts
every module (`features.10.weight`, or `10.weight` where only that part was saved), and the literature's. Widths are
whatever the arrays have; where the pools stand decides which network it is. This module knows no torch and no
preprocessing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danqing.messages import text
from danqing.weights.source import told

DEPTHS: Mapping[str, tuple[int, ...]] = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}
"""Convolutions in each block (Simonyan & Zisserman 2014, table 1, columns E and D)."""

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each block of the true VGGs."""

IGNORED = ("classifier.",)
"""The end of torchvision's networks, which names objects and is no part of an encoder."""

_PARAMETER = re.compile(r"^(?P<layer>.+)\.(?P<part>weight|bias)$")
_BARE = re.compile(r"^[0-9]{1,2}\.(weight|bias)$")  # of torchvision's `features` alone
_OWN = re.compile(r"^conv(?P<block>[1-9])_(?P<number>[1-9])$")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The arrays of an encoder under our names.

    Attributes:
        names: {our name: the file's name}, both ending in `.weight` or `.bias`, first layer first.
        depths: convolutions in each block of the network that the file was cut from.
        unknown: the file's names that are no part of a VGG.
    """

    names: dict[str, str]
    depths: tuple[int, ...]
    unknown: tuple[str, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The convolutions that have an array, first layer first."""
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name in self.names))


def order(depths: Iterable[int]) -> list[str]:
    """Every convolution of a network with so many in each block, first one first."""
    return [f"conv{block}_{number}" for block, depth in enumerate(depths, 1) for number in range(1, depth + 1)]


def torchvision_names(depths: Iterable[int]) -> dict[str, str]:
    """{`features.N`: our name}: convolutions and their ReLUs are counted, and the pool that ends a block."""
    names, place = {}, 0
    for block, depth in enumerate(depths, 1):
        for number in range(1, depth + 1):
            names[f"features.{place}"] = f"conv{block}_{number}"
            place += 2
        place += 1
    return names


def recognise(names: Collection[str], *, like: str | None = None) -> Layout:
    """Put the names of a file in order; what belongs to no VGG is listed, not refused.

    Args:
        names: as the file has them; a common `module.` in front (DataParallel's) does not count.
        like: `vgg19` or `vgg16` where the file does not say, because it ends before the two differ.
    """
    front = "module." if names and all(name.startswith("module.") for name in names) else ""
    parameters = {name: name.removeprefix(front) for name in names}
    if parameters and all(_BARE.match(bare) for bare in parameters.values()):
        parameters = {name: f"features.{bare}" for name, bare in parameters.items()}
    layers = {m["layer"] for bare in parameters.values() if (m := _PARAMETER.match(bare))}
    if any(_OWN.match(layer) for layer in layers):
        known = {layer: layer for layer in layers if _OWN.match(layer)}
        depths = _own_depths(known)
    else:
        depths = _torchvision_depths(layers, like)
        known = torchvision_names(depths)
    found, unknown = {}, []
    for name, bare in parameters.items():
        match = _PARAMETER.match(bare)
        if match and match["layer"] in known:
            found[f"{known[match['layer']]}.{match['part']}"] = name
        elif not bare.startswith(IGNORED):
            unknown.append(name)
    ordered = dict(sorted(found.items(), key=lambda pair: (pair[0].rpartition(".")[0], pair[0].endswith("bias"))))
    return Layout(names=ordered, depths=depths, unknown=tuple(sorted(unknown)))


def true_vgg(arrays: Mapping[str, NDArray[Any]], layout: Layout, *, like: str | None = None) -> str | None:
    """`vgg19` or `vgg16` if the arrays are the beginning of one, with all its channels.

    Args:
        arrays: by the file's names; nothing is wrong with them by `problems`.
        layout: as `recognise` put them in order.
        like: `vgg19` or `vgg16` where the file ends before the two differ.
    """
    widths = {layer: arrays[layout.names[f"{layer}.weight"]].shape[0] for layer in layout.layers}
    if any(width != WIDTHS[int(layer[4]) - 1] for layer, width in widths.items()):
        return None
    candidates = sorted(DEPTHS, key=lambda name: name != (like or "vgg19"))
    return next((name for name in candidates if order(DEPTHS[name])[: len(widths)] == [*widths]), None)


def _own_depths(layers: Iterable[str]) -> tuple[int, ...]:
    deepest: dict[int, int] = {}
    for match in map(_OWN.match, layers):
        if match:
            block, number = int(match["block"]), int(match["number"])
            deepest[block] = max(deepest.get(block, 0), number)
    return tuple(deepest.get(block, 1) for block in range(1, max(deepest) + 1))


def _torchvision_depths(layers: Collection[str], like: str | None) -> tuple[int, ...]:
    """The network that explains most of the layers; `like`, else VGG-19, where several explain as many."""
    candidates = sorted(DEPTHS, key=lambda name: name != (like or "vgg19"))
    best = max(candidates, key=lambda name: sum(layer in torchvision_names(DEPTHS[name]) for layer in layers))
    return DEPTHS[best]


def problems(arrays: Mapping[str, NDArray[Any]], layout: Layout, *, promised: Iterable[str] = ()) -> list[str]:
    """Everything that keeps arrays from being the encoder of their layout, a line each; empty if nothing does.

    Args:
        arrays: by the file's names.
        layout: as `recognise` put them in order.
        promised: layers that must be there, such as a card's.
    """
    return _names(layout, promised) + _shapes(arrays, layout)


def _names(layout: Layout, promised: Iterable[str]) -> list[str]:
    problems = [text("weights.extra", tensor=told(name)) for name in layout.unknown]
    if not layout.layers:
        return [*problems, text("weights.no_layers")]
    present = _present(layout)
    wanted = [f"{layer}.{part}" for layer in present for part in ("weight", "bias")]
    problems += [text("weights.lacking", tensor=name) for name in wanted if name not in layout.names]
    absent = dict.fromkeys(f"conv{name[4:]}" for name in promised)
    return problems + [text("weights.lacking", tensor=told(layer)) for layer in absent if layer not in present]


def _present(layout: Layout) -> list[str]:
    """The layers from the first one to the deepest that the file has, also those in between that it lacks."""
    every = order(layout.depths)
    return every[: 1 + max((every.index(layer) for layer in layout.layers), default=-1)]


def _shapes(arrays: Mapping[str, NDArray[Any]], layout: Layout) -> list[str]:
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
