"""Layouts: how files name the convolutions of a VGG, and which VGG a file holds.

Names and shapes go in, our names (`conv3_1.weight`) come out. Two spellings are known: torchvision's, which counts
every module (`features.10.weight`), and the literature's. Widths are whatever the arrays have; where the pools stand
decides which network it is. This module knows no torch and no preprocessing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

DEPTHS: Mapping[str, tuple[int, ...]] = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}
"""Convolutions in each block (Simonyan & Zisserman 2014, table 1, columns E and D)."""

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each block of the true VGGs."""

IGNORED = ("classifier.",)
"""The end of torchvision's networks, which names objects and is no part of an encoder."""

_PARAMETER = re.compile(r"^(?P<layer>.+)\.(?P<part>weight|bias)$")
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
