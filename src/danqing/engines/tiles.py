"""Pictures of any size through the pastiche network, tile by tile; the same painting as in one piece.

Seven times the network takes a mean and a variance over the whole picture, and what it draws next depends on them. So
its graph is cut into stages there (`parts`). Each stage goes over the picture in tiles, with as much of their
surroundings as it sees; what it draws lies in scratch files, and its statistics are gathered for the next stage. This
module knows no styles, only their vectors. See docs/decisions/0006-tiles.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from danqing import scratch
from danqing.engines.openvino import EXACT, PLACE
from danqing.engines.parts import Graph, Shape

F32 = NDArray[np.float32]

MARGIN = 24
"""px by which the network continues a picture on every side, mirrored (`padded` in its graph)."""

SMALLEST = MARGIN + 8
"""px: smaller sides are continued by their edge first, as the network's card has it (`min_size`)."""

LEAST, MOST = 128, 1024
"""Sides of tiles in px, without their surroundings."""

STEP = 64
"""px; sides of tiles are multiples of it."""


class Session(Protocol):
    """A model that is ready to run."""

    def __call__(self, values: Mapping[str, F32]) -> dict[str, F32]:
        """Outputs by name, for inputs by name."""
        ...


Opener = Callable[[bytes], Session]
"""Makes a model ready to run."""

