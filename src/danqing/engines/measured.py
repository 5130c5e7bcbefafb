"""Measured: what the pastiche network measures of a whole picture, told, and taken for others.

Means and covariances of all places are a quarter of the work of a painting, and hardly change from one frame of a film
to the next. So the network comes in two more forms: one tells with the painting what was measured, the other takes it
as inputs and measures nothing (`parts`). This module knows no runtime and no film.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Taking:
    """Makes of the network one whose inputs are its own and what was measured.

    Attributes:
        fixed: inputs that stay as they are, by name: shape and float32 as bytes. What follows from them is computed
            once, while the network is opened.
    """

    fixed: tuple[tuple[str, tuple[int, ...], bytes], ...] = ()

    @classmethod
    def with_fixed(cls, inputs: Mapping[str, F32]) -> Taking:
        """For inputs that stay as they are."""
        return cls(tuple((name, value.shape, value.tobytes()) for name, value in inputs.items()))

    def __call__(self, data: bytes, painting: str) -> bytes:
        """The network's graph."""
        graph, shapes = Graph(data), _shapes()
        fixed = {name: np.frombuffer(value, np.float32).reshape(shape) for name, shape, value in self.fixed}
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
