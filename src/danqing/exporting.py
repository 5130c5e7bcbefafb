"""Exporting: what paints here becomes one ONNX file that others run without danqing.

The name of a style or a model goes in, or a foreign network's file; a file comes out that takes a picture and gives a
painting, both (1, 3, H, W) in 0..1. Before it is written, it has painted a known picture, and the difference from what
danqing paints is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danqing import catalog, engines, foreign
from danqing.card import Card
from danqing.engines import fast, onnx, probe
from danqing.errors import RunFailed, UsageError
from danqing.files import atomic_write, check_target, shown
from danqing.messages import text

TRIED = (200, 136)
"""(width, height) in px of the picture that is painted for the comparison, where any may be."""

ALLOWED = {False: 0.01, True: 0.1}
"""The greatest difference of a pixel, of 1, without and with float16."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        bytes: of the file.
        difference: the greatest from what danqing paints, of 1.
        size: (width, height) in px of the only pictures that it takes; None = any.
        least: the shortest side that danqing itself feeds it, px; smaller pictures are continued by their edge.
    """

    bytes: int
    difference: float
    size: tuple[int, int] | None
    least: int


def export(
    name: str,
    target: str | Path,
    *,
    half: bool = False,
    fixed: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a style of the gallery, a model of one style, or a foreign network's file as one ONNX file.

    Args:
        name: of the style or model, or the path of the file.
        target: the file to write.
        half: store weights and compute in float16.
        fixed: (width, height) in px of the only pictures that it is to take.
        overwrite: whether an existing file may be replaced.

    Raises:
        UsageError: no such style or model, one of several styles, or a size that the network does not take.
        ModelMissing, ModelDamaged: of the network, or the extra that is needed.
        RunFailed: what was made paints something else, or it cannot be written.
    """
    check_target(target, overwrite=overwrite)
    card, graph, vector = _network(name)
    data: bytes = engines.verb("export")(card, graph, vector=vector, half=half, fixed=fixed)
    size = fixed or card.fixed_size
    difference = _difference(data, (card, graph, vector), size or TRIED, name=shown(name))
    if not difference <= ALLOWED[half]:
        fields = {"difference": f"{255 * difference:.3g}", "allowed": f"{255 * ALLOWED[half]:.3g}"}
        raise RunFailed(text("engines.export_differs", name=shown(name), **fields))
    with atomic_write(target, overwrite=overwrite) as stream:
        stream.write(data)
    return Exported(bytes=len(data), difference=difference, size=size, least=card.min_size)


Parts = tuple[Card, bytes, NDArray[np.float32] | None]


def _network(name: str) -> Parts:
    """A network's card and graph, and the vector of the style, for the middling brush."""
    if foreign.is_network(name):
        network = foreign.read(name)
        return network.card, network.graph, None
    models = {card.name: card for card in catalog.cards()}
    if name in models and name not in {entry.name for entry in catalog.styles()}:
        found = models[name]
        if found.kind == "encoder":
            raise UsageError(text("api.model_encoder", name=name))
        if found.vectors is not None or len(found.styles) != 1:
            known = ", ".join(style.name for style in found.styles)
            raise UsageError(text("engines.export_several", name=name, known=shown(known)))
        name = found.styles[0].name
    card, vectors = catalog.vectors(name)
    graph = onnx.read(catalog.find(card.name)[1])
    return card, graph, None if vectors is None else vectors[1]


def _difference(data: bytes, parts: Parts, size: tuple[int, int], *, name: str) -> float:
    """The greatest difference between what the file and what danqing paints, of 1; infinite where sizes differ."""
    card, graph, vector = parts
    picture = probe.known_picture(size[1], size[0])
    weights = None if vector is None else np.ones(1, np.float32)
    vectors = None if vector is None else vector[None]
    expected = fast.run(onnx.Session(graph, name=name), card, picture, vectors, weights)
    found = onnx.Session(data, name=name)({"picture": picture.transpose(2, 0, 1)[None]})["painting"]
    found = found[0].transpose(1, 2, 0)
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