OnTile = Callable[[int], None]
"""Called after every tile with the number of all; may raise to stop."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A value of the network's graph whose statistics are needed.

    Attributes:
        scale: px of the picture to one of the value.
        channels: how many it has.
        folded: how many in a row are one, in places that are as many px.
        every: of which rows and columns statistics are taken.
        kept: as what it lies on the disk; None where it costs less to compute it twice.
    """

    scale: int
    channels: int
    folded: int = 1
    every: int = 1
    kept: type[np.floating] | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the network between two statistics.

    Attributes:
        outputs: what it computes.
        surroundings: px around a tile that it sees.
        last: the values that are needed no more behind it.
    """

    outputs: tuple[str, ...]
    surroundings: int
    last: tuple[str, ...] = ()


DRAWN = {
    "padded": Drawn(scale=1, channels=3),
    "relu2_1": Drawn(scale=2, channels=32, every=2),
    "relu3_1": Drawn(scale=4, channels=80, every=2, kept=np.float32),
    "drawn.8": Drawn(scale=8, channels=128, kept=np.float32),
    "drawn.4": Drawn(scale=4, channels=80, every=2, kept=np.float16),
    "drawn.2": Drawn(scale=2, channels=32, every=2, kept=np.float16),
    "drawn.rgb": Drawn(scale=2, channels=12, folded=4, kept=np.float32),
}
PAINTING = f"{EXACT}drawn.rgb.moved"
STAGES = (
    Stage(outputs=("relu2_1", "relu3_1"), surroundings=16),
    Stage(outputs=("drawn.8",), surroundings=32),
    Stage(outputs=("drawn.4",), surroundings=64, last=("drawn.8", "relu3_1")),
    Stage(outputs=("drawn.2",), surroundings=32, last=("drawn.4",)),
    Stage(outputs=("drawn.rgb",), surroundings=32, last=("drawn.2",)),
    Stage(outputs=(PAINTING,), surroundings=0, last=("drawn.rgb",)),
)
"""The pastiche network, as its graph is written (`atelier/export/pastiche.py`)."""


@dataclass
class Statistics:
    """Mean (C,) and scatter (C, C) of values that come in pieces (Chan et al. 1983), in float64."""

    count: int = 0
    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    scatter: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, values: F32) -> None:
        """Take in values (C, ...)."""
        flat = values.reshape(len(values), -1)
        count, mean = flat.shape[1], flat.mean(axis=1, dtype=np.float64)
        centred = flat - mean[:, None].astype(np.float32)
        scatter = (centred @ centred.T).astype(np.float64)
        if self.count:
            total, apart = self.count + count, mean - self.mean
            scatter += self.scatter + np.outer(apart, apart) * (self.count * count / total)
            mean = self.mean + apart * (count / total)
            count = total
        self.count, self.mean, self.scatter = count, mean, scatter

    def values(self, name: str) -> dict[str, F32]:
        """As the graph has them, by every name under which it may ask for them."""
        covariance = self.scatter / self.count
        found = {
            f"{EXACT}{name}.mean": self.mean[None, :, None, None],
            f"{EXACT}{name}.variance": covariance.diagonal()[None, :, None, None],
            f"{EXACT}{name}.covariance": covariance,
        }
        return {key: np.ascontiguousarray(value, dtype=np.float32) for key, value in found.items()}


class _Work:
    """A painting on its way: the picture as the network continues it, what stages have drawn, and its statistics.

    Args:
        pixels: (H, W, 3) in 0..1.
        given: what every part of the network may ask for.
        multiple_of: px that sides are multiples of, once the picture is continued.
        side: of tiles, px.
    """

    def __init__(self, pixels: F32, given: Mapping[str, F32], *, multiple_of: int, side: int) -> None:
        self.pixels = pixels
        self.places = [_continued(length, multiple_of) for length in pixels.shape[:2]]
        self.size = len(self.places[0]), len(self.places[1])
        self.tiles = list(_tiles(self.size, side))
        self.values: dict[str, NDArray[Any]] = {}
        self.known = dict(given)
        for name, drawn in DRAWN.items():  # statistics that are added up in float64 need no place to be about
            self.known[f"{EXACT}{name}{PLACE}"] = np.zeros((1, drawn.channels, 1, 1), dtype=np.float32)
        whole = Statistics()
        for rows, columns in self.tiles:
            whole.add(self.cut("padded", rows, columns)[0])
        self.known |= whole.values("padded")

    def model(self, graph: Graph, stage: Stage) -> tuple[bytes, list[str]]:
        """The part of the network that is a stage, and which of the values it looks at."""
        names = graph.needed(stage.outputs, {"padded", *self.values, *self.known})
        shapes: dict[str, Shape] = {
            name: self.known[name].shape if name in self.known else (1, DRAWN[name].channels, None, None)
            for name in names
        }
        return graph.part(stage.outputs, shapes), names

    def cut(self, name: str, rows: slice, columns: slice) -> F32:
        """The part (1, C, h, w) of a value between rows and columns of the picture, in px."""
        if name == "padded":
            part = self.pixels[np.ix_(self.places[0][rows], self.places[1][columns])]
            return np.ascontiguousarray(part.transpose(2, 0, 1)[None])
        scale = DRAWN[name].scale
        found = self.values[name][:, _divided(rows, scale), _divided(columns, scale)]
        return np.ascontiguousarray(found[None], dtype=np.float32)

    def begin(self, stage: Stage) -> None:
        """Take the room for what a stage draws."""
        for name in stage.outputs:
            if name == PAINTING:
                self.values[name] = scratch.array(self.pixels.shape, np.float32)
            elif kind := DRAWN[name].kept:
                height, width = (length // DRAWN[name].scale for length in self.size)
                self.values[name] = scratch.array((DRAWN[name].channels, height, width), kind)

    def tile(self, run: Session, stage: Stage, names: Sequence[str], place: tuple[slice, slice]) -> dict[str, F32]:
        """What a stage draws in a tile (C, h, w), by name."""
        around = [_grown(part, stage.surroundings, length) for part, length in zip(place, self.size, strict=True)]
        inputs = {name: self.known[name] if name in self.known else self.cut(name, *around) for name in names}
        drawn = {}
        for name, found in run(inputs).items():
            scale = 1 if name == PAINTING else DRAWN[name].scale
            rows, columns = (_inside(part, a, scale) for part, a in zip(place, around, strict=True))
            drawn[name] = found[0, :, rows, columns]
        return drawn

    def keep(self, name: str, found: F32, place: tuple[slice, slice]) -> None:
        """Put a tile of a value where it belongs."""
        if name == PAINTING:
            _place(self.values[name], found, *place)
        elif name in self.values:
            rows, columns = (_divided(part, DRAWN[name].scale) for part in place)
            self.values[name][:, rows, columns] = found


def paint(
    data: bytes,
    opened: Opener,
    pixels: F32,
    given: Mapping[str, F32],
    *,
    multiple_of: int,
    side: int,
    on_tile: OnTile | None = None,
) -> F32:
    """Paint a picture in tiles.

    Args:
        data: the pastiche network's graph.
        opened: what runs its parts.
        pixels: (H, W, 3) in 0..1; may lie on the disk.
        given: the network's other inputs, `vectors` (S, P) and `weights` (1, S).
        multiple_of: the network's.
        side: of a tile in px, a multiple of `STEP`.
        on_tile: called after every tile.

    Returns:
        (H, W, 3) in 0..1, on the disk.

    Raises:
        RunFailed: the disk is full.
        ModelDamaged: the network cannot be run.
    """
    graph = Graph(data)
    work = _Work(pixels, given, multiple_of=multiple_of, side=side)
    for stage in STAGES:
        model, names = work.model(graph, stage)
        run = opened(model)
        work.begin(stage)
        statistics = {name: Statistics() for name in stage.outputs if name != PAINTING}
        for place in work.tiles:
            for name, found in work.tile(run, stage, names, place).items():
                work.keep(name, found, place)
                if name in statistics:
                    drawn = DRAWN[name]
                    some = found[:, :: drawn.every, :: drawn.every]  # tiles begin at even rows and columns
                    statistics[name].add(some.reshape(len(found) // drawn.folded, -1))
            if on_tile is not None:
                on_tile(len(work.tiles) * len(STAGES))
        for name, whole in statistics.items():
            work.known |= whole.values(name)
        for name in stage.last:
            del work.values[name]
    return work.values[PAINTING]


def scratch_bytes(size: tuple[int, int]) -> int:
    """Bytes that a picture of (width, height) px takes on the disk at the most."""
    held: dict[str, float] = {}
    most = 0.0
    for stage in STAGES:
        for name in stage.outputs:
            value = DRAWN.get(name, DRAWN["drawn.rgb"])
            held[name] = value.channels * np.dtype(value.kept).itemsize / value.scale**2 if value.kept else 0
        most = max(most, sum(held.values()))
        for name in stage.last:
            del held[name]
    return math.ceil(most * (size[0] + 2 * MARGIN + 8) * (size[1] + 2 * MARGIN + 8))


def whole(side: int) -> int:
    """The side in px of a tile with its surroundings."""
    return side + 2 * max(stage.surroundings for stage in STAGES)


def side_within(pixels: float) -> int:
    """The side of tiles that have so many px with their surroundings; `LEAST` where there is no such side."""
    side = int(math.sqrt(max(pixels, 1))) - whole(0)
    return min(MOST, max(LEAST, side // STEP * STEP))


def _continued(length: int, multiple_of: int) -> NDArray[np.intp]:
    """Which row or column of a picture stands at each place of the continued one."""
    places = np.arange(length)
    places = np.pad(places, (0, max(SMALLEST - length, -length % multiple_of)), mode="edge")
    return np.pad(places, MARGIN, mode="reflect")


def _tiles(size: tuple[int, int], side: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, size[0], side):
        for left in range(0, size[1], side):
            yield slice(top, min(top + side, size[0])), slice(left, min(left + side, size[1]))


def _grown(part: slice, by: int, length: int) -> slice:
    return slice(max(0, part.start - by), min(length, part.stop + by))


def _inside(part: slice, around: slice, scale: int) -> slice:
    return slice((part.start - around.start) // scale, (part.stop - around.start) // scale)


def _divided(part: slice, scale: int) -> slice:
    return slice(part.start // scale, part.stop // scale)


def _place(painting: NDArray[Any], found: F32, rows: slice, columns: slice) -> None:
    """A tile of the continued picture (3, h, w) in the painting, as far as it lies there."""
    height, width = painting.shape[:2]
    down, right = (
        slice(max(0, p.start - MARGIN), min(n, p.stop - MARGIN)) for p, n in ((rows, height), (columns, width))
    )
    if down.stop > down.start and right.stop > right.start:
        top, left = down.start + MARGIN - rows.start, right.start + MARGIN - columns.start
        part = found[:, top : top + down.stop - down.start, left : left + right.stop - right.start]
        painting[down, right] = np.clip(part, 0, 1).transpose(1, 2, 0)
