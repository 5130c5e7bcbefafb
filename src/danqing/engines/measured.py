"""Measured: what the pastiche network measures of a whole picture, told, and taken for others.

Means and covariances of all places are a quarter of the work of a painting, and hardly change from one frame of a film
to the next. So the network comes in two more forms: one tells with the painting what was measured, the other takes it
as inputs and measures nothing (`parts`). This module knows no runtime and no film.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from danqing.engines.openvino import EXACT, PLACE
from danqing.engines.parts import Graph, Shape
from danqing.engines.tiles import DRAWN

F32 = NDArray[np.float32]

Measured = Mapping[str, F32]
"""Means, variances and covariances of a picture, by the names that they have in the network's graph."""


def telling(data: bytes, painting: str) -> bytes:
    """The network, whose outputs are the painting and what was measured."""
    graph = Graph(data)
    return graph.part([painting, *_needed(graph, painting)], {})


def taking(data: bytes, painting: str, fixed: Mapping[str, F32] | None = None) -> bytes:
    """The network, whose inputs are its own and what was measured.

    Args:
        data: the network.
        painting: what its painting is called.
        fixed: inputs of its own that stay as they are; what follows from them alone is computed while it is opened.
    """
    graph, shapes = Graph(data), _shapes()
    return graph.part([painting], {name: shapes[name] for name in _needed(graph, painting)}, fixed)


def between(before: Measured, after: Measured, share: float) -> dict[str, F32]:
    """What lies between two pictures, so much of the way from one to the other."""
    return {name: value + np.float32(share) * (after[name] - value) for name, value in before.items()}


def _needed(graph: Graph, painting: str) -> list[str]:
    return graph.needed([painting], _shapes())


def _shapes() -> dict[str, Shape]:
    """By name, whatever may be measured.

    A place belongs to it: means are told less the features there, so that both together do not depend on it.
    """
    found: dict[str, Shape] = {}
    for name, drawn in DRAWN.items():
        width = drawn.channels // drawn.folded
        row = (1, width, 1, 1)
        each = {".mean": row, ".variance": row, ".covariance": (width, width), PLACE: row}
        found |= {f"{EXACT}{name}{ending}": shape for ending, shape in each.items()}
    return found
